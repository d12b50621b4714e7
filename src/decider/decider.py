"""`Decider`: the pipeline that every decision takes, written once, and the two drivers that wait for it."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel

from decider.decision import Correction, Decision, FieldDecision, Input, Reply, Request, StepTrace, Usage
from decider.engines.base import Engine
from decider.errors import (
    DeadlineExceeded,
    DeciderError,
    EngineRejected,
    EngineUnavailable,
    InvalidDecision,
)
from decider.plan import Step, build, not_yet, steps_of
from decider.record import Misfit, Record
from decider.runtime.retry import waits
from decider.task import Task

if TYPE_CHECKING:
    import asyncio

    from openai import AsyncOpenAI, OpenAI

    from decider.runtime.loop import LoopThread

S = TypeVar("S", bound=BaseModel)
OnError = Literal["yield", "raise"]

_AHEAD = 4
"""Rows begun for each that may be asked at once, so that one slow row does not hold up the order for all."""


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


Course: TypeAlias = Generator[Ask | Sleep, Any, "Decision[S]"]
Plan: TypeAlias = tuple[tuple[Step, Engine], ...]


@dataclass(slots=True, kw_only=True)
class _Ledger:
    """What a decision has used so far; kept outside its steps so that a failure loses none of it."""

    mode: str
    row_id: str | None
    meta: Mapping[str, Any] | None
    plan: Plan
    deadline: float
    started: float = field(default_factory=time.perf_counter)
    queued: float = 0.0
    calls: int = 0
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    input: Input | None = None
    served_model: str | None = None
    traces: list[StepTrace] = field(default_factory=list)

    @property
    def spent(self) -> float:
        """Seconds since the decision began, without those in a queue: a row's time stands while others are asked."""
        return time.perf_counter() - self.started - self.queued

    @property
    def remaining(self) -> float:
        return self.deadline - self.spent


