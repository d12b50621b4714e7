"""Rows as examples of a task, one at a time: each checked, or rejected with its place and the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from decider.data.files import FileRow, Format, format_of, read_rows
from decider.data.flat import NO_TEXTS, TEXTS, Flat
from decider.decision import Example, Input
from decider.errors import DataError, InputError
from decider.schema import Field, Label, has_validators, pick
from decider.spec import Columns
from decider.task import Task, path_of

ProblemKind = Literal["unreadable", "row", "input", "unknown-label", "schema"]

_KEYS = frozenset({"input", "output", "id", *TEXTS})
_BARE = frozenset({"input", "output", "id"})
_SAID = _KEYS - {"input", "output"}
_PARTS = 2
"""The keys of a row that says nothing beside its input and output."""

_LONGEST_SHOWN = 60

_OUTPUTS = 1024
"""Outputs that are known while a file is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason why a row is no example: it cannot be read, is no row, or its input or output does not fit.

    What is `unreadable` stands in `Rejected.value` as its text. `unknown-label` is an answer that the schema does not
    have, `schema` anything else that it refuses. `field` is the path of the output field, or None where the whole row
    is meant.
    """

    kind: ProblemKind
    message: str
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A row that is no example: where it stands (a line of JSONL, else the number of the row), and what it holds."""

    place: int
    id: str
    problems: tuple[Problem, ...]
    value: Any

    @property
    def reason(self) -> str:
        """All that is wrong with it, in one line."""
        return "; ".join(map(str, self.problems))


Checked: TypeAlias = Example | Rejected

EMPTY = 'holds no rows; a row is {"input": …, "output": {…}}'

_MOST_NAMED = 5


def misfit(rejected: Sequence[Rejected], total: int, file: str | None) -> DataError:
    """Return the error for a file of which some rows do not fit, by the first of these; `total` counts all its rows."""
    named = "\n".join(f"  row {one.place}: {one.reason}" for one in rejected[:_MOST_NAMED])
    return DataError(f"{len(rejected)} of {total} rows do not fit\n{named}", file=file, row=rejected[0].place)


def read(
    path: Path, task: Task[Any], *, columns: Columns | None = None, form: Format | None = None
) -> Iterator[Checked]:
    """Read a JSONL, CSV or Parquet file as examples of a task; raises `DataError` where it is none, or has no rows.

    A JSONL row is `{"input": …, "output": {…}}`; with `columns`, or `data.columns` in the spec, and in CSV and Parquet,
    one that is not is flat, and its columns are mapped by name. `form` is what the ending of the name says, where it is
    left out.
    """
    if not path.is_file():
        there = "is a folder; name one of its files" if path.is_dir() else "there is no such file"
        raise DataError(there, file=str(path))
    form = form or format_of(path)
    n = 0
    with path.open("rb") as lines:
        found = read_rows(lines, form, str(path))
        for row in of_rows(found, task, columns=columns, file=str(path), tabular=form != "jsonl"):
            n += 1
            yield row
    if not n:
        raise DataError(EMPTY, file=str(path))


def of_rows(
    rows: Iterable[FileRow],
    task: Task[Any],
    *,
    columns: Columns | None = None,
    file: str | None = None,
    tabular: bool = False,
) -> Iterator[Checked]:
    """Check rows as some reader found them; `tabular` rows are flat, and all have the same columns."""
    mapped = columns or (task.spec.data.columns if "columns" in task.spec.data.model_fields_set else None)
    flat = Flat(task, mapped or Columns.model_construct(), tabular, file) if tabular or mapped is not None else None
    known = _Known(task)
    for row in rows:
        if row.problem is not None:
            yield unfit(row, "unreadable", row.problem)
        elif not isinstance(row.value, dict | Mapping):  # the first is asked for much faster
            yield unfit(row, "row", "is not a JSON object")
        elif flat is not None and not is_whole(row.value):
            made = flat.row(row.value, row.place)
            yield check(made, task, row.n, place=row.place, original=row.value, known=known)
        else:
            yield check(row.value, task, row.n, place=row.place, known=known)


def is_whole(row: Mapping[str, Any]) -> bool:
    """Whether a row has an input and an output already, as `to_row` writes it, whatever the spec says of columns."""
    return "input" in row and isinstance(row.get("output"), dict | Mapping)  # the first is asked for much faster


