"""One private event loop on a thread of its own, so that sync callers can use async engines under a deadline."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for other threads; starts with the first, and anew in a forked child.

    It stops at `close`, when it is forgotten, or with the interpreter, and lets what was opened on it close first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: weakref.finalize[[asyncio.AbstractEventLoop, threading.Thread, int], LoopThread] | None = None
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` on the loop; its future belongs to the caller's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def call(self, work: Callable[[], object]) -> None:
        """Have the loop call `work`, soon."""
        self._running().call_soon_threadsafe(work)

    def tell(self, work: Callable[[], object]) -> None:
        """Have the loop call `work`, if it runs: to end what runs there, none is begun, least of all at exit."""
        with self._lock:
            loop = self._loop if self._pid == os.getpid() else None
        if loop is not None:
            with suppress(RuntimeError):  # it has just been closed
                loop.call_soon_threadsafe(work)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end; an interrupt of the waiting thread cancels it."""
        if self._thread is threading.current_thread():  # a validator that decides, say: the loop would wait for itself
            aside = LoopThread()
            try:
                return aside.run(work)
            finally:
                aside.close()
        future = self.submit(work)
        try:
            return future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        """Cancel what runs and stop the thread; a later `submit` starts another."""
        with self._lock:
            stop, self._loop = self._stop, None
        if stop is not None:
            stop()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():
            # A forked child has the memory of the loop but not its thread, and perhaps a lock that nobody will release.
            self._pid, self._lock, self._loop = os.getpid(), threading.Lock(), None
        with self._lock:
            if self._loop is None or self._loop.is_closed():  # what a validator may do to it, by leaving the program
                self._loop = asyncio.new_event_loop()
                self._thread = thread = threading.Thread(target=_serve, args=(self._loop,), name="decider", daemon=True)
                thread.start()
                self._stop = weakref.finalize(self, _end, self._loop, thread, self._pid)
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, pid: int) -> None:
    if pid != os.getpid():
        return
    with suppress(RuntimeError):  # it has ended already
        loop.call_soon_threadsafe(loop.stop)
    if threading.current_thread() is not thread:
        thread.join()
