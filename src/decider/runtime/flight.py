"""One call for all who ask the same at the same time: who comes later waits for the answer of who came first."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future


class Flights:
    """The answers that are under way in this process, by cache key; safe for threads and loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._under_way: dict[str, Future[str | None]] = {}

    def board(self, key: str) -> Future[str | None] | None:
        """Return None to who is first, and has to `land`; to others the answer to come: None where there was none."""
        if self._pid != os.getpid():  # nobody lands in a forked child what its parent's threads have under way
            self._pid, self._lock, self._under_way = os.getpid(), threading.Lock(), {}
        with self._lock:
            flight = self._under_way.get(key)
            if flight is None:
                from concurrent.futures import Future  # slow to import, and who has no cache needs none

                self._under_way[key] = Future()
            return flight

    def land(self, key: str, answer: str | None) -> None:
        """Give the answer, or None, to everybody who waits for it."""
        with self._lock:
            flight = self._under_way.pop(key, None)
        if flight is not None:  # a forked child knows nothing of its parent's
            flight.set_result(answer)
