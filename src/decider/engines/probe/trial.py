"""What is put to an endpoint on trial: the task in another form, and an input that tells nothing of anybody."""

from __future__ import annotations

from copy import copy
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from decider.decision import Input, Reply, Request
from decider.schema import Field, Label, nest
from decider.spec import Role
from decider.task import Task, path_of

_SENTENCE = "This is an example."
_VALUES: dict[str, Any] = {"integer": 1, "number": 1, "date": "2026-01-01"}

_ENDS = {
    "truncated": "was not finished within the tokens that it was allowed",
    "refused": "was refused by the model",
    "filtered": "was stopped by a content filter",
}


def variant(task: Task[Any], role: Role, **update: Any) -> Task[Any]:
    """Return the task with other settings in one section, and without its examples, which belong to people."""
    section = getattr(task.spec, role).model_copy(update=update)
    other = copy(task)
    other.spec = task.spec.model_copy(update={role: section})
    other.examples = ()
    return other


def harmless(task: Task[Any]) -> Input:
    """Return an input of the task's form that says nothing."""
    return nest({field.path: _value(field) for field in task.inputs}) if task.inputs else _SENTENCE


def trial_of(task: Task[Any], fields: tuple[Field, ...]) -> Request:
    """Return the request that asks for `fields` of the harmless input."""
    return Request(input=harmless(task), fields=fields)


def misfit(task: Task[Any], reply: Reply, fields: tuple[Field, ...]) -> str | None:
    """Return what keeps a reply from answering for `fields`, or None.

    A rule of the whole record has nothing to say about an endpoint, least of all on an input without a meaning.
    """
    if reply.outcome != "answered":
        return _ENDS[reply.outcome]
    if reply.problem is not None:
        return reply.problem[:1].lower() + reply.problem[1:].removesuffix(".")
    try:
        record = from_json(reply.text)
    except ValueError:
        return "is not JSON"
    if not isinstance(record, dict):
        return "is JSON, and no object"
    return _objection(task, record, fields)


def _objection(task: Task[Any], record: dict[str, Any], fields: tuple[Field, ...]) -> str | None:
    try:
        task.validate(record)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            path = path_of(one)
            if one["type"] == "extra_forbidden" or any(_about(path, field.path) for field in fields):
                return f"does not fit the schema: {path}: {one['msg']}"
    except Exception:  # noqa: BLE001  # a rule of the user's own that an answer without a meaning breaks
        return None
    return None


def _about(path: str, field: str) -> bool:
    """Whether what is said of a path concerns a field: the field, a part of it, or what it is a part of."""
    return f"{path}.".startswith(f"{field}.") or (path != "" and f"{field}.".startswith(f"{path}."))


def _value(field: Field) -> Any:
    if field.options:
        first: Label = field.options[0].value
        return [first] if field.kind == "tags" else first
    return _VALUES.get(field.kind, "example")
