"""`decider data lint` as its user types it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import decider.cli.linting as command
from commands import Ran, ran
from decider.assess.lint.finding import CODES
from decider.cli import main
from decider.data.split import DEFAULT, Split

SPEC = """\
name: tickets
input: {title: text, body: text, mails: {type: text, optional: true}}
fields:
  team: {options: [billing, login, other]}
"""
LONG = "please send me the invoice of the month of June to my new address in town"


class Desk:
    """A spec with a dataset, and the command on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.spec, self.data, self.out = folder / "spec.yaml", folder / "rows.jsonl", folder / "out.jsonl"
        self.spec.write_text(SPEC)
        self._capsys = capsys

    def write(self, *rows: Mapping[str, Any]) -> None:
        self.data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(self, *arguments: Any) -> Ran:
        return ran(self._capsys, "data", "lint", self.spec, self.data, *arguments)

    def lines(self, *arguments: Any) -> list[Any]:
        return [json.loads(line) for line in self.run(*arguments).out.splitlines()]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def row(body: str, team: str = "billing", **about: Any) -> dict[str, Any]:
    return {"input": {"title": "a ticket about a thing", "body": body}, "output": {"team": team}, **about}


def test_the_page_shows_the_worst_first_with_ids_quotes_and_what_to_do(desk: Desk) -> None:
    desk.write(row(LONG, id="a"), row(LONG, "login", id="b"), row("hello", id="c"), row("hello", id="d"))
    ran = desk.run("--quick", "--only", "contradiction,duplicate")
    assert ran.code == 1
    assert ran.out.startswith("tickets: 4 rows, 1 error, 1 warning, 0 notes; 0 rows without error or warning")
    assert ran.out.index("\ncontradiction\n") < ran.out.index("\nduplicate\n")
    assert 'error  b, a  team: the same input has 2 labels: "billing" in 1 row (a), "login" in 1 row (b)' in ran.out
    quote = f"a ticket about a thing | {LONG}"[:90].rstrip()
    assert f"“{quote}…”" in ran.out
    assert "→ keep one of them; --fix does so" in ran.out
    assert "How to fix it: Keep one of them" in ran.out
    assert all(len(line) <= 120 for line in ran.out.splitlines())
    assert ran.err == ""


def test_rows_that_differ_are_both_quoted(desk: Desk) -> None:
    desk.write(row(LONG, id="a"), row(f"dear all, {LONG}", "login", id="b"))
    ran = desk.run("--only", "near-contradiction")
    assert ran.code == 0
    assert "    b  “a ticket about a thing | dear all, please" in ran.out
    assert "    a  “a ticket about a thing | please" in ran.out


def test_many_findings_are_cut_and_say_how_to_see_the_rest(desk: Desk) -> None:
    desk.write(*[row(f"text {n}", f"nobody {n}") for n in range(9)])
    ran = desk.run("--only", "unknown-label")
    assert ran.out.count("error  ") == 5
    assert "… 4 more: --only unknown-label --json" in ran.out
    assert "tickets: 9 rows (9 rejected), 9 errors" in ran.out


def test_rows_that_say_the_same_are_one(desk: Desk) -> None:
    desk.write(*[row(f"text {n}", "bill", id=f"r{n}") for n in range(30)])
    out = " ".join(desk.run("--only", "unknown-label").out.split())
    assert 'error r0, r1, r2, r3 and 26 more team: "bill" is none of the options' in out
    assert "“" in out


def test_a_row_without_input_is_quoted_as_it_stands(desk: Desk) -> None:
    desk.write({"id": "x", "output": {"team": "billing"}, "by": None})
    assert "“x | billing”" in desk.run("--only", "unreadable").out


def test_json_is_one_finding_a_line_the_most_certain_first(desk: Desk) -> None:
    desk.write(row(LONG, id="a"), row(f"{LONG} today", "login", id="b"), row("x", "nobody", id="c"))
    found = desk.lines("--json", "--only", "near-contradiction,unknown-label")
    assert [one["code"] for one in found] == ["unknown-label", "near-contradiction"]
    assert [*found[0]][:6] == ["code", "severity", "rows", "field", "message", "suggestion"]


def test_good_rows_are_a_line_and_done(desk: Desk) -> None:
    desk.write(row("one"), row("two", "login"))
    ran = desk.run("--quick", "--only", "contradiction,leakage")
    assert (ran.code, ran.out) == (
        0,
        "tickets: 2 rows, 0 errors, 0 warnings, 0 notes; 2 rows without error or warning\n",
    )


