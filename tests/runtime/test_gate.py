"""What an endpoint is spared while it fails."""

from __future__ import annotations

import threading

import pytest

from decider.runtime.gate import CAPACITY, FAILURES, LEAST_ANSWERS, PROBE_EVERY, REFILL, RETRY, THROTTLED_RETRY, Gate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def drained(clock: Clock) -> Gate:
    gate = Gate(clock=clock)
    while gate.wait(RETRY) == 0.0:
        pass
    return gate


def test_first_attempts_are_never_held_back_by_the_bucket(clock: Clock) -> None:
    gate = drained(clock)
    assert gate.wait(RETRY) > 0.0
    assert gate.wait() == 0.0


def test_an_empty_bucket_says_how_long_and_fills_with_time(clock: Clock) -> None:
    gate = drained(clock)
    seconds = gate.wait(RETRY)
    assert 0.0 < seconds <= RETRY / REFILL
    clock.now += seconds + 1e-9
    assert gate.wait(RETRY) == 0.0
    assert gate.wait(RETRY) > 0.0


def test_so_many_retries_are_in_a_bucket(clock: Clock) -> None:
    gate, made = Gate(clock=clock), 0
    while gate.wait(RETRY) == 0.0:
        made += 1
    assert made == CAPACITY // RETRY
    gate, made = Gate(clock=clock), 0
    while gate.wait(THROTTLED_RETRY) == 0.0:
        made += 1
    assert made == CAPACITY // THROTTLED_RETRY


def test_an_answer_gives_back_what_its_retry_took_and_one_more(clock: Clock) -> None:
    gate = drained(clock)
    gate.answered(RETRY, 0.1)
    assert gate.wait(RETRY) == 0.0
    for _ in range(int(RETRY)):
        gate.answered(0.0, 0.1)
    assert gate.wait(RETRY) == 0.0


def test_the_bucket_never_holds_more_than_it_can(clock: Clock) -> None:
    gate, made = Gate(clock=clock), 0
    gate.answered(RETRY, 0.1)
    clock.now += 3600.0
    while gate.wait(RETRY) == 0.0:
        made += 1
    assert made == CAPACITY // RETRY


def test_the_circuit_opens_after_failures_in_a_row_and_lets_one_call_through_at_times(clock: Clock) -> None:
    gate = Gate(clock=clock)
    for _ in range(FAILURES - 1):
        assert gate.failed("down", throttled=False) == RETRY
    assert (gate.is_open, gate.wait()) == (False, 0.0)
    gate.failed("down", throttled=False)
    assert gate.is_open
    assert gate.wait() == pytest.approx(PROBE_EVERY)
    probes = 0
    for _ in range(600):  # a minute
        clock.now += 0.1
        probes += gate.wait() == 0.0
    assert probes == pytest.approx(60.0 / PROBE_EVERY, abs=1)
    gate.answered(0.0, 0.1)
    assert (gate.is_open, gate.wait()) == (False, 0.0)


def test_an_answer_in_between_keeps_the_circuit_closed(clock: Clock) -> None:
    gate = Gate(clock=clock)
    for _ in range(3 * FAILURES):
        gate.failed("down", throttled=False)
        if gate.is_open:
            pytest.fail("it opened")
        gate.answered(RETRY, 0.1)


def test_an_answer_makes_up_for_two_failures_and_not_for_all(clock: Clock) -> None:
    gate = Gate(clock=clock)
    for n in range(200):  # at the beginning of an outage, calls that were under way are still answered
        gate.failed("down", throttled=False)
        if n % 5 == 4:
            gate.answered(0.0, 0.1)
        if gate.is_open:
            break
    assert n < 60


def test_an_answer_to_an_earlier_call_closes_no_circuit(clock: Clock) -> None:
    gate = Gate(clock=clock)
    for _ in range(FAILURES):
        gate.failed("down", throttled=False)
    clock.now += 1.0
    gate.answered(0.0, 2.0)
    assert gate.is_open
    assert gate.down_for == pytest.approx(1.0)
    gate.answered(0.0, 0.5)
    assert not gate.is_open
    assert gate.down_for == 0.0


def test_an_open_circuit_closes_where_the_endpoint_throttles(clock: Clock) -> None:
    gate = Gate(clock=clock)
    for _ in range(FAILURES):
        gate.failed("down", throttled=False)
    gate.failed("busy", throttled=True)
    assert (gate.is_open, gate.wait()) == (False, 0.0)


def test_calls_that_hang_are_told_from_slow_ones(clock: Clock) -> None:
    gate = Gate(clock=clock)
    for _ in range(LEAST_ANSWERS - 1):
        gate.answered(0.0, 0.3)
    assert gate.longest(60.0) == 60.0
    gate.answered(0.0, 0.3)
    assert gate.longest(60.0) == 10.0
    gate.answered(0.0, None)
    for _ in range(100):
        gate.answered(0.0, 1.0)
    assert gate.longest(60.0) == pytest.approx(20.0, rel=0.01)
    for _ in range(100):
        gate.answered(0.0, 30.0)
    assert gate.longest(60.0) == 60.0


def test_an_endpoint_that_throttles_is_there(clock: Clock) -> None:
    gate = Gate(clock=clock)
    assert {gate.failed("busy", throttled=True) for _ in range(3 * FAILURES)} == {THROTTLED_RETRY}
    assert not gate.is_open


def test_threads_take_no_more_than_there_is() -> None:
    gate = Gate(clock=Clock())
    made: list[bool] = []

    def take() -> None:
        made.extend(gate.wait(RETRY) == 0.0 for _ in range(50))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made) == CAPACITY // RETRY


def test_a_forked_child_does_not_wait_for_its_parents_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    with gate._lock:  # as another thread may have it at the moment of the fork
        monkeypatch.setattr("os.getpid", lambda: 1)
        assert gate.wait() == 0.0
        gate.answered(0.0, 0.1)
        assert gate.has_answered
