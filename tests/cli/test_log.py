"""`decider log` as its user types it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commands import Ran, ran
from decider.cli import main
from decider.runtime.log import Log
from decider.task import Task
from logged import ANSWER, decision

SPEC = """\
name: triage
fields:
  priority: {options: [low, high]}
  routing.team: {options: [billing, login, bug]}
  routing.tags: {type: tags, options: [vip, late]}
  rating: {type: integer, optional: true}
  summary: {type: text}
prompt: {model: gpt-6-luna}
log: {folder: log}
cache: {folder: cache}
"""
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
IDS = [f"{n}{'a' * 31}" for n in range(4)]


class Desk:
    """A spec with a log of four decisions, and commands on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.spec = folder / "spec.yaml"
        self.spec.write_text(SPEC)
        self.task: Task[Any] = Task.load(self.spec)
        self.log = Log.of(self.task)
        self._capsys = capsys

    def fill(self) -> None:
        self.add(id=IDS[0], row_id="T-0", created_at=NOW - timedelta(days=9), confidence=0.75)
        self.add(id=IDS[1], row_id="T-1", created_at=NOW - timedelta(days=2), mode="finetuned")
        self.add(answer=None, id=IDS[2], row_id="T-2", created_at=NOW - timedelta(days=1))
        self.add(answer={**ANSWER, "priority": "high"}, id=IDS[3], row_id="T-3", created_at=NOW, accepted=False)

    def add(self, **what: Any) -> None:
        self.log.append(decision(**what), self.task)

    def run(self, command: str, *arguments: Any) -> Ran:
        return ran(self._capsys, "log", command, self.spec, *arguments)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("COLUMNS", "160")
    desk = Desk(tmp_path, capsys)
    desk.fill()
    return desk


def _ids(ran: Ran) -> list[str]:
    assert ran.code == 0
    return [json.loads(line)["id"] for line in ran.out.splitlines()]


@pytest.mark.parametrize("command", ["list", "show", "correct", "confirm", "outcome", "forget", "export"])
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["log", command, "--help"])
    assert stopped.value.code == 0
    assert f"Example:  decider log {command}" in capsys.readouterr().out


def test_a_spec_without_a_log_is_told_what_to_add(desk: Desk) -> None:
    desk.spec.write_text(SPEC.replace("log: {folder: log}\n", ""))
    ran = desk.run("list")
    assert (ran.code, ran.out) == (2, "")
    assert "the spec has no `log:`" in ran.err
    assert "log: {folder: .decider/log}" in ran.err


def test_list_shows_the_newest_first(desk: Desk) -> None:
    desk.log.correct(IDS[0], {"routing.team": "login"}, task=desk.task)
    ran = desk.run("list")
    rows = [line for line in ran.out.splitlines() if "aaaa" in line]
    assert [row.split()[1][:4] for row in rows] == [name[:4] for name in reversed(IDS)]
    assert "high" in rows[0]
    assert "not accepted" in rows[0]
    assert "refused" in rows[1]
    assert "login" in rows[3]
    assert "corrected" in rows[3]
    assert _ids(desk.run("list", "--json", "--limit", 2)) == [IDS[3], IDS[2]]


@pytest.mark.parametrize(
    ("options", "which"),
    [
        (["--mode", "finetuned"], [1]),
        (["--status", "refused"], [2]),
        (["--field", "priority=high"], [3]),
        (["--field", "routing.team=login"], [0]),
        (["--field", "routing.team=billing", "--field", "priority=low"], [1]),
        (["--since", "2026-11-24"], [3, 2]),
        (["--since", "2026-11-24T13:00:00+01:00"], [3, 2]),
        (["--checked"], [0]),
        (["--unchecked"], [3, 2, 1]),
        (["--field", "routing.tags=late", "--since", "2026-11-25"], [3]),
    ],
)
def test_list_takes_what_is_asked_for(desk: Desk, options: list[str], which: list[int]) -> None:
    desk.log.correct(IDS[0], {"routing.team": "login"}, task=desk.task)
    assert _ids(desk.run("list", "--json", *options)) == [IDS[n] for n in which]


def test_list_takes_so_long_ago(desk: Desk) -> None:
    desk.add(id="f" * 32, created_at=datetime.now(UTC) - timedelta(hours=1))
    assert "f" * 32 in _ids(desk.run("list", "--json", "--since", "2h"))
    assert "f" * 32 not in _ids(desk.run("list", "--json", "--since", "30m"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--since", "soon"], "--since soon is neither a time, such as 2026-11-25, nor how long ago, such as 7d"),
        (["--since", "99999999999d"], "is neither a time"),
        (["--status", "done"], "--status must be one of decided, abstained, refused, filtered, failed, not 'done'"),
        (["--field", "priority"], "'priority' is not PATH=VALUE, such as priority=…"),
        (["--field", "prio=low"], "the task 'triage' has no field 'prio'; it has priority, routing.team"),
    ],
)
def test_list_says_what_is_wrong_with_an_option(desk: Desk, options: list[str], message: str) -> None:
    ran = desk.run("list", *options)
    assert ran.code == 2
    assert message in ran.err


