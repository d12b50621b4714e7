"""The values on the way from an input to a decision: `Request`, `Reply`, `Decision`, `Example`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel

from decider.errors import DeciderError, Undecided
from decider.schema import Field, Label

S = TypeVar("S", bound=BaseModel)

Input: TypeAlias = "str | Mapping[str, Any]"
"""One text, or the values of the input schema as JSON has them; always as `Task.encode` made it."""

Distribution: TypeAlias = Mapping[Label, float]
"""Probability of each label of a closed field, in [0, 1]; sums to 1, but for tags, where each is a marginal."""

Source = Literal["local", "decisions", "logprob", "agreement"]
Status = Literal["decided", "abstained", "refused", "filtered", "failed"]
Outcome = Literal["answered", "refused", "filtered", "truncated"]


_ids: list[str] = []
_MANY = 256


def new_id() -> str:
    """Return an id that nobody else has: 128 random bits, in hexadecimal digits."""
    if not _ids:  # many at a time: asking the system for each takes longer than all of a hit's other values
        digits = os.urandom(16 * _MANY).hex()
        _ids.extend(digits[at : at + 32] for at in range(32, len(digits), 32))
        return digits[:32]
    try:
        return _ids.pop()
    except IndexError:  # another thread took the last one
        return os.urandom(16).hex()


_at_fork: Callable[..., None] = getattr(os, "register_at_fork", lambda **_: None)  # Windows has no fork
_at_fork(after_in_child=_ids.clear)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, summed over every attempt; of the input, some may be read from the endpoint's cache, or written to it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            written_tokens=self.written_tokens + other.written_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a re-ask adds to a request: the reply that did not fit, and why, shortly."""

    reply: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to an engine: decide these fields for this input.

    `sample` counts the answers that are drawn to the same question, from 0. `room` is the least number of tokens to
    allow the answer, where one was cut off before.
    """

    input: Input
    fields: tuple[Field, ...]
    correction: Correction | None = None
    sample: int = 0
    room: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an engine said, not yet validated.

    `text` is a JSON object with the asked fields, nested as in the schema, or without those in `refused`; `problem`
    says why nothing can be read from it, where the engine knows. `probabilities` holds a distribution for each closed
    field where the engine honestly has one, and then `source` says where from. `usage` is None where nobody told it.
    """

    text: str
    problem: str | None = None
    refused: tuple[str, ...] = ()
    probabilities: Mapping[str, Distribution] = field(default_factory=dict)
    source: Source | None = None
    calibrated: bool = False
    outcome: Outcome = "answered"
    usage: Usage | None = Usage()
    served_model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDecision:
    """One field of a decision; `probability` is that of `value`, and None where no source gave one."""

    value: Any
    probability: float | None = None
    probabilities: Distribution | None = None
    source: Source | None = None
    calibrated: bool = False
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class StepTrace:
    """What one step of the plan did: `attempts` counts the calls to its engine; `cost_usd` is None where unknown."""

    engine: str
    model: str
    fields: tuple[str, ...]
    attempts: int
    usage: Usage
    latency_ms: float
    cost_usd: float | None = None
    cache_key: str | None = None
    """Where the answer is in the cache, of several samples the first; None for a step that is not cached."""


class Later(Mapping[str, FieldDecision]):
    """The fields of a decision that are made when somebody looks at them: an answer from the cache seldom has to."""

    __slots__ = ("_given", "_made", "_make")

    def __init__(self, make: Callable[..., dict[str, FieldDecision]], *given: Any) -> None:
        self._make = make
        self._given = given
        self._made: dict[str, FieldDecision] | None = None

    def __getitem__(self, path: str) -> FieldDecision:
        return self._fields()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields())

    def __len__(self) -> int:
        return len(self._fields())

    def __repr__(self) -> str:
        return repr(self._fields())

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (self._fields(),))

    def _fields(self) -> dict[str, FieldDecision]:
        if self._made is None:
            self._made = self._make(*self._given)
        return self._made


@dataclass(frozen=True, kw_only=True)
class Decision(Generic[S]):
    """The validated answer for one input, with probability per field and provenance.

    `output` is the user's own model; `get()` gives it or None. `fields` is keyed by dotted path. Times are in
    milliseconds, `cost_usd` in dollars (None where the price is unknown).
    """

    id: str
    task: str
    version: int
    status: Status
    input: Input | None
    mode: str
    engine: str
    model: str
    created_at: datetime
    latency_ms: float
    row_id: str | None = None
    meta: Mapping[str, Any] | None = None
    accepted: bool = False
    confidence: float | None = None
    fields: Mapping[str, FieldDecision] = field(default_factory=dict)
    served_model: str | None = None
    steps: Sequence[StepTrace] = ()
    cached: bool = False
    attempts: int = 0
    usage: Usage = Usage()
    cost_usd: float | None = None
    possibly_billed: int = 0
    error: DeciderError | None = None
    answer: S | None = field(default=None, repr=False)

    @property
    def output(self) -> S:
        """The user's model; raises `Undecided` where there is none, and for a failed row the error it failed with."""
        if self.answer is not None:
            return self.answer
        if self.error is not None:
            raise self.error
        raise Undecided(f"decision {self.id!r} has no output: it was {self.status}; use get() to have None instead")

    @property
    def fatal(self) -> bool:
        """Whether it failed in a way that no other row would survive, so that a batch ends."""
        return self.error is not None and self.error.fatal

    def get(self) -> S | None:
        """The user's model, or None where there is none."""
        return self.answer

    def row(self) -> dict[str, Any]:
        """This decision as one row of a results file, in JSON types."""
        return {
            "id": self.row_id,
            "decision": self.id,
            "input": self.input,
            "output": None if self.answer is None else self.answer.model_dump(mode="json", by_alias=False),
            "status": self.status,
            "accepted": self.accepted,
            "confidence": self.confidence,
            "fields": {
                path: {"value": one.value, "probability": one.probability, "source": one.source}
                for path, one in self.fields.items()
            },
            "mode": self.mode,
            "engine": self.engine,
            "model": self.model,
            "error": None if self.error is None else str(self.error),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An input with its true output, both in JSON types; `output` is nested as in the schema.

    `source` says where the output comes from, `by` who checked it and `at` when; `time` is when the case itself was.
    Rows of one `group` belong on the same side of a split. `numbered` says that `id` is the number of the row, for
    want of one of its own.
    """

    input: Input
    output: Mapping[str, Any]
    id: str | None = None
    source: str | None = None
    split: str | None = None
    group: str | None = None
    time: str | None = None
    by: str | None = None
    at: str | None = None
    numbered: bool = False
