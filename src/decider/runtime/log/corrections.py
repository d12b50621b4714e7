"""What people say of a decision afterwards, checked against the task before it is written down."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from decider.errors import DataError
from decider.runtime.log.history import History, merged
from decider.runtime.log.record import amendment
from decider.schema import Field, pick
from decider.task import Task, path_of

_MOST_SAID = 3
_LONGEST = 80


def correction(
    history: History, fields: Mapping[str, Any], task: Task[Any], *, by: str | None = None, note: str | None = None
) -> dict[str, Any]:
    """Return the record that gives fields other values; raises `DataError` where the whole would not fit the task."""
    decision = history.decision
    if decision.task != task.name:
        raise DataError(f"decision {decision.id!r} is one of the task {decision.task!r}, not of {task.name!r}")
    values = {path: _checked(_field(task, path), value) for path, value in fields.items()}
    output = history.output
    if output is None and not values:
        raise DataError(f"decision {decision.id!r} was {decision.status}: there is no output to confirm; correct it")
    try:
        whole = task.validate(merged(output or {}, values)).model_dump(mode="json", by_alias=False)
    except ValidationError as error:
        raise DataError(f"decision {decision.id!r} would not fit the schema: {_said(error, task)}") from error
    # A field may take a value and keep another, such as one without the spaces around it.
    kept = {path: {"value": pick(whole, path)} for path in values}
    return amendment("correction", decision, id=_new_id(), at=datetime.now(UTC), fields=kept, by=by, note=note)


def outcome(history: History, name: str, value: Any) -> dict[str, Any]:
    """Return the record of what became of what was decided; raises `TypeError` for what JSON lacks."""
    if not name:
        raise ValueError("an outcome needs a name, such as 'refunded'")
    try:
        to_json(value, inf_nan_mode="constants")
    except PydanticSerializationError as error:
        raise TypeError(f"the value of the outcome {name!r} cannot be written as JSON: {error}") from error
    return amendment("outcome", history.decision, id=_new_id(), at=datetime.now(UTC), name=name, value=value)


def _field(task: Task[Any], path: str) -> Field:
    known = {field.path: field for field in task.fields}
    if path in known:
        return known[path]
    close = get_close_matches(path, known, 1)
    remedy = f"did you mean {close[0]!r}?" if close else f"its fields: {', '.join(known)}"
    raise DataError(f"the task {task.name!r} has no field {path!r}; {remedy}")


def _checked(field: Field, value: Any) -> Any:
    """A value in JSON types; one that is none of the answers of a closed field is refused with what is allowed."""
    try:
        plain = to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise DataError(f"{field.path}: {type(value).__name__} is no type that JSON has") from error
    if field.closed:
        wrong = [one for one in _chosen(field, plain) if one not in field.labels]
        if wrong:
            raise DataError(f"{field.path}: {_short(wrong[0])} is not one of its answers: {_answers(field)}")
    return plain


def _chosen(field: Field, plain: Any) -> list[Any]:
    if field.kind == "tags" and isinstance(plain, list):
        return plain
    return [] if plain is None and field.optional else [plain]


def _answers(field: Field) -> str:
    return ", ".join(_short(label) for label in field.labels)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _said(error: ValidationError, task: Task[Any]) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    said = [f"{path_of(one, task.fields) or 'the record'}: {one['msg']}" for one in found[:_MOST_SAID]]
    more = len(found) - len(said)
    return "; ".join(said) + (f"; and {more} more" if more else "")


def _new_id() -> str:
    return os.urandom(16).hex()
