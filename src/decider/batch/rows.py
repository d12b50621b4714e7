"""The rows of an input file: each with its number, its id, its input, and a mark that tells whether it is the same."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pydantic_core import to_json

from decider.data.files import FileRow, Format, format_of, read_rows, typed
from decider.errors import DataError
from decider.schema import nest, pick
from decider.task import Task

STDIN = "-"

_TEXTS = ("text", "input")
"""The columns that a task of one text looks for, where the spec names none."""

_BUCKETS = 256


class Row(NamedTuple):
    """One row: its number from 1, its own id or else its number, and the input as the file has it.

    `mark` is the same as long as id and input are. `columns` holds all that the file says of the row. Where no input
    can be read, `problem` says why, and `input` is what stands there instead.
    """

    n: int
    id: str
    input: Any
    mark: int
    columns: Mapping[str, Any]
    problem: str | None = None


class Rows:
    """Reads the rows of a file as often as they are needed, each time lazily and in order; a context manager."""

    def __init__(self, task: Task[Any], source: Path | BinaryIO, folder: Path, *, format: Format | None = None) -> None:
        """Take a file, or a stream, which can be read once only: it is put into a nameless file in `folder` first.

        Raises `DataError` where there is no such file, or where nothing tells its format.
        """
        self._layout = _Layout(task)
        self._kept: BinaryIO | None = None
        if isinstance(source, Path) and not _is_pipe(source):
            if not source.is_file():
                there = "is a folder" if source.is_dir() else "there is no such file"
                raise DataError(there, file=str(source))
            self.name = str(source.resolve())
            self.format = format or format_of(source)
            self._path = source
        else:
            self.name = str(source) if isinstance(source, Path) else STDIN
            self.format = format or "jsonl"
            self._kept = _kept(source, folder)

    def __iter__(self) -> Iterator[Row]:
        """Yield every row from the first; raises `DataError` where the file as a whole cannot be read."""
        with self._opened() as file:
            for found in read_rows(file, self.format, self.name):
                if found.foreign:  # and others will be: nobody wants to pay for the rest
                    raise DataError(str(found.problem), file=self.name, row=found.place)
                yield self._layout.row(found)

    def close(self) -> None:
        """Let go of what was read from a stream."""
        if self._kept is not None:
            self._kept.close()

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> BinaryIO:
        if self._kept is None:
            return self._path.open("rb")
        again = os.fdopen(os.dup(self._kept.fileno()), "rb")
        again.seek(0)
        return again


def _is_pipe(path: Path) -> bool:
    """Whether a path leads to a pipe or a device."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _kept(source: Path | BinaryIO, folder: Path) -> BinaryIO:
    """All of a stream in a file without a name, which no kill can leave behind."""
    kept = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # it is closed with the rows
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as stream:
        shutil.copyfileobj(stream, kept)
    kept.flush()
    return kept


class Ids:
    """Finds ids that stand twice, in eight bytes a row."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def add(self, id: str) -> None:
        """Take the id of a row."""
        number = hash(id)
        self._buckets[number % _BUCKETS].append(number)

    def refuse_doubled(self, rows: Iterable[Row], name: str) -> None:
        """Raise `DataError` where two rows have one id; `rows` are read again only where it looks like that."""
        likely = {number for bucket in self._buckets for number in _doubled(bucket)}
        seen: dict[str, int] = {}
        for row in rows if likely else ():
            if hash(row.id) in likely and seen.setdefault(row.id, row.n) != row.n:
                raise DataError(
                    f"has the id {row.id!r} in row {seen[row.id]} and in row {row.n}; give each row an id of its own, "
                    "or name the column that has one in the spec:  data: {columns: {id: COLUMN}}",
                    file=name,
                )


def _doubled(bucket: array[int]) -> Iterator[int]:
    return (one for one, other in pairwise(sorted(bucket)) if one == other)


class _Layout:
    """Which part of a row is its input, and which its id, as the spec says or as names tell."""

    def __init__(self, task: Task[Any]) -> None:
        columns = task.spec.data.columns
        self._inputs = task.inputs
        self._id = columns.id
        only = (task.only_text or task.inputs[0].path) if task.inputs else "text"
        self._columns = dict(columns.input) if isinstance(columns.input, Mapping) else {}
        if isinstance(columns.input, str):
            self._columns[only] = columns.input
        self._mapped = set(self._columns.values())
        self._has_input = "input" in {self._columns.get(field.path, field.path) for field in task.inputs}

    def row(self, found: FileRow) -> Row:
        """Return a row with its input and its id picked out of what the file holds."""
        value, problem = found.value, found.problem
        columns: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        own = None
        if columns:
            own, problem = self._own_id(columns)
            try:
                value = self._input(columns)
            except KeyError as error:
                problem = problem or f"has no column {error.args[0]!r}; its columns: {', '.join(columns)}"
        row_id = own or str(found.n)
        return Row(found.n, row_id, value, _mark(row_id, value), columns, problem)

    def _own_id(self, columns: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """The id that a row has of its own, and what is wrong with it."""
        name = self._id or "id"
        if self._id is not None and name not in columns:
            return None, f"has no column {name!r}, which data.columns.id names; its columns: {', '.join(columns)}"
        own = columns.get(name)
        if isinstance(own, bool | list | Mapping):
            return None, f"its {name} is neither a text nor a number"
        return None if own is None else str(own), None

    def _input(self, columns: Mapping[str, Any]) -> Any:
        """The input of a row; raises `KeyError` with the column that is missing."""
        if "input" in columns and not self._has_input and self._mapped.isdisjoint(columns):
            return columns["input"]
        return self._fields(columns) if self._inputs else columns[self._text(columns)]

    def _fields(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for field in self._inputs:
            name = self._columns.get(field.path, field.path)
            try:
                values[field.path] = typed(field, columns[name] if name in columns else pick(columns, name))
            except KeyError:
                if not field.optional:
                    raise KeyError(name) from None
        return nest(values)

    def _text(self, columns: Mapping[str, Any]) -> str:
        """The column of the text: the one that the spec names, one that is called so, or the only one."""
        named = self._columns.get("text")
        if named is None:
            others = [name for name in columns if name != (self._id or "id")]
            named = next((name for name in _TEXTS if name in columns), others[0] if len(others) == 1 else "text")
        return named


def _mark(row_id: str, value: Any) -> int:
    """Eight bytes of a hash over what must be the same when a row comes again."""
    said = to_json([row_id, value], bytes_mode="base64", inf_nan_mode="strings", fallback=repr)
    return int.from_bytes(hashlib.sha256(said).digest()[:8])
