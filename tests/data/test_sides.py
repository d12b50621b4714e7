"""What is trained on, and what is measured on."""

from __future__ import annotations

import pytest

from decider.data.dataset import Dataset
from decider.data.sides import placed, to_measure_on, to_train_on
from decider.data.split import Split
from decider.decision import Example
from decider.errors import DataError


def rows(*sides: str | None) -> Dataset:
    return Dataset(tuple(Example(input=f"text {n}", output={}, id=f"r{n}", split=side) for n, side in enumerate(sides)))


def split(**sides: str) -> Split:
    return Split(task="t", fingerprint="", shares={}, sides=sides)  # type: ignore[arg-type]  # all are sides


def named(dataset: Dataset) -> list[str | None]:
    return [one.id for one in dataset]


def test_test_rows_are_not_trained_on() -> None:
    assert named(to_train_on(rows("train", "validation", "test", "excluded", None))) == ["r0", "r1", "r4"]
    assert named(to_train_on(rows("Train", "dev", "TEST"))) == ["r0", "r1"]


def test_only_test_rows_are_measured_on_where_there_are_any() -> None:
    assert named(to_measure_on(rows("train", "test", None))) == ["r1"]
    assert named(to_measure_on(rows("train", "excluded", None))) == ["r0", "r2"]
    assert named(to_measure_on(rows("Train", "Test"))) == ["r1"]


def test_nothing_left_is_a_mistake() -> None:
    with pytest.raises(DataError, match="no row to train on: all 2 are test or excluded rows"):
        to_train_on(rows("test", "test"))
    with pytest.raises(DataError, match="no row to measure on: all 1 are excluded rows"):
        to_measure_on(rows("excluded"))


def test_a_split_file_says_the_sides() -> None:
    found = placed(rows(None, "train"), split(r0="test", r1="validation"))
    assert [one.split for one in found] == ["test", "validation"]
    with pytest.raises(DataError, match="1 of 2 rows are on no side of the split yet, the first is 'r1'"):
        placed(rows(None, None), split(r0="test"))
