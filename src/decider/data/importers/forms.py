"""In which form the rows of a source stand, as their content says: files, and what each row of one is."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic_core import from_json

from decider.data.files import FileRow, read_rows, sound
from decider.data.importers import folders
from decider.data.importers.columns import fits, guessed, refuse_lacking
from decider.data.importers.label_studio import is_task
from decider.data.importers.rejects import mended
from decider.data.rows import Checked, is_whole, of_rows
from decider.data.shapes import SHAPES, Shape, recognise
from decider.errors import DataError
from decider.spec import Columns
from decider.task import Task

Container = Literal["jsonl", "json", "csv", "parquet", "arrow", "datasets"]
ROWS = "rows"
LABEL_STUDIO = "label-studio"
CONTAINERS: tuple[str, ...] = get_args(Container)
FORMS: tuple[str, ...] = (*CONTAINERS, ROWS, LABEL_STUDIO, *SHAPES)
"""What a source may be: rows in one of the containers, or a form that its rows have in any of them."""

_ENDINGS: Mapping[str, Container] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet", ".arrow": "arrow",
}  # fmt: skip
_TABULAR = ("csv", "parquet", "arrow")
_MAGIC: Mapping[bytes, Container] = {b"PAR1": "parquet", b"ARRO": "arrow"}
_SPACE = " \t\r\n"
_HEAD = 1 << 16
_PEEKED = 1000
"""Rows among which one that is an object is looked for; they are held in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file of a source: its rows as they stand there; all have the same columns where they are `tabular`."""

    file: str
    rows: Iterator[FileRow]
    tabular: bool


def pieces(path: Path, form: str | None = None) -> Iterator[Piece]:
    """Return the files of a source, of which rows are read as they are taken; raises `DataError`."""
    if path.is_dir():
        for part in folders.parts(path):
            inner = _piece(part.path, _container(part.path), part.features)
            yield Piece(file=inner.file, rows=_sided(inner.rows, part.split), tabular=inner.tabular)
        return
    if not path.is_file():
        raise DataError("there is no such file or folder", file=str(path))
    if form == "datasets":
        raise DataError("is no folder; a dataset is one, with its files in it", file=str(path))
    forced: Container | None = next((one for one in get_args(Container) if one == form), None)
    yield _piece(path, forced or _container(path))


def peeked(rows: Iterator[FileRow]) -> tuple[Mapping[str, Any], Iterator[FileRow]]:
    """Return the first row that is an object (an empty one where none of the first is), and all rows, it among them."""
    kept: list[FileRow] = []
    for row in islice(rows, _PEEKED):
        kept.append(row)
        if isinstance(row.value, Mapping):
            return row.value, chain(kept, rows)
    return {}, chain(kept, rows)


def form_of(row: Mapping[str, Any], task: Task[Any], columns: Columns) -> str:
    """Return the form that a row has by its keys; `rows` is a row of a dataset, or a flat one."""
    if is_whole(row):
        return ROWS
    if is_task(row):
        return LABEL_STUDIO
    shape: Shape | None = None if fits(row, task, columns) else recognise(row)
    return ROWS if shape is None else shape.name


def as_rows(
    rows: Iterator[FileRow], task: Task[Any], *, columns: Columns | None = None, file: str | None = None, tabular: bool
) -> Iterator[Checked]:
    """Check rows that are whole, `{"input": …, "output": {…}}`, or flat: columns as named, or as tools name them."""
    first, rows = peeked(rows)
    if is_whole(first):
        return of_rows(rows, task, columns=columns, file=file)
    named = guessed(first, task, columns or Columns())
    if tabular and first:
        refuse_lacking(first, task, named, file)
    return of_rows(rows, task, columns=named, file=file)


def _container(path: Path) -> Container:
    """What a file is, by its first bytes, and by the ending of its name where these do not say."""
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(codecs.BOM_UTF8)
    magic = _MAGIC.get(head[:4])
    if magic is not None:
        return magic
    ending = _ENDINGS.get(path.suffix.lower())
    if ending in _TABULAR:
        return ending
    begun, end, _ = head.lstrip().partition(b"\n")
    cut = not end and len(begun) > _HEAD // 2  # a line as long as this is no first line of indented JSON
    if begun.startswith(b"[") or (begun.startswith(b"{") and not cut and not _is_json(begun)):
        return "json"
    if ending is None and not begun.startswith(b"{"):
        remedy = f"name it with --from: {', '.join(FORMS)}"
        raise DataError(f"is of a format that neither its name nor its content tells; {remedy}", file=str(path))
    return "jsonl"


def _is_json(line: bytes) -> bool:
    """Whether a line is a whole object, or too long to say: then it is a line of JSONL, and no indented JSON."""
    try:
        from_json(line)
    except ValueError:
        return len(line.strip()) > 2 and not line.rstrip().endswith((b"{", b"[", b","))
    return True


def _piece(path: Path, container: Container, features: Mapping[str, Any] | None = None) -> Piece:
    kept, typed = _rows(path, container), container in ("parquet", "arrow")
    if typed:
        features = {**(features or {}), **folders.declared(path, parquet=container == "parquet")}
    if features:
        kept = folders.named(kept, features)
    if typed:
        kept = map(_dated, kept)
    return Piece(file=str(path), rows=_mended(kept), tabular=container in _TABULAR)


def _rows(path: Path, container: Container) -> Iterator[FileRow]:
    if container == "arrow":
        yield from folders.arrow_rows(path)
    elif container == "json":
        yield from _from_json(path)
    else:
        with path.open("rb") as file:
            yield from read_rows(file, _read_as(container), str(path))


def _read_as(container: Container) -> Literal["jsonl", "csv", "parquet"]:
    return "csv" if container == "csv" else "parquet" if container == "parquet" else "jsonl"


def _from_json(path: Path) -> Iterator[FileRow]:
    """The objects of a JSON list, or that stand one behind the other; what comes before a mistake is read."""
    text = _text(path)
    at, line, n = _after(text, 0, ""), 1, 0
    begun = 0
    inside = text.startswith("[", at)
    at = _after(text, at + 1, "") if inside else at
    while at < len(text) and not (inside and text[at] == "]"):
        line, begun, n = line + text.count("\n", begun, at), at, n + 1
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            said = getattr(error, "msg", str(error))
            problem = f"is not JSON: {said}; nothing behind it was read"
            yield FileRow(n, line, text[at : at + 200], problem)
            return
        yield sound(FileRow(n, line, value), text[begun:at])
        at = _after(text, at, ",")
    if inside and at >= len(text):
        yield FileRow(n + 1, line, "", "the file ends before its list does; what came before is read")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not UTF-8: byte {error.start + 1} is 0x{error.object[error.start]:02x}", file=str(path)
        ) from error


def _after(text: str, at: int, more: str) -> int:
    """The place of what comes behind spaces."""
    while at < len(text) and text[at] in _SPACE + more:
        at += 1
    return at


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _dated(row: FileRow) -> FileRow:
    """A row whose days and times are texts, as JSON has them."""
    cells = {key: one.isoformat() for key, one in row.value.items() if isinstance(one, date | time)}
    return row._replace(value=row.value | cells) if cells else row


def _mended(rows: Iterable[FileRow]) -> Iterator[FileRow]:
    for row in rows:
        yield row if row.problem is not None else row._replace(value=mended(row.value))


def _sided(rows: Iterable[FileRow], split: str | None) -> Iterator[FileRow]:
    """Rows with the split that the folder says, where they say none themselves."""
    for row in rows:
        known = split is None or not isinstance(row.value, dict) or row.value.get("split") not in (None, "")
        yield row if known else row._replace(value={**row.value, "split": split})