class Decider(Generic[S]):
    """Decides a task, by whatever its mode says, and always in the same way for the caller.

    A Decider is safe for threads, forks and several event loops, and is a context manager in both colours. `client` is
    a ready `OpenAI` or `AsyncOpenAI`; `engine` answers everything in place of what the mode would choose.
    """

    def __init__(
        self,
        task: Task[S],
        *,
        mode: str | None = None,
        engine: Engine | None = None,
        client: OpenAI | AsyncOpenAI | None = None,
    ) -> None:
        self.task = task
        self.mode = mode or task.spec.mode
        self._client = client
        self._given = engine
        self._lock = threading.RLock()
        self._engines: dict[tuple[str, str], Engine] = {}
        self._plans: dict[str, Plan] = {}
        self._loop: LoopThread | None = None
        problems = not_yet(task)
        if problems:
            raise problems[0].with_also(tuple(problems[1:]))

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        output: type[S] | None = None,
        mode: str | None = None,
        set: Mapping[str, str] | None = None,  # the word of the command line
        allow_code: bool = True,
        engine: Engine | None = None,
        client: OpenAI | AsyncOpenAI | None = None,
    ) -> Decider[S]:
        """Load a spec and return its Decider; arguments as for `Task.load` and `Decider`."""
        task = Task.load(path, output=output, set=set, allow_code=allow_code)
        return cls(task, mode=mode, engine=engine, client=client)

    def decide(
        self,
        x: Any,
        *,
        mode: str | None = None,
        id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Decision[S]:
        """Decide one input: a text, a mapping, or an instance of the input schema.

        Raises a `DeciderError` where no decision was reached. A refusal is a decision without an output.
        """
        return _or_raise(self._drive(self._steps(x, mode, id, meta)))

    async def adecide(
        self,
        x: Any,
        *,
        mode: str | None = None,
        id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Decision[S]:
        """Decide one input without blocking the event loop; otherwise as `decide`."""
        return _or_raise(await self._adrive(self._steps(x, mode, id, meta)))

    def decide_many(
        self, rows: Iterable[Any], *, concurrency: int = 16, on_error: OnError = "yield", mode: str | None = None
    ) -> Iterator[Decision[S]]:
        """Decide rows as they are taken, in their order, one Decision per row, with `row_id` counting from 1.

        A row that fails is a decision with the status "failed", or is raised with `on_error="raise"`. What no other
        row would survive is raised in any case: a refused key, a used-up quota, an unknown model.
        """
        _check_many(concurrency, on_error)
        plan = self._plan(mode)
        if all(engine.in_process for _, engine in plan):
            courses = (self._steps(x, mode, str(n), None) for n, x in enumerate(rows, 1))
            return (_settle(self._drive(course), on_error) for course in courses)
        return self._many_on_loop(rows, concurrency, on_error, mode)

    async def adecide_many(
        self,
        rows: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 16,
        on_error: OnError = "yield",
        mode: str | None = None,
    ) -> AsyncIterator[Decision[S]]:
        """Decide rows in the running loop; otherwise as `decide_many`."""
        import asyncio

        _check_many(concurrency, on_error)
        slots = asyncio.Semaphore(concurrency)
        begun: deque[asyncio.Task[Decision[S]]] = deque()
        count = 0
        try:
            async for x in _any_rows(rows):
                count += 1
                course = self._steps(x, mode, str(count), None)
                begun.append(asyncio.create_task(self._adrive(course, slots)))
                if len(begun) >= concurrency * _AHEAD:
                    yield _settle(await begun.popleft(), on_error)
            while begun:
                yield _settle(await begun.popleft(), on_error)
        finally:
            for task in begun:
                task.cancel()

    @contextmanager
    def override(self, *, engine: Engine) -> Iterator[None]:
        """Answer everything with `engine` inside the block, on every thread: for tests of code that decides."""
        with self._lock:
            before, self._given = self._given, engine
            plans, self._plans = self._plans, {}
        try:
            yield
        finally:
            with self._lock:
                self._given, self._plans = before, plans

    def close(self) -> None:
        """Let go of connections and of the loop thread; a later call opens them again."""
        with self._lock:
            engines, loop = list(self._engines.values()), self._loop
        for engine in engines:
            engine.close()
        if loop is not None:
            loop.close()

    async def aclose(self) -> None:
        """Let go of the running loop's connections, and of all that `close` does."""
        with self._lock:
            engines = list(self._engines.values())
        for engine in engines:
            await engine.aclose()
        self.close()

    def __enter__(self) -> Decider[S]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Decider[S]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _steps(self, x: Any, mode: str | None, row_id: str | None, meta: Mapping[str, Any] | None) -> Course[S]:
        """Everything a decision does; yields what must be waited for, and returns the Decision, failed ones too."""
        ledger = _Ledger(
            mode=mode or self.mode,
            row_id=row_id,
            meta=meta,
            plan=self._plan(mode),
            deadline=self.task.spec.retry.deadline,
        )
        record = Record(self.task)
        try:
            ledger.input = self.task.encode(x, row=row_id)
            for index in range(len(ledger.plan)):
                reply = yield from self._step(index, record, ledger)
                if reply.outcome in ("refused", "filtered"):
                    return self._decision(ledger, status=reply.outcome)
            output = record.output()
        except DeciderError as error:
            return self._decision(ledger, status="failed", error=error)
        fields = record.decisions(output)
        return self._decision(
            ledger, status="decided", answer=output, accepted=True, fields=fields, confidence=_confidence(fields)
        )

    def _step(self, index: int, record: Record[S], ledger: _Ledger) -> Generator[Ask | Sleep, Any, Reply]:
        """Ask one step's engine until its reply fits; the last step's reply must make the whole record valid."""
        step, engine = ledger.plan[index]
        last = index == len(ledger.plan) - 1
        request = Request(input=ledger.input or "", fields=step.fields)
        begun, calls, used = ledger.spent, ledger.calls, Usage()
        try:
            for _ in range(1 + self.task.spec.prompt.reask):
                reply: Reply = yield from self._ask(engine, request, ledger)
                used += reply.usage
                ledger.served_model = reply.served_model or ledger.served_model
                if reply.outcome in ("refused", "filtered"):
                    return reply
                try:
                    record.read(reply, step.fields, index)
                    if last:
                        record.output()
                    return reply
                except Misfit as misfit:
                    problem = misfit
                request = replace(request, correction=Correction(reply=reply.text, problem=str(problem)))
        finally:
            ledger.traces.append(
                StepTrace(
                    engine=engine.name,
                    model=engine.model,
                    fields=tuple(one.path for one in step.fields),
                    attempts=ledger.calls - calls,
                    usage=used,
                    latency_ms=(ledger.spent - begun) * 1000.0,
                )
            )
        cut = " (it was cut off: allow more tokens in prompt.params)" if reply.outcome == "truncated" else ""
        raise InvalidDecision(
            f"no reply of {engine.name} {engine.model!r} fitted the schema{cut}. {problem}"
        ) from problem

    def _ask(self, engine: Engine, request: Request, ledger: _Ledger) -> Generator[Ask | Sleep, Any, Reply]:
        """Ask once, and again while the engine is unavailable, within the deadline."""
        pauses = waits(self.task.spec.retry.attempts)
        while True:
            if ledger.remaining <= 0:
                raise DeadlineExceeded(f"no decision within {ledger.deadline:g} s (retry.deadline)")
            ask = Ask(engine=engine, request=replace(request, timeout=ledger.remaining))
            ledger.calls += 1
            try:
                reply: Reply = yield ask
                return reply
            except EngineUnavailable as error:
                pause = next(pauses, None)
                if pause is None:
                    raise
                seconds = max(pause, error.retry_after or 0.0)
                if seconds >= ledger.remaining:
                    message = (
                        f"{error}; asking again in {seconds:g} s would be beyond the deadline of {ledger.deadline:g} s"
                    )
                    raise DeadlineExceeded(message) from error
            finally:
                ledger.queued += ask.queued
            yield Sleep(seconds=seconds)

    def _decision(self, ledger: _Ledger, **what: Any) -> Decision[S]:
        _, engine = ledger.plan[-1]
        return Decision(
            id=uuid.uuid4().hex,
            row_id=ledger.row_id,
            task=self.task.name,
            version=self.task.version,
            input=ledger.input,
            mode=ledger.mode,
            engine=engine.name,
            model=engine.model,
            served_model=ledger.served_model,
            steps=tuple(ledger.traces),
            attempts=sum(trace.attempts for trace in ledger.traces),
            usage=sum((trace.usage for trace in ledger.traces), Usage()),
            latency_ms=ledger.spent * 1000.0,
            created_at=ledger.created_at,
            meta=ledger.meta,
            **what,
        )

    def _drive(self, course: Course[S]) -> Decision[S]:
        """Perform what a course waits for, blocking."""
        act: Callable[[Any], Ask | Sleep] = course.send
        argument: Any = None
        try:
            while True:
                match act(argument):
                    case Sleep(seconds=seconds):
                        time.sleep(seconds)
                        act, argument = course.send, None
                    case Ask() as ask:
                        try:
                            act, argument = course.send, self._wait(ask)
                        except DeciderError as error:
                            act, argument = course.throw, error
        except StopIteration as done:
            decision: Decision[S] = done.value
            return decision

    async def _adrive(self, course: Course[S], slots: asyncio.Semaphore | None = None) -> Decision[S]:
        """Perform what a course waits for in the running loop; a slot is held during an `Ask` only."""
        import asyncio

        act: Callable[[Any], Ask | Sleep] = course.send
        argument: Any = None
        try:
            while True:
                match act(argument):
                    case Sleep(seconds=seconds):
                        await asyncio.sleep(seconds)
                        act, argument = course.send, None
                    case Ask() as ask:
                        try:
                            act, argument = course.send, await _within_slot(ask, slots)
                        except DeciderError as error:
                            act, argument = course.throw, error
        except StopIteration as done:
            decision: Decision[S] = done.value
            return decision

    def _wait(self, ask: Ask) -> Reply:
        if ask.engine.in_process:
            return ask.engine.predict(ask.request)
        return self._loop_thread().run(_await(ask))

    def _many_on_loop(
        self, rows: Iterable[Any], concurrency: int, on_error: OnError, mode: str | None
    ) -> Iterator[Decision[S]]:
        import asyncio

        loop, slots = self._loop_thread(), asyncio.Semaphore(concurrency)
        begun: deque[Any] = deque()
        try:
            for n, x in enumerate(rows, 1):
                begun.append(loop.submit(self._adrive(self._steps(x, mode, str(n), None), slots)))
                if len(begun) >= concurrency * _AHEAD:
                    yield _settle(begun.popleft().result(), on_error)
            while begun:
                yield _settle(begun.popleft().result(), on_error)
        finally:
            for future in begun:
                future.cancel()

    def _plan(self, mode: str | None) -> Plan:
        """The steps of a mode with their engines, made once."""
        name = mode or self.mode
        plan = self._plans.get(name)
        if plan is None:
            with self._lock:
                plan = self._plans[name] = self._made(name)
        return plan

    def _made(self, mode: str) -> Plan:
        given = self._given
        if given is not None:
            return ((Step(role="prompt", engine=given.name, fields=self.task.fields), given),)
        steps = steps_of(self.task, mode)
        for step in steps:
            if (step.role, step.engine) not in self._engines:
                self._engines[step.role, step.engine] = build(self.task, step, self._client)
        return tuple((step, self._engines[step.role, step.engine]) for step in steps)

    def _loop_thread(self) -> LoopThread:
        from decider.runtime.loop import LoopThread  # asyncio is slow to import, and local decisions need none

        with self._lock:
            if self._loop is None:
                self._loop = LoopThread()
            return self._loop


async def _await(ask: Ask) -> Reply:
    """Ask asynchronously, and no longer than the request allows: a dripping response ends here too."""
    import asyncio

    try:
        async with asyncio.timeout(ask.request.timeout):
            return await ask.engine.apredict(ask.request)
    except TimeoutError as error:
        message = f"{ask.engine.name} {ask.engine.model!r} did not answer before the deadline"
        raise DeadlineExceeded(message) from error


async def _within_slot(ask: Ask, slots: asyncio.Semaphore | None) -> Reply:
    if ask.engine.in_process:
        return ask.engine.predict(ask.request)
    if slots is None:
        return await _await(ask)
    begun = time.perf_counter()
    async with slots:
        ask.queued = time.perf_counter() - begun
        return await _await(ask)


async def _any_rows(rows: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row


def _confidence(fields: Mapping[str, FieldDecision]) -> float | None:
    """The probability that every field is right, were they independent; None where one has no probability."""
    product = 1.0
    for one in fields.values():
        if one.probability is None:
            return None
        product *= one.probability
    return product


def _check_many(concurrency: int, on_error: str) -> None:
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
    if on_error not in ("yield", "raise"):
        raise ValueError(f"on_error must be 'yield' or 'raise', not {on_error!r}")


def _settle(decision: Decision[S], on_error: OnError) -> Decision[S]:
    fatal = isinstance(decision.error, EngineRejected) and decision.error.reason != "request"
    return _or_raise(decision) if fatal or on_error == "raise" else decision


def _or_raise(decision: Decision[S]) -> Decision[S]:
    if decision.error is not None:
        raise decision.error
    return decision


_kept: dict[Path, tuple[object, Decider[Any]]] = {}
_kept_lock = threading.Lock()


def decide(path: str | Path, x: Any, *, mode: str | None = None) -> Decision[Any]:
    """Decide one input by a spec file; its Decider is kept for as long as the files that it came from stay the same."""
    resolved = Path(path).resolve()
    with _kept_lock:
        kept = _kept.get(resolved)
        if kept is None or kept[0] != kept[1].task.stamp():
            decider: Decider[Any] = Decider.load(path)
            kept = _kept[resolved] = (decider.task.stamp(), decider)
    return kept[1].decide(x, mode=mode)
