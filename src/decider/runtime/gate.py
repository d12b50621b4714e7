"""What one endpoint is spared, and how long it is waited for.

There is a bucket of tokens for asking again, and a circuit that opens when nothing answers.

The bucket is the retry quota of the AWS SDKs (their standard mode, as of 2026): while most calls fail, hardly any is
made again, so that a crowd of callers does not keep an endpoint down that is coming up. The circuit lets one call
through from time to time, and everything once that is answered.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

CAPACITY = 500.0
RETRY = 14.0
"""What asking again takes from the bucket after a failure; it comes back with an answer, and one more."""

THROTTLED_RETRY = 5.0
REFILL = 14.0
"""What comes back in a second by itself: where everybody waits to ask again, one of them may."""

FAILURES = 20
"""Failures that open the circuit, where every answer makes up for two: one call in five that fails does not do that."""

MADE_UP = 2

LASTING = 300.0
"""Seconds without any answer after which a batch waits no longer, unless its deadline is longer yet."""

HANGS = 20.0
"""A call that takes so many times as long as calls take on average is given up, if it may be asked again."""

LEAST_SHARE = 1 / 6
"""The part of the deadline that a call is given in any case."""

LEAST_ANSWERS = 20
"""Answers from which on their average time says something."""

_WEIGHT = 0.05
"""Of one answer in the average of their times."""

PROBE_EVERY = 5.0
"""Seconds between the calls that an open circuit lets through."""


class Gate:
    """Stands before one endpoint, for all decisions that ask there; safe for threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._tokens = CAPACITY
        self._filled = clock()
        self._failures = 0
        self._probe_at = 0.0
        self._opened = 0.0
        self.reason = ""
        """What was said of the last failure."""
        self._answers = 0
        self._average = 0.0

    def wait(self, cost: float = 0.0) -> float:
        """Return 0.0 where a call may be made, and then take `cost`; else in how many seconds to ask here again."""
        if self._pid != os.getpid():  # in a forked child nobody gives back what its parent's threads have locked
            self._pid, self._lock = os.getpid(), threading.Lock()
        if not cost and self._failures < FAILURES:
            return 0.0
        with self._lock:
            now = self._clock()
            lacking = cost - self._filled_to(now)
            if lacking > 0:
                return lacking / REFILL
            if self._failures >= FAILURES:
                if now < self._probe_at:
                    return self._probe_at - now
                self._probe_at = now + PROBE_EVERY
            self._tokens -= cost
            return 0.0

    def longest(self, deadline: float) -> float:
        """Return how many seconds a call is given: as a rule, calls that hang are told from slow ones."""
        if self._answers < LEAST_ANSWERS:
            return deadline
        return min(deadline, max(deadline * LEAST_SHARE, HANGS * self._average))

    def answered(self, cost: float, seconds: float | None) -> None:
        """Note an answer: what the call took comes back, and one token more, and the circuit closes.

        `seconds` is how long it took, or None where that says nothing of other answers.
        """
        with self._lock:
            if not self.is_open:
                self._failures = max(0, self._failures - MADE_UP)
            elif self._clock() - (seconds or 0.0) >= self._opened:  # it was asked after the circuit had opened
                self._failures = 0
            self._tokens = min(CAPACITY, self._tokens + cost + 1.0)
            if seconds is not None:
                self._answers += 1
                self._average += (seconds - self._average) * max(_WEIGHT, 1.0 / self._answers)

    def failed(self, reason: str, *, throttled: bool) -> float:
        """Note a failure; return what asking again costs. One that throttles is there: the circuit closes."""
        self.reason = reason
        with self._lock:
            if throttled:
                self._failures = 0 if self.is_open else self._failures
                return THROTTLED_RETRY
            self._failures += 1
            if self._failures == FAILURES:
                self._opened = self._clock()
                self._probe_at = self._opened + PROBE_EVERY
        return RETRY

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open: nothing answers, and hardly anything is let through."""
        return self._failures >= FAILURES

    @property
    def has_answered(self) -> bool:
        """Whether the endpoint has ever answered well."""
        return self._answers > 0

    @property
    def down_for(self) -> float:
        """For how many seconds the circuit has been open."""
        return self._clock() - self._opened if self.is_open else 0.0

    def _filled_to(self, now: float) -> float:
        self._tokens = min(CAPACITY, self._tokens + (now - self._filled) * REFILL)
        self._filled = now
        return self._tokens
