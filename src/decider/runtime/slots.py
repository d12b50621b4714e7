"""How many calls of a batch are under way at once: as many as was said, and fewer while the endpoint throttles."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextvars import ContextVar

WINDOW = 1.0
"""Seconds over which throttled calls are counted, before the number of calls at once is changed."""

TOO_MANY = 0.2
"""The share of throttled calls from which on there are too many at once: fewer come from others' traffic, too."""

ALONE = 2.0
"""Seconds for which the first call is under way alone: a key or a model that is refused costs one call, not many."""

ROW: ContextVar[int] = ContextVar("decider_row", default=0)
"""The number of the row for which something is done."""

_STEPS = 8
"""The part of all slots, as its inverse, that comes back in a window without throttling."""


class Slots:
    """Lets a number of calls through at once, in the order in which they came; for one event loop."""

    def __init__(self, most: int, *, known: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = most if known else 1
        """How many may be under way at this time: of an endpoint that is not `known` to answer, one at first."""
        self._begun = self._opened = known
        self._most = most
        self._clock = clock
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._since = clock()
        self._calls = 0
        self._throttled = 0
        self._closed = False
        self.asking: Counter[int] = Counter()
        """How many calls are under way for a row, by its number; rows that have none are not in it."""

    def go_on(self) -> None:
        """Raise `CancelledError` once the batch is to end: what is not under way is not begun."""
        if self._closed:
            raise asyncio.CancelledError

    def close(self) -> None:
        """Let nobody through any more, from any thread; calls under way end as they would."""
        self._closed = True

    def drop(self) -> None:
        """Cancel who waits, once nobody is let through any more."""
        for turn in self._waiting:
            turn.cancel()

    async def take(self) -> None:
        """Wait for a slot."""
        self.go_on()
        await self._turn()
        if self._closed:
            self._held -= 1
            raise asyncio.CancelledError
        if not self._begun:
            self._begun = True
            asyncio.get_running_loop().call_later(ALONE, self._open)
        self.asking[ROW.get()] += 1

    async def _turn(self) -> None:
        if self._held < self.limit and not self._waiting:
            self._held += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._held -= 1
                self._admit()
            raise

    def give(self, *, throttled: bool) -> None:
        """Give a slot back, and say whether the endpoint had too many calls."""
        self.asking[ROW.get()] -= 1
        if self.asking[ROW.get()] <= 0:
            del self.asking[ROW.get()]
        self._held -= 1
        self._open()
        self._calls += 1
        self._throttled += throttled
        now = self._clock()
        if now - self._since >= WINDOW:
            self._adapt()
            self._since, self._calls, self._throttled = now, 0, 0
        self._admit()

    def _open(self) -> None:
        """Let as many through as may be, after the first call was answered, or takes its time."""
        if not self._opened:
            self._opened = True
            self.limit = self._most
            self._admit()

    def _adapt(self) -> None:
        if self._throttled >= TOO_MANY * self._calls:
            self.limit = max(1, self.limit // 2)
        else:
            self.limit = min(self._most, self.limit + max(1, self._most // _STEPS))

    def _admit(self) -> None:
        while self._waiting and self._held < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():  # it was cancelled while it waited
                self._held += 1
                turn.set_result(None)
