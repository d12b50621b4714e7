"""Tables: the columns of CSV and Parquet files, typed by a task, and how rows are written into them."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any, BinaryIO, Literal

from pydantic_core import to_json

from decider.data.files import arrow, spelled
from decider.data.flat import TEXTS, input_paths, named_inputs
from decider.errors import DataError
from decider.schema import Field, pick
from decider.spec import Columns
from decider.task import Task

Kind = Literal["text", "bool", "integer", "number", "date", "texts", "integers", "json"]
Row = Mapping[str, Any]
"""One row as JSONL has it."""

_ROWS = 5000
"""Rows of a Parquet row group: as many as are in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of CSV or Parquet: what its cells are, and how a row fills one."""

    name: str
    kind: Kind
    cell: Callable[[Row], Any]
    optional: bool = False
    """Whether an empty cell says that there is nothing."""


def column(name: str, kind: Kind = "text") -> Column:
    """Return the column of what stands under its name in a row."""
    return Column(name=name, kind=kind, cell=itemgetter(name))


def kind_of(field: Field) -> Kind:
    """Return what the cells of a field are: of a type of their own where all its values have the same."""
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


class Table(ABC):
    """Writes rows into columns of a file that somebody else opens and closes."""

    @abstractmethod
    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None: ...

    @abstractmethod
    def write(self, row: Row) -> None:
        """Write one row; raises `DataError` where a cell does not hold its value."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is still held back."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file, also where the table is not finished, and will be thrown away."""


class Csv(Table):
    """Comma-separated texts below a header, of which no spreadsheet takes one for a formula."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        self._cells = [one.cell for one in columns]
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._csv = csv.writer(self._text)
        self._csv.writerow([spelled(one.name) for one in columns])

    def write(self, row: Row) -> None:
        """Write one line."""
        self._csv.writerow([_plain(cell(row)) for cell in self._cells])

    def finish(self) -> None:
        """Write the last lines, and let go of the file."""
        self._text.detach()

    def close(self) -> None:
        """Let go of the file."""
        with suppress(ValueError):  # finished before
            self._text.detach()


class Parquet(Table):
    """Typed columns, a row group at a time; raises `ImportError` where pyarrow is missing."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        pa, parquet = arrow()
        types = {
            "text": pa.string(), "json": pa.string(), "bool": pa.bool_(), "integer": pa.int64(), "number": pa.float64(),
            "date": pa.date32(), "texts": pa.list_(pa.string()), "integers": pa.list_(pa.int64()),
        }  # fmt: skip
        self._columns = columns
        self._schema = pa.schema([(one.name, types[one.kind]) for one in columns])
        self._batch = pa.RecordBatch.from_pylist
        self._parquet = parquet.ParquetWriter(file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, row: Row) -> None:
        """Write one row, or keep it for the next row group."""
        self._rows.append({one.name: _as(one, row) for one in self._columns})
        if len(self._rows) == _ROWS:
            self._flush()

    def finish(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        self._parquet.close()

    def close(self) -> None:
        """Let go of the file; what is held back is lost."""
        self._parquet.close()

    def _flush(self) -> None:
        if self._rows:
            self._parquet.write_batch(self._batch(self._rows, schema=self._schema))
            self._rows.clear()


def _plain(value: Any) -> Any:
    """A cell of CSV."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return spelled(text_of(value))


def _as(column: Column, row: Row) -> Any:
    """A cell of Parquet."""
    value = column.cell(row)
    if value is None:
        return None
    match column.kind:
        case "json":
            return text_of(value)
        case "number":
            return float(value)
        case "date":
            return date.fromisoformat(value)
        case "integer" if not -(2**63) <= value < 2**63:
            where = f"{column.name} of row {row['id']}" if "id" in row else column.name
            message = f"{where} is {value}, more than a Parquet column holds"
            raise DataError(f"{message}; name an OUT that ends in .jsonl or .csv")
    return value


def text_of(value: Any) -> str:
    """Return a value as the text of a cell: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else to_json(value, bytes_mode="base64", fallback=str).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns that the rows of a dataset have in a table, and how they are named where they are read back.

    `renamed` holds the columns that are called otherwise than their fields, for these are called like another column.
    """

    columns: tuple[Column, ...]
    named: Columns
    renamed: tuple[str, ...]


def layout_of(task: Task[Any], about: Collection[str]) -> Layout:
    """Return the columns of a dataset: those of its inputs and outputs, its id, and what else rows have of `TEXTS`.

    They are called as `data.columns` says, else by the paths of the fields. An input that is called like what a row
    holds beside it stands as `input.PATH`, an output like what stands before it as `output.PATH`.
    """
    data = task.spec.data
    kept = {"id": data.columns.id or "id", "group": data.group or "group", "time": data.time or "time"}
    beside = {"id", *TEXTS} - {data.columns.id, data.group, data.time}
    inputs = _inputs(task, beside)
    outputs = _outputs(task, {*inputs.values(), *beside})
    columns = [*_input_columns(task, inputs), *_output_columns(task, outputs)]
    taken = {one.name for one in columns}
    for key in ("id", *(key for key in TEXTS if key in about or kept.get(key, key) != key)):
        name = kept.get(key, key)
        if name not in taken:
            columns.append(Column(name=name, kind="text", cell=_beside(key)))
    return Layout(
        columns=tuple(columns),
        named=Columns(input=inputs if task.inputs else inputs["text"], output=outputs, id=data.columns.id),
        renamed=tuple(
            name
            for part, names in (("input", inputs), ("output", outputs))
            for path, name in names.items()
            if name == f"{part}.{path}"
        ),
    )


def _inputs(task: Task[Any], beside: Collection[str]) -> dict[str, str]:
    """By the path of each input, its column; the one text of a task without an input schema is called `text`."""
    given = named_inputs(task, task.spec.data.columns)
    return {path: given.get(path) or (f"input.{path}" if path in beside else path) for path in input_paths(task)}


def _outputs(task: Task[Any], taken: Collection[str]) -> dict[str, str]:
    given = task.spec.data.columns.output
    paths = [field.path for field in task.fields]
    return {path: given.get(path) or (f"output.{path}" if path in taken else path) for path in paths}


def _input_columns(task: Task[Any], names: Mapping[str, str]) -> Iterator[Column]:
    if not task.inputs:
        yield Column(name=names["text"], kind="text", cell=itemgetter("input"))
    for one in task.inputs:
        yield _field_column(one, names[one.path], "input")


def _output_columns(task: Task[Any], names: Mapping[str, str]) -> Iterator[Column]:
    for one in task.fields:
        yield _field_column(one, names[one.path], "output")


def _field_column(field: Field, name: str, part: str) -> Column:
    cell = _inside(part, field.path)
    return Column(name=name, kind=kind_of(field), cell=cell, optional=field.optional)


def _inside(part: str, path: str) -> Callable[[Row], Any]:
    return lambda row: pick(row[part], path)


def _beside(key: str) -> Callable[[Row], Any]:
    return lambda row: row.get(key)
