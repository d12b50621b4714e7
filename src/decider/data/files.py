"""Files of rows: JSONL, CSV and Parquet, read lazily, each row with its place and with what is wrong with it."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

from pydantic_core import PydanticSerializationError, from_json, to_json

from decider.errors import DataError
from decider.schema import Field

Format = Literal["jsonl", "csv", "parquet"]
FORMATS: tuple[str, ...] = get_args(Format)

_ENDINGS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")
"""By what a spreadsheet takes a text for a formula, or behind what it looks for one (OWASP ASVS 5, 1.2.10)."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]00:00(:00(\.0+)?)?")
_NUMBERS = ("scale", "integer", "number")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BATCH = 1000
_LONGEST_CELL = 64 * 1024 * 1024
"""Letters of one CSV cell: a quote that is never closed would make the rest of the file one cell."""


class FileRow(NamedTuple):
    """One row: its number from 1, the line it stands on (in CSV and Parquet: its number), and what it holds.

    Where it cannot be read, `problem` says why, and `value` is what stands there instead; `foreign` says that it is no
    UTF-8, which is seldom the matter of one row alone.
    """

    n: int
    place: int
    value: Any
    problem: str | None = None
    foreign: bool = False


def sound(row: FileRow, text: str | None = None) -> FileRow:
    """Return a row as it is, or with a problem where no file could hold it; `text` is what it was read from.

    Python's JSON and its texts allow half a character, and objects in objects as deep as they like.
    """
    try:
        to_json(row.value, bytes_mode="base64", fallback=str)
    except PydanticSerializationError as error:
        halved = "surrogates" in str(error)
        problem = "holds half a character (a lone surrogate); decode it again" if halved else "is nested too deeply"
        return row._replace(value=json.dumps(row.value, default=str) if text is None else text, problem=problem)
    return row


def format_of(path: Path, *, verb: str = "read") -> Format:
    """Return the format that the ending of a file's name says; raises `DataError`."""
    found = _ENDINGS.get(path.suffix.lower())
    if found is None:
        ending = path.suffix or "a file without an ending"
        raise DataError(f"cannot {verb} {ending}; use .jsonl, .csv or .parquet", file=str(path))
    return found


def read_rows(file: BinaryIO, format: Format, name: str) -> Iterator[FileRow]:  # the word of the command line
    """Read rows as they are taken; raises `DataError` where the file as a whole is not what it should be.

    That is CSV that is not UTF-8, quotes or line ends of it that cannot be told apart, columns that are missing or
    there twice, JSONL in UTF-16, and whatever is no Parquet file. A single bad row is one with a `problem`.
    """
    if format == "parquet":
        return _from_parquet(file, name)
    return _from_jsonl(file, name) if format == "jsonl" else _from_csv(file, name)


def typed(field: Field, cell: Any) -> Any:
    """A cell as the JSON value that its field has; what is not one stays as it is, and is refused with its row.

    That is a value in a text, a day that stands as its midnight, and a number as databases have decimal ones.
    """
    if field.kind == "date" and isinstance(cell, str | datetime):
        cell = _day(cell)
    if not isinstance(cell, str):
        return _number(cell) if isinstance(cell, Decimal) and field.kind in _NUMBERS else cell
    if cell == "" and field.optional:
        return None
    labels = {str(label): label for label in field.labels if not isinstance(label, bool | None)}
    if field.kind == "tags":
        return _tags(cell, labels)
    if cell in labels:
        return labels[cell]
    if field.kind in ("bool", *_NUMBERS):
        return parsed(cell.lower(), cell)
    if cell == "null" and field.closed and field.optional:
        return None
    return parsed(cell, cell) if field.kind == "other" and cell.startswith(("[", "{")) else cell


def _day(cell: str | datetime) -> Any:
    """What stands for a day, as tables have it that know times alone; any other time stays."""
    found = _MIDNIGHT.fullmatch(cell if isinstance(cell, str) else cell.isoformat())
    return cell if found is None else found[1]


def _number(cell: Decimal) -> int | float:
    return int(cell) if cell == cell.to_integral_value() else float(cell)


def _tags(cell: str, labels: Mapping[str, Any]) -> Any:
    """Tags as a JSON list, or with commas between them."""
    value = parsed(cell, cell)
    if isinstance(value, list):
        return value
    parts = [part.strip() for part in cell.split(",") if part.strip()]
    return [labels.get(part, part) for part in parts]


