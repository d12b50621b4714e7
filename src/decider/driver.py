"""The two drivers that perform what a decision waits for: one that blocks, and one that runs in an event loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from decider.decision import Decision, Reply
from decider.errors import DeadlineExceeded, DeciderError, EngineUnavailable
from decider.pipeline import Ask, Effect, Sleep, Together, Wait

if TYPE_CHECKING:
    from decider.runtime.loop import LoopThread
    from decider.runtime.slots import Slots

R = TypeVar("R")

_OTHERS = "another decision on the same input had no answer before the deadline"


class Driver:
    """Performs what generators wait for; what a sync caller asks of an endpoint runs on one private loop thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: LoopThread | None = None

    def run(self, waiting: Generator[Any, Any, R]) -> R:
        """Perform what `waiting` yields, blocking, and return its result."""
        act: Callable[[Any], Any] = waiting.send
        argument: Any = None
        try:
            while True:
                wanted = act(argument)
                try:
                    act, argument = waiting.send, self._wait(wanted)
                except DeciderError as error:
                    act, argument = waiting.throw, error
        except StopIteration as done:
            result: R = done.value
            return result
        finally:
            waiting.close()

    async def arun(self, waiting: Generator[Any, Any, R], slots: Slots | None = None) -> R:
        """Perform what `waiting` yields in the running loop; a slot is held while an engine is asked."""
        act: Callable[[Any], Any] = waiting.send
        argument: Any = None
        try:
            while True:
                wanted = act(argument)
                try:
                    act, argument = waiting.send, await self._await(wanted, slots)
                except DeciderError as error:
                    act, argument = waiting.throw, error
        except StopIteration as done:
            result: R = done.value
            if slots is not None and isinstance(result, Decision) and result.fatal:
                slots.close()  # before anybody else takes a slot for a call that would fare no better
            return result
        finally:
            waiting.close()

    def loop(self) -> LoopThread:
        """The private loop thread."""
        from decider.runtime.loop import LoopThread  # asyncio is slow to import, and local decisions need none

        with self._lock:
            if self._loop is None:
                self._loop = LoopThread()
            return self._loop

    def close(self) -> None:
        """Stop the loop thread; a later call starts it again."""
        if self._loop is not None:
            self._loop.close()

    def _wait(self, wanted: Effect) -> Any:
        if isinstance(wanted, Sleep):
            return time.sleep(wanted.seconds)
        if isinstance(wanted, Wait):
            return _answer_to(wanted)
        if not wanted.engine.in_process:
            return self.loop().run(self._await(wanted, None))
        if isinstance(wanted, Together):
            return [self.run(course) for course in wanted.courses]
        return wanted.engine.predict(wanted.request)

    async def _await(self, wanted: Effect, slots: Slots | None) -> Any:
        import asyncio

        if isinstance(wanted, Ask):
            return await _within_slot(wanted, slots)
        if isinstance(wanted, Wait):
            return await _aanswer_to(wanted)
        if isinstance(wanted, Together):
            return await self._gathered(wanted, slots)
        if slots is not None:
            slots.go_on()
        return await asyncio.sleep(wanted.seconds)

    async def _gathered(self, wanted: Together, slots: Slots | None) -> list[Any]:
        """All courses side by side; the first that fails ends the others."""
        import asyncio

        tasks = [asyncio.ensure_future(self.arun(course, slots)) for course in wanted.courses]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # what they used counts as well


async def _within_slot(ask: Ask, slots: Slots | None) -> Reply:
    if ask.engine.in_process:
        return ask.engine.predict(ask.request)
    if slots is None:
        return await _asked(ask)
    begun, ask.waiting = time.perf_counter(), True
    await slots.take()
    ask.queued, ask.waiting = time.perf_counter() - begun, False
    throttled = False
    try:
        return await _asked(ask)
    except EngineUnavailable as error:
        throttled = error.throttled
        raise
    finally:
        slots.give(throttled=throttled)


async def _asked(ask: Ask) -> Reply:
    """Ask asynchronously, and no longer than the request allows: a dripping response ends here too."""
    import asyncio

    try:
        async with asyncio.timeout(ask.timeout):
            return await ask.engine.apredict(ask.request)
    except TimeoutError as error:
        message = f"{ask.engine.name} {ask.engine.model!r} did not answer before the deadline"
        raise DeadlineExceeded(message, ambiguous=True) from error


def _answer_to(wait: Wait) -> str | None:
    try:
        return wait.flight.result(wait.timeout)
    except TimeoutError as error:
        raise DeadlineExceeded(_OTHERS) from error


async def _aanswer_to(wait: Wait) -> str | None:
    import asyncio

    try:
        async with asyncio.timeout(wait.timeout):
            # Others wait for it as well: who stops waiting does not cancel it.
            return await asyncio.shield(asyncio.wrap_future(wait.flight))
    except TimeoutError as error:
        raise DeadlineExceeded(_OTHERS) from error
