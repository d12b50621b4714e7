"""The pipeline of one decision: everything that it does, as a generator of what must be waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel

from decider.decision import Correction, Decision, FieldDecision, Input, Reply, Request, StepTrace, Usage
from decider.engines.base import Engine
from decider.errors import DeadlineExceeded, DeciderError, EngineUnavailable, InvalidDecision
from decider.plan import Step
from decider.record import Misfit, Record
from decider.runtime.retry import waits
from decider.task import Task

S = TypeVar("S", bound=BaseModel)

Plan: TypeAlias = tuple[tuple[Step, Engine], ...]
"""The steps of a mode, each with the engine that answers it."""


@dataclass(slots=True, kw_only=True)
class Ask:
    """Wait for an engine's reply; `queued` is told by the driver: the seconds that this waited for its turn."""

    engine: Engine
    request: Request
    queued: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """Wait for time to pass."""

    seconds: float


Waiting: TypeAlias = Generator[Ask | Sleep, Any, "Decision[S]"]


class Course(Generic[S]):
    """One decision under way, with the account of what it has used: a failure loses none of that."""

    def __init__(
        self, task: Task[S], plan: Plan, *, mode: str, row_id: str | None = None, meta: Mapping[str, Any] | None = None
    ) -> None:
        self._task = task
        self._plan = plan
        self._mode = mode
        self._row_id = row_id
        self._meta = meta
        self._record = Record(task)
        self._started = time.perf_counter()
        self._created_at = datetime.now(UTC)
        self._pauses = waits(task.spec.retry.attempts)
        self._queued = 0.0
        self._calls = 0
        self._input: Input | None = None
        self._served_model: str | None = None
        self._traces: list[StepTrace] = []

    def run(self, x: Any) -> Waiting[S]:
        """Decide `x`: yield what must be waited for, and return the Decision, a failed one too."""
        try:
            self._input = self._task.encode(x, row=self._row_id)
            for index in range(len(self._plan)):
                reply = yield from self._step(index)
                if reply.outcome in ("refused", "filtered"):
                    return self._decision(status=reply.outcome)
            output = self._record.output()
        except DeciderError as error:
            return self._decision(status="failed", error=error)
        fields = self._record.decisions(output)
        return self._decision(
            status="decided", answer=output, accepted=True, fields=fields, confidence=_confidence(fields)
        )

    def _step(self, index: int) -> Generator[Ask | Sleep, Any, Reply]:
        """Ask one step's engine until its reply fits; the last step's reply must make the whole record valid."""
        step, engine = self._plan[index]
        last = index == len(self._plan) - 1
        correction: Correction | None = None
        begun, calls, used = self._spent, self._calls, Usage()
        try:
            for _ in range(1 + self._task.spec.prompt.reask):
                reply: Reply = yield from self._ask(engine, step, correction)
                used += reply.usage
                self._served_model = reply.served_model or self._served_model
                if reply.outcome in ("refused", "filtered"):
                    return reply
                try:
                    self._record.read(reply, step.fields, index)
                    if last:
                        self._record.output()
                    return reply
                except Misfit as misfit:
                    problem = misfit
                correction = Correction(reply=reply.text, problem=str(problem))
        finally:
            self._traces.append(
                StepTrace(
                    engine=engine.name,
                    model=engine.model,
                    fields=tuple(field.path for field in step.fields),
                    attempts=self._calls - calls,
                    usage=used,
                    latency_ms=(self._spent - begun) * 1000.0,
                )
            )
        cut = " (it was cut off: allow more tokens in prompt.params)" if reply.outcome == "truncated" else ""
        raise InvalidDecision(
            f"no reply of {engine.name} {engine.model!r} fitted the schema{cut}. {problem}"
        ) from problem

    def _ask(self, engine: Engine, step: Step, correction: Correction | None) -> Generator[Ask | Sleep, Any, Reply]:
        """Ask once, and again while the engine is unavailable, within the deadline."""
        retry = self._task.spec.retry
        while True:
            remaining = retry.deadline - self._spent
            if remaining <= 0:
                raise DeadlineExceeded(f"no decision within {retry.deadline:g} s (retry.deadline)")
            request = Request(input=self._input or "", fields=step.fields, correction=correction, timeout=remaining)
            ask = Ask(engine=engine, request=request)
            self._calls += 1
            try:
                reply: Reply = yield ask
                return reply
            except EngineUnavailable as error:
                pause = next(self._pauses, None)
                if pause is None:
                    raise
                seconds = max(pause, error.retry_after or 0.0)
                if seconds >= retry.deadline - self._spent:
                    beyond = f"asking again in {seconds:g} s would be beyond the deadline of {retry.deadline:g} s"
                    raise DeadlineExceeded(f"{error}; {beyond}") from error
            finally:
                self._queued += ask.queued
            yield Sleep(seconds=seconds)

    @property
    def _spent(self) -> float:
        """Seconds since the decision began, without those in a queue: a row's time stands while others are asked."""
        return time.perf_counter() - self._started - self._queued

    def _decision(self, **what: Any) -> Decision[S]:
        _, engine = self._plan[-1]
        return Decision(
            id=os.urandom(16).hex(),
            row_id=self._row_id,
            task=self._task.name,
            version=self._task.version,
            input=self._input,
            mode=self._mode,
            engine=engine.name,
            model=engine.model,
            served_model=self._served_model,
            steps=tuple(self._traces),
            attempts=self._calls,
            usage=sum((trace.usage for trace in self._traces), Usage()),
            latency_ms=self._spent * 1000.0,
            created_at=self._created_at,
            meta=self._meta,
            **what,
        )


def _confidence(fields: Mapping[str, FieldDecision]) -> float | None:
    """The probability that every field is right, were they independent; None where one has no probability."""
    product = 1.0
    for one in fields.values():
        if one.probability is None:
            return None
        product *= one.probability
    return product
