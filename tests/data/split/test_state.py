"""The split file: written whole, read back the same, and refused where it is something else."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from decider.data.split import DEFAULT, Cutoffs, Split, side_named
from decider.data.split.state import digest
from decider.decision import Example
from decider.errors import DataError

WHOLE = Split(
    task="filing",
    fingerprint="f" * 64,
    shares=DEFAULT,
    sides={"b": "test", "a": "train", "ü": "excluded"},
    cutoffs=Cutoffs(train=datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC), validation=None),
    excluded={"ü": "why"},
    inputs={"b": digest("text")},
)


def test_a_split_is_the_same_after_saving(tmp_path: Path) -> None:
    file = tmp_path / "rows.split.json"
    WHOLE.save(file)
    assert Split.load(file) == WHOLE
    said = json.loads(file.read_text(encoding="utf-8"))
    assert said["format"] == 1
    assert said["rows"] == {"a": "train", "b": "test", "ü": "excluded"}
    assert said["by_time"] == {"train": "2026-01-01T12:00:00.000005+00:00", "validation": None}
    before = os.umask(0o022)
    os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o666 & ~before


def test_every_row_stands_on_a_line_of_its_own_in_the_order_of_ids(tmp_path: Path) -> None:
    WHOLE.save(tmp_path / "s.json")
    lines = [line.strip() for line in (tmp_path / "s.json").read_text(encoding="utf-8").splitlines()]
    assert lines.index('"a": "train",') + 1 == lines.index('"b": "test",')


def test_the_side_of_a_row_is_known_by_its_id_and_by_its_input_where_that_is_a_number() -> None:
    def row(name: str | None, text: str = "text") -> Example:
        return Example(input=text, output={}, id=name)

    assert WHOLE.side_of(row("a")) == "train"
    assert WHOLE.side_of(row("b", " TEXT ")) == "test"
    assert WHOLE.side_of(row("c")) is None
    assert WHOLE.side_of(row(None)) is None
    with pytest.raises(DataError, match="row b is not the row that had this number"):
        WHOLE.side_of(row("b", "another"))


def changed(**keys: Any) -> str:
    whole = {"format": 1, "task": "t", "fingerprint": "", "shares": dict(DEFAULT), "by_time": None, "rows": {}}
    return json.dumps(whole | keys)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not a split file: Invalid JSON"),
        ("[]", "is not a split file"),
        (changed(format=2), "format: Input should be 1"),
        (changed(rows={"a": "dev"}), "rows.a: Input should be 'train', 'validation', 'test' or 'excluded'"),
        (changed(by_time={"train": "soon", "validation": None}), "by_time.train"),
        (changed(more=1), "more: Extra inputs"),
        (changed(shares={"train": 1.0}), "shares: they are those of train, validation and test;"),
        (
            changed(shares={"train": 2.0, "validation": -0.5, "test": -0.5}),
            "shares: they are in [0, 1], and 1 together;",
        ),
        (changed(shares={"train": float("nan"), "validation": 0.5, "test": 0.5}), "shares: they are in [0, 1], and"),
        (changed(shares={"train": 0.5, "validation": 0.1, "test": 0.1}), "shares: they are in [0, 1], and 1 together"),
    ],
)
def test_another_file_is_refused_with_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(DataError, match="delete it to split anew") as refused:
        Split.load(tmp_path / "s.json")
    assert said in str(refused.value)
    assert "s.json" in str(refused.value)


def test_the_split_of_another_task_is_refused(tmp_path: Path) -> None:
    WHOLE.save(tmp_path / "s.json")
    assert Split.load(tmp_path / "s.json", task="filing") == WHOLE
    with pytest.raises(DataError, match=r"s\.json: the split file is of the task 'filing', not 'other'; name another"):
        Split.load(tmp_path / "s.json", task="other")


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("train", "train"),
        ("Training ", "train"),
        ("dev", "validation"),
        ("TEST", "test"),
        ("fold 3", None),
        ("", None),
        (None, None),
    ],
)
def test_published_splits_have_names_of_their_own(name: str | None, side: str | None) -> None:
    assert side_named(name) == side


def test_a_file_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="make it with: decider data split SPEC DATA"):
        Split.load(tmp_path / "s.json")
