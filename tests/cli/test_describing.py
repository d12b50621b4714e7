"""`decider data stats` as its user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import Ran, ran
from decider.data.dataset import Dataset
from decider.data.split import DEFAULT, Split, split
from decider.task import Task

SPEC = """\
name: triage
fields:
  team: {options: [billing, login, fax]}
  tags: {type: tags, options: [vip, late]}
  stars: {type: integer, optional: true}
  note: {type: text}
"""

Stats = Callable[..., Ran]


@pytest.fixture
def stats(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Stats:
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "spec.yaml").write_text(SPEC)

    def command(rows: list[dict[str, Any]], *arguments: Any) -> Ran:
        data = tmp_path / "rows.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return ran(capsys, "data", "stats", str(tmp_path / "spec.yaml"), str(data), *arguments)

    return command


def row(n: int, team: str = "billing", *tags: str, **about: Any) -> dict[str, Any]:
    output = {"team": team, "tags": list(tags), "stars": None, "note": f"note {n}"}
    return {"id": f"r{n}", "input": f"I paid twice, {n}", "output": output, **about}


def rows() -> list[dict[str, Any]]:
    about = [{"source": "log", "group": "g1", "time": f"2026-0{1 + n % 6}-01", "by": "ana"} for n in range(30)]
    return [row(n, "billing" if n % 4 else "login", *(["vip"] if n % 2 else []), **one) for n, one in enumerate(about)]


def test_tables_are_printed_and_an_empty_page_is_not(stats: Stats) -> None:
    ran = stats([*rows(), row(99, "nobody")])
    assert ran.code == 0
    assert ran.out.startswith("rows.jsonl: 30 rows of the task triage, and 1 that do not fit it")
    for part in (
        "unknown-label  team",
        "billing  ████████████████    22  73.3 %",
        "rare, with fewer than 10 rows: login (8)",
        "in no row: fax",
        "no tag",
        "3 different records of 12 that are possible; the commonest holds half of all rows, 0 one row alone",
        "a line to train on",
        "2026-W05",
        "groups: 1, the largest, g1, of 30 rows",
    ):
        assert part in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


def test_json_is_one_object(stats: Stats) -> None:
    said = stats(rows(), "--json").json()
    assert said["rows"] == 30
    assert said["fields"]["team"]["missing"] == ["fax"]
    assert [one["rows"] for one in said["time"]["periods"] if one["rows"]] == [5] * 6


def test_a_page_is_written(stats: Stats, tmp_path: Path) -> None:
    ran = stats(rows(), "--html", tmp_path / "page.html")
    assert f"wrote {tmp_path / 'page.html'}" in ran.err
    assert "<h2>team</h2>" in (tmp_path / "page.html").read_text()
    assert stats(rows(), "--html", tmp_path / "nowhere" / "page.html").code == 2


def test_the_sides_of_a_split_file_are_counted(stats: Stats, tmp_path: Path) -> None:
    stats(rows())
    task: Task[Any] = Task.load(tmp_path / "spec.yaml")
    split(Dataset.load(tmp_path / "rows.jsonl", task), task, near=False).save(tmp_path / "split.json")
    ran = stats([*rows(), row(99, time="?")], "--split", tmp_path / "split.json")
    assert ran.code == 0
    assert "no side" in ran.out
    assert "1 row with a time that cannot be read" in ran.out
    assert "1 rows in none" in ran.out


def test_of_many_labels_the_ends_are_shown(stats: Stats, tmp_path: Path) -> None:
    options = ", ".join(f"label_{n:02}" for n in range(50))
    (tmp_path / "spec.yaml").write_text(f"name: many\nfields: {{intent: {{options: [{options}]}}}}\n")
    many = [{"input": f"x {n}", "output": {"intent": f"label_{n % 50:02}"}} for n in range(99)]
    ran = stats(many)
    assert "… 20 more: --html, --json" in ran.out
    assert "commonest records" not in ran.out


def test_a_long_reason_is_cut_in_the_middle_and_rows_without_any_are_no_tables(stats: Stats, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("name: long\nfields: {team: {options: [alpha, beta, gamma, delta, epsilon]}}\n")
    ran = stats([{"input": "x", "output": {"team": "omega"}}])
    assert ran.out.startswith("rows.jsonl: 0 rows of the task long, and 1 that do not fit it")
    assert " … " in ran.out
    assert "(found 'omega')" in " ".join(ran.out.split())
    assert "team (choice" not in ran.out


def test_a_period_without_rows_has_no_commonest_label(stats: Stats) -> None:
    ran = stats([row(1, time="2026-01-01"), row(2, time="2026-01-03")])
    assert next(line for line in ran.out.splitlines() if line.startswith("2026-01-02")).split() == ["2026-01-02", "0"]


def test_a_page_takes_the_place_of_nothing_that_is_read(stats: Stats, tmp_path: Path) -> None:
    stats(rows())
    before = (tmp_path / "rows.jsonl").read_text()
    for name in ("rows.jsonl", "spec.yaml"):
        ran = stats(rows(), "--html", tmp_path / name)
        assert ran.code == 2
        assert "--html would write over" in ran.err
        assert "which is read; name another file" in ran.err
    assert (tmp_path / "rows.jsonl").read_text() == before
    assert (tmp_path / "spec.yaml").read_text() == SPEC
    (tmp_path / "page.html").write_text("an older page")
    assert stats(rows(), "--html", tmp_path / "page.html").code == 0


def test_the_split_of_another_task_is_refused(stats: Stats, tmp_path: Path) -> None:
    Split(task="other", fingerprint="", shares=DEFAULT, sides={"r1": "train"}).save(tmp_path / "split.json")
    ran = stats(rows(), "--split", tmp_path / "split.json")
    assert ran.code == 2
    assert "the split file is of the task 'other', not 'triage'" in ran.err


def test_one_row_is_counted_as_one(stats: Stats) -> None:
    assert stats([row(1)]).out.startswith("rows.jsonl: 1 row of the task triage\n")
