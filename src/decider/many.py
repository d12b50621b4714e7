"""Many rows at once: taken lazily, decided side by side, given back in their order or as they end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator, Sized
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel

from decider.decision import Decision
from decider.driver import Driver
from decider.pipeline import Waiting
from decider.runtime.garbage import fewer_collections
from decider.runtime.slots import ROW, Slots

S = TypeVar("S", bound=BaseModel)

Row: TypeAlias = "Decision[S] | Waiting[S]"
"""A row that is to be decided, or was found decided."""

_UNDER_WAY = 4
"""Rows under way for each that may be asked at once: some wait to be asked again, and hold up nobody."""

_AHEAD = 32
"""The same, with those that are decided and wait for their turn: one slow row does not hold up the order for all."""

_CLOSED = "the Decider was closed while rows were under way"


@dataclass(frozen=True, slots=True)
class _Ended(Generic[S]):
    """How a row ended: with a decision, or with what kept it from being recorded; with neither where it was dropped."""

    n: int
    decision: Decision[S] | None = None
    error: BaseException | None = None


class Batch(Generic[S]):
    """Rows that are decided side by side on the loop thread, for one caller who takes them.

    Where the endpoint is not `known` to answer, its first call is under way alone.
    """

    def __init__(self, driver: Driver, concurrency: int, *, known: bool) -> None:
        self._driver = driver
        self._loop = driver.loop()
        self._most = concurrency * _UNDER_WAY
        self._window = concurrency * _AHEAD
        self._slots = Slots(concurrency, known=known)
        self._coming: deque[tuple[int, Waiting[S]]] = deque()
        self._ended: SimpleQueue[_Ended[S]] = SimpleQueue()
        self._tasks: dict[int, asyncio.Task[Decision[S]]] = {}
        self._called = False
        self._halted = False

    def ordered(self, rows: Iterable[Row[S]]) -> Generator[Decision[S]]:
        """Yield the decisions in the order of their rows."""
        early: dict[int, _Ended[S]] = {}
        due = 1
        with fewer_collections(), closing(self._run(rows, early)) as running:
            for one in running:
                early[one.n] = one
                while (next_one := early.pop(due, None)) is not None:
                    due += 1
                    yield from _decision(next_one)

    def unordered(self, rows: Iterable[Row[S]]) -> Generator[Decision[S]]:
        """Yield the decisions as they end; rows that were dropped, after `halt`, are left out."""
        with fewer_collections(), closing(self._run(rows, {})) as running:
            for one in running:
                yield from _decision(one)

    def halt(self) -> None:
        """Begin no row any more; calls that are under way end, and what else was begun is dropped."""
        self._halted = True
        self._slots.close()
        self._loop.tell(self._drop)

    def _run(self, rows: Iterable[Row[S]], held: Sized) -> Generator[_Ended[S]]:
        """Begin rows while there is room, and yield each that ends; those that are `held` take room, too."""
        source = enumerate(rows, 1)
        begun = ended = 0
        try:
            more = True
            while more or ended < begun:
                while more and begun - ended < self._most and len(held) < self._window and self._ended.empty():
                    row = None if self._halted else next(source, None)
                    if row is None:
                        more = False
                    else:
                        begun += 1
                        self._begin(*row)
                if ended < begun:
                    one = self._ended.get()
                    ended += 1
                    yield one
        finally:
            if ended < begun:
                self._loop.tell(self._cancel)

    def _begin(self, n: int, row: Row[S]) -> None:
        """Hand a row to the loop, which is called once for all that came since."""
        if isinstance(row, Decision):
            self._ended.put(_Ended(n, decision=row))
            return
        self._coming.append((n, row))
        if not self._called:
            self._called = True
            self._loop.call(self._start)

    def _start(self) -> None:
        self._called = False
        while self._coming:
            n, waiting = self._coming.popleft()
            context = copy_context()
            context.run(ROW.set, n)
            task = asyncio.get_running_loop().create_task(self._driver.arun(waiting, self._slots), context=context)
            self._tasks[n] = task
            task.add_done_callback(partial(self._end, n))

    def _end(self, n: int, task: asyncio.Task[Decision[S]]) -> None:
        del self._tasks[n]
        if task.cancelled():
            self._ended.put(_Ended(n, error=None if self._halted else RuntimeError(_CLOSED)))
        elif (error := task.exception()) is not None:
            self._ended.put(_Ended(n, error=error))
        else:
            decision = task.result()
            if decision.fatal:
                self._halted = True
                self._drop()
            self._ended.put(_Ended(n, decision=decision))

    def _drop(self) -> None:
        self._slots.drop()
        for n in self._tasks.keys() - self._slots.asking:
            self._tasks[n].cancel()

    def _cancel(self) -> None:
        self._coming.clear()
        for task in self._tasks.values():
            task.cancel()


def _decision(one: _Ended[S]) -> Iterator[Decision[S]]:
    if one.error is not None:
        raise one.error
    if one.decision is not None:
        yield one.decision


async def in_order(
    driver: Driver,
    rows: Iterable[Any] | AsyncIterable[Any],
    begin: Callable[[int, Any], Row[S]],
    concurrency: int,
    *,
    known: bool,
) -> AsyncGenerator[Decision[S]]:
    """Decide rows in the running loop; yield the decisions in the order of their rows."""
    own = _Own[S](driver, concurrency, known=known)
    due = 1
    try:
        async for x in _any_rows(rows):
            own.count += 1
            await own.begin(begin(own.count, x))
            while due <= own.count and (own.rows[due].done() or len(own.rows) >= concurrency * _AHEAD):
                due += 1
                for decision in await own.given_back(due - 1):
                    yield decision
        for n in range(due, own.count + 1):
            for decision in await own.given_back(n):
                yield decision
    finally:
        for row in own.rows.values():
            row.cancel()


class _Own(Generic[S]):
    """Rows under way on the caller's own loop."""

    def __init__(self, driver: Driver, concurrency: int, *, known: bool) -> None:
        self._driver = driver
        self._slots = Slots(concurrency, known=known)
        self._room = asyncio.Semaphore(concurrency * _UNDER_WAY)
        self.count = 0
        self.rows: dict[int, asyncio.Future[Decision[S]]] = {}

    async def begin(self, row: Row[S]) -> None:
        """Begin a row, once there is room for it."""
        await self._room.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Decision[S]] = loop.create_future()
        if isinstance(row, Decision):
            future.set_result(row)
        else:
            context = copy_context()
            context.run(ROW.set, self.count)
            future = loop.create_task(self._driver.arun(row, self._slots), context=context)
        self.rows[self.count] = future
        future.add_done_callback(self._ended)

    async def given_back(self, n: int) -> list[Decision[S]]:
        """The decision of a row; none where it was dropped because another one ended the batch."""
        row = self.rows[n]
        await asyncio.wait((row,))
        del self.rows[n]
        return [] if row.cancelled() else [row.result()]

    def _ended(self, row: asyncio.Future[Decision[S]]) -> None:
        self._room.release()
        if not row.cancelled() and row.exception() is None and row.result().fatal:
            self._slots.drop()
            for n in self.rows.keys() - self._slots.asking:
                self.rows[n].cancel()


async def _any_rows(rows: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row
