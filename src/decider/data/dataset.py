"""`Dataset`: examples of one task, read from a file and checked row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from decider.data.files import format_of, read_rows, typed
from decider.decision import Example
from decider.errors import DataError, InputError
from decider.schema import Field, nest
from decider.task import Task

_MOST_NAMED = 5


class _Row(BaseModel):
    """One line of a JSONL dataset."""

    model_config = ConfigDict(extra="forbid")

    input: str | dict[str, Any]
    output: dict[str, Any]
    id: str | int | None = None
    source: str | None = None
    split: str | None = None


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
        file = Path(path)
        return cls.of(_records(file, task), task, file=str(file))

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], task: Task[Any], *, file: str | None = None) -> Dataset:
        """Check rows such as `{"input": …, "output": {…}}` against a task; raises `DataError`."""
        examples, problems = [], []
        for n, row in enumerate(rows, 1):
            try:
                examples.append(_example(row, task, n))
            except (InputError, ValidationError) as error:
                problems.append((n, _said(error)))
        if problems:
            n, _ = problems[0]
            named = "\n".join(f"  row {at}: {said}" for at, said in problems[:_MOST_NAMED])
            raise DataError(
                f"{len(problems)} of {len(examples) + len(problems)} rows do not fit\n{named}", file=file, row=n
            )
        if not examples:
            raise DataError('holds no rows; a row is {"input": …, "output": {…}}', file=file)
        return cls(tuple(examples))

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


def _example(row: Mapping[str, Any], task: Task[Any], n: int) -> Example:
    checked = _Row.model_validate({key: value for key, value in row.items() if key != "group"})
    output = task.validate(checked.output).model_dump(mode="json", by_alias=False)
    group = row.get("group")
    return Example(
        input=task.encode(checked.input),
        output=output,
        id=str(n if checked.id is None else checked.id),
        source=checked.source,
        split=checked.split,
        group=None if group is None else str(group),
    )


def _said(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{path}: {first['msg']} (found {str(first['input'])[:60]!r})"


def _records(file: Path, task: Task[Any]) -> Iterator[Mapping[str, Any]]:
    if not file.is_file():
        raise DataError("there is no such file", file=str(file))
    mapped = "columns" in task.spec.data.model_fields_set
    form = format_of(file)
    with file.open("rb") as lines:
        for row in read_rows(lines, form, str(file)):
            if row.problem is not None:
                raise DataError(row.problem, file=str(file), row=row.place)
            if not isinstance(row.value, dict):
                raise DataError("is not a JSON object", file=str(file), row=row.place)
            flat = mapped or form != "jsonl"
            yield _mapped(row.value, task, file, row.place) if flat else row.value


def _mapped(row: Mapping[str, Any], task: Task[Any], file: Path, n: int) -> Mapping[str, Any]:
    """A flat row as input and output, by the columns that the spec names, or by those of the same names."""
    data = task.spec.data
    columns = data.columns
    only = task.inputs[0].path if task.inputs else "text"
    inputs = columns.input if isinstance(columns.input, dict) else {only: columns.input or only}

    def cell(name: str) -> Any:
        if name not in row:
            raise DataError(f"has no column {name!r}; columns: {', '.join(row)}", file=str(file), row=n)
        return row[name]

    def cells(fields: Sequence[Field], named: Mapping[str, str]) -> dict[str, Any]:
        return nest({one.path: typed(one, cell(named.get(one.path, one.path))) for one in fields})

    record: dict[str, Any] = {"output": cells(task.fields, columns.output)}
    record["input"] = cells(task.inputs, inputs) if task.inputs else cell(inputs.get("text", "text"))
    if columns.id is not None:
        record["id"] = cell(columns.id)
    if data.group is not None:
        record["group"] = cell(data.group)
    return record