def parsed(text: str, otherwise: Any = None) -> Any:
    """Return the JSON value that a text is, or `otherwise` where it is none."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return otherwise


def spelled(text: str) -> str:
    """A text as a cell of CSV: what a spreadsheet would run as a formula gets a mark that makes it a text.

    `read_rows` takes the mark away again.
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def _meant(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell


def arrow() -> tuple[Any, Any]:
    """Return the modules pyarrow and pyarrow.parquet; raises `ImportError` that names the extra."""
    try:
        import pyarrow as pa  # an extra, and slow to import
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install 'decider-sdk[parquet]'") from error
    return pa, parquet


def _from_jsonl(file: BinaryIO, name: str) -> Iterator[FileRow]:
    n = 0
    for line, raw in enumerate(_unmarked(file, name), 1):
        if not raw.strip():
            continue
        n += 1
        try:
            row = FileRow(n, line, from_json(raw.rstrip(), allow_inf_nan=False))
        except ValueError as error:
            row = _not_json(raw, n, line, name, str(error))
        yield row


def _not_json(raw: bytes, n: int, line: int, name: str, said: str) -> FileRow:
    """A line that holds no JSON, with its text; bytes that are none stand in it as their numbers."""
    try:
        text = _text(raw, line, name)
    except DataError as error:
        return FileRow(n, line, raw.decode(errors="backslashreplace").strip(), error.message, foreign=True)
    said = said.replace(" at line 1 column ", " at column ")  # its own line is the first to the parser
    return FileRow(n, line, text.strip(), f"is not JSON: {said}")


def _from_csv(file: BinaryIO, name: str) -> Iterator[FileRow]:
    csv.field_size_limit(_LONGEST_CELL)  # the module's own, of 128 kB, is less than a long ticket
    texts = (_text(raw, line, name) for line, raw in enumerate(_unmarked(file, name), 1))
    lines, begun = csv.reader(texts, strict=True), 1
    try:
        header = _header(list(map(_meant, next(lines, []))), name)
        begun = 2
        for n, cells in enumerate((cells for cells in lines if cells), 1):
            if len(cells) == len(header):
                yield FileRow(n, n, dict(zip(header, map(_meant, cells), strict=True)))
            else:
                found = f"{len(cells)}, not {len(header)}, up to line {lines.line_num}"
                yield FileRow(n, n, cells, f"has more or fewer cells than the header: {found}")
            begun = lines.line_num + 1
    except csv.Error as error:
        remedy = 'quote cells with commas, quotes or line ends as "…", a quote inside as "", and end lines with LF'
        raise DataError(f"is not CSV: {error}; {remedy}", file=name, row=begun) from error


def _header(cells: list[str], name: str) -> list[str]:
    """The names of the columns, of which each stands for one."""
    if not cells:
        raise DataError("has no header; the first line names the columns", file=name)
    if len(cells) == 1 and (other := next((mark for mark in ";\t|" if mark in cells[0]), None)):
        raise DataError(f"has its cells between {other!r}; save it with commas between them", file=name, row=1)
    refuse_doubled(cells, name, row=1)
    return cells


def refuse_doubled(columns: Sequence[str], name: str, *, row: int | None = None) -> None:
    """Raise `DataError` where two columns of a table have the same name, of which rows could hold one alone."""
    doubled = next((column for column in columns if columns.count(column) > 1), None)
    if doubled is not None:
        raise DataError(f"has two columns {doubled!r}; rename one", file=name, row=row)


def _from_parquet(file: BinaryIO, name: str) -> Iterator[FileRow]:
    pa, parquet = arrow()
    n = 0
    try:
        table = parquet.ParquetFile(file, pre_buffer=False)
        refuse_doubled(table.schema_arrow.names, name)
        for batch in table.iter_batches(_BATCH):
            for value in batch.to_pylist():
                n += 1
                yield FileRow(n, n, value)
    except pa.ArrowException as error:
        raise DataError(f"is not Parquet: {error}", file=name) from error


def _unmarked(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The lines of a file, without the mark that some programs begin UTF-8 with."""
    first = file.readline()
    if first.startswith(_UTF_16) or b"\0" in first:
        raise DataError(f"is not UTF-8: {_remedy('UTF-16', name)}", file=name, row=1)
    if first:
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from file


def _text(raw: bytes, line: int, name: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        where = f"byte {error.start + 1} of the line is 0x{raw[error.start]:02x}"
        likely = "UTF-16" if b"\0" in raw else "CP1252"
        raise DataError(f"is not UTF-8 ({where}): {_remedy(likely, name)}", file=name, row=line) from error


def _remedy(encoding: str, name: str) -> str:
    return f"it is perhaps {encoding}; convert it:  iconv -f {encoding} -t UTF-8 {name} > utf8{Path(name).suffix}"
