"""The record that the steps of a plan fill in: replies read, merged, and validated against the schema at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from decider.decision import Distribution, FieldDecision, Reply
from decider.schema import Field, nest, pick
from decider.task import Task

S = TypeVar("S", bound=BaseModel)

_MOST_PROBLEMS = 3
_LONGEST = 80


class Misfit(Exception):
    """A reply that does not fit the schema; its text says shortly what is wrong and what is allowed."""


class Record(Generic[S]):
    """Collects the fields of one decision, step by step."""

    def __init__(self, task: Task[S]) -> None:
        self._task = task
        self._values: dict[str, Any] = {}
        self._replies: dict[str, tuple[int, Reply]] = {}
        self._output: S | None = None

    def read(self, reply: Reply, fields: tuple[Field, ...], step: int) -> None:
        """Take the values of `fields` from a reply; raises `Misfit` where it is not an object with exactly these."""
        try:
            said = from_json(reply.text, allow_inf_nan=False)
        except ValueError as error:
            raise Misfit(f"The reply is not JSON: {error}.") from error
        if not isinstance(said, dict):
            raise Misfit("The reply is not a JSON object.")
        values = dict(_leaves(said, fields))
        self._values.update(values)
        self._replies.update(dict.fromkeys(values, (step, reply)))

    def output(self) -> S:
        """Return the user's model of all fields, validated once; raises `Misfit` where the schema refuses them."""
        if self._output is None:
            try:
                self._output = self._task.validate(nest(self._values))
            except ValidationError as error:
                raise Misfit(self._problems(error)) from error
        return self._output

    def decisions(self, output: S) -> dict[str, FieldDecision]:
        """Return each field of a validated output with its probability and where it came from."""
        values = output.model_dump(mode="json", by_alias=False)
        return {field.path: self._decision(field, pick(values, field.path)) for field in self._task.fields}

    def _decision(self, field: Field, value: Any) -> FieldDecision:
        step, reply = self._replies[field.path]
        distribution: Distribution | None = reply.probabilities.get(field.path)
        return FieldDecision(
            value=_ordered(field, value),
            probability=None if distribution is None else field.probability(value, distribution),
            probabilities=distribution,
            source=None if distribution is None else reply.source,
            calibrated=distribution is not None and reply.calibrated,
            step=step,
        )

    def _problems(self, error: ValidationError) -> str:
        """The first few mistakes, each with the field, what came and what is allowed; bounded in length."""
        details = error.errors(include_url=False)
        lines = [self._problem(detail) for detail in details[:_MOST_PROBLEMS]]
        return "The reply does not fit. " + " ".join(lines)

    def _problem(self, detail: ErrorDetails) -> str:
        path = ".".join(str(part) for part in detail["loc"] if isinstance(part, str))
        field = next((one for one in self._task.fields if one.path == path), None)
        came = _short(repr(detail["input"]))
        if field is not None and field.closed:
            allowed = ", ".join(repr(label) for label in field.labels)
            return f"{path}: {came} is not allowed; allowed: {_short(allowed, 600)}."
        return f"{path or 'the record'}: {_short(detail['msg'], 200)} (came: {came})."


def _leaves(said: dict[str, Any], fields: tuple[Field, ...]) -> list[tuple[str, Any]]:
    """The asked values by path; raises `Misfit` for one that is missing, or for a name that nobody asked for."""
    found = []
    for field in fields:
        try:
            found.append((field.path, _ordered(field, pick(said, field.path))))
        except KeyError as error:
            raise Misfit(f"The field {field.path!r} is missing.") from error
    asked = {field.path for field in fields}
    unasked = [] if said.keys() == asked else [path for path in _paths(said, asked) if path not in asked]
    if unasked:
        raise Misfit(f"The field {_short(unasked[0])!r} was not asked for.")
    return found


def _paths(said: Mapping[str, Any], asked: set[str], prefix: str = "") -> list[str]:
    """Every path of an object, down to the asked ones: what stands below those is their value."""
    found = []
    for name, value in said.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and path not in asked:
            found += _paths(value, asked, f"{path}.") or [path]
        else:
            found.append(path)
    return found


def _ordered(field: Field, value: Any) -> Any:
    """Tags are a set: each once, in the order of the schema. Anything else, and wrong tags, stay as they are."""
    if field.kind != "tags" or not isinstance(value, list):
        return value
    try:
        return sorted(set(value), key=field.labels.index)
    except (ValueError, TypeError):
        return value


def _short(text: str, length: int = _LONGEST) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
