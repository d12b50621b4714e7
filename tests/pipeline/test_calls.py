"""The calls of one decision: retries, gates, budgets, deadlines."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel

from conftest import Decide
from decider.decider import Decider
from decider.decision import Reply, Request, Usage
from decider.engines.base import Engine
from decider.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    EngineRejected,
    EngineUnavailable,
    InputError,
    InvalidDecision,
    SpecError,
)
from decider.runtime import gate
from decider.runtime.budget import Spend
from decider.task import Task
from decider.testing import FakeEngine


class Route(BaseModel):
    team: Literal["billing", "login"]


BILLING = {"team": "billing"}
DOWN = EngineUnavailable("down")


class Priced(FakeEngine):
    """A dollar for a token; no call uses more than 100."""

    limit: ClassVar[int] = 100

    def cost(self, usage: Usage) -> float | None:
        return float(usage.input_tokens + usage.output_tokens)

    def most(self, request: Request) -> Usage | None:
        return Usage(input_tokens=self.limit - 40, output_tokens=40)


def used(tokens: int | None) -> Reply:
    return Reply(text='{"team":"billing"}', usage=None if tokens is None else Usage(input_tokens=tokens))


def decider_of(engine: Engine, **keys: Any) -> Decider[Any]:
    return Decider(Task(Route, name="route", prompt={"model": "m"}, **keys), engine=engine)


def test_an_open_circuit_is_told_at_once(decide: Decide) -> None:
    engine = FakeEngine(*[DOWN] * gate.FAILURES, BILLING)
    decider = decider_of(engine, retry={"attempts": 1})
    for _ in range(gate.FAILURES):
        with pytest.raises(EngineUnavailable, match="^down$"):
            decide(decider, "x")
    with pytest.raises(EngineUnavailable, match="down; it failed every time of late, and it is asked") as caught:
        decide(decider, "x")
    assert caught.value.retry_after is not None
    assert len(engine.requests) == gate.FAILURES


def test_a_batch_waits_until_the_circuit_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PROBE_EVERY", 0.05)
    engine = FakeEngine(*[DOWN] * (gate.FAILURES + 3), BILLING, in_process=False)
    decider = decider_of(engine, retry={"attempts": 100})
    with decider:
        decisions = list(decider.decide_many(map(str, range(40)), concurrency=4))
    assert [one.status for one in decisions] == ["decided"] * 40
    assert len(engine.requests) == 40 + gate.FAILURES + 3


def test_who_asks_for_all_whether_an_endpoint_is_back_has_its_own_attempts_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gate, "PROBE_EVERY", 0.02)
    engine = FakeEngine(*[DOWN] * 40, BILLING, in_process=False)
    with decider_of(engine, retry={"attempts": 2, "passes": 1, "deadline": "500ms"}) as decider:
        decisions = list(decider.decide_many(map(str, range(40)), concurrency=24))
    assert [one.status for one in decisions] == ["decided"] * 40
    assert sum(one.attempts for one in decisions) == 80  # 40 failures, and no row used up its two attempts
    said = [record.getMessage() for record in caplog.records]
    assert said == ["down; it is asked again every 5 s, until it answers"]


def test_a_batch_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PROBE_EVERY", 0.01)
    monkeypatch.setattr("decider.pipeline.calls.LASTING", 0.1)
    engine = FakeEngine(DOWN, in_process=False)
    with (
        decider_of(engine, retry={"deadline": "50ms"}) as decider,
        pytest.raises(EngineUnavailable, match="down; nothing was answered for 0 s") as caught,
    ):
        list(decider.decide_many(map(str, range(100)), concurrency=12))
    assert caught.value.fatal


def test_a_probe_that_hangs_is_not_the_rows_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PROBE_EVERY", 0.01)

    class Hanging(FakeEngine):
        async def apredict(self, request: Request) -> Reply:
            if 24 < len(self.requests) < 27:
                self.requests.append(request)
                await asyncio.sleep(3600.0)
            return await super().apredict(request)

    engine = Hanging(*[DOWN] * 27, BILLING, in_process=False)
    with decider_of(engine, retry={"deadline": "100ms", "passes": 1}) as decider:
        decisions = list(decider.decide_many(map(str, range(24)), concurrency=24))
    assert [one.status for one in decisions] == ["decided"] * 24
    assert sum(one.possibly_billed for one in decisions) == 2


def test_an_empty_bucket_ends_the_attempts_of_one_decision(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "CAPACITY", 20.0)
    monkeypatch.setattr(gate, "REFILL", 1e-6)
    engine = FakeEngine(DOWN, DOWN, BILLING)
    with pytest.raises(EngineUnavailable, match="down; too many calls failed of late, and it is") as caught:
        decide(decider_of(engine), "x")
    assert caught.value.__cause__ is DOWN
    assert len(engine.requests) == 2


def test_waiting_for_an_endpoint_is_not_the_rows_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "CAPACITY", 14.0)
    monkeypatch.setattr(gate, "REFILL", 100.0)
    engine = FakeEngine(DOWN, DOWN, DOWN, BILLING)
    decider = decider_of(engine, retry={"deadline": "200ms", "attempts": 10})
    (decision,) = decider.decide_many(["x"])
    assert decision.status == "decided"
    assert decision.latency_ms < 200.0


def test_a_row_that_failed_for_now_is_tried_in_later_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decider.pipeline.course._BETWEEN_PASSES", 0.001)
    engine = FakeEngine(DOWN, DOWN, BILLING)
    (decision,) = decider_of(engine, retry={"attempts": 1, "passes": 3}).decide_many(["x"])
    assert (decision.status, decision.attempts, len(decision.steps)) == ("decided", 3, 3)
    cases: list[tuple[list[Any], int, int]] = [
        ([DOWN], 2, 2),
        (["?"], 2, 2),  # it was answered, and asked again
        ([EngineRejected("no", reason="request")], 3, 1),
        ([EngineUnavailable("busy", retry_after=600.0)], 3, 1),
    ]
    for script, passes, attempts in cases:
        (decision,) = decider_of(FakeEngine(*script), retry={"attempts": 1, "passes": passes}).decide_many(["x"])
        assert (decision.status, decision.attempts) == ("failed", attempts)


def test_a_row_that_had_too_little_time_is_tried_in_later_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decider.pipeline.course._BETWEEN_PASSES", 0.001)
    engine = FakeEngine("?", BILLING, delay=0.03)
    (decision,) = decider_of(engine, retry={"deadline": "20ms", "passes": 2}).decide_many(["x"])
    assert (decision.status, decision.attempts) == ("decided", 2)


def test_a_longer_wait_than_the_deadline_ends_a_batch() -> None:
    engine = FakeEngine(EngineUnavailable("busy", retry_after=600.0), BILLING)
    with pytest.raises(DeadlineExceeded, match="busy; asking again in 600 s") as caught:
        list(decider_of(engine).decide_many(["x", "y"]))
    assert caught.value.retry_after == 600.0


def test_calls_that_may_have_been_billed_are_counted(decide: Decide) -> None:
    engine = FakeEngine(EngineUnavailable("gone", ambiguous=True), DOWN, BILLING)
    decision = decide(decider_of(engine), "x")
    assert (decision.attempts, decision.possibly_billed) == (3, 1)


def test_a_call_that_the_deadline_ends_may_have_been_billed() -> None:
    engine = FakeEngine(BILLING, delay=30.0, in_process=False)
    with decider_of(engine, retry={"deadline": "50ms", "passes": 1}) as decider:
        (decision,) = decider.decide_many(["x"])
    assert isinstance(decision.error, DeadlineExceeded)
    assert (decision.attempts, decision.possibly_billed) == (1, 1)


def test_a_call_that_hangs_is_asked_again_before_the_deadline(decide: Decide) -> None:
    async def never(_: Any) -> Any:
        await asyncio.sleep(3600.0)

    class Hanging(FakeEngine):
        async def apredict(self, request: Request) -> Reply:
            if len(self.requests) == 25:
                self.requests.append(request)
                await never(request)
            return await super().apredict(request)

    engine = Hanging(BILLING, in_process=False)
    with decider_of(engine, retry={"deadline": "6s"}) as decider:
        for n in range(25):
            decide(decider, str(n))
        decision = decide(decider, "x")
    assert (decision.status, decision.attempts, decision.possibly_billed) == ("decided", 2, 1)
    assert decision.latency_ms > 900.0


def test_an_endpoint_that_is_always_slow_is_waited_for() -> None:
    engine = FakeEngine(BILLING, delay=0.03, in_process=False)
    with decider_of(engine, retry={"deadline": "200ms"}) as decider:
        assert all(one.attempts == 1 for one in decider.decide_many(map(str, range(60)), concurrency=4))


@pytest.mark.parametrize("scope", ["decision", "run"])
@pytest.mark.parametrize(("limits", "calls"), [({"calls": 2}, 2), ({"tokens": 250}, 2), ({"usd": 199.0}, 1)])
def test_a_budget_ends_the_attempts(decide: Decide, scope: str, limits: Any, calls: int) -> None:
    engine = Priced(EngineUnavailable("gone", ambiguous=True))
    with pytest.raises(BudgetExceeded, match=f"budget.{scope}.{next(iter(limits))} is") as caught:
        decide(decider_of(engine, budget={scope: limits}), "x")
    assert caught.value.scope == scope
    assert len(engine.requests) == calls


@pytest.mark.parametrize(
    ("script", "spent"),
    [
        ([used(7)], Spend(7.0, 7, 1)),
        ([used(None)], Spend(100.0, 100, 1)),  # nobody told what it used
        ([DOWN, used(7)], Spend(7.0, 7, 2)),
        ([EngineUnavailable("gone", ambiguous=True), used(7)], Spend(107.0, 107, 2)),
        ([EngineRejected("no", reason="request")], Spend(0.0, 0, 1)),
        ([InputError("too long")], Spend()),
        ([InvalidDecision("none fits")], Spend()),
    ],
)
def test_what_a_call_may_use_is_settled_when_it_is_known(script: list[Any], spent: Spend) -> None:
    decider = decider_of(Priced(*script), budget={"run": {"usd": 1e6}})
    list(decider.decide_many(["x"]))
    budget = decider._around.run
    assert budget is not None
    assert budget.spent == spent
    assert budget.reserve(Spend(1e6 - spent.usd))  # nothing is still reserved


def test_what_both_budgets_reserved_is_given_back_where_one_refuses() -> None:
    engine = Priced(used(7))
    decider = decider_of(engine, budget={"decision": {"calls": 5}, "run": {"usd": 50.0}})
    with pytest.raises(BudgetExceeded, match=r"budget\.run\.usd"):
        decider.decide("x")
    assert engine.requests == []


def test_a_used_up_run_ends_a_batch() -> None:
    engine = FakeEngine(BILLING)
    decider = decider_of(engine, budget={"run": {"calls": 3}})
    rows = decider.decide_many(map(str, range(9)))
    assert [next(rows).status for _ in range(3)] == ["decided"] * 3
    with pytest.raises(BudgetExceeded):
        next(rows)


@pytest.mark.parametrize("threads", [False, True])
def test_64_workers_make_no_call_too_many(threads: bool) -> None:
    def answer(request: Request) -> Any:
        return DOWN if int(str(request.input)) % 2 else BILLING

    engine = FakeEngine(answer, delay=0.001, in_process=threads)
    decider = decider_of(engine, budget={"run": {"calls": 200}}, retry={"attempts": 3, "passes": 1})

    def decide(n: int) -> None:
        with pytest.raises(Exception, match="budget|failed|down") if n % 2 else _may_exceed():
            decider.decide(str(n))

    with decider:
        if threads:
            with ThreadPoolExecutor(64) as pool:
                list(pool.map(decide, range(400)))
        else:
            with pytest.raises(BudgetExceeded):
                list(decider.decide_many(map(str, range(400)), concurrency=64))
    assert len(engine.requests) <= 200


class _may_exceed:  # noqa: N801
    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, *_: object) -> bool:
        return kind is None or issubclass(kind, BudgetExceeded | EngineUnavailable)


def test_a_budget_waits_for_calls_that_may_cost_less() -> None:
    engine = Priced(used(10), delay=0.01, in_process=False)
    with decider_of(engine, budget={"run": {"tokens": 150}}) as decider:  # room for one call at a time
        decisions = list(decider.decide_many(["a", "b", "c", "d"]))
    assert [one.status for one in decisions] == ["decided"] * 4


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"usd": 1.0}, r"budget\.run\.usd: the price of the engine is not known; FakeEngine\.cost has to tell"),
        ({"tokens": 10}, r"budget\.run\.tokens: nothing bounds what a call can use; FakeEngine\.most has to tell"),
    ],
)
def test_a_budget_that_an_engine_cannot_keep_is_refused(limits: Any, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        decider_of(FakeEngine(BILLING), budget={"run": limits}).decide("x")


def test_a_clock_that_is_set_back_changes_nothing(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    real, said = time.time, iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: real() - 3600.0 * next(said))
    decision = decide(decider_of(FakeEngine(DOWN, DOWN, BILLING)), "x")
    assert decision.status == "decided"
    assert 0.0 <= decision.latency_ms < 60_000.0


def test_a_batch_does_not_take_a_circuit_that_nobody_looked_at_for_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PROBE_EVERY", 0.01)
    monkeypatch.setattr("decider.pipeline.calls.LASTING", 0.2)
    engine = FakeEngine(*[DOWN] * gate.FAILURES, BILLING, in_process=False, delay=0.02)
    with decider_of(engine, retry={"attempts": 1, "passes": 1, "deadline": "200ms"}) as decider:
        for _ in range(gate.FAILURES):
            with pytest.raises(EngineUnavailable, match="^down$"):
                decider.decide("x")
        time.sleep(0.3)  # it is up again, and nobody asks
        assert {one.status for one in decider.decide_many(map(str, range(30)))} == {"decided"}


def test_a_row_that_never_had_its_turn_takes_nothing_from_a_budget() -> None:
    engine = FakeEngine(BILLING, in_process=False, delay=0.05)
    with decider_of(engine, budget={"run": {"calls": 1000}}) as decider:
        rows = decider.decide_many(map(str, range(100)), concurrency=2)
        next(rows)
        rows.close()  # type: ignore[attr-defined]
        decider.close()
        budget = decider.around.run
        assert budget is not None
        assert budget.spent.calls == len(engine.requests) < 8
        assert budget.reserve(Spend(calls=1000 - budget.spent.calls))


def test_a_row_that_was_throttled_to_the_end_is_tried_in_later_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decider.pipeline.course._BETWEEN_PASSES", 0.001)
    busy = EngineUnavailable("busy", retry_after=0.05)
    (decision,) = decider_of(FakeEngine(busy, busy, BILLING), retry={"attempts": 2}).decide_many(["x"])
    assert (decision.status, decision.attempts) == ("decided", 3)


def test_a_wait_that_only_this_row_has_no_time_for_does_not_end_a_batch(
    monkeypatch: pytest.MonkeyPatch, decide: Decide
) -> None:
    monkeypatch.setattr("decider.pipeline.course._BETWEEN_PASSES", 0.001)
    busy = EngineUnavailable("busy", retry_after=0.3)
    decider = decider_of(FakeEngine(busy, busy, BILLING), retry={"deadline": "500ms"})
    begun = time.perf_counter()
    (decision,) = decider.decide_many(["x"])
    assert (decision.status, decision.attempts) == ("decided", 3)
    assert time.perf_counter() - begun >= 0.6  # it was not asked before the time
    with pytest.raises(DeadlineExceeded) as caught:
        decide(decider_of(FakeEngine(busy), retry={"deadline": "500ms"}), "x")
    assert caught.value.retry_after == 0.3


def test_a_decision_waits_for_a_budget_no_longer_than_its_deadline() -> None:
    engine = Priced(used(10), delay=0.4, in_process=False)
    decider = decider_of(engine, budget={"run": {"tokens": 150}}, retry={"deadline": "1s"})  # one call at a time

    def decide(n: int) -> Any:
        try:
            return decider.decide(str(n)).status
        except DeadlineExceeded:
            return "late"

    with decider, ThreadPoolExecutor(6) as pool:
        said = list(pool.map(decide, range(6)))
    assert set(said) == {"decided", "late"}
    assert said.count("late") >= 4  # the sixth would have its turn after 2 s


def test_samples_that_wait_side_by_side_wait_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PROBE_EVERY", 0.1)
    engine = FakeEngine(DOWN, DOWN, BILLING, in_process=False, delay=0.01)
    task = Task(Route, name="route", prompt={"model": "m", "samples": 5}, retry={"attempts": 100})
    with Decider(task, engine=engine) as decider:
        closed = decider.around.gate(engine)
        for _ in range(gate.FAILURES):
            closed.failed("down", throttled=False)
        (decision,) = decider.decide_many(["x"])
    assert decision.status == "decided"
    assert decision.latency_ms > 0.0


def test_calls_of_samples_that_were_given_up_are_counted() -> None:
    class Refusing(FakeEngine):
        async def apredict(self, request: Request) -> Reply:
            self.requests.append(request)
            await asyncio.sleep(0.02 if request.sample == 0 else 30.0)
            raise EngineRejected("no", reason="request")

    engine = Refusing(BILLING, in_process=False)
    task = Task(Route, name="route", prompt={"model": "m", "samples": 3}, budget={"run": {"calls": 9}})
    with Decider(task, engine=engine) as decider:
        (decision,) = list(decider.decide_many(["x"], concurrency=1))
        made = len(engine.requests)
        assert (decision.status, decision.attempts, decision.possibly_billed) == ("failed", made, made - 1)
        assert made < 3  # the last had not had its turn
        engine.requests.clear()
        with pytest.raises(EngineRejected):
            decider.decide("x")
        assert len(engine.requests) == 3
        budget = decider.around.run
        assert budget is not None
        assert budget.spent == Spend(calls=made + 3)
        (decision,) = list(decider.decide_many(["x"], concurrency=3))
    assert (decision.attempts, decision.possibly_billed) == (3, 2)


@pytest.mark.parametrize("keys", [{}, {"budget": {"run": {"tokens": 500}}}])
def test_an_input_that_is_too_long_names_its_row(keys: Any) -> None:
    class Short(Priced):
        def most(self, request: Request) -> Usage | None:
            raise InputError("too long")

    (decision,) = decider_of(Short(InputError("too long")), **keys).decide_many(["x"])
    assert str(decision.error) == "row 1: too long"
