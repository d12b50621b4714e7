"""The pipeline of one decision: everything that it does, as a generator of what must be waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from decider import agreement
from decider.decision import Correction, Decision, FieldDecision, Input, Reply, Request, StepTrace, Usage
from decider.draft import Draft, Misfit
from decider.engines.base import Engine
from decider.errors import DeadlineExceeded, DeciderError, EngineUnavailable, InputError, InvalidDecision
from decider.plan import Step
from decider.runtime.retry import waits
from decider.schema import Field, nest
from decider.task import Task

S = TypeVar("S", bound=BaseModel)

Plan: TypeAlias = tuple[tuple[Step, Engine], ...]
"""The steps of a mode, each with the engine that answers it."""

_LEAST_ROOM = 256
"""Half of the tokens that the second try of an answer is allowed at least, after the first was cut off."""

_UNFITTING = "no reply of {0} {1!r} fitted the schema{2}"
_CUT = " (it was cut off, also with twice the room: allow more tokens in prompt.params)"
_NO_ANSWER = ("refused", "filtered")


@dataclass(slots=True, kw_only=True)
class Ask:
    """Wait for an engine's reply, `timeout` seconds at most.

    `queued` is told by the driver: the seconds that this waited for its turn.
    """

    engine: Engine
    request: Request
    timeout: float
    queued: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """Wait for time to pass."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Wait for all of several courses of one engine, side by side where it is not in this process."""

    engine: Engine
    courses: Sequence[Generator[Any, Any, Any]]


Waiting: TypeAlias = Generator[Ask | Sleep | Together, Any, "Decision[S]"]
_Part: TypeAlias = Generator[Ask | Sleep | Together, Any, Reply]


_NOTHING = Usage()


