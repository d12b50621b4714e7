"""Several answers to the same question: how they are drawn, what their vote decides, and what it says of itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, model_validator

from decider.agreement import candidates, distributions
from decider.decider import Decider
from decider.decision import Decision, Reply, Request, Usage
from decider.errors import DeadlineExceeded, EngineRejected, EngineUnavailable, InvalidDecision
from decider.schema import fields_of
from decider.task import Task
from decider.testing import FakeEngine

Decide = Callable[..., Decision[Any]]


class Route(BaseModel):
    team: Literal["billing", "login", "sales"]
    urgent: bool
    tags: list[Literal["a", "b", "c"]] | None
    why: str


class Guarded(Route):
    @model_validator(mode="after")
    def login_is_never_urgent(self) -> Guarded:
        if self.team == "login" and self.urgent:
            raise ValueError("a login ticket is never urgent")
        return self


FIELDS = fields_of(Route)


def answer(
    team: str = "billing", urgent: bool = True, tags: Sequence[str] | None = (), why: str = "so"
) -> dict[str, Any]:
    return {"team": team, "urgent": urgent, "tags": None if tags is None else list(tags), "why": why}


# What a vote is.


def test_a_share_is_that_of_the_answers() -> None:
    answers = [answer("login", tags=["a"]), answer("login", tags=["a", "b"]), answer(tags=None), answer("login", False)]
    found = distributions(answers, FIELDS)
    assert found == {
        "team": {"billing": 0.25, "login": 0.75, "sales": 0.0},
        "urgent": {False: 0.25, True: 0.75},
        "tags": {"a": 0.5, "b": 0.25, "c": 0.0},
    }


def test_values_are_told_apart_by_more_than_their_words() -> None:
    class Odd(BaseModel):
        a: Literal[1, 2]
        b: bool
        c: Literal["None", "true"] | None

    answers: list[dict[str, Any]] = [
        {"a": 1, "b": True, "c": "None"},
        {"a": 1, "b": True, "c": "true"},
        {"a": 2, "b": False, "c": None},
    ]
    found = distributions(answers, fields_of(Odd))
    assert found["a"] == {1: 2 / 3, 2: 1 / 3}
    assert found["b"] == {False: 1 / 3, True: 2 / 3}
    assert found["c"] == {"None": 1 / 3, "true": 1 / 3, None: 1 / 3}
    assert next(candidates(answers, fields_of(Odd)))["b"] is True


answers_of = st.lists(
    st.builds(
        answer,
        st.sampled_from(["billing", "login", "sales"]),
        st.booleans(),
        st.none() | st.sets(st.sampled_from("abc")).map(sorted),
        st.text(max_size=2),
    ),
    min_size=1,
    max_size=7,
)


@given(answers_of)
def test_a_vote_takes_the_most_frequent_and_then_the_answers_themselves(answers: list[dict[str, Any]]) -> None:
    found = distributions(answers, FIELDS)
    assert sum(found["team"].values()) == pytest.approx(1.0)
    assert sum(found["urgent"].values()) == pytest.approx(1.0)
    first, *others = candidates(answers, FIELDS)
    assert found["team"][first["team"]] == max(found["team"].values())
    assert found["urgent"][first["urgent"]] == max(found["urgent"].values())
    tags = [one["tags"] for one in answers]
    assert tags.count(first["tags"]) == max(map(tags.count, tags))
    assert others[0]["why"] == first["why"]
    assert sorted(map(repr, others)) == sorted(map(repr, answers))


# How a decision draws and takes it.


def task_of(samples: int, output: type[BaseModel] = Route, reask: int = 0, **keys: Any) -> Task[Any]:
    return Task(output, name="route", prompt={"model": "m", "samples": samples, "reask": reask}, **keys)


def by_sample(*script: Any) -> Callable[[Request], Any]:
    return lambda request: script[request.sample]


@pytest.fixture(params=["here", "elsewhere"])
def in_process(request: pytest.FixtureRequest) -> bool:
    return str(request.param) == "here"


def voted(decide: Decide, in_process: bool, *script: Any, **keys: Any) -> tuple[Decision[Any], FakeEngine]:
    """The decision of a vote of as many answers as the script has."""
    engine = FakeEngine(by_sample(*script), in_process=in_process)
    with Decider(task_of(len(script), **keys), engine=engine) as decider:
        return decide(decider, "charged twice"), engine


def test_every_answer_is_asked_for_once_and_counted(decide: Decide, in_process: bool) -> None:
    script = [
        answer("login", False, tags=["a"]),
        answer(tags=["a"]),
        answer("sales"),
        answer(tags=["b", "a"]),
        answer(tags=["a"]),
    ]
    decision, engine = voted(decide, in_process, *script)
    assert sorted(request.sample for request in engine.requests) == [0, 1, 2, 3, 4]
    assert {request.input for request in engine.requests} == {"charged twice"}
    assert decision.attempts == 5
    assert decision.output == Route(team="billing", urgent=True, tags=["a"], why="so")
    team, tags, why = (decision.fields[path] for path in ("team", "tags", "why"))
    assert team.probabilities == {"billing": 0.6, "login": 0.2, "sales": 0.2}
    assert (team.probability, team.source, team.calibrated, team.step) == (0.6, "agreement", False, 0)
    assert decision.fields["urgent"].probability == 0.8
    assert tags.probabilities == {"a": 0.8, "b": 0.2, "c": 0.0}
    assert tags.probability == pytest.approx(0.8 * 0.8 * 1.0)
    assert (why.probability, why.source) == (None, None)
    assert decision.confidence is None


def test_no_tags_at_all_is_an_answer_too(decide: Decide) -> None:
    decision, _ = voted(decide, True, answer(tags=None), answer(tags=None), answer(tags=["a"]))
    assert decision.output.tags is None
    assert decision.fields["tags"].probability == pytest.approx(2 / 3)


def test_open_fields_are_those_of_the_answer_that_agrees_most(decide: Decide, in_process: bool) -> None:
    script = [answer("login", False, why="1"), answer("billing", False, why="2"), answer("billing", True, why="3")]
    decision, _ = voted(decide, in_process, *script)
    assert (decision.output.team, decision.output.urgent, decision.output.why) == ("billing", False, "2")


def test_a_mixture_that_breaks_a_rule_gives_way_to_a_whole_answer(decide: Decide, in_process: bool) -> None:
    script = [
        answer("login", False, why="1"), answer("login", False, why="2"), answer("billing", True, why="3"),
        answer("sales", True, why="4"), answer("billing", True, why="5"), answer("login", False, why="6"),
        answer("sales", True, why="7"),
    ]  # fmt: skip
    decision, engine = voted(decide, in_process, *script, output=Guarded)
    assert (decision.output.team, decision.output.urgent, decision.output.why) == ("login", False, "1")
    assert decision.fields["team"].probability == pytest.approx(3 / 7)
    assert decision.fields["urgent"].probability == pytest.approx(3 / 7)
    assert len(engine.requests) == 7


@pytest.mark.parametrize(
    "unfit", ["?", {"team": "zzz"}, answer("login", True), Reply(text="{}", outcome="truncated")], ids=repr
)
def test_answers_that_do_not_fit_have_no_vote(decide: Decide, in_process: bool, unfit: Any) -> None:
    script = [unfit, answer("sales"), answer("billing"), unfit, answer("billing")]
    decision, _ = voted(decide, in_process, *script, output=Guarded)
    assert decision.fields["team"].probabilities == {"billing": 2 / 3, "login": 0.0, "sales": 1 / 3}


def test_half_of_them_are_too_few(decide: Decide, in_process: bool) -> None:
    with pytest.raises(InvalidDecision, match="no reply of fake 'fake' fitted the schema. The reply is not JSON"):
        voted(decide, in_process, "?", answer(), answer(), "?")
    decision, _ = voted(decide, in_process, "?", answer(), answer())
    assert decision.fields["team"].probability == 1.0


def test_each_answer_may_be_asked_again(decide: Decide, in_process: bool) -> None:
    def once_wrong(request: Request) -> Any:
        return answer("sales") if request.correction or request.sample != 1 else "?"

    engine = FakeEngine(once_wrong, in_process=in_process)
    with Decider(task_of(3, reask=1), engine=engine) as decider:
        decision = decide(decider, "x")
    assert decision.fields["team"].probability == 1.0
    assert [request.sample for request in engine.requests if request.correction] == [1]
    assert decision.attempts == 4


@pytest.mark.parametrize("outcome", ["refused", "filtered"])
def test_one_refusal_is_a_refusal(decide: Decide, in_process: bool, outcome: Any) -> None:
    said = Reply(text="", outcome=outcome, usage=Usage(input_tokens=3))
    decision, engine = voted(decide, in_process, answer(), answer(), said)
    assert (decision.status, decision.get(), decision.fields) == (outcome, None, {})
    assert decision.usage == Usage(input_tokens=3)
    assert len(engine.requests) == 3


def test_the_model_that_served_is_named(decide: Decide, in_process: bool) -> None:
    text = '{"team":"sales","urgent":true,"tags":[],"why":"so"}'
    decision, _ = voted(decide, in_process, "?", *[Reply(text=text, served_model="m-7")] * 2)
    assert decision.served_model == "m-7"


# What it costs, how long it takes, and who waits.


class Watched(FakeEngine):
    """Counts how many are asked at once, and who was left before the answer came; sample n waits `waits[n]` seconds."""

    def __init__(self, *script: Any, waits: Sequence[float] = (), **how: Any) -> None:
        super().__init__(*script, in_process=False, **how)
        self.running = self.highest = self.left = 0
        self._waits = waits
        self._counting = threading.Lock()

    def cost(self, usage: Usage) -> float | None:
        return usage.input_tokens / 100

    async def apredict(self, request: Request) -> Reply:
        with self._counting:
            self.running += 1
            self.highest = max(self.highest, self.running)
        try:
            await asyncio.sleep(self._waits[request.sample] if self._waits else 0.0)
            return await super().apredict(request)
        except asyncio.CancelledError:
            self.left += 1
            raise
        finally:
            with self._counting:
                self.running -= 1


def until(holds: Callable[[], bool]) -> bool:
    """Whether something that another thread does comes to hold, within a time that is never waited out."""
    end = time.monotonic() + 10.0
    while not holds() and time.monotonic() < end:
        time.sleep(0.001)
    return holds()


def test_answers_are_drawn_side_by_side(decide: Decide) -> None:
    engine = Watched(answer(), delay=0.02)
    with Decider(task_of(5), engine=engine) as decider:
        decide(decider, "x")
    assert engine.highest == 5


def test_in_a_batch_they_keep_to_the_concurrency_of_all_rows() -> None:
    engine = Watched(answer(), delay=0.002)
    with Decider(task_of(5), engine=engine) as decider:
        decisions = list(decider.decide_many(map(str, range(1, 7)), concurrency=3))

        async def many() -> list[Decision[Any]]:
            return [one async for one in decider.adecide_many(["7", "8"], concurrency=3)]

        decisions += asyncio.run(many())
    assert [decision.status for decision in decisions] == ["decided"] * 8
    assert engine.highest == 3
    assert len(engine.requests) == 40


def test_waiting_for_each_other_does_not_count_against_the_deadline() -> None:
    engine = Watched(answer(), delay=0.04)
    with Decider(task_of(6, retry={"deadline": "200ms"}), engine=engine) as decider:
        (decision,) = decider.decide_many(["x"], concurrency=1)
    assert decision.status == "decided"
    assert decision.latency_ms > 40


def test_tokens_dollars_and_calls_are_those_of_all(decide: Decide) -> None:
    text, usage = '{"team":"sales","urgent":true,"tags":[],"why":"so"}', Usage(input_tokens=10, output_tokens=2)
    engine = Watched(
        by_sample(Reply(text=text, usage=usage), Reply(text="?", usage=usage), Reply(text=text, usage=usage))
    )
    with Decider(task_of(3, reask=2), engine=engine) as decider:
        decision = decide(decider, "x")
    assert decision.usage == Usage(input_tokens=50, output_tokens=10)
    assert decision.attempts == 5
    assert decision.cost_usd == pytest.approx(0.5)
    (trace,) = decision.steps
    assert (trace.attempts, trace.usage, trace.cost_usd) == (5, decision.usage, decision.cost_usd)


def failed(engine: FakeEngine, samples: int, **keys: Any) -> Decision[Any]:
    with Decider(task_of(samples, **keys), engine=engine) as decider:
        (decision,) = decider.decide_many(["x"])
        assert not isinstance(engine, Watched) or until(lambda: engine.running == 0)
    assert (decision.status, decision.fields) == ("failed", {})
    return decision


def test_they_are_summed_on_failure_too() -> None:
    said = Reply(text="?", usage=Usage(input_tokens=10))
    for engine in (Watched(said), FakeEngine(said)):
        decision = failed(engine, 4, reask=1)
        assert isinstance(decision.error, InvalidDecision)
        assert (decision.usage.input_tokens, decision.attempts) == (80, 8)
    assert failed(Watched(said), 2).cost_usd == pytest.approx(0.2)


def test_an_error_ends_the_others_and_loses_nothing() -> None:
    said = Reply(text="?", usage=Usage(input_tokens=10))
    rejected = EngineRejected("too long", reason="request")
    engine = Watched(by_sample(said, said, rejected, said, said), waits=[0.0, 0.0, 0.05, 30.0, 30.0])
    begun = time.perf_counter()
    decision = failed(engine, 5)
    assert time.perf_counter() - begun < 10.0
    assert decision.error is rejected
    assert (decision.usage.input_tokens, decision.attempts) == (20, 5)
    assert decision.cost_usd == pytest.approx(0.2)
    assert engine.left == 2


def test_an_error_here_ends_those_that_have_not_begun() -> None:
    engine = FakeEngine(by_sample(answer(), EngineRejected("too long", reason="request"), answer()))
    assert failed(engine, 3).attempts == 2


def test_what_passes_is_asked_again_within_the_attempts_of_all(decide: Decide, in_process: bool) -> None:
    def down(*samples: int) -> FakeEngine:
        """An engine that is unavailable once for each of these."""
        waiting = list(samples)

        def said(request: Request) -> Any:
            if request.sample not in waiting:
                return answer()
            waiting.remove(request.sample)
            return EngineUnavailable("down")

        return FakeEngine(said, in_process=in_process)

    task = task_of(3, retry={"attempts": 3})
    for engine in (down(1, 2), down(1, 1)):
        with Decider(task, engine=engine) as decider:
            assert decide(decider, "x").attempts == 5
    with Decider(task, engine=down(0, 1, 2)) as decider, pytest.raises(EngineUnavailable, match="down"):
        decide(decider, "x")


def test_the_deadline_holds_for_all(decide: Decide) -> None:
    engine = Watched(answer(), waits=[0.0, 30.0, 30.0])
    begun = time.perf_counter()
    with Decider(task_of(3, retry={"deadline": "80ms"}), engine=engine) as decider:
        with pytest.raises(DeadlineExceeded, match="did not answer before the deadline"):
            decide(decider, "x")
        assert until(lambda: engine.running == 0)
    assert time.perf_counter() - begun < 10.0


def test_a_caller_who_leaves_leaves_all() -> None:
    async def leave() -> Watched:
        begun = asyncio.Event()

        def said(_: Request) -> Any:
            begun.set()
            return answer()

        engine = Watched(said, waits=[0.0, 30.0, 30.0])
        async with Decider(task_of(3), engine=engine) as decider:
            deciding = asyncio.ensure_future(decider.adecide("x"))
            await begun.wait()
            deciding.cancel()
            await asyncio.wait([deciding])
        return engine

    engine = asyncio.run(leave())
    assert (engine.running, engine.left) == (0, 2)


class Moody(Route):
    @model_validator(mode="after")
    def only_so_often(self) -> Moody:
        MOOD.append(self.team)
        if len(MOOD) > 3:
            raise ValueError("not again")
        return self


MOOD: list[str] = []


def test_a_rule_that_changes_its_mind_is_an_invalid_decision() -> None:
    MOOD.clear()
    task = Task(Moody, name="t", prompt={"model": "m", "samples": 3, "reask": 0})
    with Decider(task, engine=FakeEngine(answer())) as decider, pytest.raises(InvalidDecision, match="not again"):
        decider.decide("x")
