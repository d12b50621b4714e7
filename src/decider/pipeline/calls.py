"""The calls of one decision: made within its deadline and its budgets, made again where that helps, and counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from decider.decision import Reply, Request
from decider.engines.base import Engine
from decider.errors import DeadlineExceeded, DeciderError, EngineError, EngineRejected, EngineUnavailable, InputError
from decider.pipeline.around import Around
from decider.pipeline.effects import Ask, Effect, Part, Sleep
from decider.runtime.budget import Budget, Spend
from decider.runtime.gate import LASTING, PROBE_EVERY, Gate
from decider.runtime.retry import Retries
from decider.task import Task

if TYPE_CHECKING:
    from decider.runtime.telemetry import Span

logger = logging.getLogger("decider")

_LOOK_AGAIN = 1.0
"""Seconds after which a patient decision looks at a gate again, which may have opened in the meantime."""

_SETTLING = 0.01
"""Seconds between looks at a budget that others have reserved."""

_BEYOND = "asking again in {0:.3g} s would be beyond the deadline of {1:g} s (retry.deadline)"
_RESERVED = "others had reserved what is left of the budget for all of {0:g} s (retry.deadline)"


class Calls:
    """Makes the calls of one decision, and counts what they took."""

    def __init__(self, task: Task[Any], around: Around, row_id: str | None, budget: Budget | None) -> None:
        self._retry = task.spec.retry
        self._around = around
        self._row_id = row_id
        self._budgets: Sequence[Budget] = [one for one in (budget, around.run) if one is not None]
        self.count = 0
        """The calls that were made."""
        self.possibly_billed = 0
        """Those that may have been billed, although no answer came."""
        self.asked = 0.0
        """For how many seconds the endpoint wanted to be left alone when the pass ended."""
        self.span: Span | None = None
        """What tells the application's telemetry of each call, where it wants to know."""

    def begin(self) -> None:
        """Start the clock, and the attempts, of one pass."""
        self._began = time.perf_counter()
        self._queued = self.asked = 0.0
        self._beside = 1
        self._retries = Retries(self._retry.attempts)

    @property
    def spent(self) -> float:
        """Seconds since the pass began, without those in a queue: a row's time stands while others are asked."""
        return time.perf_counter() - self._began - self._queued

    @property
    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self._retry.deadline - self.spent

    def queued(self, seconds: float) -> None:
        """Count seconds as not the decision's own."""
        self._queued += seconds

    def ask(self, engine: Engine, request: Request, samples: int) -> Part:
        """Ask once, and again while the engine is unavailable, within the deadline and the budgets.

        Of `samples` that are drawn side by side, each waits in the queue while the others do.
        """
        gate, cost, self._beside = self._around.gate(engine), 0.0, samples
        last: EngineUnavailable | DeadlineExceeded | None = None
        while True:
            yield from self._admitted(gate, cost, last)
            began, queued, probing = time.perf_counter(), self._queued, gate.is_open
            try:
                reply = yield from self._once(gate, engine, request, samples)
            except EngineRejected:
                gate.answered(cost, None)
                raise
            except (EngineUnavailable, DeadlineExceeded) as error:
                last, cost = error, _failed(gate, error)
                if not (probing and self._around.patient):
                    yield Sleep(seconds=self._pause(error))
                else:  # it asked in the place of all: neither the attempt nor the time is its own
                    self._queued += (time.perf_counter() - began - (self._queued - queued)) / samples
            else:
                gate.answered(cost, time.perf_counter() - began - (self._queued - queued))
                return reply

    def _once(self, gate: Gate, engine: Engine, request: Request, samples: int) -> Part:
        most = yield from self._reserved(engine, request)
        used, remaining, started = most, self.remaining, time.time_ns()
        ask = Ask(engine=engine, request=request, timeout=min(remaining, gate.longest(self._retry.deadline)))
        reply: Reply | None = None
        failed: DeciderError | None = None
        try:
            if ask.timeout <= 0:
                raise DeadlineExceeded(f"no decision within {self._retry.deadline:g} s (retry.deadline)")
            self.count += 1
            answered: Reply = yield ask
            reply, used = answered, _used(engine, answered, most)
            return answered
        except DeciderError as error:
            failed = error if ask.timeout == remaining else _hanging(error, ask)
            used = self._failed(failed, most)
            raise failed from (error.__cause__ if failed is error else error)
        except GeneratorExit:  # the decision was given up
            if ask.waiting:
                self.count, used = self.count - 1, Spend()
            else:
                self.possibly_billed += 1
            raise
        finally:
            self._queued += ask.queued / samples
            for budget in self._budgets:
                budget.settle(most, used)
            if self.span is not None and ask.timeout > 0 and not ask.waiting:
                began = started + int(ask.queued * 1e9)
                self.span.asked(engine, started=began, ended=time.time_ns(), reply=reply, error=failed)

    def _failed(self, error: DeciderError, most: Spend) -> Spend:
        """Count a call that brought no answer; return what it used, the worst case where nobody knows."""
        if isinstance(error, InputError):  # it was refused before any call
            self.count -= 1
            error.row = error.row or self._row_id
            return Spend()
        if isinstance(error, EngineUnavailable | DeadlineExceeded) and error.ambiguous:
            self.possibly_billed += 1
            return most
        return Spend(calls=int(isinstance(error, EngineError) and not isinstance(error, DeadlineExceeded)))

    def _pause(self, error: EngineUnavailable | DeadlineExceeded) -> float:
        """Return how long to wait before asking again; raises where that makes no sense."""
        pause = self._retries.pause(error) if isinstance(error, EngineUnavailable) else None
        self.asked = error.retry_after or 0.0
        if pause is None:
            raise error
        if pause >= self.remaining:
            beyond = _BEYOND.format(pause, self._retry.deadline)
            whole = self._retry.deadline if self._around.patient else self.remaining  # a later pass has all of it
            asked = self.asked if self.asked and self.asked >= whole else None
            raise DeadlineExceeded(f"{error}; {beyond}", retry_after=asked) from error
        return pause

    def _admitted(self, gate: Gate, cost: float, last: DeciderError | None) -> Generator[Effect, Any, None]:
        """Wait until the endpoint may be asked; one who has no patience is told why not."""
        while (seconds := gate.wait(cost)) > 0.0:
            if not self._around.patient:
                raise EngineUnavailable(_spared(gate, seconds), retry_after=seconds) from last
            down = min(gate.down_for, time.perf_counter() - self._began)  # nobody asked before, perhaps for hours
            if down > max(LASTING, self._retry.deadline):
                said = f"{gate.reason}; nothing was answered for {down:.0f} s"
                raise EngineUnavailable(said, lasting=True) from last
            yield from self._waited(min(seconds, _LOOK_AGAIN))

    def _reserved(self, engine: Engine, request: Request) -> Generator[Effect, Any, Spend]:
        """Reserve the worst case of a call in every budget."""
        if not self._budgets:
            return Spend()
        try:
            most, reserved = _most(engine, request), list[Budget]()
        except InputError as error:
            error.row = error.row or self._row_id
            raise
        for budget in self._budgets:
            try:
                while not budget.reserve(most):
                    yield from self._waited(_SETTLING)
                    self._in_time()
            except BaseException:
                for one in reserved:
                    one.settle(most, Spend())
                raise
            reserved.append(budget)
        return most

    def _in_time(self) -> None:
        if self.remaining <= 0:
            raise DeadlineExceeded(_RESERVED.format(self._retry.deadline))

    def _waited(self, seconds: float) -> Generator[Effect, Any, None]:
        """Wait, in a batch without the row's own time running."""
        begun = time.perf_counter()
        yield Sleep(seconds=seconds)
        if self._around.patient:
            self._queued += (time.perf_counter() - begun) / self._beside


