"""The rows of a dataset, each with the side that it is on, as they may be handed to somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from decider.data.rows import Checked, Rejected, misfit, read
from decider.data.split import Side, Split, side_named
from decider.decision import Example
from decider.errors import DataError, InputError
from decider.redact import Redactor
from decider.runtime.log.record import hash_of
from decider.task import Task

_LETTERS = 16
"""Of the sha256 of a group that says too much, in hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidedRows:
    """The rows of a file with their sides, which are those of `split`, or those that the rows say themselves.

    They can be read again. With `redactor`, what it names is taken out of them, but not out of their ids. Reading
    raises `DataError` where rows do not fit the task, and where one is on no side, or on one that nobody knows.
    """

    data: Path
    task: Task[Any]
    split: Split | None = None
    redactor: Redactor | None = None

    def __iter__(self) -> Iterator[tuple[Side, Example]]:
        rows = read(self.data, self.task)
        for n, row in enumerate(rows):
            if isinstance(row, Rejected):
                raise self._misfit(row, n, rows)
            side = self._side(row)
            if self.split is not None and row.split != side:
                row = replace(row, split=side)  # noqa: PLW2901  # the same row
            yield side, row if self.redactor is None else self._redacted(row, self.redactor)

    def _misfit(self, first: Rejected, before: int, rest: Iterator[Checked]) -> DataError:
        """Read to the end, to say how many rows do not fit."""
        others = list[Rejected]()
        total = before + 1
        for row in rest:
            total += 1
            if isinstance(row, Rejected):
                others.append(row)
        return misfit([first, *others], total, str(self.data))

    def _side(self, row: Example) -> Side:
        if self.split is None:
            side = "train" if row.split is None else side_named(row.split)
            if side is None:
                known = "train, validation, test and excluded"
                raise DataError(f"row {row.id!r} is on the side {row.split!r}; sides are {known}", file=str(self.data))
            return side
        side = self.split.side_of(row)
        if side is None:
            remedy = "give it one with: decider data split (rows that have a side keep it)"
            raise DataError(f"row {row.id!r} is on no side of the split; {remedy}", file=str(self.data))
        return side

    def _redacted(self, row: Example, redactor: Redactor) -> Example:
        try:
            return _unnamed(redactor.example(row), redactor)
        except InputError as error:
            raise DataError(f"row {row.id!r} cannot be redacted: {error}", file=str(self.data)) from error


def _unnamed(row: Example, redactor: Redactor) -> Example:
    """A row without what `redactor` finds in who checked it, and in its group, which a hash then keeps apart."""
    by = row.by and str(redactor.redact(row.by))
    group = row.group
    if group and redactor.redact(group) != group:
        group = hash_of(group)[:_LETTERS]
    return row if (by, group) == (row.by, row.group) else replace(row, by=by, group=group)
