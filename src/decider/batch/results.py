"""The rows that a run writes, as JSONL, CSV or Parquet: written aside, and put in place when all of them are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import to_json

from decider.data.aside import refuse_unwritable
from decider.data.files import arrow, format_of
from decider.data.tables import Column, Csv, Parquet, Row, Table, column, kind_of
from decider.errors import DataError
from decider.runtime.log.segment import settle
from decider.schema import Field
from decider.task import Task

KEYS = (
    "id", "decision", "input", "output", "status", "accepted", "confidence", "fields", "mode", "engine", "model",
    "error",
)  # fmt: skip
"""The keys of a row in JSONL, in their order; kept columns stand behind them."""

_BEFORE = (column("id"), column("decision"))
_BEHIND = (
    column("status"),
    column("accepted", "bool"),
    column("confidence", "number"),
    *map(column, ("mode", "engine", "model", "error")),
)


def columns_of(task: Task[Any], keep: Sequence[str] = ()) -> tuple[Column, ...]:
    """Return the columns of a results file: the output fields typed by the task, with what is known of the decision.

    A closed field is followed by the probability of its value, which is empty where nothing honest gives one; open
    fields never have one. A field that is called like another column stands as `output.NAME`.
    """
    kept = tuple(column(name, "json") for name in keep)
    taken = {one.name for one in (*_BEFORE, *_BEHIND, *kept)}
    fields = tuple(one for field in task.fields for one in _field_columns(field, taken))
    return (*_BEFORE, *fields, *_BEHIND, *kept)


@contextmanager
def results(out: Path, task: Task[Any], keep: Sequence[str] = ()) -> Iterator[Callable[[Row], None]]:
    """Write rows beside `out`, and put the file in its place when the block ends well; nothing stays where it does not.

    Every row that was there before is there until then, and every row of this run afterwards: never some of them.
    """
    aside = out.with_name(f".{out.name}.decider-part")
    try:
        with aside.open("wb") as file:
            writer = _writer(out, file, task, keep)
            try:
                yield writer.write
            finally:
                writer.finish()
            file.flush()
            os.fsync(file.fileno())
        aside.replace(out)
        settle(out.parent)
    finally:
        aside.unlink(missing_ok=True)


def check_out(out: Path, keep: Sequence[str] = ()) -> None:
    """Raise where results could not be written to `out`, before any are paid for; `DataError`, or a missing extra."""
    if format_of(out, verb="write") == "parquet":
        arrow()
    refuse_unwritable(out)
    own = KEYS if format_of(out) == "jsonl" else [one.name for one in (*_BEFORE, *_BEHIND)]
    for name in keep:
        if name in own:
            message = f"has a column {name!r} of its own, and yours cannot be kept beside it; give yours another name"
            raise DataError(message, file=str(out))


class _Jsonl:
    """Writes rows as they are."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, row: Row) -> None:
        self._file.write(to_json(row, bytes_mode="base64", fallback=str) + b"\n")

    def finish(self) -> None:
        """Hold nothing back."""


def _writer(out: Path, file: BinaryIO, task: Task[Any], keep: Sequence[str]) -> _Jsonl | Table:
    form = format_of(out)
    if form == "jsonl":
        return _Jsonl(file)
    return (Csv if form == "csv" else Parquet)(file, columns_of(task, keep))


def _field_columns(field: Field, taken: set[str]) -> Iterator[Column]:
    name = f"output.{field.path}" if field.path in taken else field.path
    yield Column(name=name, kind=kind_of(field), cell=lambda row: _said(row, field.path, "value"))
    if field.closed:
        yield Column(name=f"{name}.probability", kind="number", cell=lambda row: _said(row, field.path, "probability"))


def _said(row: Row, path: str, key: str) -> Any:
    """What a row says of one field; nothing where it has no output, although some field may have been answered."""
    return row["fields"][path][key] if row["output"] is not None else None
