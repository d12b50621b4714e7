"""What is shipped for users' own tests does what it says."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel

from decider.decision import Reply, Request
from decider.errors import EngineUnavailable
from decider.task import Task
from decider.testing import FakeEngine, check_engine


class Route(BaseModel):
    team: Literal["a", "b"]
    tags: list[Literal["x", "y"]]


TASK = Task(Route, name="route")
REQUEST = Request(input="hi", fields=TASK.fields)
GOOD = {"team": "a", "tags": []}
SURE: dict[str, dict[Any, float]] = {"team": {"a": 0.5, "b": 0.5}, "tags": {"x": 0.9, "y": 0.9}}


def test_a_script_is_played_once_and_its_last_entry_ever_after() -> None:
    engine = FakeEngine(EngineUnavailable("down"), "raw", Reply(text="whole"), lambda request: {"echo": request.input})
    with pytest.raises(EngineUnavailable):
        engine.predict(REQUEST)
    said = [engine.predict(REQUEST).text for _ in range(4)]
    assert said == ["raw", "whole", '{"echo":"hi"}', '{"echo":"hi"}']
    assert len(engine.requests) == 5
    assert (engine.model, engine.identity) == ("fake", "fake")
    engine.close()


def test_a_fake_without_a_script_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs at least one reply"):
        FakeEngine()
    with pytest.raises(ValueError, match="at least one request"):
        check_engine(FakeEngine(GOOD))


def test_a_delay_is_waited_for() -> None:
    assert FakeEngine(GOOD, delay=0.001).predict(REQUEST).text


@pytest.mark.parametrize(
    "entry",
    [
        GOOD,
        EngineUnavailable("down"),
        Reply(text="", outcome="refused"),
        Reply(text='{"team":"a","tags":[]}', probabilities=SURE, source="local"),
    ],
)
def test_a_good_engine_passes(entry: Any) -> None:
    check_engine(FakeEngine(entry), REQUEST)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(text="[1]"), "a reply is a JSON object"),
        (Reply(text="{}", probabilities={"zzz": {}}, source="local"), "'zzz' has probabilities and was not asked"),
        (Reply(text="{}", probabilities={"team": {"a": 1.0}}, source="local"), "lacks a probability for some label"),
        (Reply(text="{}", probabilities={"tags": {"x": 2.0, "y": 0.0}}, source="local"), "outside \\[0, 1\\]"),
        (Reply(text="{}", probabilities={"team": {"a": 0.9, "b": 0.9}}, source="local"), "do not sum to 1"),
        (Reply(text="{}", probabilities=SURE), "probabilities have a source"),
        (Reply(text="{}", source="local"), "probabilities have a source"),
    ],
)
def test_a_bad_engine_is_told_what_is_wrong(reply: Reply, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_engine(FakeEngine(reply), REQUEST)


class Odd(FakeEngine):
    name: ClassVar[str] = "odd"

    def predict(self, request: Request) -> Reply:
        return {"team": "a"}  # type: ignore[return-value]  # the mistake that is tested


class Moody(FakeEngine):
    @property
    def identity(self) -> str:
        return str(len(self.requests))


def test_an_engine_returns_replies_and_stays_itself() -> None:
    with pytest.raises(AssertionError, match="returns a Reply, not dict"):
        check_engine(Odd(GOOD), REQUEST)
    with pytest.raises(AssertionError, match="identity does not change"):
        check_engine(Moody(GOOD), REQUEST)
