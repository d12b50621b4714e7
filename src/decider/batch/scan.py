"""The first look at an input: how many rows there are, and whether they can be decided, before anything is paid."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from decider.batch.rows import Ids, Row, Rows
from decider.errors import DataError

_MOST = 200


@dataclass(slots=True)
class Sample:
    """The inputs of some rows, evenly over all of them: at least 100 where there are as many, and less than 200."""

    inputs: list[Any] = field(default_factory=list)
    _every: int = 1

    def take(self, row: Row) -> None:
        """Take a row, where it is its turn; whenever there are too many, every other one is put back."""
        if row.n % self._every == 0:
            self.inputs.append(row.input)
            if len(self.inputs) == _MOST:
                del self.inputs[::2]
                self._every *= 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the first look found: a mark for each row by its number (there is no row 0), and a sample of the inputs."""

    marks: array[int]
    sample: Sequence[Any]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.marks) - 1


def scan(rows: Rows, keep: Sequence[str] = ()) -> Scan:
    """Look at every row; raises `DataError` where no row can be read, two have one id, or a column to keep is missing.

    Takes 16 bytes a row.
    """
    marks, ids, sample = array("Q", [0]), Ids(), Sample()
    bad: list[Row] = []
    missing, columns = set(keep), set[str]()
    for row in rows:
        marks.append(row.mark)
        ids.add(row.id)
        if missing:
            columns.update(row.columns)
            missing.difference_update(row.columns)
        if row.problem is None:
            sample.take(row)
        elif not bad:
            bad.append(row)
    if bad and not sample.inputs:
        raise DataError(f"none of its rows can be read; row {bad[0].n} {bad[0].problem}", file=rows.name)
    if missing and len(marks) > 1:
        name = next(name for name in keep if name in missing)
        raise DataError(f"has no column {name!r} to keep; its columns: {', '.join(sorted(columns))}", file=rows.name)
    ids.refuse_doubled(rows, rows.name)
    return Scan(marks=marks, sample=sample.inputs)
