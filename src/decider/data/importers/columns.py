"""Flat rows: which column of a table stands for which input and output field."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from decider.data.flat import columns_of, has_column, input_paths, named_inputs
from decider.errors import DataError
from decider.spec import Columns
from decider.task import Task

_TEXT = "text"
_FEW = 3
"""Columns for each of which a flag is shown."""

_LABELS = ("label_text", "label")
"""Names that tools for classifiers have for the columns of the text and its one label (SetFit's is `text,label`)."""


def _only(task: Task[Any]) -> str | None:
    """The path of the input that a column alone can stand for."""
    return task.only_text or (input_paths(task)[0] if len(task.inputs) < 2 else None)


def chosen(
    task: Task[Any], *, inputs: Iterable[str] = (), outputs: Iterable[str] = (), id: str | None = None
) -> Columns | None:
    """Return the columns of the spec with others in their place, or None where none are named.

    `inputs` and `outputs` are texts such as `PATH=COLUMN`; a single input is a column alone. Raises `DataError` for a
    path that the task does not have.
    """
    base, only = task.spec.data.columns, _only(task)
    new_inputs = dict(_pair(one, input_paths(task), only) for one in inputs)
    new_outputs = dict(_pair(one, [field.path for field in task.fields], None) for one in outputs)
    if not new_inputs and not new_outputs and id is None:
        return base if "columns" in task.spec.data.model_fields_set else None
    return Columns(
        input=named_inputs(task, base) | new_inputs or None, output={**base.output, **new_outputs}, id=id or base.id
    )


def _pair(said: str, paths: Collection[str], only: str | None) -> tuple[str, str]:
    path, equals, column = said.partition("=")
    if equals and path in paths and column:
        return path, column
    if only is not None and said:
        return only, said
    close = get_close_matches(path, paths, 1)
    remedy = f"did you mean {close[0]}=COLUMN?" if close else f"write PATH=COLUMN; paths are {', '.join(paths)}"
    raise DataError(f"{said!r} names no column of a field; {remedy}")


def fits(names: Collection[str], task: Task[Any], columns: Columns) -> bool:
    """Whether there are columns of an input and of an output among `names`."""
    inputs, outputs = columns_of(task, columns)
    return all(any(has_column(names, name) for name in part.values()) for part in (inputs, outputs))


def guessed(names: Collection[str], task: Task[Any], columns: Columns) -> Columns:
    """Return columns that go by other names where `names` has these: only for fields of which no column is named.

    Those are `input.PATH` and `output.PATH`, as exports write them where a name would mean two things; and `text` and
    `label` for the one input and the one closed field.
    """
    inputs, outputs = columns_of(task, columns)
    found = _whole("input", inputs, names), _whole("output", outputs, names)
    label = next((name for name in _LABELS if name in names), None)
    if _TEXT in names:
        found[0].update(dict.fromkeys(_lacking(inputs, names) & {_only(task)}, _TEXT))
    if label is not None:
        found[1].update(dict.fromkeys(_one_closed(task) & _lacking(outputs, names), label))
    if not any(found):
        return columns
    return Columns(input=inputs | found[0], output={**columns.output, **found[1]}, id=columns.id)


def _whole(part: str, columns: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The columns that are called by the part of the row that they are of, and their path."""
    return {path: f"{part}.{path}" for path, name in columns.items() if name == path and f"{part}.{path}" in names}


def _one_closed(task: Task[Any]) -> set[str]:
    """The one field that must be there, where it is closed."""
    needed = [field for field in task.fields if not field.optional or len(task.fields) == 1]
    return {needed[0].path} if len(needed) == 1 and needed[0].closed else set()


def _lacking(columns: Mapping[str, str], names: Collection[str]) -> set[str]:
    return {path for path, name in columns.items() if not has_column(names, name)}


def refuse_lacking(names: Collection[str], task: Task[Any], columns: Columns, file: str | None) -> None:
    """Raise `DataError` where a table has no column for a field that must be there, or none that somebody named."""
    inputs, outputs = columns_of(task, columns)
    optional = (
        {field.path for field in task.inputs if field.optional},
        {one.path for one in task.fields if one.optional},
    )
    data = task.spec.data
    wanted = {f"--input {path}": name for path, name in inputs.items() if name != path or path not in optional[0]}
    wanted |= {f"--output {path}": name for path, name in outputs.items() if name != path or path not in optional[1]}
    lacking = [(flag, name) for flag, name in wanted.items() if not has_column(names, name)]
    if lacking:
        few = [f"{flag}=COLUMN" for flag, _ in lacking] if len(lacking) <= _FEW else ["--input/--output PATH=COLUMN"]
        said = ", ".join(repr(name) for _, name in lacking)
        remedy = f"name those to read instead, with {' '.join(few)} or as data.columns in the spec"
        raise DataError(f"has no column {said}; it has {', '.join(names)}; {remedy}", file=file)
    beside = [one for one in (columns.id, data.group, data.time) if one is not None]
    other = next((one for one in beside if not has_column(names, one)), None)
    if other is not None:
        raise DataError(f"has no column {other!r}; it has {', '.join(names)}", file=file)
