"""`decider data import` as its user types it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands import Ran, ran
from decider.cli import main
from decider.runtime.log import Log
from decider.task import Task
from logged import ANSWER, decision

SPEC = """\
name: triage
input: {body: text}
fields:
  team: {options: [billing, login]}
prompt: {model: gpt-6-luna}
"""
LOGGED = """\
name: triage
fields:
  priority: {options: [low, high]}
  routing.team: {options: [billing, login, bug]}
  routing.tags: {type: tags, options: [vip, late]}
  rating: {type: integer, optional: true}
  summary: {type: text}
prompt: {model: gpt-6-luna}
log: {folder: log}
"""
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class Desk:
    """A folder with a spec, files to import, and the command on them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.spec = self.write("spec.yaml", SPEC)
        self.out = folder / "out.jsonl"
        self._capsys = capsys

    def write(self, name: str, *lines: Any) -> Path:
        path = self.folder / name
        path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines) + "\n")
        return path

    def run(self, *arguments: Any) -> Ran:
        return ran(self._capsys, "data", "import", self.spec, *arguments, "-o", self.out)

    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("COLUMNS", "300")
    return Desk(tmp_path, capsys)


def row(body: str, team: str = "login", **about: Any) -> dict[str, Any]:
    return {"input": {"body": body}, "output": {"team": team}, **about}


