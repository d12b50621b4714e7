"""How many calls of a batch are under way at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from decider.runtime.slots import ROW, WINDOW, Slots


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(most: int, clock: Callable[[], float] = time.monotonic) -> Slots:
    """Slots of an endpoint that is known to answer."""
    return Slots(most, known=True, clock=clock)


async def _use(slots: Slots, share: Callable[[int], bool], clock: Clock, windows: int) -> list[int]:
    limits = []
    for _ in range(windows):
        for n in range(10):
            await slots.take()
            slots.give(throttled=share(n))
        clock.now += WINDOW
        await slots.take()
        slots.give(throttled=share(0))
        limits.append(slots.limit)
    return limits


def test_throttling_halves_them_and_they_come_back_by_and_by() -> None:
    async def run() -> None:
        clock = Clock()
        slots = opened(64, clock)
        assert await _use(slots, lambda n: n < 3, clock, 8) == [32, 16, 8, 4, 2, 1, 1, 1]
        assert await _use(slots, lambda _: False, clock, 9) == [9, 17, 25, 33, 41, 49, 57, 64, 64]

    asyncio.run(run())


def test_a_few_throttled_calls_change_nothing() -> None:
    async def run() -> None:
        clock = Clock()
        assert await _use(opened(8, clock), lambda n: n == 5, clock, 3) == [8, 8, 8]

    asyncio.run(run())


def test_no_more_than_the_limit_are_let_through_in_turn() -> None:
    order: list[int] = []

    async def one(slots: Slots, n: int) -> None:
        await slots.take()
        order.append(n)
        assert slots._held <= 3
        await asyncio.sleep(0)
        slots.give(throttled=False)

    async def run() -> None:
        slots = opened(3)
        await asyncio.gather(*(one(slots, n) for n in range(20)))

    asyncio.run(run())
    assert order == list(range(20))


def test_who_is_cancelled_while_waiting_takes_nothing_away() -> None:
    async def run() -> None:
        slots = Slots(1)
        await slots.take()
        waiting = [asyncio.ensure_future(slots.take()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        slots.give(throttled=False)  # the turn goes to the second, since the first does not wait any more
        waiting[1].cancel()  # who has got it, but has not gone on yet
        await asyncio.wait(waiting)
        assert [one.cancelled() for one in waiting] == [True, True, False]
        slots.give(throttled=False)
        await slots.take()

    asyncio.run(run())


def test_closed_slots_let_nobody_through() -> None:
    async def run() -> None:
        slots = Slots(1)
        ROW.set(7)
        await slots.take()
        assert set(slots.asking) == {7}
        late: asyncio.Future[Any] = asyncio.ensure_future(slots.take())
        await asyncio.sleep(0)
        slots.close()
        slots.drop()
        for waiting in (late, slots.take()):
            with pytest.raises(asyncio.CancelledError):
                await waiting
        slots.give(throttled=False)
        assert not slots.asking

    asyncio.run(run())


def test_the_first_call_is_under_way_alone_until_it_is_answered() -> None:
    async def run() -> None:
        slots = Slots(3)
        await slots.take()
        others = [asyncio.ensure_future(slots.take()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(one.done() for one in others)
        slots.give(throttled=False)
        await asyncio.wait(others)

    asyncio.run(run())


def test_a_first_call_that_takes_its_time_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decider.runtime.slots.ALONE", 0.001)

    async def run() -> None:
        slots = Slots(2)
        await slots.take()
        await slots.take()
        assert (slots.limit, slots._held) == (2, 2)
        slots.give(throttled=False)
        slots.give(throttled=False)

    asyncio.run(run())


def test_whose_turn_comes_after_the_end_is_not_let_through() -> None:
    async def run() -> None:
        slots = Slots(1)
        await slots.take()
        late = asyncio.ensure_future(slots.take())
        await asyncio.sleep(0)
        slots.close()
        slots.give(throttled=False)
        with pytest.raises(asyncio.CancelledError):
            await late
        assert slots._held == 0

    asyncio.run(run())
