"""The sides of a split as files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decider.data.dataset import Dataset
from decider.data.split import DEFAULT, Split, write_sides
from decider.decision import Example
from decider.errors import DataError

ROWS = Dataset(tuple(Example(input=f"w{name}", output={"team": "x"}, id=name, group="g") for name in "abcd"))


def test_each_row_is_in_the_file_of_its_side_and_says_it(tmp_path: Path) -> None:
    split = Split(task="t", fingerprint="", shares=DEFAULT, sides={"a": "train", "b": "test", "c": "train"})
    files = write_sides(ROWS, split, tmp_path / "sides")
    assert [path.name for path in files] == ["train.jsonl", "validation.jsonl", "test.jsonl"]
    held = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in files}
    assert [one["id"] for one in held["train"]] == ["a", "c"]
    assert held["test"] == [{"input": "wb", "output": {"team": "x"}, "id": "b", "split": "test", "group": "g"}]
    assert held["validation"] == []


def test_nothing_is_written_where_one_file_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").mkdir()
    (tmp_path / "train.jsonl").write_text('{"split": "train"}\n')
    split = Split(task="t", fingerprint="", shares=DEFAULT, sides={"a": "train"})
    with pytest.raises(DataError, match="is a folder"):
        write_sides(ROWS, split, tmp_path)
    assert (tmp_path / "train.jsonl").read_text() == '{"split": "train"}\n'
    with pytest.raises(DataError, match="cannot be made: File exists; make it, or name another"):
        write_sides(ROWS, split, tmp_path / "train.jsonl")


@pytest.mark.parametrize(
    "text", ["before", "[1]\n", '{"input": "x", "output": {"team": "a"}}\n', '{"split": "train"}\n']
)
def test_what_is_no_such_side_is_not_written_over(tmp_path: Path, text: str) -> None:
    split = Split(task="t", fingerprint="", shares=DEFAULT, sides={"a": "train"})
    write_sides(ROWS, split, tmp_path)
    (tmp_path / "train.jsonl").unlink()
    (tmp_path / "test.jsonl").write_text(text)
    with pytest.raises(
        DataError, match=r"test\.jsonl: is there already, and no side of a split: it would be lost; name"
    ):
        write_sides(ROWS, split, tmp_path)
    assert (tmp_path / "test.jsonl").read_text() == text
    assert not (tmp_path / "train.jsonl").exists()
