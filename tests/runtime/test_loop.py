"""The private loop thread: it starts once, stops clean, and begins anew."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time

import pytest

from decider.runtime.loop import LoopThread


async def where() -> int:
    return threading.get_ident()


def alive(ident: int) -> bool:
    return any(thread.ident == ident for thread in threading.enumerate())


def test_all_work_runs_on_one_thread_that_ends_at_close() -> None:
    loop = LoopThread()
    (thread,) = {loop.run(where()) for _ in range(3)}
    assert alive(thread)
    loop.close()
    assert not alive(thread)
    loop.close()
    loop.run(where())
    loop.close()


def test_a_loop_that_never_ran_closes() -> None:
    loop = LoopThread()
    loop.close()
    loop.close()
    assert loop._loop is None


def test_work_that_runs_at_close_is_cancelled() -> None:
    loop = LoopThread()
    ended = []

    async def endless() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")

    future = loop.submit(endless())
    loop.run(asyncio.sleep(0))
    loop.close()
    assert ended == ["cancelled"]
    assert future.cancelled()


def test_a_forgotten_loop_stops_by_itself() -> None:
    loop = LoopThread()
    thread = loop.run(where())
    del loop
    gc.collect()
    assert not alive(thread)


def test_a_loop_forgotten_on_its_own_thread_does_not_wait_for_itself() -> None:
    holder = [LoopThread()]

    async def forget() -> None:
        holder.clear()
        gc.collect()

    thread = holder[0].submit(where()).result()
    future = holder[0].submit(forget())
    future.result()
    for one in threading.enumerate():
        if one.ident == thread:
            one.join()
    assert not alive(thread)


def test_a_forked_child_starts_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = LoopThread()
    parent = loop.run(where())
    mine = loop._stop
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert loop.run(where()) != parent
    assert mine is not None
    assert mine() is None  # the child does not stop what its parent runs
    loop.close()
    monkeypatch.undo()
    assert alive(parent)


def test_the_loop_calls_what_it_is_given() -> None:
    loop, called = LoopThread(), threading.Event()
    loop.call(called.set)
    assert called.wait(30.0)
    loop.close()


def test_what_ends_work_begins_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, called = LoopThread(), threading.Event()
    loop.tell(called.set)
    assert loop._loop is None
    running = loop._running()
    loop.tell(called.set)
    assert called.wait(30.0)
    loop.close()
    loop._loop = running  # as where another thread closes it at this moment
    loop.tell(called.clear)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    loop.tell(called.clear)
    loop._loop = None
    assert called.is_set()


def test_work_that_waits_for_other_work_does_not_wait_for_itself() -> None:
    loop = LoopThread()

    async def outer() -> tuple[int, int]:
        return await where(), loop.run(where())

    mine, other = loop.run(outer())
    assert mine != other
    loop.close()
    assert not alive(mine)
    assert not alive(other)


def test_a_loop_that_was_ended_from_inside_begins_anew() -> None:
    loop = LoopThread()
    running = loop._running()
    running.call_soon_threadsafe(running.stop)
    while not running.is_closed():
        time.sleep(0.001)
    assert alive(loop.run(where()))
    loop.close()
