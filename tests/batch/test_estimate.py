"""Estimates: what a run will take, told from a sample, without any call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from decider.batch.estimate import estimate
from decider.batch.rows import Rows
from decider.batch.scan import Scan, scan
from decider.decider import Decider
from decider.task import Task
from decider.testing import FakeEngine


class Route(BaseModel):
    team: Literal["billing", "login"]
    tags: list[Literal["a", "b", "c"]]


class Noted(Route):
    note: str


PRICE = {"input": 2.0, "output": 10.0}
URL = "http://127.0.0.1:9/v1"


def task(schema: type[BaseModel] = Route, **prompt: Any) -> Task[Any]:
    return Task(schema, name="t", prompt={"model": "m", "base_url": URL, "price": PRICE, **prompt})


def looked(folder: Path, one: Task[Any], texts: list[Any]) -> Scan:
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps({"input": text}) + "\n" for text in texts))
    return scan(Rows(one, path, folder))


def test_tokens_are_those_of_the_messages_and_of_an_answer(tmp_path: Path) -> None:
    one = task()
    with Decider(one) as decider:
        short = estimate(decider, looked(tmp_path, one, ["x"] * 1000), concurrency=10)
        long = estimate(decider, looked(tmp_path, one, ["x" * 401] * 1000), done=500, concurrency=10, share=0.5)
    assert (short.rows, short.todo, short.calls, short.seconds) == (1000, 1000, 1000, 100.0)
    assert (long.rows, long.todo, long.calls, long.seconds) == (1000, 500, 500, 50.0)
    assert long.input_tokens / 500 - short.input_tokens / 1000 == 100
    assert short.output_tokens == 1000 * len('{"team":"billing","tags":["a","b"]}') // 4 // 1000 * 1000 + 1000
    cost = (short.input_tokens * 2.0 + short.output_tokens * 10.0) / 1e6
    assert short.cost_usd == pytest.approx(cost)
    assert long.cost_usd == pytest.approx((long.input_tokens * 2.0 + long.output_tokens * 10.0) / 1e6 / 2)
    assert set(short.to_json()) == {
        "rows", "todo", "calls", "input_tokens", "output_tokens", "cost_usd", "seconds",
    }  # fmt: skip


def test_samples_count_and_rows_that_fail_do_not(tmp_path: Path) -> None:
    one = task(samples=3)
    with Decider(one) as decider:
        found = estimate(decider, looked(tmp_path, one, ["x", "", "y", None]))
        assert found.calls == 6
        none = estimate(decider, looked(tmp_path, one, []))
    assert (none.rows, none.calls, none.input_tokens, none.cost_usd) == (0, 0, 0, 0.0)


def test_a_decision_endpoint_is_asked_in_questions_and_a_chat_model_for_the_rest(tmp_path: Path) -> None:
    closed, mixed = task(engine="decisions"), task(Noted, engine="decisions")
    with Decider(closed) as decider:
        one = estimate(decider, looked(tmp_path, closed, ["x"]))
    with Decider(mixed) as decider:
        two = estimate(decider, looked(tmp_path, mixed, ["x"]))
    assert (one.calls, two.calls) == (1, 2)
    assert two.input_tokens > one.input_tokens > len("team") // 4


def test_a_price_may_be_unknown_and_a_model_of_ones_own_costs_nothing(tmp_path: Path) -> None:
    class Local(FakeEngine):
        local = True

    one = task()
    with Decider(one, engine=FakeEngine({})) as decider:
        assert estimate(decider, looked(tmp_path, one, ["x"])).cost_usd is None
    with Decider(one, engine=Local({})) as decider:
        found = estimate(decider, looked(tmp_path, one, ["x"] * 10))
    assert (found.calls, found.cost_usd) == (0, 0.0)
    assert found.seconds == pytest.approx(0.01)