def _failed(gate: Gate, error: EngineUnavailable | DeadlineExceeded) -> float:
    """Tell the gate of a call without an answer; return what asking again costs there."""
    if isinstance(error, DeadlineExceeded) and not error.ambiguous:
        return 0.0  # nothing was asked
    before = gate.is_open
    cost = gate.failed(str(error), throttled=isinstance(error, EngineUnavailable) and error.throttled)
    if gate.is_open and not before:
        logger.warning("%s; it is asked again every %g s, until it answers", error, PROBE_EVERY)
    return cost


def _hanging(error: DeciderError, ask: Ask) -> DeciderError:
    """What it means that a call was given up before the deadline: the endpoint did not answer this time."""
    if not isinstance(error, DeadlineExceeded):
        return error
    where = ask.engine.place or ask.engine.name
    said = f"{where} did not answer within {ask.timeout:.3g} s, and is quicker as a rule"
    return EngineUnavailable(said, ambiguous=True)


def _most(engine: Engine, request: Request) -> Spend:
    """The worst case of a call; where nothing bounds it, no limit counts it (the plan refuses such limits)."""
    usage = engine.most(request)
    if usage is None:
        return Spend(calls=1)
    return Spend(engine.cost(usage) or 0.0, usage.input_tokens + usage.output_tokens, 1)


def _used(engine: Engine, reply: Reply, most: Spend) -> Spend:
    """What an answered call used; the worst case where the endpoint did not tell."""
    if reply.usage is None:
        return most
    return Spend(engine.cost(reply.usage) or 0.0, reply.usage.input_tokens + reply.usage.output_tokens, 1)


def _spared(gate: Gate, seconds: float) -> str:
    why = "it failed every time of late" if gate.is_open else "too many calls failed of late"
    return f"{gate.reason}; {why}, and it is asked again in {max(1.0, seconds):.0f} s"
