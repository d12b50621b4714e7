"""`Dataset`: examples of one task, read from a file and checked row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from pydantic_core import to_json

from decider.data.frames import Frame, frame_rows, is_frame
from decider.data.rows import EMPTY, Checked, Rejected, check, misfit, of_rows, read
from decider.decision import Example
from decider.errors import DataError
from decider.task import Task


@dataclass(frozen=True, slots=True)
class Dataset(Sequence[Example]):
    """Examples of one task, in order, each checked against its schemas.

    `fingerprint` is the sha256 of all inputs and outputs in order.
    """

    examples: tuple[Example, ...]

    @classmethod
    def load(cls, path: str | Path, task: Task[Any]) -> Dataset:
        """Read a JSONL, CSV or Parquet file; raises `DataError`, naming the first rows that do not fit the task.

        A JSONL row is `{"input": …, "output": {…}}`; with `data.columns` in the spec, and in CSV and Parquet, it is
        flat, and the columns are mapped by name.
        """
        return _kept(read(Path(path), task), str(path))

    @overload
    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], task: Task[Any], *, file: str | None = None) -> Dataset: ...
    @overload
    @classmethod
    def of(cls, rows: Frame, task: Task[Any], *, file: str | None = None) -> Dataset: ...
    @classmethod
    def of(cls, rows: Any, task: Task[Any], *, file: str | None = None) -> Dataset:
        """Check rows such as `{"input": …, "output": {…}}` against a task; raises `DataError`.

        A data frame of pandas or polars has columns as CSV has them, and cells of their own types; what is missing in
        it (NaN, NaT, NA) is None.
        """
        if is_frame(rows):
            return _kept(of_rows(frame_rows(rows), task, tabular=True), file)
        return _kept((check(row, task, n) for n, row in enumerate(rows, 1)), file)

    @property
    def fingerprint(self) -> str:
        """The sha256 of all inputs and outputs, in order."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(to_json([example.input, example.output]) + b"\n")
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Example | Dataset:
        return Dataset(self.examples[index]) if isinstance(index, slice) else self.examples[index]


def _kept(rows: Iterable[Checked], file: str | None) -> Dataset:
    """All rows, or a `DataError` that names the first of those that do not fit."""
    examples: list[Example] = []
    rejected: list[Rejected] = []
    for row in rows:
        if isinstance(row, Rejected):
            rejected.append(row)
        else:
            examples.append(row)
    if rejected:
        raise misfit(rejected, len(examples) + len(rejected), file)
    if not examples:
        raise DataError(EMPTY, file=file)
    return Dataset(tuple(examples))
