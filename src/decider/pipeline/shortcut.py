"""The short way to an answer that is in the cache: no course is run, and nothing is made that nobody looks at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from decider.decision import Decision, FieldDecision, Later, StepTrace, Usage, new_id
from decider.draft import ordered
from decider.engines.base import Engine
from decider.errors import InputError
from decider.pipeline import recall
from decider.pipeline.around import Around
from decider.pipeline.course import Plan
from decider.plan import Step
from decider.schema import pick
from decider.task import Task

if TYPE_CHECKING:
    from decider.runtime.cache import Cache

S = TypeVar("S", bound=BaseModel)
T = TypeVar("T")


class Shortcut(Generic[S]):
    """Finds answers in the cache, for a plan of one step that asks once; whatever is unusual is left to a course."""

    def __init__(self, task: Task[S], step: Step, engine: Engine, around: Around, cache: Cache, mode: str) -> None:
        self._task = task
        self._cache = cache
        self._record = around.record
        self._telemetry = around.telemetry
        self._prefix = around.prefix(task, step, engine, step.paths)
        step_trace = StepTrace(
            engine=engine.name,
            model=engine.model,
            fields=step.paths,
            attempts=0,
            usage=Usage(),
            latency_ms=0.0,
            cost_usd=0.0,
        )
        self._trace = vars(step_trace)
        decision = Decision[S](
            id="",
            task=task.name,
            version=task.version,
            status="decided",
            input=None,
            mode=mode,
            engine=engine.name,
            model=engine.model,
            created_at=datetime.now(UTC),
            latency_ms=0.0,
            accepted=True,
            cached=True,
            cost_usd=0.0,
        )
        self._decision = vars(decision)

    @classmethod
    def of(cls, task: Task[S], plan: Plan, around: Around, mode: str) -> Shortcut[S] | None:
        """Return the short way of a plan, or None where it has none."""
        step, engine = plan[0]
        cache = around.cache
        if cache is None or around.refresh or around.redactor is not None:
            return None
        if len(plan) > 1 or step.samples > 1 or engine.local:
            return None
        return cls(task, step, engine, around, cache, mode)

    def find(
        self,
        x: Any,
        *,
        row_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        record: Callable[[Decision[Any]], None] | None = None,
    ) -> Decision[S] | None:
        """Return the decision on `x`, recorded, where the cache has its answer; None for all else.

        `record` takes the place of the log.
        """
        began = time.perf_counter()
        try:
            value, sent = self._task.encoded(x)
            key = recall.key(self._prefix, sent)
            text = self._cache.get(key)
            known = None if text is None else recall.plain(text)
            if known is None:
                return None
            output = self._task.parse(known[0])
        except (InputError, ValidationError):
            return None
        latency_ms = (time.perf_counter() - began) * 1000.0
        decision: Decision[S] = _like(
            Decision,
            self._decision,
            id=new_id(),
            row_id=row_id,
            meta=meta,
            input=value,
            created_at=datetime.now(UTC),
            latency_ms=latency_ms,
            served_model=known[1],
            steps=(_like(StepTrace, self._trace, latency_ms=latency_ms, cache_key=key),),
            fields=Later(_fields, self._task, output),
            answer=output,
        )
        record = record or self._record
        if record is not None:
            record(decision)
        if self._telemetry is not None:  # it took so little time that the span need not show it
            self._telemetry.begin(self._task.name).end(decision)
        return decision


def _like(kind: type[T], same: Mapping[str, Any], **said: Any) -> T:
    """Return a value with the attributes of another one, and some of its own.

    A frozen class sets its attributes one by one, in Python: for a decision that takes longer than finding its answer.
    """
    value = object.__new__(kind)
    object.__setattr__(value, "__dict__", {**same, **said})
    return value


def _fields(task: Task[Any], output: BaseModel) -> dict[str, FieldDecision]:
    """The fields of an answer of which no probability is known."""
    values = output.model_dump(mode="json", by_alias=False)
    return {field.path: FieldDecision(value=ordered(field, pick(values, field.path))) for field in task.fields}
