"""`Decider`: what callers hold; the two drivers that wait for a decision, and batches of decisions."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from decider.decision import Decision, Reply
from decider.engines.base import Engine
from decider.errors import DeadlineExceeded, DeciderError, EngineRejected
from decider.pipeline import Ask, Course, Plan, Sleep, Together, Waiting
from decider.plan import build, given, not_yet, steps_of
from decider.task import Task

if TYPE_CHECKING:
    import asyncio

    from openai import AsyncOpenAI, OpenAI

    from decider.runtime.loop import LoopThread

S = TypeVar("S", bound=BaseModel)
R = TypeVar("R")
OnError = Literal["yield", "raise"]

_AHEAD = 4
"""Rows begun for each that may be asked at once, so that one slow row does not hold up the order for all."""


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
            courses = (self._steps(x, mode, str(n)) for n, x in enumerate(rows, 1))
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
                waiting = self._steps(x, mode, str(count))
                begun.append(asyncio.create_task(self._adrive(waiting, slots)))
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

    def _steps(
        self, x: Any, mode: str | None, row_id: str | None = None, meta: Mapping[str, Any] | None = None
    ) -> Waiting[S]:
        course = Course(self.task, self._plan(mode), mode=mode or self.mode, row_id=row_id, meta=meta)
        return course.run(x)

    def _drive(self, waiting: Generator[Any, Any, R]) -> R:
        """Perform what a decision waits for, blocking."""
        act: Callable[[Any], Any] = waiting.send
        argument: Any = None
        try:
            while True:
                wanted = act(argument)
                if isinstance(wanted, Sleep):
                    time.sleep(wanted.seconds)
                    act, argument = waiting.send, None
                    continue
                try:
                    act, argument = waiting.send, self._wait(wanted)
                except DeciderError as error:
                    act, argument = waiting.throw, error
        except StopIteration as done:
            result: R = done.value
            return result

    async def _adrive(self, waiting: Generator[Any, Any, R], slots: asyncio.Semaphore | None = None) -> R:
        """Perform what a decision waits for, in the running loop; a slot is held while an engine is asked."""
        import asyncio

        act: Callable[[Any], Any] = waiting.send
        argument: Any = None
        try:
            while True:
                wanted = act(argument)
                if isinstance(wanted, Sleep):
                    await asyncio.sleep(wanted.seconds)
                    act, argument = waiting.send, None
                    continue
                try:
                    act, argument = waiting.send, await self._await(wanted, slots)
                except DeciderError as error:
                    act, argument = waiting.throw, error
        except StopIteration as done:
            result: R = done.value
            return result

    def _wait(self, wanted: Ask | Together) -> Any:
        if not wanted.engine.in_process:
            return self._loop_thread().run(self._await(wanted, None))
        if isinstance(wanted, Together):
            return [self._drive(course) for course in wanted.courses]
        return wanted.engine.predict(wanted.request)

    async def _await(self, wanted: Ask | Together, slots: asyncio.Semaphore | None) -> Any:
        if isinstance(wanted, Together):
            return await self._gathered(wanted, slots)
        return await _within_slot(wanted, slots)

    async def _gathered(self, wanted: Together, slots: asyncio.Semaphore | None) -> list[Any]:
        """All courses side by side; the first that fails ends the others."""
        import asyncio

        tasks = [asyncio.ensure_future(self._adrive(course, slots)) for course in wanted.courses]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def _many_on_loop(
        self, rows: Iterable[Any], concurrency: int, on_error: OnError, mode: str | None
    ) -> Iterator[Decision[S]]:
        import asyncio

        loop, slots = self._loop_thread(), asyncio.Semaphore(concurrency)
        begun: deque[Any] = deque()
        try:
            for n, x in enumerate(rows, 1):
                begun.append(loop.submit(self._adrive(self._steps(x, mode, str(n)), slots)))
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
        if self._given is not None:
            return ((given(self.task, self._given), self._given),)
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


async def _asked(ask: Ask) -> Reply:
    """Ask asynchronously, and no longer than the request allows: a dripping response ends here too."""
    import asyncio

    try:
        async with asyncio.timeout(ask.timeout):
            return await ask.engine.apredict(ask.request)
    except TimeoutError as error:
        message = f"{ask.engine.name} {ask.engine.model!r} did not answer before the deadline"
        raise DeadlineExceeded(message) from error


async def _within_slot(ask: Ask, slots: asyncio.Semaphore | None) -> Reply:
    if ask.engine.in_process:
        return ask.engine.predict(ask.request)
    if slots is None:
        return await _asked(ask)
    begun = time.perf_counter()
    async with slots:
        ask.queued = time.perf_counter() - begun
        return await _asked(ask)


async def _any_rows(rows: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row


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
