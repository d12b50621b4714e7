"""Many rows at once: as they end, halted, closed, decided before."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, model_validator

from decider.decider import Decider
from decider.decision import Decision, Reply, new_id
from decider.errors import BudgetExceeded, DataError, EngineRejected, EngineUnavailable, InputError
from decider.runtime.budget import Spend
from decider.task import Task
from decider.testing import FakeEngine


class Route(BaseModel):
    team: Literal["billing", "login"]


BILLING = {"team": "billing"}


def decider_of(
    *script: Any, in_process: bool = False, delay: float = 0.0, **keys: Any
) -> tuple[Decider[Any], FakeEngine]:
    engine = FakeEngine(*script, in_process=in_process, delay=delay)
    return Decider(Task(Route, name="route", prompt={"model": "m"}, **keys), engine=engine), engine


def rows(*texts: Any) -> Any:
    return ((str(n), text) for n, text in enumerate(texts, 1))


def nothing(_: Decision[Any]) -> None: ...


def test_rows_are_given_back_as_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decider.runtime.slots.ALONE", 0.01)
    gate = threading.Event()

    def answer(request: Any) -> Any:
        return BILLING

    class Slow(FakeEngine):
        async def apredict(self, request: Any) -> Any:
            if request.input == "slow":
                await asyncio.to_thread(gate.wait)
            return await super().apredict(request)

    recorded: list[Any] = []
    decider = Decider(Task(Route, name="route"), engine=Slow(answer, in_process=False))
    with decider:
        each = decider.each(rows("slow", "a", "b"), record=lambda one: recorded.append(one.row_id))
        assert {next(each).row_id, next(each).row_id} == {"2", "3"}
        assert set(recorded) == {"2", "3"}
        gate.set()
        assert [one.row_id for one in each] == ["1"]
    assert sorted(recorded) == ["1", "2", "3"]


@pytest.mark.parametrize("in_process", [True, False])
def test_what_is_recorded_is_recorded_before_it_is_given_back(in_process: bool) -> None:
    decider, _ = decider_of(BILLING, in_process=in_process)
    recorded: list[str] = []
    with decider:
        for decision in decider.each(rows(*"abcdefgh"), record=lambda one: recorded.append(one.id), concurrency=3):
            assert decision.id in recorded
    assert len(set(recorded)) == 8


@pytest.mark.parametrize("in_process", [True, False])
def test_what_keeps_a_row_from_being_recorded_ends_it(in_process: bool) -> None:
    decider, _ = decider_of(BILLING, in_process=in_process)

    def full(_: Decision[Any]) -> None:
        raise DataError("the disk is full")

    with decider, pytest.raises(DataError, match="the disk is full"):
        list(decider.each(rows(*"abcdefgh"), record=full))


@pytest.mark.parametrize("in_process", [True, False])
def test_a_row_that_could_not_be_read_fails_with_its_error(in_process: bool) -> None:
    decider, engine = decider_of(BILLING, in_process=in_process)
    with decider:
        decisions = {one.row_id: one for one in decider.each(rows("a", InputError("no JSON", row="2")), record=nothing)}
    assert (decisions["1"].status, decisions["2"].status) == ("decided", "failed")
    assert str(decisions["2"].error) == "row 2: no JSON"
    assert len(engine.requests) == 1


@pytest.mark.parametrize("in_process", [True, False])
def test_an_error_that_no_row_survives_is_raised_after_calls_under_way_have_ended(in_process: bool) -> None:
    refused = EngineRejected("no such key", reason="auth")
    decider, engine = decider_of(BILLING, BILLING, refused, BILLING, in_process=in_process, delay=0.01)
    recorded: list[Any] = []
    with decider, pytest.raises(EngineRejected, match="no such key"):
        for _ in decider.each(rows(*map(str, range(100))), record=recorded.append, concurrency=4):
            pass
    assert all(one.error is None for one in recorded)
    assert 2 <= len(recorded) == len(engine.requests) - 1 < 20


@pytest.mark.parametrize("in_process", [True, False])
def test_halt_lets_calls_under_way_end_and_begins_no_other(in_process: bool) -> None:
    decider, engine = decider_of(BILLING, in_process=in_process, delay=0.01)
    recorded: list[Any] = []
    with decider:
        each = decider.each(rows(*map(str, range(1000))), record=recorded.append, concurrency=4)
        next(each)
        decider.halt()
        rest = list(each)
    assert len(recorded) == len(rest) + 1 == len(engine.requests) < 20
    with decider:
        assert len(list(decider.each(rows(*"abc"), record=recorded.append))) == 3


def test_halt_drops_what_waits_to_be_asked_again() -> None:
    decider, engine = decider_of(EngineUnavailable("down", retry_after=30.0), delay=0.01)
    with decider:
        threading.Timer(0.1, decider.halt).start()
        begun = time.perf_counter()
        assert list(decider.each(rows(*"abcdef"), record=nothing, concurrency=2)) == []
        assert time.perf_counter() - begun < 20.0
    assert 1 <= len(engine.requests) <= 6


def test_a_call_that_ends_after_halt_is_not_asked_again() -> None:
    slow = FakeEngine(EngineUnavailable("down"), delay=0.05, in_process=False)
    decider = Decider(Task(Route, name="route"), engine=slow)
    with decider:
        each = decider.each(rows("a"), record=nothing)
        threading.Timer(0.02, decider.halt).start()
        assert list(each) == []
    assert len(slow.requests) == 1


def test_closing_the_iterator_cancels_what_is_under_way() -> None:
    decider, engine = decider_of(BILLING, delay=0.02)
    with decider:
        each = decider.each(rows(*map(str, range(1000))), record=nothing, concurrency=2)
        next(each)
        each.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(engine.requests) < 10


def test_rows_that_cannot_be_taken_end_it() -> None:
    def broken() -> Any:
        yield "1", "a"
        raise OSError("the file is gone")

    decider, _ = decider_of(BILLING, delay=0.01)
    with decider, pytest.raises(OSError, match="the file is gone"):
        list(decider.each(broken(), record=nothing))


def test_what_a_run_has_spent_before_counts() -> None:
    decider, engine = decider_of(BILLING, budget={"run": {"calls": 5}})
    with decider, pytest.raises(BudgetExceeded):
        list(decider.each(rows(*map(str, range(9))), record=nothing, spent=Spend(calls=3), concurrency=1))
    assert len(engine.requests) == 2
    without, engine = decider_of(BILLING)
    with without:
        assert len(list(without.each(rows("a"), record=nothing, spent=Spend(calls=3)))) == 1


@pytest.mark.parametrize("in_process", [True, False])
def test_rows_that_were_decided_before_need_no_engine(in_process: bool, tmp_path: Path) -> None:
    decider, engine = decider_of(BILLING, in_process=in_process, cache={}, log={}, folder=tmp_path)
    recorded: list[Any] = []
    with decider:
        first = list(decider.decide_many("ab"))
        second = list(decider.decide_many("abab"))
        third = list(decider.each(rows(*"ab"), record=recorded.append))

        async def run() -> list[Any]:
            return [one async for one in decider.adecide_many("abc", concurrency=2)]

        fourth = asyncio.run(run())
        assert decider.log is not None
        logged = [one.row_id for one in decider.log.records()]
    assert [one.cached for one in (*first, *second, *third, *fourth)] == [False] * 2 + [True] * 8 + [False]
    assert [one.row_id for one in second] == ["1", "2", "3", "4"]
    assert len(engine.requests) == 3
    assert [one.cached for one in recorded] == [True, True]
    assert len(logged) == 2 + 4 + 3  # what `each` decides is recorded by its caller


def test_a_found_decision_has_all_that_another_one_has(tmp_path: Path) -> None:
    decider, _ = decider_of(BILLING, in_process=True, cache={}, folder=tmp_path)
    with decider:
        first, second = decider.decide("x", id="7", meta={"a": 1}), decider.decide("x", id="7", meta={"a": 1})
    assert second.cached
    assert len(second.fields) == 1
    assert pickle.loads(pickle.dumps(second.fields)) == dict(first.fields)
    assert vars(first).keys() == vars(second).keys()
    assert vars(first.steps[0]).keys() == vars(second.steps[0]).keys()
    assert (second.row_id, second.meta, second.input) == ("7", {"a": 1}, "x")
    assert (second.status, second.accepted, second.mode, second.engine) == ("decided", True, "prompt", "fake")
    with pytest.raises(AttributeError):
        second.id = "other"  # type: ignore[misc]  # it is frozen, as mypy says


@pytest.mark.parametrize("colour", ["sync", "async", "each"])
def test_23_what_no_row_survives_is_one_call(colour: str) -> None:
    decider, engine = decider_of(EngineRejected("no such key", reason="auth"), delay=0.01)

    async def run() -> None:
        async for _ in decider.adecide_many(map(str, range(100)), concurrency=16):
            pass

    ways: dict[str, Any] = {
        "sync": lambda: list(decider.decide_many(map(str, range(100)), concurrency=16)),
        "each": lambda: list(decider.each(rows(*map(str, range(100))), record=nothing, concurrency=16)),
        "async": lambda: asyncio.run(run()),
    }
    with decider, pytest.raises(EngineRejected, match="no such key"):
        ways[colour]()
    assert len(engine.requests) == 1


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_an_error_that_ends_a_batch_comes_in_its_turn(colour: str) -> None:
    def answer(request: Any) -> Any:
        return EngineRejected("quota", reason="quota") if request.input == "9" else BILLING

    decider, engine = decider_of(answer, delay=0.001)
    seen: list[str | None] = []

    async def run() -> None:
        async for decision in decider.adecide_many(map(str, range(100)), concurrency=4):
            seen.append(decision.row_id)  # noqa: PERF401  # what came before the error counts

    ways: dict[str, Any] = {
        "sync": lambda: seen.extend(one.row_id for one in decider.decide_many(map(str, range(100)), concurrency=4)),
        "async": lambda: asyncio.run(run()),
    }
    with decider, pytest.raises(EngineRejected, match="quota"):
        ways[colour]()
    assert len(engine.requests) < 20
    assert seen == [str(n) for n in range(1, len(seen) + 1)]


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_row_that_waits_to_be_asked_again_does_not_hold_up_the_end(colour: str) -> None:
    def answer(request: Any) -> Any:
        if request.input == "0":
            return EngineUnavailable("busy", retry_after=30.0)
        return EngineRejected("quota", reason="quota")

    decider, engine = decider_of(answer)

    async def run() -> None:
        async for _ in decider.adecide_many("0123", concurrency=4):
            pass

    ways: dict[str, Any] = {"sync": lambda: list(decider.decide_many("0123")), "async": lambda: asyncio.run(run())}
    begun = time.perf_counter()
    with decider, pytest.raises(EngineRejected, match="quota"):
        ways[colour]()
    assert time.perf_counter() - begun < 20.0
    assert len(engine.requests) < 5


def test_what_is_cached_is_found_without_telemetry_too(tmp_path: Path) -> None:
    task = Task(Route, name="route", cache={}, folder=tmp_path)
    with Decider(task, engine=FakeEngine(BILLING), telemetry=False) as decider:
        assert [decider.decide("x").cached for _ in range(2)] == [False, True]


def test_an_endpoint_that_has_answered_is_asked_by_many_at_once() -> None:
    decider, engine = decider_of(BILLING, delay=0.05)
    with decider:
        decider.decide("x")
        each = decider.each(rows(*map(str, range(8))), record=nothing, concurrency=8)
        next(each)
        assert len(engine.requests) == 9
        list(each)


def test_ids_are_never_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids)
    child, told = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover
        os.write(told, "".join(new_id() for _ in range(3)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    theirs = os.read(child, 200).decode()
    os.close(child)
    os.close(told)
    assert {theirs[at : at + 32] for at in (0, 32, 64)}.isdisjoint(new_id() for _ in range(600))

    class Emptied(list[str]):
        def __bool__(self) -> bool:
            return True

    monkeypatch.setattr("decider.decision._ids", Emptied())
    assert len(new_id()) == 32


def test_halt_is_about_each_alone() -> None:
    decider, _ = decider_of(BILLING, in_process=True)
    decider.halt()
    assert len(list(decider.decide_many("abc"))) == 3


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_no_further_call_is_made_while_somebody_holds_the_error(colour: str) -> None:
    decider, engine = decider_of(EngineRejected("no", reason="request"), BILLING, delay=0.03)
    texts = list(map(str, range(200)))

    async def run() -> None:
        with pytest.raises(EngineRejected) as held:
            async for _ in decider.adecide_many(texts, concurrency=2, on_error="raise"):
                pass
        made = len(engine.requests)
        await asyncio.sleep(0.2)
        assert (len(engine.requests), str(held.value)) == (made, "no")

    with decider:
        if colour == "async":
            asyncio.run(run())
            return
        with pytest.raises(EngineRejected) as held:
            list(decider.decide_many(texts, concurrency=2, on_error="raise"))
        time.sleep(0.05)
        made = len(engine.requests)
        time.sleep(0.2)
        assert (len(engine.requests), str(held.value)) == (made, "no")


def test_rows_of_a_decider_that_is_closed_meanwhile_are_not_left_out_in_silence() -> None:
    decider, _ = decider_of(BILLING, delay=0.1)
    decided = decider.decide_many(map(str, range(20)), concurrency=2)
    next(decided)
    decider.close()
    with pytest.raises(RuntimeError, match="the Decider was closed while rows were under way"):
        list(decided)
    decider.close()


def test_halt_lets_all_samples_that_are_under_way_end() -> None:
    class Slow(FakeEngine):
        async def apredict(self, request: Any) -> Any:
            self.requests.append(request)
            await asyncio.sleep(0.05 + 0.15 * request.sample)
            return Reply(text='{"team":"billing"}')

    task = Task(Route, name="route", prompt={"model": "m", "samples": 3})
    engine = Slow(BILLING, in_process=False)
    with Decider(task, engine=engine) as decider:
        decider.decide("x")
        engine.requests.clear()
        threading.Timer(0.12, decider.halt).start()
        assert [one.status for one in decider.each(rows("a"), record=nothing, concurrency=3)] == ["decided"]
    assert len(engine.requests) == 3


@pytest.mark.parametrize("samples", [1, 3])
def test_a_rule_of_the_schema_may_decide_itself(samples: int) -> None:
    inner, asked = decider_of({"team": "login"})

    class Ruled(Route):
        @model_validator(mode="after")
        def as_another_decides(self) -> Ruled:
            self.team = inner.decide("x").output.team
            return self

    engine = FakeEngine(BILLING, in_process=False)
    prompt = {"model": "m", "samples": samples}
    with inner, Decider(Task(Ruled, name="ruled", prompt=prompt), engine=engine) as decider:
        object.__setattr__(inner, "_driver", decider._driver)  # the same loop, as with its own Decider
        assert [one.output.team for one in decider.decide_many("ab")] == ["login"] * 2
        assert decider.decide("c").output.team == "login"
    assert len(asked.requests) >= 3
