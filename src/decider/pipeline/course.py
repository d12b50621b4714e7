"""The course of one decision: steps taken, replies read and validated, and the account of it all."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from decider import agreement
from decider.decision import Correction, Decision, Input, Reply, Request, StepTrace, Usage, new_id
from decider.draft import Draft, Misfit
from decider.engines.base import Engine
from decider.errors import DeciderError, EngineError, InputError, InvalidDecision
from decider.pipeline import recall
from decider.pipeline.around import Around
from decider.pipeline.calls import Calls
from decider.pipeline.effects import Effect, Part, Sleep, Together, Wait, Waiting
from decider.plan import Step
from decider.runtime.budget import Budget
from decider.runtime.cache import of_sample
from decider.schema import Field, nest
from decider.task import FOUND, Task

if TYPE_CHECKING:
    from decider.runtime.cache import Cache

S = TypeVar("S", bound=BaseModel)

Plan: TypeAlias = tuple[tuple[Step, Engine], ...]
"""The steps of a mode, each with the engine that answers it."""

_LEAST_ROOM = 256
"""Half of the tokens that the second try of an answer is allowed at least, after the first was cut off."""

_BETWEEN_PASSES = 1.0
"""Seconds before a row that failed is tried again, for each pass that is over."""

_UNFITTING = "no reply of {0} {1!r} fitted the schema{2}"
_CUT = " (it was cut off, also with twice the room: allow more tokens in prompt.params)"
_NO_ANSWER = ("refused", "filtered")
_NOTHING = Usage()
_GIVEN_UP = ""
"""What lands where a decision was cancelled: one of those that waited for its answer asks in its place."""


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
        self,
        task: Task[S],
        plan: Plan,
        around: Around,
        *,
        mode: str,
        row_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        self._task = task
        self._plan = plan
        self._around = around
        self._mode = mode
        self._row_id = row_id
        self._meta = meta
        self._draft = Draft(task)
        self._created_at = datetime.now(UTC)
        limits = task.spec.budget and task.spec.budget.decision
        self._calls = Calls(task, around, row_id, Budget(limits, "decision") if limits else None)
        self._input: Input | None = None
        self._sent: Input = ""
        self._served_model: str | None = None
        self._traces: list[StepTrace] = []
        self._missed: DeciderError | None = None
        self._recalled_steps: list[bool] = []

    def run(self, x: Any) -> Waiting[S]:
        """Decide `x`: yield what must be waited for, and return the Decision, a failed one too.

        It is recorded before it is returned; what keeps it from being recorded is raised.
        """
        telemetry = self._around.telemetry
        if telemetry is None:
            return (yield from self._recorded(x))
        span = self._calls.span = telemetry.begin(self._task.name)
        try:
            decision = yield from self._recorded(x)
        except BaseException:
            span.abandon()
            raise
        span.end(decision)
        return decision

    def _recorded(self, x: Any) -> Waiting[S]:
        decision = yield from self._passes(x)
        if self._around.record is not None:
            self._around.record(decision)
        return decision

    def _passes(self, x: Any) -> Waiting[S]:
        """Try, and where it failed for now, try again: a batch does not lose a row to a bad minute."""
        self._calls.begin()
        decision = yield from self._tried(x)
        over = 1
        while over < self._around.passes and self._may_change(decision.error):
            yield Sleep(seconds=max(_BETWEEN_PASSES * over, self._calls.asked))
            self._draft, self._missed = Draft(self._task), None
            self._calls.begin()
            decision = yield from self._tried(x)
            over += 1
        return decision

    def _may_change(self, error: DeciderError | None) -> bool:
        """Whether a later pass may decide the row: not where it was answered, or the endpoint is to be left alone."""
        soon = self._calls.asked < self._task.spec.retry.deadline
        return isinstance(error, EngineError) and error.retryable and not error.fatal and soon

    def _tried(self, x: Any) -> Waiting[S]:
        try:
            self._read(x)
            for index in range(len(self._plan)):
                reply = yield from self._step(index)
                if reply is not None and reply.outcome in _NO_ANSWER:
                    return self._decision(status=reply.outcome, fields=self._draft.partial())
            output = self._draft.output()
        except DeciderError as error:
            return self._decision(status="failed", error=error)
        fields = self._draft.decisions(output)
        confidence = self._draft.confidence(fields)
        return self._decision(status="decided", answer=output, accepted=True, fields=fields, confidence=confidence)

    def _read(self, x: Any) -> None:
        """Take the input: what is kept of it is redacted, and so is what is sent, unless the spec says otherwise."""
        if isinstance(x, DeciderError):  # a row of a file that could not be read
            raise x
        redactor = self._around.redactor
        if redactor is None:
            self._input = self._sent = self._task.encode(x, row=self._row_id)
            return
        try:
            given = self._task.encode(x, row=self._row_id)
        except InputError as error:
            raise InputError(error.message.partition(FOUND)[0], row=error.row, field=error.field) from None
        self._input = redactor.redact(given, row=self._row_id)
        self._sent = given if redactor.sends_original else self._input

    def _step(self, index: int) -> Generator[Effect, Any, Reply | None]:
        """Take one step, and note what it used; None where the next step is asked for its fields as well."""
        step, engine = self._plan[index]
        begun, calls, account = time.perf_counter(), self._calls.count, _Account()
        attempt = _Attempt(index=index, step=step, engine=engine, draft=self._draft, account=account)
        try:
            return (yield from self._voted(attempt) if step.samples > 1 else self._drawn(attempt))
        except InvalidDecision as error:
            if index + 1 == len(self._plan) or not self._plan[index + 1][0].widens:
                raise
            self._missed = error
            return None
        finally:
            if not engine.local:
                self._recalled_steps.append(attempt.recalled)
            self._traces.append(
                StepTrace(
                    engine=engine.name,
                    model=engine.model,
                    fields=tuple(one.path for one in self._task.fields) if attempt.wide else step.paths,
                    attempts=self._calls.count - calls,
                    usage=account.usage,
                    latency_ms=(time.perf_counter() - begun) * 1000.0,
                    cost_usd=account.cost,
                    cache_key=attempt.key,
                )
            )

    def _drawn(self, attempt: _Attempt) -> Part:
        """One answer: from the cache, from another decision that is asking the same, or from the engine."""
        cache, flights = self._around.cache, self._around.flights
        if cache is None or attempt.engine.local:
            return (yield from self._fitting(attempt))
        key = attempt.key = self._key(attempt)
        if self._around.refresh:
            return (yield from self._kept(attempt, key, cache))
        reply = self._recalled(attempt, cache.get(key))
        if reply is None and (flight := flights.board(key)) is None:
            try:
                text = cache.get(key)  # somebody may have landed since the first look
                reply = self._recalled(attempt, text)
                if reply is None:
                    return (yield from self._kept(attempt, key, cache))
                attempt.kept = text
                return reply
            except GeneratorExit:
                attempt.kept = _GIVEN_UP
                raise
            finally:
                flights.land(key, attempt.kept)
        if reply is None:
            text = yield from self._others(flight, attempt.step.samples)
            if text == _GIVEN_UP:
                return (yield from self._drawn(attempt))
            reply = self._recalled(attempt, text)
        return (yield from self._kept(attempt, key, cache)) if reply is None else reply

    def _others(self, flight: Any, samples: int) -> Generator[Effect, Any, str | None]:
        """The answer that another decision gets, in its time: in a batch that may be long."""
        begun, patient = time.perf_counter(), self._around.patient
        said: str | None = yield Wait(flight=flight, timeout=None if patient else self._calls.remaining)
        if patient:
            self._calls.queued((time.perf_counter() - begun) / samples)
        return said

    def _kept(self, attempt: _Attempt, key: str, cache: Cache) -> Part:
        """Ask the engine, and keep an answer that fits."""
        reply = yield from self._fitting(attempt)
        beyond = attempt.wide and self._missed is None and len(attempt.step.fields) < len(self._task.fields)
        if reply.outcome == "answered" and not beyond:  # what was widened depends on what earlier steps said
            fields = self._task.fields if attempt.wide else attempt.step.fields
            attempt.kept = recall.written(reply, fields, attempt.draft, wide=attempt.wide)
            cache.put(key, attempt.kept)
        return reply

    def _key(self, attempt: _Attempt) -> str:
        paths = attempt.step.paths if self._missed is None else tuple(field.path for field in self._task.fields)
        prefix = self._around.prefix(self._task, attempt.step, attempt.engine, paths)
        return of_sample(recall.key(prefix, to_json(self._sent)), attempt.sample)

    def _recalled(self, attempt: _Attempt, text: str | None) -> Reply | None:
        """The reply that a text from the cache holds, validated again; None where it holds none that fits."""
        known = None if text is None else recall.read(text)
        if known is None:
            return None
        step, last = attempt.step, attempt.index == len(self._plan) - 1
        fields = self._task.fields if known.wide else step.fields
        reply = known.reply(fields)
        if reply is None or not attempt.draft.reread(reply, fields, attempt.index, whole=last):
            return None
        attempt.wide, attempt.recalled = known.wide, True
        self._served_model = known.served_model or self._served_model
        return reply

    def _fitting(self, attempt: _Attempt) -> Part:
        """Ask until a reply fits; the last step's reply must make the whole record valid.

        Where the fields of earlier steps stand in the way of that, a step that widens is asked for the whole record.
        """
        step, draft, last = attempt.step, attempt.draft, attempt.index == len(self._plan) - 1
        fields = step.fields if self._missed is None else self._task.fields
        wide = attempt.wide = len(fields) == len(self._task.fields)
        local = attempt.engine.local
        given = self._input if local and self._input is not None else self._sent
        request = Request(input=given, fields=fields, sample=attempt.sample)
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

    def _whole(self, attempt: _Attempt, request: Request) -> Part:
        """Ask once, and once more with more room where the reply was cut off."""
        reply = yield from self._asked(attempt, request)
        if reply.outcome == "truncated":
            used = 0 if reply.usage is None else reply.usage.output_tokens
            reply = yield from self._asked(attempt, replace(request, room=2 * max(used, _LEAST_ROOM)))
        return reply

    def _asked(self, attempt: _Attempt, request: Request) -> Part:
        reply = yield from self._calls.ask(attempt.engine, request, attempt.step.samples)
        attempt.account.take(reply, attempt.engine)
        self._served_model = reply.served_model or self._served_model
        return reply

    def _voted(self, attempt: _Attempt) -> Part:
        """Draw several answers and let them vote; most of them must fit, or there is nothing to vote on."""
        step = attempt.step
        attempts = [replace(attempt, sample=n, draft=attempt.draft.fork()) for n in range(step.samples)]
        drawn: list[Reply | InvalidDecision] = yield Together(
            engine=attempt.engine, courses=[_caught(self._drawn(one)) for one in attempts]
        )
        attempt.key, attempt.recalled = attempts[0].key, all(one.recalled for one in attempts)
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
        served = next((one.served_model for one in drawn if isinstance(one, Reply) and one.served_model), None)
        served = served or self._served_model
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

    def _decision(self, **what: Any) -> Decision[S]:
        _, engine = self._plan[-1]
        costs = [trace.cost_usd for trace in self._traces]
        return Decision(
            id=new_id(),
            row_id=self._row_id,
            task=self._task.name,
            version=self._task.version,
            input=self._input,
            mode=self._mode,
            engine=engine.name,
            model=engine.model,
            served_model=self._served_model,
            steps=tuple(self._traces),
            attempts=self._calls.count,
            possibly_billed=self._calls.possibly_billed,
            cached=bool(self._recalled_steps) and all(self._recalled_steps),
            usage=sum((trace.usage for trace in self._traces[1:]), self._traces[0].usage) if self._traces else _NOTHING,
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            latency_ms=self._calls.spent * 1000.0,
            created_at=self._created_at,
            meta=self._meta,
            **what,
        )


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One try at a step: its number, its engine, the draft it fills in, the account it is charged to.

    It is `wide` once it was asked for the whole record. `key` is its place in the cache, `kept` what was written there,
    and `recalled` says that its answer comes from there, or from another decision that asked the same.
    """

    index: int
    step: Step
    engine: Engine
    draft: Draft[Any]
    account: _Account
    sample: int = 0
    wide: bool = False
    key: str | None = None
    kept: str | None = None
    recalled: bool = False


def _caught(course: Part) -> Generator[Any, Any, Reply | InvalidDecision]:
    """The course, with an answer that never fitted as its result: the others may still vote."""
    try:
        return (yield from course)
    except InvalidDecision as error:
        return error
