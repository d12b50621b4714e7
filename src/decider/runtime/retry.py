"""When an unavailable engine is asked again: exponential waits with full jitter."""

from __future__ import annotations

import random
from collections.abc import Iterator

BASE = 0.05
"""Seconds before the second attempt, at most; each further wait may be twice as long."""

LONGEST = 8.0


def waits(attempts: int) -> Iterator[float]:
    """Yield the seconds to wait before each further attempt, `attempts - 1` of them.

    Full jitter: each is uniform between nothing and the exponential bound, so that callers that failed together do not
    come back together.
    """
    for n in range(attempts - 1):
        yield random.uniform(0.0, min(LONGEST, BASE * 2.0**n))  # noqa: S311  # spreads load, guards nothing
