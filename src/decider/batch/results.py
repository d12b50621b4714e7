"""The rows that a run writes, as JSONL, CSV or Parquet: written aside, and put in place when all of them are there."""

from __future__ import annotations

import csv
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic_core import to_json

from decider.data.files import arrow, format_of, spelled
from decider.errors import DataError
from decider.runtime.log.segment import settle
from decider.schema import Field
from decider.task import Task

Kind = Literal["text", "bool", "integer", "number", "date", "texts", "integers", "json"]
Row = Mapping[str, Any]
"""One row as JSONL has it."""

KEYS = (
    "id", "decision", "input", "output", "status", "accepted", "confidence", "fields", "mode", "engine", "model",
    "error",
)  # fmt: skip
"""The keys of a row in JSONL, in their order; kept columns stand behind them."""

_ROWS = 5000
"""Rows of a Parquet row group: as many as are in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of CSV or Parquet: what its cells are, and how a row fills one."""

    name: str
    kind: Kind
    cell: Callable[[Row], Any]


def _column(name: str, kind: Kind = "text") -> Column:
    return Column(name=name, kind=kind, cell=itemgetter(name))


_BEFORE = (_column("id"), _column("decision"))
_BEHIND = (
    _column("status"),
    _column("accepted", "bool"),
    _column("confidence", "number"),
    *map(_column, ("mode", "engine", "model", "error")),
)


def columns_of(task: Task[Any], keep: Sequence[str] = ()) -> tuple[Column, ...]:
    """Return the columns of a results file: the output fields typed by the task, with what is known of the decision.

    A closed field is followed by the probability of its value, which is empty where nothing honest gives one; open
    fields never have one. A field that is called like another column stands as `output.NAME`.
    """
    kept = tuple(_column(name, "json") for name in keep)
    taken = {column.name for column in (*_BEFORE, *_BEHIND, *kept)}
    fields = tuple(column for field in task.fields for column in _field_columns(field, taken))
    return (*_BEFORE, *fields, *_BEHIND, *kept)


@contextmanager
def results(out: Path, task: Task[Any], keep: Sequence[str] = ()) -> Iterator[Callable[[Row], None]]:
    """Write rows beside `out`, and put the file in its place when the block ends well; nothing stays where it does not.

    Every row that was there before is there until then, and every row of this run afterwards: never some of them.
    """
    aside = out.with_name(f".{out.name}.decider-part")
    try:
        with aside.open("wb") as file:
            writer = _WRITERS[format_of(out)](file, task, keep)
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
    if out.is_dir() or not out.parent.is_dir():
        there = "is a folder" if out.is_dir() else f"there is no folder {out.parent}; make it first"
        raise DataError(there, file=str(out))
    if not os.access(out.parent, os.W_OK):
        raise DataError(f"nothing can be written into {out.parent}; allow it, or name another folder", file=str(out))
    own = KEYS if format_of(out) == "jsonl" else [column.name for column in (*_BEFORE, *_BEHIND)]
    for name in keep:
        if name in own:
            message = f"has a column {name!r} of its own, and yours cannot be kept beside it; give yours another name"
            raise DataError(message, file=str(out))


class _Writer(ABC):
    """Writes rows in one format to a file that somebody else opens and closes."""

    @abstractmethod
    def __init__(self, file: BinaryIO, task: Task[Any], keep: Sequence[str]) -> None: ...

    @abstractmethod
    def write(self, row: Row) -> None:
        """Write one row."""

    def finish(self) -> None:
        """Write what is still held back."""


class _Jsonl(_Writer):
    def __init__(self, file: BinaryIO, task: Task[Any], keep: Sequence[str]) -> None:
        del task, keep  # a row has them in it
        self._file = file

    def write(self, row: Row) -> None:
        self._file.write(to_json(row, bytes_mode="base64", fallback=str) + b"\n")


class _Csv(_Writer):
    def __init__(self, file: BinaryIO, task: Task[Any], keep: Sequence[str]) -> None:
        self._columns = columns_of(task, keep)
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._csv = csv.writer(self._text)
        self._csv.writerow([column.name for column in self._columns])

    def write(self, row: Row) -> None:
        self._csv.writerow([_plain(column.cell(row)) for column in self._columns])

    def finish(self) -> None:
        self._text.detach()


class _Parquet(_Writer):
    def __init__(self, file: BinaryIO, task: Task[Any], keep: Sequence[str]) -> None:
        pa, parquet = arrow()
        types = {
            "text": pa.string(), "json": pa.string(), "bool": pa.bool_(), "integer": pa.int64(), "number": pa.float64(),
            "date": pa.date32(), "texts": pa.list_(pa.string()), "integers": pa.list_(pa.int64()),
        }  # fmt: skip
        self._columns = columns_of(task, keep)
        self._schema = pa.schema([(column.name, types[column.kind]) for column in self._columns])
        self._batch = pa.RecordBatch.from_pylist
        self._parquet = parquet.ParquetWriter(file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, row: Row) -> None:
        self._rows.append({column.name: _as(column, row) for column in self._columns})
        if len(self._rows) == _ROWS:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._parquet.close()

    def _flush(self) -> None:
        if self._rows:
            self._parquet.write_batch(self._batch(self._rows, schema=self._schema))
            self._rows.clear()


_WRITERS: dict[str, type[_Writer]] = {"jsonl": _Jsonl, "csv": _Csv, "parquet": _Parquet}


def _field_columns(field: Field, taken: set[str]) -> Iterator[Column]:
    name = f"output.{field.path}" if field.path in taken else field.path
    yield Column(name=name, kind=_kind(field), cell=lambda row: _said(row, field.path, "value"))
    if field.closed:
        yield Column(name=f"{name}.probability", kind="number", cell=lambda row: _said(row, field.path, "probability"))


def _said(row: Row, path: str, key: str) -> Any:
    """What a row says of one field; nothing where it has no output, although some field may have been answered."""
    return row["fields"][path][key] if row["output"] is not None else None


def _kind(field: Field) -> Kind:
    """What the cells of a field are: of a type of their own where all its values have the same."""
    simple: dict[str, Kind] = {
        "bool": "bool", "scale": "integer", "integer": "integer", "number": "number", "text": "text", "date": "date",
    }  # fmt: skip
    if field.kind in simple:
        return simple[field.kind]
    types = {type(option.value) for option in field.options}
    if types == {str}:
        return "texts" if field.kind == "tags" else "text"
    if types == {int}:
        return "integers" if field.kind == "tags" else "integer"
    return "json"


def _plain(value: Any) -> Any:
    """A cell of CSV."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return spelled(value if isinstance(value, str) else _json(value))


def _as(column: Column, row: Row) -> Any:
    """A cell of Parquet."""
    value = column.cell(row)
    if value is None:
        return None
    match column.kind:
        case "json":
            return value if isinstance(value, str) else _json(value)
        case "number":
            return float(value)
        case "date":
            return date.fromisoformat(value)
        case "integer" if not -(2**63) <= value < 2**63:
            message = f"{column.name} of row {row['id']} is {value}, more than a Parquet column holds"
            raise DataError(f"{message}; name an OUT that ends in .jsonl or .csv")
    return value


def _json(value: Any) -> str:
    return to_json(value, bytes_mode="base64", fallback=str).decode()
