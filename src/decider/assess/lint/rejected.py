"""What a rejected row holds, be it nested or flat, and what becomes of it with other values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decider.data.files import FileRow, typed
from decider.data.rows import Checked, Rejected, check, of_rows
from decider.schema import Field, pick
from decider.task import Task


def output_at(one: Rejected, field: Field, task: Task[Any]) -> Any:
    """Return what a row has for a field of its output; raises `KeyError` where it has nothing."""
    if _is_nested(one):
        return pick(one.value["output"], field.path)
    return typed(field, one.value[_column(field, task)])


def is_empty(one: Rejected, task: Task[Any]) -> bool:
    """Whether a row has an input with nothing in it, so that whatever its output is says nothing."""
    return any(problem.kind == "input" for problem in one.problems) and _is_blank(input_of(one, task))


def input_of(one: Rejected, task: Task[Any]) -> Any:
    """Return what a row has for its input, be it one value or those of its columns; None where it has nothing."""
    if not isinstance(one.value, Mapping):
        return None
    if _is_nested(one) or "input" in one.value:
        return one.value.get("input")
    named = task.spec.data.columns.input
    if isinstance(named, str):
        return one.value.get(named)
    paths = [field.path for field in task.inputs] or ["text"]
    return {path: one.value.get((named or {}).get(path, path)) for path in paths}


def has_id(one: Rejected, task: Task[Any]) -> bool:
    """Whether a row has an id of its own, and not only its number."""
    keys = ("id", task.spec.data.columns.id)
    return isinstance(one.value, Mapping) and any(one.value.get(key) is not None for key in keys)


def with_values(one: Rejected, values: Mapping[Field, Any], task: Task[Any]) -> Checked:
    """Check a row again with other values for fields of its output."""
    n = int(one.id) if one.id.isdecimal() else one.place
    if _is_nested(one):
        output = one.value["output"]
        for field, value in values.items():
            output = changed(output, field.path, value)
        return check({**one.value, "output": output}, task, n, place=one.place)
    row = {**one.value, **{_column(field, task): value for field, value in values.items()}}
    return next(iter(of_rows([FileRow(n, one.place, row)], task, columns=task.spec.data.columns)))


def changed(record: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a record with another value at a dotted path."""
    head, _, rest = path.partition(".")
    return {**record, head: changed(record[head], rest, value) if rest else value}


def _is_nested(one: Rejected) -> bool:
    return isinstance(one.value, Mapping) and isinstance(one.value.get("output"), Mapping)


def _column(field: Field, task: Task[Any]) -> str:
    return task.spec.data.columns.output.get(field.path, field.path)


def _is_blank(value: Any) -> bool:
    """Whether there is no text, number or anything else in a value, at any depth."""
    if isinstance(value, Mapping):
        return all(map(_is_blank, value.values()))
    if isinstance(value, list):
        return all(map(_is_blank, value))
    return value is None or (isinstance(value, str) and not value.strip())
