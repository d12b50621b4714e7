"""The draft that the steps of a plan fill in: replies read, merged, and validated against the schema at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from decider.decision import Distribution, FieldDecision, Reply
from decider.schema import Field, nest, pick
from decider.task import Task, path_of

S = TypeVar("S", bound=BaseModel)

_MOST_PROBLEMS = 3
_LONGEST = 80
_NAME = re.compile(r'"\s*:')
_ENDLESS = re.compile(r"\d{300}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOST_ALLOWED = 300
_MOST_SAID = 600

_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
_NO_LABEL = frozenset(("literal_error", "enum", "bool_type", "int_type", *_BOUNDS))
"""The types of the errors about a value that is none of the answers of a closed field."""


class Misfit(Exception):
    """A reply that does not fit the schema; its text says shortly what is wrong and what is allowed.

    `paths` are the fields that it is about; empty where it is about the reply, or the record, as a whole.
    """

    def __init__(self, message: str, *, paths: frozenset[str] = frozenset(), whole: bool = False) -> None:
        super().__init__(message)
        self.paths = paths
        self.whole = whole
        """Whether it is the record that does not fit, and not the reply."""


class Draft(Generic[S]):
    """Collects the fields of one decision, step by step."""

    def __init__(self, task: Task[S]) -> None:
        self._task = task
        self._values: dict[str, Any] = {}
        self._replies: dict[str, tuple[int, Reply]] = {}
        self._output: S | None = None

    def fork(self) -> Draft[S]:
        """Return a draft that goes on from what is here, and leaves this one as it is."""
        other = Draft(self._task)
        other._values, other._replies = dict(self._values), dict(self._replies)
        return other

    @property
    def values(self) -> Mapping[str, Any]:
        """What has been read so far, by path, in JSON types."""
        return self._values

    @property
    def text(self) -> str:
        """What has been read so far, as JSON."""
        return to_json(nest(self._values)).decode()

    def read(self, reply: Reply, fields: Sequence[Field], step: int) -> None:
        """Take the values of `fields` from a reply; raises `Misfit` where it is not an object with exactly these."""
        if reply.problem is not None:
            raise Misfit(_short(reply.problem, _MOST_SAID))
        said = _parsed(reply.text)
        if not isinstance(said, dict):
            raise Misfit("The reply is not a JSON object.")
        values = dict(_leaves(said, [field for field in fields if field.path not in reply.refused]))
        self._output = None
        self._values.update(values)
        self._replies.update(dict.fromkeys(values, (step, reply)))

    def reread(self, reply: Reply, fields: Sequence[Field], step: int, *, whole: bool) -> bool:
        """Take a reply that was kept, where it fits: the `whole` record, or what is there of it."""
        part = self.fork()
        try:
            part.read(reply, fields, step)
            if whole:
                part.output()
            else:
                part.check(fields)
        except Misfit:
            return False
        self._values, self._replies, self._output = part._values, part._replies, part._output
        return True

    def keep(self, reply: Reply, fields: Sequence[Field], step: int) -> None:
        """Take what a reply says of `fields` beside its refusals; nothing where that does not fit."""
        part = self.fork()
        try:
            part.read(reply, fields, step)
            part.check([field for field in fields if field.path not in reply.refused])
        except Misfit:
            return
        self._values, self._replies = part._values, part._replies

    def check(self, fields: Sequence[Field]) -> None:
        """Raise `Misfit` where the rules of single `fields` refuse them, while others are still missing."""
        found = self._task.objections(nest(self._values), fields)
        if found:
            raise self._misfit(found)

    def output(self) -> S:
        """Return the user's model of all fields, validated once; raises `Misfit` where the schema refuses them."""
        if self._output is None:
            try:
                self._output = self._task.validate(nest(self._values))
            except ValidationError as error:
                raise self._misfit(error.errors(include_url=False)) from error
        return self._output

    def decisions(self, output: S) -> Mapping[str, FieldDecision]:
        """Return each field of a validated output with its probability and where it came from."""
        if self._task.as_said:
            return self.partial()
        values = output.model_dump(mode="json", by_alias=False)
        return {
            field.path: self._decision(field, ordered(field, pick(values, field.path))) for field in self._task.fields
        }

    def confidence(self, fields: Mapping[str, FieldDecision]) -> float | None:
        """The probability that every field is right, were they independent; None where one has no probability."""
        product = 1.0
        for one in fields.values():
            if one.probability is None:
                return None
            product *= one.probability
        return product

    def partial(self) -> dict[str, FieldDecision]:
        """Return the fields that have been read so far, of a record that will not be whole."""
        there = [field for field in self._task.fields if field.path in self._values]
        return {field.path: self._decision(field, self._values[field.path]) for field in there}

    def _decision(self, field: Field, value: Any) -> FieldDecision:
        step, reply = self._replies[field.path]
        distribution: Distribution | None = reply.probabilities.get(field.path)
        if distribution is None:
            return FieldDecision(value=value, step=step)
        return FieldDecision(
            value=value,
            probability=field.probability(value, distribution),
            probabilities=distribution,
            source=reply.source,
            calibrated=reply.calibrated,
            step=step,
        )

    def _misfit(self, details: Sequence[ErrorDetails]) -> Misfit:
        """The first few mistakes, each with the field, what came and what is allowed; bounded in length."""
        said = " ".join(dict.fromkeys(self._problem(detail) for detail in details[:_MOST_PROBLEMS]))
        paths = frozenset(path_of(detail, self._task.fields) for detail in details)
        return Misfit(f"The reply does not fit. {said}", paths=paths, whole=True)

    def _problem(self, detail: ErrorDetails) -> str:
        path = path_of(detail, self._task.fields)
        field = next((one for one in self._task.fields if one.path == path), None)
        came = _short(repr(detail["input"]))
        if field is not None and field.closed and detail["type"] in _NO_LABEL:
            return _not_allowed(field, detail["input"])
        where = _short(path_of(detail)) or "the record"
        return f"{where}: {_short(detail['msg'], 200)} (came: {came})."


