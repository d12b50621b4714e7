"""When an unavailable engine is asked again: exponential waits with full jitter, and an end."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from decider.errors import EngineUnavailable

if TYPE_CHECKING:
    from tenacity.wait import wait_base

BASE = 0.05
"""Seconds before the second attempt, at most; each further wait may be twice as long."""

THROTTLED_BASE = 1.0
"""The same where the endpoint said that it gets too many calls."""

LONGEST = 8.0


class Retries:
    """The attempts of one decision: after which waits its engine is asked again, and when no more."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._failed = 0

    def pause(self, error: EngineUnavailable) -> float | None:
        """Return the seconds to wait after one more failure, or None where that was the last attempt.

        Full jitter: a wait is uniform between nothing and its bound, so that callers that failed together do not come
        back together. What the endpoint asks for is added to it, never shortened.
        """
        from tenacity import RetryCallState, Retrying, stop_after_attempt  # slow to import, and seldom needed

        self._failed += 1
        state = RetryCallState(retry_object=Retrying(), fn=None, args=(), kwargs={})
        state.attempt_number = self._failed
        if stop_after_attempt(self._attempts)(state):
            return None
        jitter = _waits(THROTTLED_BASE if error.throttled and error.retry_after is None else BASE)(state)
        return (error.retry_after or 0.0) + jitter


@lru_cache(maxsize=2)
def _waits(base: float) -> wait_base:
    from tenacity import wait_random_exponential

    return wait_random_exponential(multiplier=base, max=LONGEST)