def test_lines_that_hold_no_record_are_counted(desk: Desk) -> None:
    assert "skipped" not in desk.run("list").err
    desk.log.close()
    path = desk.log.folder / "decisions.jsonl"
    path.write_bytes(path.read_bytes() + b"\n{torn")
    assert "1 line of the log skipped, without a whole record" in desk.run("list").err
    path.write_bytes(path.read_bytes() + b"\n{torn\n")
    assert "2 lines of the log skipped" in desk.run("list", "--json").err
    assert "3 rows; left out: 1 without an output; 2 lines of the log skipped" in desk.run("export").err


def test_an_empty_log_is_not_made_by_looking_at_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, capsys)
    ran = desk.run("list")
    assert (ran.code, ran.out) == (0, "")
    assert "no such decisions in" in ran.err
    assert not desk.log.folder.exists()


def test_show_tells_all_that_was_said(desk: Desk) -> None:
    desk.log.correct(IDS[0], {"routing.team": "login", "priority": "high"}, task=desk.task, by="ana", note="called")
    desk.log.confirm(IDS[0], task=desk.task)
    desk.log.outcome(IDS[0], "refunded", True)
    ran = desk.run("show", "T-0")
    assert ran.code == 0
    assert f"decision {IDS[0]} of row T-0\ninput: I paid twice\n" in ran.out
    assert any(line.split() == ["routing.team", "billing", "login"] for line in ran.out.splitlines())
    assert "decided at 2026-11-16 12:00:00 UTC by prompt" in ran.out
    assert "by ana (called): routing.team = login, priority = high" in ran.out
    assert "\nconfirmed at " in ran.out
    assert "outcome: refunded = true" in ran.out
    said = desk.run("show", IDS[0][:8], "--json").json()
    assert (said["checked"], said["output"]["routing"]["team"]) == ("corrected", "login")


def test_show_tells_what_there_is_not(desk: Desk) -> None:
    desk.add(answer=None, id="e" * 32, status="failed", input=None, error=ValueError("no"), created_at=NOW)
    ran = desk.run("show", "e" * 32)
    assert ran.out.startswith(f"decision {'e' * 32}\ninput: not kept\nfailed at 2026-11-25 12:00:00 UTC by prompt: no")
    desk.log.correct(IDS[2], dict(_whole()), task=desk.task)
    assert any(line.split() == ["rating", "7"] for line in desk.run("show", IDS[2]).out.splitlines())


def _whole() -> dict[str, Any]:
    return {"priority": "low", "routing.team": "bug", "routing.tags": [], "rating": 7, "summary": "x"}


def test_what_a_user_wrote_does_not_move_the_terminal(desk: Desk) -> None:
    desk.add(text="a\x1b[2Jb\n\n" + "c" * 90, id="d" * 32)
    line = desk.run("show", "d" * 32).out.splitlines()[1]
    assert line == f"input: a[2Jb {'c' * 54}…"


def test_a_name_that_means_none_or_several_is_an_error(desk: Desk) -> None:
    ran = desk.run("show", "nothing")
    assert (ran.code, ran.out) == (2, "")
    assert "holds no decision 'nothing'; `decider log list` shows them" in ran.err
    desk.add(id="0aaaaaaab" + "b" * 23)
    ran = desk.run("confirm", "0aaaaaaa")
    assert ran.code == 2
    assert f"'0aaaaaaa' may mean 2 decisions: {IDS[0]}, 0aaaaaaabb" in ran.err


