"""What could not be imported: the first rows are named, all are counted and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from decider.data.importers.rejects import MOST_NAMED, Rejects, beside, mended
from decider.data.rows import Problem, Rejected


def rejected(place: int = 3, message: str = "is wrong", value: Any = "x", field: str | None = "team") -> Rejected:
    problem = Problem(kind="unknown-label" if field else "unreadable", message=message, field=field)
    return Rejected(place=place, id=str(place), problems=(problem, problem), value=value)


def test_the_first_are_named_and_all_are_kept_by_file_line_reason_and_row(tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "rows.jsonl"
    with Rejects(said.append) as rejects:
        for n in range(MOST_NAMED + 5):
            rejects.add("a.csv", rejected(n, value={"n": n}))
        rejects.add("b.csv", rejected(1, field=None))
        assert rejects.save(out) == tmp_path / "rows.rejected.jsonl"
    assert len(said) == MOST_NAMED
    assert said[0] == "a.csv:0: team: is wrong; team: is wrong"
    assert rejects.reasons == {"unknown-label (team)": MOST_NAMED + 5, "unreadable": 1}
    rows = [json.loads(line) for line in beside(out).read_text().splitlines()]
    assert rows[1] == {"file": "a.csv", "line": 1, "reason": "team: is wrong; team: is wrong", "row": {"n": 1}}
    assert len(rows) == rejects.count == MOST_NAMED + 6


def test_a_long_reason_is_cut_where_it_is_named_and_whole_where_it_is_kept(tmp_path: Path) -> None:
    said: list[str] = []
    with Rejects(said.append) as rejects:
        rejects.add("a", rejected(message="x" * 1000, value=[b"\xff", float("nan"), object()]))
        path = rejects.save(tmp_path / "rows.jsonl")
    assert len(said[0]) < 400
    assert path is not None
    kept = json.loads(path.read_text())
    assert len(kept["reason"]) > 2000
    assert kept["row"][:2] == ["_w==", "NaN"]


def test_none_leaves_no_file_of_an_earlier_import(tmp_path: Path) -> None:
    beside(tmp_path / "rows.jsonl").write_text("old")
    with Rejects(print) as rejects:
        assert rejects.save(tmp_path / "rows.jsonl") is None
    assert list(tmp_path.iterdir()) == []


def test_adding_keeps_what_was_rejected_of_other_files(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"

    def reject(*files: str, read: str = "", append: bool = True) -> list[str]:
        with Rejects(lambda _: None, append=append) as rejects:
            rejects.files = {*files, read} - {""}
            for file in files:
                rejects.add(file, rejected())
            rejects.save(out)
        return (
            [json.loads(line).get("file", "") for line in beside(out).read_text().splitlines()]
            if beside(out).exists()
            else []
        )

    assert reject("a", "b") == ["a", "b"]
    assert reject("b", "c") == ["a", "b", "c"]
    assert reject(read="a") == ["b", "c"]
    assert reject(str(beside(out))) == [str(beside(out))]
    beside(out).write_text("broken\r\n")
    with pytest.raises(ValueError):  # noqa: PT011  # what somebody is about to mend stays as it is
        reject("a")
    assert beside(out).read_text().startswith("broken\n")
    beside(out).write_text("{}")
    assert reject("a") == ["", "a"]
    assert reject(read="x", append=False) == []


def test_what_was_kept_is_a_row_again() -> None:
    kept = {"file": "a", "line": 1, "reason": "r", "row": {"input": "x"}}
    assert mended(kept) == {"input": "x"}
    assert mended({**kept, "row": '{"input": "y"}'}) == {"input": "y"}
    assert mended({**kept, "row": '{"input": '}) == '{"input": '
    assert mended({"input": "z"}) == {"input": "z"}
    assert mended([1]) == [1]
