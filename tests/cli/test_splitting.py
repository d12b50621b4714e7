"""`decider data split` as its user types it: what it prints, what it leaves on disk, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from commands import Ran, ran
from decider.cli import splitting

Run = Callable[..., Ran]

SPEC = """
name: tickets
fields: {team: {options: [billing, technical]}, note: {type: text}}
data: {group: customer, time: opened}
"""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(SPEC)

    def command(*arguments: Any) -> Ran:
        return ran(capsys, "data", "split", *arguments)

    return command


def row(n: int, **keys: Any) -> dict[str, Any]:
    team = "billing" if n % 3 else "technical"
    return {"id": f"r{n}", "input": f"w{n}", "output": {"team": team, "note": ""}} | keys


def write(*rows: dict[str, Any]) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def test_rows_get_their_sides_and_a_second_run_moves_none(run: Run) -> None:
    write(*map(row, range(60)))
    ran = run("spec.yaml", "rows.jsonl")
    assert ran.code == 0
    assert "0 rows stay, 60 new, 0 moved" in ran.out
    assert "train │ 48 │ 80.0 % │ 80.0 %" in " ".join(ran.out.split())
    assert "Largest deviations" in ran.out
    assert "wrote rows.split.json: rows in it never move, and new rows join it; to begin anew, delete it" in ran.err
    first = json.loads(Path("rows.split.json").read_text())["rows"]
    write(*map(row, range(66)))
    assert "60 rows stay, 6 new, 0 moved" in run("spec.yaml", "rows.jsonl").out
    assert json.loads(Path("rows.split.json").read_text())["rows"].items() >= first.items()
    write(*map(row, range(50)))
    assert "16 rows of the split file are not in the data; they keep their sides" in run("spec.yaml", "rows.jsonl").out


def test_sides_are_written_as_files(run: Run) -> None:
    write(*map(row, range(40)))
    ran = run("spec.yaml", "rows.jsonl", "-o", "sides", "--file", "my.json", "--validation", "0", "--test", "0.25")
    assert ran.code == 0
    assert {path.name for path in Path("sides").iterdir()} == {"train.jsonl", "validation.jsonl", "test.jsonl"}
    assert [len(read(f"sides/{side}.jsonl")) for side in ("train", "validation", "test")] == [30, 0, 10]
    assert {one["split"] for one in read("sides/test.jsonl")} == {"test"}
    assert "wrote sides/train.jsonl" in ran.err
    assert "validation holds no rows" not in ran.out
    assert Path("my.json").exists()
    assert json.loads(Path("my.json").read_text())["shares"]["train"] == 0.75
    run("spec.yaml", "rows.jsonl", "--file", "my.json", "--validation", "0.1")
    assert json.loads(Path("my.json").read_text())["shares"]["test"] == 0.25


def test_excluded_rows_are_said_and_set_aside(run: Run) -> None:
    rows = [row(n, customer=f"c{n % 2}", input=f"w{n}") for n in range(40)]
    write(*rows)
    run("spec.yaml", "rows.jsonl", "--validation", "0", "--test", "0.5")
    assert {one["split"] for one in rows if "split" in one} == set()
    bridges = [row(n, customer="c0", input="w1") for n in range(40, 48)]
    write(*rows, bridges[0])
    assert "1 row is excluded, for it would bring a side's rows to another:" in run("spec.yaml", "rows.jsonl").out
    write(*rows, *bridges)
    ran = run("spec.yaml", "rows.jsonl", "-o", "sides")
    assert "8 rows are excluded, for they would bring a side's rows to another:" in ran.out
    assert "row r40: " in ran.out
    assert "of one group with row r0" in ran.out
    assert "and 3 more, all in the split file" in ran.out
    assert len(read("sides/excluded.jsonl")) == 8
    write(*rows)
    run("spec.yaml", "rows.jsonl", "-o", "sides")
    assert read("sides/excluded.jsonl") == []


def test_json_is_for_programs(run: Run) -> None:
    write(*(row(n, customer="c" if n < 30 else None) for n in range(40)))
    ran = run("spec.yaml", "rows.jsonl", "--json", "-o", "sides", "--no-near")
    said = ran.json()
    assert said["file"] == "rows.split.json"
    assert said["files"] == ["sides/train.jsonl", "sides/validation.jsonl", "sides/test.jsonl"]
    assert (said["new"], said["stayed"], said["moved"], said["absent"]) == (40, 0, 0, 0)
    assert sum(said["rows"].values()) == 40
    assert said["blocks"] == {"r0": 30}
    assert said["deviations"][0]["field"] == "team"
    assert ran.err == ""


def test_what_is_too_big_or_too_small_for_its_share_is_said(run: Run) -> None:
    write(*(row(n, customer="c" if n < 30 else None) for n in range(40)))
    said = run("spec.yaml", "rows.jsonl").out
    assert "30 rows belong together (row r0 and those of its group or like it), more than a side should hold" in said
    Path("rows.split.json").unlink()
    write(row(1), row(2))
    assert "test holds no rows: its share needs more rows" in run("spec.yaml", "rows.jsonl").out


def test_a_task_without_closed_fields_has_no_deviations(run: Run) -> None:
    Path("spec.yaml").write_text("name: notes\nfields: {note: {type: text}}\n")
    write(*({"id": f"r{n}", "input": f"w{n}", "output": {"note": ""}} for n in range(10)))
    ran = run("spec.yaml", "rows.jsonl")
    assert ran.code == 0
    assert "deviations" not in ran.out


def test_by_time_the_newest_are_tested(run: Run) -> None:
    write(*(row(n, opened=f"2026-01-{n + 1:02}") for n in range(20)))
    assert run("spec.yaml", "rows.jsonl", "--by-time").code == 0
    assert json.loads(Path("rows.split.json").read_text())["rows"]["r19"] == "test"
    Path("rows.split.json").unlink()
    write(*map(row, range(9)))
    ran = run("spec.yaml", "rows.jsonl", "--by-time")
    assert ran.code == 2
    assert "9 of 9 rows do not say when they were" in ran.err
    assert "and 4 more" in ran.err
    assert not Path("rows.split.json").exists()


def test_mistakes_are_said_before_anything_is_written(run: Run) -> None:
    write(row(1), row(2, output={"team": "sales", "note": ""}))
    ran = run("spec.yaml", "rows.jsonl")
    assert ran.code == 2
    assert "row 2: team: " in ran.err
    write(row(1), row(1))
    assert "rows 1 and 2 have the same id 'r1'" in run("spec.yaml", "rows.jsonl").err
    write(row(1))
    ran = run("spec.yaml", "rows.jsonl", "--validation", "0.5", "--test", "0.5")
    assert ran.code == 2
    assert "--validation 0.5 and --test 0.5 leave no rows to train on" in ran.err
    assert "there is no folder" in run("spec.yaml", "rows.jsonl", "--file", "nowhere/s.json").err
    assert "cannot be made: No such file or directory" in run("spec.yaml", "rows.jsonl", "-o", "no/where").err
    assert not Path("rows.split.json").exists()


def test_the_command_is_in_its_group_and_has_an_example(run: Run) -> None:
    assert "Example: decider data split decider-demo/spec.yaml" in " ".join(run("--help").out.split())
    group = typer.Typer()
    splitting.add_to(group)
    assert [one.name for one in group.registered_commands] == ["split"]


def test_no_side_takes_the_place_of_all_rows(run: Run) -> None:
    Path("folder").mkdir()
    data = Path("folder/train.jsonl")
    data.write_text("".join(json.dumps(row(n, split="train")) + "\n" for n in range(20)))
    before = data.read_text()
    ran = run("spec.yaml", data, "-o", "folder")
    assert ran.code == 2
    assert "-o folder would write one side over DATA, folder/train.jsonl; name another folder" in ran.err
    assert [path.name for path in Path("folder").iterdir()] == ["train.jsonl"]
    assert data.read_text() == before


def test_the_data_are_no_split_file(run: Run) -> None:
    write(*map(row, range(20)))
    ran = run("spec.yaml", "rows.jsonl", "--file", "rows.jsonl")
    assert ran.code == 2
    assert "--file is for the split file, and rows.jsonl is DATA; name another file" in " ".join(ran.err.split())


def test_a_side_that_time_left_empty_says_so(run: Run) -> None:
    write(*(row(n, customer="c", opened=f"2026-01-{n + 1:02}") for n in range(20)))
    assert "test holds no rows: see the rows that are excluded" in run("spec.yaml", "rows.jsonl", "--by-time").out


def test_shares_that_somebody_broke_are_refused(run: Run) -> None:
    write(*map(row, range(20)))
    run("spec.yaml", "rows.jsonl")
    file = Path("rows.split.json")
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"shares": {"train": 2, "validation": -0.5, "test": -0.5}})
    )
    ran = run("spec.yaml", "rows.jsonl")
    assert ran.code == 2
    assert "rows.split.json: is not a split file: shares: they are in [0, 1], and 1 together" in ran.err