def test_correct_takes_values_as_the_fields_have_them(desk: Desk) -> None:
    ran = desk.run("correct", "T-0", "routing.tags=vip,late", "rating=null", "summary=a=b", "--by", "ana", "--json")
    assert ran.json()["output"] == {
        "priority": "low",
        "routing": {"team": "billing", "tags": ["vip", "late"]},
        "rating": None,
        "summary": "a=b",
    }
    assert ran.json()["corrections"][0]["by"] == "ana"
    ran = desk.run("correct", "T-0", "priority=high", "--note", "why")
    assert "corrected at" in ran.out
    assert "(why): priority = high" in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["T-0"], "give either ID and PATH=VALUE, such as team=billing, or --from FILE"),
        ([], "give either ID and PATH=VALUE"),
        (["T-0", "priority=low", "--from", "x.csv"], "give either ID and PATH=VALUE"),
        (["T-0", "priority"], "'priority' is not PATH=VALUE, such as priority=…"),
        (["T-0", "priorty=low"], "has no field 'priorty'; did you mean 'priority'?"),
        (["T-0", "priority=hihg"], 'priority: "hihg" is not one of its answers: "low", "high"'),
        (["--from", "nothing.csv"], "nothing.csv: there is no such file"),
    ],
)
def test_correct_says_what_is_wrong(desk: Desk, arguments: list[str], message: str) -> None:
    ran = desk.run("correct", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert desk.log.find(IDS[0]).corrections == ()


def test_corrections_come_from_a_table(desk: Desk, tmp_path: Path) -> None:
    table = tmp_path / "corrections.csv"
    table.write_text("id,routing.team\nT-0,bug\nT-1,login\nT-3,\n")
    ran = desk.run("correct", "--from", table, "--by", "ana")
    assert (ran.code, ran.out) == (0, "")
    assert "2 decisions corrected, 1 row without a change" in ran.err
    assert desk.log.find(IDS[1]).changed == {"routing.team": "login"}
    assert desk.run("correct", "--from", table, "--json").json() == {"corrected": 2, "unchanged": 1}
    table.write_text("id,routing.team\nT-0,billing\nT-9,login\n")
    ran = desk.run("correct", "--from", table)
    assert ran.code == 2
    assert "1 of 2 rows are wrong, and none was taken row 2: holds no decision 'T-9'" in ran.err
    assert desk.log.find(IDS[0]).changed == {"routing.team": "bug"}


def test_confirm_takes_several(desk: Desk) -> None:
    assert desk.run("confirm", "T-0", "T-1", "--by", "ana", "--json").json() == {"confirmed": IDS[:2]}
    ran = desk.run("confirm", "T-3")
    assert f"confirmed: {IDS[3]}" in ran.err
    assert [history.checked for history in desk.log.histories()] == ["confirmed", "confirmed", None, "confirmed"]
    ran = desk.run("confirm", "T-0", "T-9")
    assert ran.code == 2
    assert len(desk.log.find(IDS[0]).corrections) == 1


def test_an_outcome_is_json_or_text(desk: Desk) -> None:
    assert desk.run("outcome", "T-0", "refunded", "true", "--json").json()["outcomes"][0]["value"] is True
    ran = desk.run("outcome", "T-0", "said", "thank you")
    assert (ran.code, ran.out) == (0, "")
    assert f"recorded of {IDS[0]}: said = thank you" in ran.err
    assert desk.log.find(IDS[0]).said == {"refunded": True, "said": "thank you"}


def test_forget_says_what_it_reached_and_what_not(desk: Desk) -> None:
    ran = desk.run("forget", "T-0")
    assert ran.code == 0
    assert f"forgotten: {IDS[0]}, {IDS[1]}" in ran.out
    assert "4 lines overwritten in 1 file; deleted from the cache: 0" in ran.out
    assert "not reached, and yours to look after:\n  files that `decider run` has written" in ran.out
    assert "I paid twice" not in (desk.log.folder / "decisions.jsonl").read_text()
    said = desk.run("forget", "T-0", "--json").json()
    assert (said["decisions"], said["lines"]) == ([IDS[0]], 0)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_forget_asks_on_a_terminal(desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    ran = desk.run("forget", "T-0")
    assert ran.code == code
    assert "is lost for good. Go on?" in ran.err
    assert (desk.log.find(IDS[0]).decision.input is None) == (code == 0)
    assert desk.run("forget", "T-0", "--yes").code == 0


def test_export_prints_rows_or_writes_them(desk: Desk, tmp_path: Path) -> None:
    desk.log.correct(IDS[0], {"routing.team": "bug"}, task=desk.task)
    ran = desk.run("export")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [(row["id"], row["source"]) for row in rows] == [
        (IDS[0], "corrected"),
        (IDS[1], "finetuned"),
        (IDS[3], "prompt"),
    ]
    assert rows[0]["output"]["routing"]["team"] == "bug"
    assert "3 rows; left out: 1 without an output" in ran.err
    out = tmp_path / "rows.jsonl"
    ran = desk.run("export", "--checked", "-o", out)
    assert (ran.code, ran.out) == (0, "")
    assert f"1 row written to {out}; left out: 2 not checked by anybody, 1 without an output" in ran.err
    assert out.read_text().count("\n") == 1
    said = desk.run("export", "-o", out, "--json").json()
    assert said == {"out": str(out), "rows": 3, "left_out": {"without an output": 1}}


def test_export_leaves_out_other_versions_unless_asked(desk: Desk) -> None:
    desk.spec.write_text(SPEC + "version: 2\n")
    assert "0 rows; left out: 4 of another version of the task" in desk.run("export").err
    assert "3 rows; left out" in desk.run("export", "--any-version").err


def test_an_export_that_cannot_be_written_is_an_error(desk: Desk, tmp_path: Path) -> None:
    ran = desk.run("export", "-o", tmp_path / "nowhere" / "rows.jsonl")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot be written: No such file or directory" in ran.err