def test_findings_about_the_whole_dataset_quote_no_row(desk: Desk) -> None:
    desk.write(*[row(f"text {n}", "login" if n % 2 else "billing") for n in range(400)])
    ran = desk.run("--only", "unused-option")
    assert "unused-option" in ran.out
    assert "“" not in ran.out


def test_a_split_file_is_taken(desk: Desk, tmp_path: Path) -> None:
    desk.write(row(LONG, id="a"), row(LONG, id="b"))
    split = Split(task="tickets", fingerprint="0", shares=DEFAULT, sides={"a": "train", "b": "test"})
    split.save(tmp_path / "split.json")
    assert [one["rows"] for one in desk.lines("--json", "--only", "leakage", "--split", tmp_path / "split.json")] == [
        ["b", "a"]
    ]


@pytest.mark.parametrize("option", ["--only", "--skip"])
def test_a_code_that_there_is_not_is_refused_with_what_is_meant(desk: Desk, option: str) -> None:
    desk.write(row("a"))
    ran = desk.run(option, "duplicate, contradicton")
    assert ran.code == 2
    assert "there is no code 'contradicton'; did you mean contradiction?; --codes shows all" in ran.err


def test_all_codes_are_shown_without_a_spec(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["data", "lint", "--codes"])
    out = capsys.readouterr().out
    assert stopped.value.code == 0
    assert all(code in out for code in CODES)
    assert "--fix does something about: mojibake, unknown-label, empty, contradiction, duplicate" in out


def test_what_is_left_out_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["decider.assess.lint.lint"], "find_spec", lambda name: None)
    desk.write(row("a"))
    ran = desk.run("--quick", "--only", "near-duplicate,near-contradiction,label-error")
    assert ran.code == 0
    assert "not looked for: near-contradiction, near-duplicate (it needs datasketch: pip install" in ran.err
    assert "not looked for: label-error (no models are trained)" in ran.err
    refused = desk.run()
    assert refused.code == 2
    assert "pip install 'decider-sdk[data]'; or go without (--quick" in refused.err


def test_fix_writes_a_copy_and_says_what_it_did(desk: Desk) -> None:
    rows = [row("a", "Billing", id="x"), *[row("b", id=f"r{n}") for n in range(8)], row("c", "who")]
    desk.write(*rows)
    before = desk.data.read_bytes()
    ran = desk.run("--fix", desk.out)
    assert ran.code == 1
    assert "x changed team, an option, in another spelling: “Billing” is now “billing”" in " ".join(ran.out.split())
    assert "duplicate: 7 changes" in ran.out
    assert "… 2 more: --json" in ran.out
    assert f"3 rows written to {desk.out}" in ran.err
    assert f"1 error left for a person (unknown-label 1): decider data lint {desk.spec} {desk.out}" in ran.err
    assert desk.data.read_bytes() == before
    assert [json.loads(line)["id"] for line in desk.out.read_text().splitlines()] == ["x", "r0", "10"]


def test_fix_looks_only_for_the_errors_that_are_wanted(desk: Desk) -> None:
    desk.write(row("a", id="x"), row("a", "login", id="y"))
    ran = desk.run("--fix", desk.out, "--only", "mojibake")
    assert (ran.code, ran.out) == (0, "nothing to mend\n")
    assert "left for a person" not in ran.err


def test_fix_names_the_leaks_that_it_leaves(desk: Desk, tmp_path: Path) -> None:
    desk.write(row(LONG, id="a"), row(f"{LONG}!", id="b"))
    file = tmp_path / "split.json"
    Split(task="tickets", fingerprint="0", shares=DEFAULT, sides={"a": "train", "b": "test"}).save(file)
    ran = desk.run("--fix", desk.out, "--split", file)
    assert ran.code == 1
    assert f"1 error left for a person (leakage 1): decider data lint {desk.spec} {desk.out} --split {file}" in ran.err
    assert desk.run("--fix", desk.out).code == 0


def test_nothing_is_mended_beside_a_split_of_other_rows(desk: Desk, tmp_path: Path) -> None:
    desk.write(row(LONG, id="a"))
    Split(task="tickets", fingerprint="0", shares=DEFAULT, sides={"c": "train"}).save(tmp_path / "split.json")
    assert desk.run("--fix", desk.out, "--split", tmp_path / "split.json").code == 2
    assert not desk.out.exists()


def test_leaving_out_all_that_is_looked_for_is_refused(desk: Desk) -> None:
    desk.write(row("a"))
    ran = desk.run("--only", "duplicate", "--skip", "duplicate")
    assert ran.code == 2
    assert "--skip leaves no code to look for" in " ".join(ran.err.split())