def test_help_has_an_example_that_works(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        main(["data", "import", "--help"])
    command = capsys.readouterr().out.partition("Example:  decider ")[2].split("\n\n")[0].split()
    monkeypatch.chdir(desk.folder)
    shutil.copytree(str(files("decider") / "demo"), "decider-demo")
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 0
    assert len(Path("rows.jsonl").read_text().splitlines()) == 1500


def test_rows_are_written_and_counted(desk: Desk) -> None:
    ran = desk.run(desk.write("a.jsonl", row("a"), row("b")), desk.write("b.jsonl", row("c", id="7")))
    assert (ran.code, ran.out, ran.err) == (0, f"{desk.out}: 3 rows\n", "")
    assert [one["input"]["body"] for one in desk.rows()] == ["a", "b", "c"]


def test_columns_are_named_by_flags(desk: Desk) -> None:
    source = desk.write("a.csv", "nr,subject,queue,customer,opened,note", "1,hello,login,c1,2026-01-01,x")
    flags = ("--input", "subject", "--output", "team=queue", "--id", "nr", "--group", "customer", "--time", "opened")
    ran = desk.run(source, *flags, "--source", "helpdesk")
    assert ran.code == 0
    about = {"source": "helpdesk", "group": "c1", "time": "2026-01-01"}
    assert desk.rows() == [row("hello", id="1", **about)]
    ran = desk.run(source, "--output", "taem=queue")
    assert ran.code == 2
    assert "did you mean team=COLUMN?" in ran.err


def test_rejected_rows_are_named_and_counted_and_the_command_is_done(desk: Desk) -> None:
    source = desk.write("a.jsonl", row("a"), row("b", "nobody"), "nope")
    ran = desk.run(source)
    assert ran.code == 0
    assert f"{source}:2: team: Input should be 'billing' or 'login' (found 'nobody')" in ran.err
    kept = desk.folder / "out.rejected.jsonl"
    assert f"2 rows rejected: 1 unknown-label (team), 1 unreadable; kept in {kept}" in ran.err
    ran = desk.run(source, "--strict")
    assert ran.code == 2
    assert "nothing was written, because of --strict: 2 of 3 rows do not fit" in ran.err


def test_adding_says_what_was_there(desk: Desk) -> None:
    source = desk.write("a.jsonl", row("a", id="1"), row("b", id="2"))
    assert desk.run(source).code == 0
    desk.write("a.jsonl", row("a", "billing", id="1"), row("b", id="2"), row("c", id="3"))
    said = "1 row added, 2 were there, 1 of them with another input or output, and stay as they are"
    assert desk.run(source, "--append").out == f"{desk.out}: {said}\n"
    assert (
        desk.run(desk.write("b.jsonl", row("d", id="4")), "--append").out == f"{desk.out}: 1 row added, 0 were there\n"
    )


def test_ids_that_stand_twice_are_said(desk: Desk) -> None:
    rows = [row("a", id="1"), row("b", id="1")]
    assert (
        "1 id stood in an earlier row, the first is '1', and has a number behind it"
        in desk.run(desk.write("a.jsonl", *rows)).err
    )
    ran = desk.run(desk.write("a.jsonl", *rows, row("c", id="1")))
    assert "2 ids stood in an earlier row, the first is '1', and have numbers behind them" in ran.err


def test_json_says_all_of_it(desk: Desk) -> None:
    found = desk.run(desk.write("a.jsonl", row("a"), "nope"), "--json").json()
    assert found == {
        "out": str(desk.out), "rows": 1, "rejected": 1, "reasons": {"unreadable": 1},
        "rejects": str(desk.folder / "out.rejected.jsonl"), "there": 0, "different": 0, "repeated": 0, "left_out": {},
        "disagreed": {},
    }  # fmt: skip


def test_annotators_who_disagree_are_named(desk: Desk) -> None:
    def said(team: str, at: str) -> dict[str, Any]:
        result = {"from_name": "team", "type": "choices", "value": {"choices": [team]}}
        return {"result": [result], "updated_at": at, "completed_by": 3}

    task = {
        "id": 12,
        "data": {"body": "a"},
        "annotations": [said("login", "2026-02-01"), said("billing", "2026-01-01")],
    }
    ran = desk.run(desk.write("a.json", [task, {"id": 13, "data": {"body": "b"}, "annotations": []}]))
    assert (
        "annotators disagree (team in 1) in tasks such as 12; ground truth counts, else what was updated last"
        in ran.err
    )
    assert "a.json:1: nobody annotated this task" in ran.err
    assert desk.rows() == [row("a", id="12", by="3", at="2026-02-01")]


def chat(text: str, team: str = "login", system: str | None = "Which team?") -> dict[str, Any]:
    said = [("user", text), ("assistant", team)]
    messages = [*([] if system is None else [("system", system)]), *said]
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


def test_lines_of_chats_give_the_spec_that_asks_the_old_model(desk: Desk) -> None:
    source = desk.write("a.jsonl", chat("a"), chat("b"), chat("c", system="Other"))
    ran = desk.run(source, "--system", desk.folder / "old" / "system.txt")
    assert ran.code == 2
    for taken in (desk.spec, desk.out, source):
        before = taken.read_bytes() if taken.exists() else None
        ran = desk.run(source, "--system", taken)
        assert (ran.code, f"--system {taken} would be written over" in ran.err.replace("\n", "")) == (2, True), ran.err
        assert (taken.read_bytes() if taken.exists() else None) == before
    ran = desk.run(source, "--system", desk.folder / "old.txt")
    assert ran.code == 0
    assert "system messages differ (2): 2 rows have 'Which team?', 1 rows have 'Other'; the spec says one" in ran.err
    assert (desk.folder / "old.txt").read_text() == "Which team?\n"
    section = yaml.safe_load(ran.out.partition("\n")[2])
    messages = {"system": "old.txt", "user": "text", "answer": {"label": "team"}}
    assert section == {"finetuned": {"engine": "chat", "messages": messages}}
    section["finetuned"] |= {"model": "ft:old", "base_url": "http://127.0.0.1:1/v1"}
    desk.write("spec.yaml", SPEC, yaml.safe_dump(section))
    assert Task.load(desk.spec).old_system == "Which team?"
    ran = desk.run(desk.write("a.jsonl", chat("a")))
    assert ran.out == f"{desk.out}: 1 row\n"
    assert "the spec asks a tuned model in these words already" in ran.err


def test_a_system_message_that_is_nowhere_or_elsewhere_is_said(desk: Desk) -> None:
    source = desk.write("a.jsonl", chat("a", system=None))
    ran = desk.run(source, "--system", desk.folder / "old.txt")
    assert f"no system message to write to {desk.folder / 'old.txt'}" in ran.err
    assert "system:" not in ran.out
    assert desk.run(source).err == f"{source}: read as chat"
    (desk.folder / "sub").mkdir()
    desk.spec = desk.write("sub/spec.yaml", SPEC)
    ran = desk.run(desk.write("a.jsonl", chat("a")), "--system", desk.folder / "old.txt")
    assert f"{desk.folder / 'old.txt'} is not beside the spec" in ran.err
    assert "system: old.txt" in ran.out


def test_json_has_the_spec_and_the_words(desk: Desk) -> None:
    found = desk.run(desk.write("a.jsonl", chat("a")), "--json").json()
    messages = {"system": "system.txt", "user": "text", "answer": {"label": "team"}}
    assert found["spec"] == {"finetuned": {"engine": "chat", "messages": messages}}
    assert (found["system"], found["notes"]) == ("Which team?", [])


def test_the_log_is_a_source_by_time_mode_and_who_checked(desk: Desk) -> None:
    desk.write("spec.yaml", LOGGED)
    task: Task[Any] = Task.load(desk.spec)
    log = Log.of(task)
    for n, days in enumerate((9, 2, 0)):
        about: dict[str, Any] = {
            "created_at": NOW - timedelta(days=days),
            "mode": "finetuned" if n == 1 else "prompt",
            "accepted": n != 2,
        }
        log.append(decision(f"text {n}", id=f"{n}{'a' * 31}", **about), task)
    log.correct(log.resolve(f"0{'a' * 31}"), {"routing.team": "bug"}, task=task, by="ana")

    def texts(*flags: str) -> tuple[list[str], str]:
        ran = desk.run("--log", *flags)
        assert ran.code == 0
        return [one["input"][-1] for one in desk.rows()], ran.err

    assert texts() == (["0", "1", "2"], "")
    first = desk.rows()[0]
    assert (first["source"], first["by"], first["output"]["routing"]["team"]) == ("corrected", "ana", "bug")
    assert desk.rows()[1]["output"] == ANSWER
    assert texts("--since", "2026-11-23") == (["1", "2"], "not all of the log is in it; left out: 1 of another time")
    assert texts("--until", "2026-11-23")[0] == ["0", "1"]
    assert texts("--until", "20261123")[0] == ["0", "1"]
    assert texts("--until", "2026-11-23T11:00")[0] == ["0"]
    assert texts("--mode", "finetuned")[0] == ["1"]
    assert texts("--checked")[0] == ["0"]
    assert texts("--accepted")[0] == ["0", "1"]
    assert texts("--any-version")[0] == ["0", "1", "2"]
    found = desk.run("--log", "--checked", "--json").json()
    assert found["left_out"] == {"not checked by anybody": 2}
    ran = desk.run("--log", "--mode", "promt")
    assert ran.code == 2
    assert "not all of the log is in it; left out: 3 of another mode" in ran.err
    assert "nothing was written: there are no rows" in ran.err
    assert texts("--until", "9999-12-31")[0] == ["0", "1", "2"]
    ran = desk.run("--log", "--until", "tomorrow")
    assert "--until tomorrow is neither a time" in ran.err
    assert desk.run("--log", desk.write("a.jsonl", {**desk.rows()[0], "id": "x"})).out == f"{desk.out}: 4 rows\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "name a SOURCE, or --log"),
        (["a.jsonl", "--since", "7d"], "--since is about the log; add --log, or leave it out"),
        (["a.jsonl", "--checked"], "--checked is about the log"),
        (["a.jsonl", "--from", "xlsx"], "--from must be one of jsonl, json, csv"),
        (["--log"], "the spec has no `log:`"),
        (["nowhere.jsonl"], "there is no such file or folder"),
    ],
)
def test_what_cannot_start_says_what_to_do(desk: Desk, flags: list[str], message: str) -> None:
    ran = desk.run(*flags)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