@dataclass(slots=True)
class _Account:
    """What one step has used: the cost is None as soon as a part of it is unknown."""

    usage: Usage = _NOTHING
    cost: float | None = 0.0

    def take(self, reply: Reply, engine: Engine) -> None:
        used = reply.usage
        price = None if used is None else engine.cost(used)
        if used is not None:
            self.usage = used if self.usage is _NOTHING else self.usage + used
        self.cost = None if self.cost is None or price is None else self.cost + price


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
        self._draft = Draft(task)
        self._started = time.perf_counter()
        self._created_at = datetime.now(UTC)
        self._pauses = waits(task.spec.retry.attempts)
        self._queued = 0.0
        self._calls = 0
        self._input: Input | None = None
        self._served_model: str | None = None
        self._traces: list[StepTrace] = []
        self._missed: DeciderError | None = None

    def run(self, x: Any) -> Waiting[S]:
        """Decide `x`: yield what must be waited for, and return the Decision, a failed one too."""
        try:
            self._input = self._task.encode(x, row=self._row_id)
            for index in range(len(self._plan)):
                reply = yield from self._step(index)
                if reply is not None and reply.outcome in _NO_ANSWER:
                    return self._decision(status=reply.outcome, fields=self._draft.partial())
            output = self._draft.output()
        except DeciderError as error:
            return self._decision(status="failed", error=error)
        fields = self._draft.decisions(output)
        return self._decision(
            status="decided", answer=output, accepted=True, fields=fields, confidence=_confidence(fields)
        )

    def _step(self, index: int) -> Generator[Ask | Sleep | Together, Any, Reply | None]:
        """Take one step, and note what it used; None where the next step is asked for its fields as well."""
        step, engine = self._plan[index]
        begun, calls, account = self._spent, self._calls, _Account()
        attempt = _Attempt(index=index, step=step, engine=engine, draft=self._draft, account=account)
        try:
            return (yield from self._voted(attempt) if step.samples > 1 else self._fitting(attempt))
        except InvalidDecision as error:
            if index + 1 == len(self._plan) or not self._plan[index + 1][0].widens:
                raise
            self._missed = error
            return None
        finally:
            self._traces.append(
                StepTrace(
                    engine=engine.name,
                    model=engine.model,
                    fields=tuple(one.path for one in self._task.fields) if attempt.wide else step.paths,
                    attempts=self._calls - calls,
                    usage=account.usage,
                    latency_ms=(self._spent - begun) * 1000.0,
                    cost_usd=account.cost,
                )
            )

    def _fitting(self, attempt: _Attempt) -> _Part:
        """Ask until a reply fits; the last step's reply must make the whole record valid.

        Where the fields of earlier steps stand in the way of that, a step that widens is asked for the whole record.
        """
        step, draft, last = attempt.step, attempt.draft, attempt.index == len(self._plan) - 1
        fields = step.fields if self._missed is None else self._task.fields
        wide = attempt.wide = len(fields) == len(self._task.fields)
        request = Request(input=self._input or "", fields=fields, sample=attempt.sample)
        asks = 1 + step.reask
        while True:
            asks -= 1
            reply = yield from self._whole(attempt, request)
            if reply.outcome in _NO_ANSWER:
                if reply.refused:
                    draft.keep(reply, request.fields, attempt.index)
                return reply
            if reply.outcome == "truncated":
                raise InvalidDecision(_UNFITTING.format(attempt.engine.name, attempt.engine.model, _CUT))
            try:
                draft.read(reply, request.fields, attempt.index)
                if last:
                    draft.output()
                else:
                    draft.check(step.fields)
                return reply
            except Misfit as misfit:
                problem = misfit
            if last and not wide and self._must_widen(step, problem):
                wide, asks = True, max(asks, 1)
                attempt.wide = True
                correction = Correction(reply=draft.text, problem=str(problem))
                request = replace(request, fields=self._task.fields, correction=correction)
            else:
                request = replace(request, correction=Correction(reply=reply.text, problem=str(problem)))
            if asks == 0:
                said = _UNFITTING.format(attempt.engine.name, attempt.engine.model, f". {problem}")
                raise InvalidDecision(said) from problem

    def _must_widen(self, step: Step, problem: Misfit) -> bool:
        """Whether a step that answers well for its own fields cannot make the record valid with them alone."""
        return step.widens and problem.whole and not problem.paths <= set(step.paths)

    def _whole(self, attempt: _Attempt, request: Request) -> _Part:
        """Ask once, and once more with more room where the reply was cut off."""
        reply = yield from self._asked(attempt, request)
        if reply.outcome == "truncated":
            used = 0 if reply.usage is None else reply.usage.output_tokens
            reply = yield from self._asked(attempt, replace(request, room=2 * max(used, _LEAST_ROOM)))
        return reply

    def _asked(self, attempt: _Attempt, request: Request) -> _Part:
        reply = yield from self._ask(attempt, request)
        attempt.account.take(reply, attempt.engine)
        self._served_model = reply.served_model or self._served_model
        return reply

    def _voted(self, attempt: _Attempt) -> _Part:
        """Draw several answers and let them vote; most of them must fit, or there is nothing to vote on."""
        step = attempt.step
        attempts = [replace(attempt, sample=n, draft=attempt.draft.fork()) for n in range(step.samples)]
        drawn: list[Reply | InvalidDecision] = yield Together(
            engine=attempt.engine, courses=[_caught(self._fitting(one)) for one in attempts]
        )
        refusal = next((one for one in drawn if isinstance(one, Reply) and one.outcome in _NO_ANSWER), None)
        if refusal is not None:
            return refusal
        fitted = [one.draft.values for one, reply in zip(attempts, drawn, strict=True) if isinstance(reply, Reply)]
        if 2 * len(fitted) <= len(drawn):
            raise next(one for one in drawn if isinstance(one, InvalidDecision))
        before = attempt.draft.values
        moved = any(values[path] != value for values in fitted for path, value in before.items())
        attempt.wide = self._missed is not None or moved
        fields = self._task.fields if attempt.wide else step.fields
        return self._elected(attempt, fitted, fields, drawn)

    def _elected(
        self,
        attempt: _Attempt,
        fitted: Sequence[Mapping[str, Any]],
        fields: tuple[Field, ...],
        drawn: Sequence[Reply | InvalidDecision],
    ) -> Reply:
        shares = agreement.distributions(fitted, fields)
        served = next((one.served_model for one in drawn if isinstance(one, Reply)), None)
        last = attempt.index == len(self._plan) - 1
        for values in agreement.candidates(fitted, fields):
            text = to_json(nest({field.path: values[field.path] for field in fields})).decode()
            reply = Reply(text=text, probabilities=shares, source="agreement" if shares else None, served_model=served)
            try:
                attempt.draft.read(reply, fields, attempt.index)
                if last:
                    attempt.draft.output()
                return reply
            except Misfit as misfit:
                problem = misfit
        said = _UNFITTING.format(attempt.engine.name, attempt.engine.model, f". {problem}")
        raise InvalidDecision(said)

    def _ask(self, attempt: _Attempt, request: Request) -> _Part:
        """Ask once, and again while the engine is unavailable, within the deadline."""
        retry = self._task.spec.retry
        while True:
            remaining = retry.deadline - self._spent
            if remaining <= 0:
                raise DeadlineExceeded(f"no decision within {retry.deadline:g} s (retry.deadline)")
            ask = Ask(engine=attempt.engine, request=request, timeout=remaining)
            self._calls += 1
            try:
                reply: Reply = yield ask
                return reply
            except InputError as error:
                self._calls -= 1  # it was refused before any call
                error.row = error.row or self._row_id
                raise
            except EngineUnavailable as error:
                pause = next(self._pauses, None)
                if pause is None:
                    raise
                seconds = max(pause, error.retry_after or 0.0)
                if seconds >= retry.deadline - self._spent:
                    beyond = f"asking again in {seconds:g} s would be beyond the deadline of {retry.deadline:g} s"
                    raise DeadlineExceeded(f"{error}; {beyond}") from error
            finally:
                self._queued += ask.queued / attempt.step.samples  # samples wait in the queue side by side
            yield Sleep(seconds=seconds)

    @property
    def _spent(self) -> float:
        """Seconds since the decision began, without those in a queue: a row's time stands while others are asked."""
        return time.perf_counter() - self._started - self._queued

    def _decision(self, **what: Any) -> Decision[S]:
        _, engine = self._plan[-1]
        costs = [trace.cost_usd for trace in self._traces]
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
            usage=sum((trace.usage for trace in self._traces[1:]), self._traces[0].usage) if self._traces else _NOTHING,
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            latency_ms=self._spent * 1000.0,
            created_at=self._created_at,
            meta=self._meta,
            **what,
        )


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One try at a step: its number, its engine, the draft it fills in, the account it is charged to.

    It is `wide` once it was asked for the whole record.
    """

    index: int
    step: Step
    engine: Engine
    draft: Draft[Any]
    account: _Account
    sample: int = 0
    wide: bool = False


def _caught(course: _Part) -> Generator[Any, Any, Reply | InvalidDecision]:
    """The course, with an answer that never fitted as its result: the others may still vote."""
    try:
        return (yield from course)
    except InvalidDecision as error:
        return error


def _confidence(fields: Mapping[str, FieldDecision]) -> float | None:
    """The probability that every field is right, were they independent; None where one has no probability."""
    product = 1.0
    for one in fields.values():
        if one.probability is None:
            return None
        product *= one.probability
    return product