def _parsed(text: str) -> Any:
    """The JSON value that a reply is; raises `Misfit` where it is none, or where readers of JSON differ about it."""
    try:
        said = from_json(text, allow_inf_nan=False)
    except TypeError as error:
        raise Misfit("The reply holds half a character (a lone surrogate).") from error
    except ValueError as error:
        raise Misfit(_not_json(text, error)) from error
    if _ENDLESS.search(text):
        raise Misfit("The reply holds a number of hundreds of digits.")
    if len(_NAME.findall(text)) > _names(said):
        _refuse_doubled(text)
    return said


def _names(value: Any) -> int:
    """How many names the objects of a JSON value have."""
    if isinstance(value, dict):
        return len(value) + sum(map(_names, value.values()))
    return sum(map(_names, value)) if isinstance(value, list) else 0


def _refuse_doubled(text: str) -> None:
    """Raise `Misfit` where an object has a name twice: it may also be that a text looks like a name."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise Misfit(f"The field {_short(twice)!r} is there twice.")

    json.loads(text, object_pairs_hook=once)


def _not_json(text: str, error: ValueError) -> str:
    """Say what keeps a reply from being JSON, and for a number that JSON does not have, where it stands."""
    try:
        said = from_json(text)
    except ValueError:
        return f"The reply is not JSON: {error}."
    return f"The field {_short(_not_finite(said))!r} is a number that JSON does not have: NaN, or infinity."


def _not_finite(value: Any, path: str = "") -> str:
    """The path of the first value that is no finite number; empty where there is none."""
    if isinstance(value, float) and not isfinite(value):
        return path or "the reply"
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return next((found for name, one in inner if (found := _not_finite(one, f"{path}.{name}".lstrip(".")))), "")


def _leaves(said: dict[str, Any], fields: Sequence[Field]) -> list[tuple[str, Any]]:
    """The asked values by path; raises `Misfit` for one that is missing, or for a name that nobody asked for."""
    found = []
    for field in fields:
        try:
            found.append((field.path, ordered(field, _exact(field, pick(said, field.path)))))
        except KeyError as error:
            raise Misfit(f"The field {field.path!r} is missing.") from error
    asked = {field.path for field in fields}
    unasked = None if said.keys() == asked else next(_unasked(said, asked), None)
    if unasked is not None:
        raise Misfit(f"The field {_short(unasked)!r} was not asked for.")
    return found


def _exact(field: Field, value: Any) -> Any:
    """The value, written as the schema has it: to Python 1.0 and true are 1, and to Pydantic "0" is a day."""
    if isinstance(value, str):
        if field.kind == "date" and not _DAY.fullmatch(value):
            raise Misfit(f"{field.path}: {_short(repr(value))} is no date as YYYY-MM-DD.")
    elif field.closed and field.kind != "bool":
        labels = {(type(label), label) for label in field.labels}
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int | float) and one in field.labels and (type(one), one) not in labels:
                raise Misfit(f"The reply does not fit. {_not_allowed(field, one)}")
    return value


def _not_allowed(field: Field, value: Any) -> str:
    allowed = ", ".join(_told(label) for label in field.labels)
    return f"{field.path}: {_short(_told(value))} is not allowed; allowed: {_short(allowed, _MOST_ALLOWED)}."


def _told(value: Any) -> str:
    """A value in a sentence, with JSON's words for what has other names in Python."""
    return to_json(value).decode() if value is None or isinstance(value, bool) else repr(value)


def _unasked(said: Mapping[str, Any], asked: set[str], prefix: str = "") -> Iterator[str]:
    """Each path of an object that is not asked: what stands below those that are is their value."""
    for name, value in said.items():
        path = f"{prefix}{name}"
        if "." in name:  # it only looks like the path of a field inside another
            yield path
        elif path not in asked:
            yield from _unasked(value, asked, f"{path}.") if value and isinstance(value, Mapping) else (path,)


def ordered(field: Field, value: Any) -> Any:
    """Return a value as it is told: tags are a set, each once, in the order of the schema; all else stays as it is."""
    if field.kind != "tags" or not isinstance(value, list):
        return value
    try:
        return sorted(set(value), key=field.labels.index)
    except (ValueError, TypeError):
        return value


def _short(text: str, length: int = _LONGEST) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
