"""What a run will take, told from a sample of its rows, without any call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from pydantic_core import to_json

from decider.batch.scan import Scan
from decider.decider import Decider
from decider.decision import Input, Request, Usage
from decider.engines.base import Engine
from decider.errors import InputError
from decider.plan import Step
from decider.prompt import question, render, tokens
from decider.schema import Field, nest
from decider.task import Task

_CALL = 1.0
"""Seconds that a call is taken to last: nobody knows before the first."""

_LOCAL = 0.001
_TEXT = "a sentence or two, as models write them where they are asked for a text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the rows without a record will take, at one call for each step: failures and re-asks come on top.

    `output_tokens` are those of the answer alone, without what a model thinks before it. `cost_usd` is None where a
    price is unknown; `seconds` are rough.
    """

    rows: int
    todo: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the estimate in JSON types."""
        return asdict(self)


def estimate(
    decider: Decider[Any],
    looked: Scan,
    *,
    done: int = 0,
    mode: str | None = None,
    concurrency: int = 16,
    share: float = 1.0,
) -> Estimate:
    """Estimate a run of which `done` rows are decided; `share` is the part of the price that has to be paid."""
    todo = looked.rows - done
    task = decider.task
    inputs = _encoded(task, looked.sample)
    asked = todo * len(inputs) // max(1, len(looked.sample))
    used, calls, cost, seconds = Usage(), 0, 0.0, 0.0
    known = True
    for step, engine in decider.plan(mode):
        if engine.local:
            seconds += asked * _LOCAL
            continue
        one = _usage(task, step, engine, inputs)
        price = engine.cost(one)
        known = known and price is not None
        cost += (price or 0.0) * asked * step.samples * share
        calls += asked * step.samples
        used += Usage(
            input_tokens=one.input_tokens * asked * step.samples, output_tokens=one.output_tokens * asked * step.samples
        )
        seconds += asked * step.samples * _CALL / concurrency
    return Estimate(
        rows=looked.rows,
        todo=todo,
        calls=calls,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_usd=cost if known else None,
        seconds=seconds,
    )


def _encoded(task: Task[Any], sample: Sequence[Any]) -> list[Input]:
    """The inputs of a sample that can be decided."""
    found = []
    for x in sample:
        try:
            found.append(task.encode(x))
        except InputError:
            continue
    return found


def _usage(task: Task[Any], step: Step, engine: Engine, inputs: Sequence[Input]) -> Usage:
    """What one call uses, on average."""
    sent = [_sent(task, step, engine, x) for x in inputs]
    answer = to_json(nest({field.path: _longest(field) for field in step.fields})).decode()
    return Usage(input_tokens=round(fmean(sent)) if sent else 0, output_tokens=tokens(answer))


def _sent(task: Task[Any], step: Step, engine: Engine, x: Input) -> int:
    if engine.name == "decisions":
        asked = [question(task, field, label) for field in step.fields for label in _questions(field)]
        return tokens(to_json(x).decode(), *asked)
    messages = render(task, Request(input=x, fields=step.fields), step.role)
    return tokens(*(message["content"] for message in messages))


def _questions(field: Field) -> Sequence[Any]:
    return field.labels if field.kind == "tags" else (None,)


def _longest(field: Field) -> Any:
    """The longest answer that is usual for a field."""
    if field.kind == "tags":
        return field.labels[: (len(field.labels) + 1) // 2]
    return max(field.labels, key=lambda label: len(str(label))) if field.closed else _TEXT
