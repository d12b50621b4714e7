"""What a call can use at most, and which failures may have been billed: what budgets rest on."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from conftest import Decide
from decider.decider import Decider
from decider.decision import Request
from decider.errors import BudgetExceeded, DeadlineExceeded, EngineUnavailable, SpecError
from decider.plan import obstacles
from decider.task import Task
from decider.testing import FakeEngine
from endpoint import GOOD, LANES, OPENAI, Answer, Lane, ask_at, completion, error, route_at, saying, serve

PRICE = {"input": 1.0, "output": 2.0}
LIMITED: dict[str, Any] = {"price": PRICE, "params": {"max_tokens": 50}}


class Mood(BaseModel):
    mood: Literal["good", "bad"]


def bound(task: Task[Any], x: str = "x", **more: Any) -> Any:
    with Decider(task) as decider:
        ((_, engine),) = decider.plan()
        return engine.most(Request(input=x, fields=task.fields, **more))


@pytest.mark.parametrize("lane", LANES)
def test_the_bound_is_above_what_is_used(lane: Lane, decide: Decide) -> None:
    with serve(saying(lane, GOOD)) as endpoint:
        task = route_at(endpoint.url, prompt={**LIMITED, "structure": lane})
        most = bound(task, "x" * 1000)
        assert most.output_tokens == 50
        assert 1000 < most.input_tokens < 10_000
        assert bound(task, "x" * 2000).input_tokens == most.input_tokens + 1000
        assert bound(task, room=300).output_tokens == 300
        decision = ask_at(endpoint, decide, prompt={**LIMITED, "structure": lane}, budget={"decision": {"usd": 1.0}})
        assert decision.cost_usd == pytest.approx((11 + 2 * 3) / 1e6)


def test_nothing_bounds_an_answer_without_a_limit() -> None:
    assert bound(route_at("http://127.0.0.1:9/v1")) is None
    assert (
        bound(route_at("http://127.0.0.1:9/v1", prompt={"params": {"extra_body": {"max_tokens": 7}}})).output_tokens
        == 7
    )


def test_a_decision_endpoint_answers_in_few_words() -> None:
    prompt = {"engine": "decisions", "model": "m", "base_url": "http://127.0.0.1:9/v1", "price": PRICE}
    task = Task(Mood, name="mood", prompt=prompt, budget={"run": {"usd": 1.0}})
    assert obstacles(task, "prompt") == []
    most = bound(task, "x" * 1000)
    assert most.input_tokens > 1000
    assert most.output_tokens > 0


def test_engines_say_where_they_ask() -> None:
    with Decider(route_at("http://127.0.0.1:9/v1")) as decider:
        ((_, engine),) = decider.plan()
        assert (engine.place, engine.local) == ("http://127.0.0.1:9/v1", False)
    assert (FakeEngine("").place, FakeEngine("").local) == ("", False)


@pytest.mark.parametrize(
    ("budget", "prompt", "says"),
    [
        (
            {"run": {"usd": 1}},
            {},
            ["the price of 'm-1' is not known; write prompt.price: ", "nothing bounds what an answer"],
        ),
        (
            {"run": {"usd": 1}},
            {"price": PRICE},
            ["budget.run.usd: nothing bounds what an answer costs; limit answers, with"],
        ),
        ({"decision": {"tokens": 9}}, {}, ["budget.decision.tokens: nothing bounds what an answer costs"]),
        ({"run": {"tokens": 9}}, {"params": {"max_completion_tokens": 5}}, []),
        ({"run": {"tokens": 9}}, {"params": {"extra_body": {"max_tokens": 5}}}, []),
        ({"run": {"calls": 9}, "decision": {"calls": 1}}, {}, []),
        ({"run": {"usd": 1}}, {"model": "gpt-4o-mini", "base_url": OPENAI, "params": {"max_tokens": 9}}, []),
    ],
)
def test_a_budget_that_cannot_be_kept_is_a_mistake(budget: Any, prompt: Any, says: list[str]) -> None:
    task = route_at("http://127.0.0.1:9/v1", budget=budget, prompt=prompt)
    found = [str(one) for one in obstacles(task, "prompt")]
    assert len(found) == len(says)
    assert all(said in one for said, one in zip(says, found, strict=True))
    if says:
        with pytest.raises(SpecError, match=r"budget\."):
            Decider(task).decide("x")


def test_a_limit_has_the_name_that_the_endpoint_takes() -> None:
    task = route_at("x", budget={"run": {"tokens": 9}}, prompt={"model": "gpt-4o-mini", "base_url": OPENAI})
    assert "params: {max_completion_tokens: 500}" in str(obstacles(task, "prompt")[0])


def test_dollars_are_never_exceeded(decide: Decide) -> None:
    with serve(completion(GOOD, usage={"prompt_tokens": 1000, "completion_tokens": 50})) as endpoint:
        task = route_at(endpoint.url, prompt=LIMITED, budget={"run": {"usd": 0.02}})
        costs: list[float] = []
        with Decider(task) as decider, pytest.raises(BudgetExceeded, match=r"budget\.run\.usd is 0\.02"):
            costs.extend(decide(decider, "charged twice").cost_usd or 0.0 for _ in range(100))
        with Decider(task) as decider:
            costs = [decision.cost_usd or 0.0 for decision in islice(decider.decide_many("x" * 100, concurrency=1), 12)]
        assert 0.01 < sum(costs) <= 0.02
        assert len(endpoint.requests) < 40


def test_a_reply_that_does_not_tell_what_it_used_is_charged_the_worst() -> None:
    with serve(completion(GOOD, usage=None)) as endpoint:
        decider = Decider(route_at(endpoint.url, prompt=LIMITED, budget={"run": {"tokens": 5000}}))
        with decider:
            decider.decide("x")
    assert decider.around.run is not None
    assert decider.around.run.spent.tokens > 1000


@pytest.mark.parametrize(
    ("answers", "billed"),
    [
        ([error(503, "busy")], 0),
        ([error(429, "slow down", retry_after="0")], 0),
        ([Answer(body=GOOD, short=5)], 1),
        ([Answer(body="<html>", headers={"content-type": "text/html"})], 0),
    ],
)
def test_what_may_have_been_billed_is_counted(answers: list[Answer], billed: int, decide: Decide) -> None:
    with serve(*answers, completion(GOOD)) as endpoint:
        decision = ask_at(endpoint, decide)
        assert (decision.attempts, decision.possibly_billed) == (2, billed)


def test_an_endpoint_that_throttles_says_so() -> None:
    with serve(error(429, "slow down", retry_after="7")) as endpoint:
        decider = Decider(route_at(endpoint.url, retry={"attempts": 1}))
        with decider, pytest.raises(EngineUnavailable) as caught:
            decider.decide("x")
    assert (caught.value.throttled, caught.value.retry_after, caught.value.ambiguous) == (True, 7.0, False)


def test_a_refused_connection_was_not_billed() -> None:
    decider = Decider(route_at("http://127.0.0.1:9/v1", retry={"attempts": 1}))
    with decider, pytest.raises(EngineUnavailable) as caught:
        decider.decide("x")
    assert not caught.value.ambiguous


def test_26_a_dripping_response_may_have_been_billed(decide: Decide) -> None:
    dripping = Answer(body=json.dumps({"choices": []}) + " " * 10_000, drip=0.05)
    with (
        serve(dripping) as endpoint,
        Decider(route_at(endpoint.url, retry={"deadline": "200ms", "passes": 1})) as decider,
    ):
        with pytest.raises(DeadlineExceeded) as caught:
            decide(decider, "x")
        (decision,) = decider.decide_many(["x"])
    assert caught.value.ambiguous
    assert decision.possibly_billed == 1