def test_fix_as_json_is_a_change_a_line(desk: Desk) -> None:
    desk.write(row("a", id="x"), row("a", id="y"))
    assert desk.lines("--fix", desk.out, "--json") == [
        {"code": "duplicate", "row": "y", "action": "dropped", "message": "the same input and output as row x"}
    ]


def test_nothing_to_mend_is_said(desk: Desk) -> None:
    desk.write(row("a"))
    ran = desk.run("--fix", desk.out, "--skip", "mojibake")
    assert (ran.code, ran.out) == (0, "nothing to mend\n")


def test_without_ftfy_fix_leaves_such_texts_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    desk.write(row("RÃ¼ckzahlung", id="x"))
    ran = desk.run("--fix", desk.out)
    assert "left as they are: texts in the wrong character set (pip install 'decider-sdk[data]')" in ran.err
    assert json.loads(desk.out.read_text())["input"]["body"] == "RÃ¼ckzahlung"


def test_fix_refuses_what_would_be_lost(desk: Desk, tmp_path: Path) -> None:
    desk.write(row("a"))
    assert "--fix writes a copy; name another file than DATA" in desk.run("--fix", desk.data).err
    assert "--fix writes JSONL; name it out.jsonl" in desk.run("--fix", tmp_path / "out.csv").err
    missing = desk.run("--fix", tmp_path / "none" / "out.jsonl")
    assert missing.code == 2
    assert "there is no folder" in missing.err


def test_personal_data_is_not_shown(desk: Desk) -> None:
    desk.write(row(f"write to jane.doe@example.com, {LONG}", id="a"))
    ran = desk.run("--quick", "--only", "personal-data")
    assert "a  1 address of e-mail in 1 row" in ran.out
    assert "jane.doe" not in ran.out + ran.err


def test_where_there_is_nothing_to_read_nothing_is_quoted(desk: Desk) -> None:
    desk.write({"x": 1})
    ran = desk.run("--only", "unreadable")
    assert "row 1: has no 'input'" in ran.out
    assert "“" not in ran.out


def test_a_terminal_obeys_nothing_that_stands_in_rows(desk: Desk) -> None:
    orders = "\x1b[31m\x1b]0;title\x07\x9b2J\u202e[red]"
    desk.write(row(f"{orders}one", id=f"{orders}a"), row(f"{orders}one", id="b"), row("x", f"{orders}no") | {orders: 1})
    desk.data.write_text(desk.data.read_text() + "{\x1b[31mtorn\n")
    ran = desk.run("--quick")
    assert "[31m]0;title2J[red]one" in ran.out
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & {*ran.out, *ran.err}


def test_more_rows_than_a_finding_names_are_counted(desk: Desk) -> None:
    desk.write(*(row(LONG, "login" if n % 2 else "billing") for n in range(120)))
    ran = desk.run("--only", "contradiction")
    assert ran.out.startswith("tickets: 120 rows, 1 error, 0 warnings, 0 notes; 0 rows without error or warning")
    assert "│ contradiction │ 1 │ │ │ 120 │" in " ".join(ran.out.split())
    assert len(desk.lines("--json", "--only", "contradiction")[0]["rows"]) == 50


def test_a_split_file_of_something_else_is_refused(desk: Desk, tmp_path: Path) -> None:
    desk.write(row(LONG, id="a"), row(LONG, id="b"))
    file = tmp_path / "split.json"
    Split(task="tickets", fingerprint="0", shares=DEFAULT, sides={"c": "train"}).save(file)
    ran = desk.run("--only", "leakage", "--split", file)
    assert ran.code == 2
    assert "none of the 2 rows is on a side of the split; name the split file of this data" in ran.err
    Split(task="other", fingerprint="0", shares=DEFAULT, sides={"a": "train"}).save(file)
    assert "the split file is of the task 'other', not 'tickets'" in desk.run("--split", file).err


def test_sides_that_rows_name_are_known_by_what_they_are_called_elsewhere(desk: Desk) -> None:
    desk.write(row(LONG, id="a", split="Train"), row(LONG, id="b", split="train"), row(LONG, id="c", split=""))
    assert desk.lines("--json", "--only", "leakage") == []
    desk.write(row(LONG, id="a", split="dev"), row(LONG, id="b", split="fold 3"))
    assert "fold 3 (b)" in desk.lines("--json", "--only", "leakage")[0]["message"]
