"""Which rows of a dataset are for training, and which for measuring, by the side of a split that they are on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from decider.data.dataset import Dataset
from decider.data.split import Split, side_named
from decider.errors import DataError

MEASURED = "test"
"""The side that no training and no choice of settings has seen."""

EXCLUDED = "excluded"
"""The side of rows that would tie two others together."""


def placed(dataset: Dataset, split: Split) -> Dataset:
    """Return the rows with the sides that a split file gives them; raises `DataError` where it lacks some."""
    rows = [replace(one, split=split.side_of(one)) for one in dataset]
    new = [one.id for one in rows if one.split is None]
    if new:
        raise DataError(
            f"{len(new)} of {len(rows)} rows are on no side of the split yet, the first is {new[0]!r}; "
            "place them with:  decider data split SPEC DATA"
        )
    return Dataset(tuple(rows))


def to_train_on(dataset: Dataset) -> Dataset:
    """Return the rows without those that are measured on or excluded; raises `DataError` where none stay.

    Validation rows are among them: training here chooses its settings by cross-validation.
    """
    return _without(dataset, (MEASURED, EXCLUDED), "to train on")


def to_measure_on(dataset: Dataset) -> Dataset:
    """Return the test rows, where any row says that it is one; else all but the excluded ones."""
    measured = tuple(one for one in dataset if side_named(one.split) == MEASURED)
    if measured:
        return Dataset(measured)
    return _without(dataset, (EXCLUDED,), "to measure on")


def _without(dataset: Dataset, sides: Collection[str], purpose: str) -> Dataset:
    kept = tuple(one for one in dataset if side_named(one.split) not in sides)
    if not kept:
        raise DataError(f"has no row {purpose}: all {len(dataset)} are {' or '.join(sides)} rows")
    return Dataset(kept)