class _Known:
    """What need not be validated again: outputs of labels alone, of which many rows have the same, and plain texts."""

    def __init__(self, task: Task[Any]) -> None:
        self._parse = task.parse
        self._closed = all(field.closed for field in task.fields)
        self._valid = lru_cache(maxsize=_OUTPUTS)(self._validated)
        plain = task.input is not None and isinstance(task.spec.input, Mapping) and not has_validators(task.input)
        simple = all(field.kind == "text" and not field.optional and "." not in field.path for field in task.inputs)
        self._texts = tuple(field.path for field in task.inputs) if plain and simple else ()

    def input(self, x: Any) -> Input | None:
        """Return an input that is what its schema asks for without a doubt; None where it must be looked at."""
        if not self._texts or not isinstance(x, dict) or len(x) != len(self._texts):
            return None
        found = {name: x.get(name) for name in self._texts}
        return found if all(map(_is_said, found.values())) else None

    def output(self, output: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return an output as `_validated` does; None where it was not seen, and does not fit."""
        if not self._closed:
            return None
        try:
            validated: dict[str, Any] = from_json(self._valid(to_json(output)))
        except ValidationError:
            return None
        return validated

    def _validated(self, text: bytes) -> bytes:
        """An output as JSON, of which every row makes its own: no list of tags is in two rows."""
        return to_json(self._parse(text.decode()).model_dump(mode="json", by_alias=False))


def _is_said(value: Any) -> bool:
    """Whether a value is a text with something in it, and no half of a character."""
    if not isinstance(value, str) or not value or value.isspace():
        return False
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
    return True


def check(
    row: Mapping[str, Any],
    task: Task[Any],
    n: int,
    *,
    place: int | None = None,
    original: Any = None,
    known: _Known | None = None,
) -> Checked:
    """Check one row such as `{"input": …, "output": {…}}`; `n` is its number, which it is called by without an id.

    `original` is what the row was made from, where that is something else; `known` spares whoever has many rows what
    was seen before.
    """
    given = None if row.get("id") == "" else row.get("id")
    name = str(n if given is None else given)
    problems: list[Problem] = []
    if not (row.keys() <= _KEYS and is_whole(row)):
        problems += _row_problems(row, task)
    if len(row) > _PARTS:
        problems += _about_problems(row)
    if not problems:
        found = (known and known.input(row["input"])) or _encoded(row["input"], task, problems)
        output = (known and known.output(row["output"])) or _validated(row["output"], task, problems)
        if found is not None and output is not None:
            return Example(input=found, output=output, id=name, numbered=given is None, **_about(row, task))
    value = row if original is None else original
    return Rejected(place=place or n, id=name, problems=tuple(problems), value=value)


def _encoded(x: Any, task: Task[Any], problems: list[Problem]) -> Input | None:
    try:
        return task.encode(x)
    except InputError as error:
        said = f"{error.field}: {error.message}" if error.field else error.message
        problems.append(Problem(kind="input", message=said))
        return None


def _validated(output: Mapping[str, Any], task: Task[Any], problems: list[Problem]) -> dict[str, Any] | None:
    try:
        validated: dict[str, Any] = task.validate(output).model_dump(mode="json", by_alias=False)
    except ValidationError as error:
        problems += [_problem(one, output, task) for one in error.errors(include_url=False)]
        return None
    return validated


def unfit(row: FileRow, kind: ProblemKind, message: str) -> Rejected:
    """Return a row as one that is rejected as a whole."""
    problem = Problem(kind=kind, message=message)
    return Rejected(place=row.place, id=str(row.n), problems=(problem,), value=row.value)


def _row_problems(row: Mapping[str, Any], task: Task[Any]) -> Iterator[Problem]:
    """What keeps a row from being one, before its input and output are looked at."""
    for key in ("input", "output"):
        if key not in row:
            yield Problem(kind="row", message=f'has no {key!r}; a row is {{"input": …, "output": {{…}}}}')
    if "output" in row and not isinstance(row["output"], Mapping):
        yield Problem(kind="row", message=f"output: expected an object, found {_shown(row['output'])}")
    named = {task.spec.data.group, task.spec.data.time}
    for key in row:
        if key not in _KEYS and key not in named:
            yield Problem(kind="row", message=f"{key}: is no key of a row; known are {', '.join(sorted(_KEYS))}")


def _about_problems(row: Mapping[str, Any]) -> Iterator[Problem]:
    """What a row says beside its input and output that is no text."""
    for key, value in row.items():
        if type(value) is not str and key in _SAID and isinstance(value, NO_TEXTS):  # the first is asked much faster
            yield Problem(kind="row", message=f"{key}: expected a text or a number, found {_shown(value)}")


def _about(row: Mapping[str, Any], task: Task[Any]) -> dict[str, str | None]:
    """What a row holds beside its input and output; group and time also stand where the spec says."""
    data = task.spec.data
    if data.group is None and data.time is None and row.keys() <= _BARE:
        return {}
    about = {key: row.get(key) for key in TEXTS}
    for key, name in (("group", data.group), ("time", data.time)):
        if about[key] is None and name is not None:
            about[key] = _named(row, name)
    return {key: None if value in (None, "") else str(value) for key, value in about.items()}


def _named(row: Mapping[str, Any], name: str) -> Any:
    """The value of a row, or of its input, by its name."""
    if name in row:
        return row[name]
    try:
        return pick(row["input"], name)
    except (KeyError, TypeError):
        return None


def _problem(detail: ErrorDetails, output: Mapping[str, Any], task: Task[Any]) -> Problem:
    """One thing that the schema has against an output."""
    path = path_of(detail, task.fields) or ".".join(str(part) for part in detail["loc"])
    field = next((one for one in task.fields if one.path == path), None)
    found = "" if detail["type"] == "missing" else f" (found {_shown(detail['input'])})"
    kind: ProblemKind = "unknown-label" if field is not None and _unknown(field, output) else "schema"
    return Problem(kind=kind, message=f"{detail['msg']}{found}", field=path or None)


def _unknown(field: Field, output: Mapping[str, Any]) -> bool:
    """Whether a closed field has a value that is none of its labels, but could have been one: not one left out."""
    try:
        value = pick(output, field.path)
    except KeyError:
        return False
    said = value if field.kind == "tags" and isinstance(value, list) else [value]
    return field.closed and any(isinstance(one, Label) and not _among(one, field.labels) for one in said)


def _among(value: Any, labels: Sequence[Label]) -> bool:
    return any(type(value) is type(label) and value == label for label in labels)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def to_row(example: Example) -> dict[str, Any]:
    """Return an example as a row of a dataset file; what it does not have is left out."""
    row: dict[str, Any] = {"input": example.input, "output": example.output}
    if not example.numbered and example.id is not None:
        row["id"] = example.id
    return row | {key: value for key in TEXTS if (value := getattr(example, key)) is not None}


def encoded(example: Example) -> bytes:
    """Return an example as a line of a dataset file."""
    return to_json(to_row(example)) + b"\n"
