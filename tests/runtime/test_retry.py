"""After which waits an unavailable engine is asked again."""

from __future__ import annotations

import pytest

from decider.errors import EngineUnavailable
from decider.runtime.retry import BASE, LONGEST, THROTTLED_BASE, Retries

DOWN = EngineUnavailable("down")


def test_waits_are_jittered_below_a_bound_that_doubles_and_end() -> None:
    for n in range(6):
        waits = []
        for _ in range(300):
            retries = Retries(8)
            for _ in range(n):
                retries.pause(DOWN)
            waits.append(retries.pause(DOWN) or 0.0)
        bound = min(LONGEST, BASE * 2.0**n)
        assert 0.0 <= min(waits) < 0.1 * bound
        assert 0.9 * bound < max(waits) <= bound


def test_the_last_attempt_is_the_last() -> None:
    retries = Retries(3)
    assert [retries.pause(DOWN) is None for _ in range(4)] == [False, False, True, True]
    assert Retries(1).pause(DOWN) is None


def test_what_the_endpoint_asks_for_is_never_shortened() -> None:
    asked = EngineUnavailable("busy", retry_after=5.0, throttled=True)
    waits = [Retries(2).pause(asked) or 0.0 for _ in range(1000)]
    assert min(waits) >= 5.0
    assert max(waits) <= 5.0 + BASE


def test_an_endpoint_that_throttles_is_given_more_time() -> None:
    busy = EngineUnavailable("busy", throttled=True)
    longest = max(Retries(2).pause(busy) or 0.0 for _ in range(500))
    assert 10 * BASE < longest <= THROTTLED_BASE


@pytest.mark.parametrize("n", [40, 99])
def test_many_attempts_wait_no_longer(n: int) -> None:
    retries = Retries(100)
    assert all((retries.pause(DOWN) or 0.0) <= LONGEST for _ in range(n))
