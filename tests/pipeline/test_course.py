"""One decision: asking again, answers that are cut off, refusals, and plans of two steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import nan
from typing import Any, Literal

import pytest
from pydantic import BaseModel, field_validator, model_validator

from decider.decider import Decider
from decider.decision import Decision, Reply, Request, Usage
from decider.errors import DeciderError, EngineRejected, EngineUnavailable, InputError, InvalidDecision
from decider.pipeline import Around, Ask, Course, Sleep, Together
from decider.plan import Step
from decider.prompt import render
from decider.task import Task
from decider.testing import FakeEngine

Decide = Callable[..., Decision[Any]]


class Route(BaseModel):
    team: Literal["billing", "login"]
    urgent: bool


class Reasoned(Route):
    why: str


class Honest(Reasoned):
    @model_validator(mode="after")
    def urgency_has_a_reason(self) -> Honest:
        if self.urgent and self.why == "none":
            raise ValueError("what is urgent has a reason")
        return self


class Picky(Reasoned):
    @field_validator("team")
    @classmethod
    def login_is_closed(cls, team: str) -> str:
        if team == "login":
            raise ValueError("that team is on leave")
        return team


BILLING = {"team": "billing", "urgent": True}


def task_of(output: type[BaseModel] = Route, *, reask: int = 1, samples: int = 1, **keys: Any) -> Task[Any]:
    prompt = {"model": "m", "reask": reask, "samples": samples}
    return Task(output, name="route", instructions="Decide.", prompt=prompt, **keys)


def ask(decide: Decide, *script: Any, **keys: Any) -> tuple[Decision[Any], Any]:
    engine = FakeEngine(*script)
    return decide(Decider(task_of(**keys), engine=engine), "charged twice"), engine


def failed(*script: Any, **keys: Any) -> tuple[Decision[Any], Any]:
    engine = FakeEngine(*script)
    (decision,) = Decider(task_of(**keys), engine=engine).decide_many(["charged twice"])
    assert decision.status == "failed"
    return decision, engine


# Asking again.


@pytest.mark.parametrize("reask", [0, 1, 3])
def test_a_reply_that_does_not_fit_is_asked_again_so_often(decide: Decide, reask: int) -> None:
    decision, engine = failed("?", reask=reask)
    assert isinstance(decision.error, InvalidDecision)
    assert len(engine.requests) == decision.attempts == 1 + reask
    decision, engine = ask(decide, *["?"] * reask, BILLING, reask=reask)
    assert decision.output.team == "billing"
    assert len(engine.requests) == 1 + reask


def test_only_the_last_mistake_is_told(decide: Decide) -> None:
    _, engine = ask(decide, "first?", '{"team": "second"}', '{"team": "billing", "urgent": 3}', BILLING, reask=3)
    first, second, third, fourth = (request.correction for request in engine.requests)
    assert first is None
    assert (second.reply, third.reply) == ("first?", '{"team": "second"}')
    assert fourth.reply == '{"team": "billing", "urgent": 3}'
    assert fourth.problem == "The reply does not fit. urgent: 3 is not allowed; allowed: false, true."
    for request in engine.requests[1:]:
        messages = render(task_of(), request)
        assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]


def test_no_reply_makes_the_prompt_grow(decide: Decide) -> None:
    def longer(request: Request) -> str:
        return f'{{"team": "{"x" * 1000 * len(engine.requests)}", "urgent": "{"y" * 10_000}"}}'

    engine = FakeEngine(longer)
    task = task_of(reask=10)
    with pytest.raises(InvalidDecision):
        decide(Decider(task, engine=engine), "charged twice")
    sizes = [sum(len(one["content"]) for one in render(task, request)) for request in engine.requests]
    assert len(sizes) == 11
    assert sizes[10] <= sizes[1] + 8
    assert sizes[1] <= sizes[0] + 401 + 600
    shown = render(task, engine.requests[10])[-2]["content"]
    assert len(shown) == 401
    assert shown.endswith("x…")


class Item(BaseModel):
    price: float


class Basket(BaseModel):
    items: list[Item]
    tags: list[Literal["a", "b"]]
    many: Literal[tuple(f"option {n}" for n in range(200))]  # type: ignore[valid-type]  # only its number matters


def basket(items: Any = (), tags: Any = (), many: Any = "option 1", **more: Any) -> str:
    return json.dumps({"items": items, "tags": tags, "many": many, **more})


@pytest.mark.parametrize(
    "reply",
    [
        basket([{"price": 1, "k" * 9000: 1}]),
        basket([{"price": "x"}] * 500, ["z"] * 500, "zzz"),
        basket(**{"a" * 9000: {"b" * 9000: 1}}),
        basket({"a" * 9000: nan}, many=1),
        basket(many="m" * 9000),
        Reply(text="?", problem="p" * 9000),
    ],
)
def test_no_problem_is_told_at_length(reply: Any) -> None:
    _, engine = failed(reply, output=Basket)
    correction = engine.requests[1].correction
    assert 20 < len(correction.problem) < 1200


def test_an_engine_may_say_itself_what_is_wrong(decide: Decide) -> None:
    decision, engine = ask(decide, Reply(text='{"team": "login", "urgent": true}', problem="Two calls."), BILLING)
    assert engine.requests[1].correction.problem == "Two calls."
    assert decision.output.team == "billing"


# Answers that are cut off.


def cut(text: str, **more: Any) -> Reply:
    return Reply(text=text, outcome="truncated", **more)


WHOLE = '{"team": "billing", "urgent": true}'


@pytest.mark.parametrize(
    ("usage", "room"), [(Usage(output_tokens=300), 600), (Usage(output_tokens=3), 512), (Usage(), 512), (None, 512)]
)
def test_what_is_cut_off_is_asked_once_with_more_room(decide: Decide, usage: Usage | None, room: int) -> None:
    decision, engine = ask(decide, cut(WHOLE, usage=usage), BILLING, reask=0)
    assert decision.output.team == "billing"
    assert [request.room for request in engine.requests] == [0, room]
    assert [request.correction for request in engine.requests] == [None, None]
    assert decision.attempts == 2


def test_what_is_cut_off_twice_is_never_taken_and_not_asked_a_third_time() -> None:
    for text in ("", WHOLE[:9], WHOLE):
        decision, engine = failed(cut(text, usage=Usage(input_tokens=5, output_tokens=7)), reask=3)
        assert "it was cut off, also with twice the room: allow more tokens in prompt.params" in str(decision.error)
        assert (len(engine.requests), decision.usage) == (2, Usage(input_tokens=10, output_tokens=14))


def test_a_re_ask_that_is_cut_off_has_its_larger_try_too(decide: Decide) -> None:
    decision, engine = ask(decide, "?", cut("{"), BILLING)
    assert decision.attempts == 3
    assert [(request.room, request.correction is None) for request in engine.requests] == [
        (0, True),
        (0, False),
        (512, False),
    ]


# Failures and refusals.


@pytest.mark.parametrize("first", [(), ("?",)])
def test_an_input_that_an_engine_will_not_send_is_no_attempt(first: tuple[Any, ...]) -> None:
    decision, _ = failed(*first, InputError("too long"))
    assert isinstance(decision.error, InputError)
    assert decision.attempts == decision.steps[0].attempts == len(first)


def test_the_model_that_served_last_is_named_where_it_was_told(decide: Decide) -> None:
    decision, _ = ask(
        decide, Reply(text="?", served_model="m-1"), Reply(text="?", served_model="m-2"), BILLING, reask=2
    )
    assert decision.served_model == "m-2"


def test_unavailable_and_then_unfit_is_counted_in_full(decide: Decide) -> None:
    decision, _ = ask(decide, EngineUnavailable("down"), "?", EngineUnavailable("down"), BILLING)
    assert decision.attempts == 4


def test_what_is_answered_beside_a_refusal_is_kept(decide: Decide) -> None:
    shares: Any = {"urgent": {False: 0.25, True: 0.75}}
    said = Reply(
        text='{"urgent": true}', refused=("team",), outcome="refused", probabilities=shares, source="decisions"
    )
    decision, engine = ask(decide, said)
    assert (decision.status, decision.get()) == ("refused", None)
    assert list(decision.fields) == ["urgent"]
    assert decision.fields["urgent"].probability == 0.75
    assert decision.row()["fields"] == {"urgent": {"value": True, "probability": 0.75, "source": "decisions"}}
    assert len(engine.requests) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"urgent": true, "team": "login"}', '{"urgent": "yes"}'])
def test_what_does_not_fit_beside_a_refusal_is_not_kept(decide: Decide, text: str) -> None:
    shares: Any = {"urgent": {False: 0.25, True: 0.75}}
    said = Reply(text=text, refused=("team",), outcome="refused", probabilities=shares, source="decisions")
    decision, _ = ask(decide, said)
    assert (decision.status, decision.fields) == ("refused", {})


# Plans of two steps.


def drive(waiting: Any) -> Any:
    """Perform what a course waits for, at once."""
    act: Any = waiting.send
    said: Any = None
    try:
        while True:
            match act(said):
                case Sleep():
                    act, said = waiting.send, None
                case Together(courses=courses):
                    act, said = waiting.send, [drive(course) for course in courses]
                case Ask(engine=engine, request=request):
                    try:
                        act, said = waiting.send, engine.predict(request)
                    except DeciderError as error:
                        act, said = waiting.throw, error
    except StopIteration as done:
        return done.value


class Priced(FakeEngine):
    def cost(self, usage: Usage) -> float | None:
        return usage.input_tokens / 10


def two_steps(first: FakeEngine, second: FakeEngine, output: type[BaseModel] = Reasoned, **how: Any) -> Decision[Any]:
    """Decide with a first step for the closed fields, and a second one for the open ones."""
    task = task_of(output)
    closed = tuple(field for field in task.fields if field.closed)
    rest = tuple(field for field in task.fields if not field.closed)
    plan = (
        (Step(role="finetuned", engine="local", fields=closed), first),
        (Step(role="prompt", engine="chat", fields=rest, **{"widens": True, "reask": 1, **how}), second),
    )
    decision: Decision[Any] = drive(Course(task, plan, Around(), mode="finetuned").run("charged twice"))
    return decision


def asked(engine: FakeEngine) -> list[list[str]]:
    return [[field.path for field in request.fields] for request in engine.requests]


ALL = ["team", "urgent", "why"]
LOCAL = Reply(
    text='{"team": "billing", "urgent": true}',
    probabilities={"team": {"billing": 0.9, "login": 0.1}, "urgent": {False: 0.2, True: 0.8}},
    source="local",
    calibrated=True,
)


def test_each_step_answers_its_fields() -> None:
    first, second = FakeEngine(LOCAL), FakeEngine({"why": "paid"})
    decision = two_steps(first, second)
    assert decision.output == Reasoned(team="billing", urgent=True, why="paid")
    assert (asked(first), asked(second)) == ([["team", "urgent"]], [["why"]])
    assert [one.step for one in decision.fields.values()] == [0, 0, 1]
    assert [one.source for one in decision.fields.values()] == ["local", "local", None]
    assert [trace.fields for trace in decision.steps] == [("team", "urgent"), ("why",)]


@pytest.mark.parametrize("reask", [0, 1])
def test_a_rule_about_both_has_the_second_asked_for_all(reask: int) -> None:
    first, second = FakeEngine(LOCAL), FakeEngine({"why": "none"}, {**BILLING, "urgent": False, "why": "none"})
    decision = two_steps(first, second, Honest, reask=reask)
    assert decision.output == Honest(team="billing", urgent=False, why="none")
    assert asked(second) == [["why"], ALL]
    correction = second.requests[1].correction
    assert correction is not None
    assert correction.reply == '{"team":"billing","urgent":true,"why":"none"}'
    assert "what is urgent has a reason" in correction.problem
    assert [one.step for one in decision.fields.values()] == [1, 1, 1]
    assert {one.source for one in decision.fields.values()} == {None}
    assert [trace.attempts for trace in decision.steps] == [1, 2]


@pytest.mark.parametrize(("reask", "asks"), [(0, 2), (1, 2), (2, 3)])
def test_all_is_asked_once_at_least_and_no_more_than_allowed(reask: int, asks: int) -> None:
    second = FakeEngine({"why": "none"}, {**BILLING, "why": "none"})
    decision = two_steps(FakeEngine(LOCAL), second, Honest, reask=reask)
    assert isinstance(decision.error, InvalidDecision)
    assert "what is urgent has a reason" in str(decision.error)
    assert asked(second) == [["why"], *[ALL] * (asks - 1)]


def test_a_mistake_of_its_own_is_asked_again_alone_first() -> None:
    second = FakeEngine({"why": 3}, {"why": "none"}, {**BILLING, "why": "paid"})
    decision = two_steps(FakeEngine(LOCAL), second, Honest, reask=2)
    assert decision.output.why == "paid"
    assert asked(second) == [["why"], ["why"], ALL]
    assert [one and one.reply for one in (request.correction for request in second.requests)] == [
        None,
        '{"why":3}',
        '{"team":"billing","urgent":true,"why":"none"}',
    ]


def test_a_mistake_deep_inside_an_open_field_is_its_own() -> None:
    class Bought(BaseModel):
        team: Literal["billing", "login"]
        items: list[Item]

    second = FakeEngine({"items": [{"price": "much"}]}, {"items": [{"price": 2.5}]})
    decision = two_steps(FakeEngine({"team": "login"}), second, Bought)
    assert decision.output.items == [Item(price=2.5)]
    assert asked(second) == [["items"], ["items"]]
    assert decision.fields["team"].step == 0


def test_a_step_that_does_not_widen_is_asked_for_its_own_alone() -> None:
    second = FakeEngine({"why": "none"})
    decision = two_steps(FakeEngine(LOCAL), second, Honest, widens=False)
    assert isinstance(decision.error, InvalidDecision)
    assert asked(second) == [["why"], ["why"]]


@pytest.mark.parametrize(
    "unfit",
    [
        {"team": "login", "urgent": True},
        {"team": "zzz", "urgent": True},
        "?",
        Reply(text="{", outcome="truncated"),
        InvalidDecision("the schema accepts none"),
    ],
    ids=repr,
)
def test_where_the_first_step_has_no_answer_the_second_is_asked_for_all(unfit: Any) -> None:
    first, second = FakeEngine(unfit), FakeEngine({**BILLING, "why": "paid"})
    decision = two_steps(first, second, Picky)
    assert decision.output == Picky(team="billing", urgent=True, why="paid")
    assert asked(second) == [ALL]
    assert second.requests[0].correction is None
    assert [one.step for one in decision.fields.values()] == [1, 1, 1]
    assert [trace.attempts for trace in decision.steps] == [len(first.requests), 1]


def test_without_a_second_that_widens_the_first_has_the_last_word() -> None:
    second = FakeEngine({"why": "paid"})
    decision = two_steps(FakeEngine("?"), second, widens=False)
    assert isinstance(decision.error, InvalidDecision)
    assert second.requests == []


def test_a_second_that_was_asked_for_all_is_asked_again_for_all() -> None:
    second = FakeEngine({**BILLING, "why": 3}, {**BILLING, "why": "paid"})
    decision = two_steps(FakeEngine("?"), second)
    assert decision.status == "decided"
    assert asked(second) == [ALL, ALL]


def test_a_refusal_of_the_first_step_ends_it() -> None:
    second = FakeEngine({"why": "paid"})
    decision = two_steps(FakeEngine(Reply(text='{"urgent": true}', refused=("team",), outcome="refused")), second)
    assert (decision.status, list(decision.fields)) == ("refused", ["urgent"])
    assert second.requests == []
    assert len(decision.steps) == 1


def test_a_refusal_of_the_second_step_keeps_what_the_first_said() -> None:
    decision = two_steps(FakeEngine(LOCAL), FakeEngine(Reply(text="", outcome="filtered")))
    assert (decision.status, list(decision.fields), decision.get()) == ("filtered", ["team", "urgent"], None)
    assert decision.fields["team"].probability == 0.9
    assert [trace.attempts for trace in decision.steps] == [1, 1]


@pytest.mark.parametrize("error", [EngineRejected("no", reason="request"), InputError("too long")])
def test_a_failure_of_the_second_step_keeps_the_account_of_the_first(error: DeciderError) -> None:
    said = Reply(text=LOCAL.text, usage=Usage(input_tokens=5))
    decision = two_steps(Priced(said), Priced(error))
    assert decision.error is error
    assert (decision.usage.input_tokens, decision.cost_usd) == (5, 0.5)
    assert [trace.attempts for trace in decision.steps] == [1, isinstance(error, EngineRejected)]


def test_costs_are_summed_and_unknown_where_one_is() -> None:
    first = Reply(text=LOCAL.text, usage=Usage(input_tokens=5))
    second = Reply(text='{"why": "paid"}', usage=Usage(input_tokens=20))
    assert two_steps(Priced(first), Priced(second)).cost_usd == 2.5
    assert two_steps(Priced(first), FakeEngine(second)).cost_usd is None
    untold = Reply(text='{"why": "paid"}', usage=None)
    decision = two_steps(Priced(first), Priced(untold))
    assert (decision.cost_usd, decision.usage.input_tokens) == (None, 5)


# Samples in a plan of two steps.


def by_sample(*script: Any) -> FakeEngine:
    """An engine whose sample n answers `script[n]`, a record for the second step or for all, as it is asked."""

    def said(request: Request) -> Any:
        whole = script[request.sample]
        return {field.path: whole[field.path] for field in request.fields} if isinstance(whole, dict) else whole

    return FakeEngine(said)


def test_samples_vote_on_their_own_fields() -> None:
    second = by_sample({"why": "1"}, {"why": "2"}, {"why": "3"})
    decision = two_steps(FakeEngine(LOCAL), second, samples=3)
    assert decision.output.why == "1"
    assert [one.source for one in decision.fields.values()] == ["local", "local", None]
    assert asked(second) == [["why"]] * 3


def test_samples_for_which_the_first_step_stands_in_the_way_vote_on_all() -> None:
    good = {"team": "login", "urgent": False, "why": "none"}
    second = by_sample(good, {**good, "team": "billing"}, good)
    decision = two_steps(FakeEngine(LOCAL), second, Honest, samples=3, reask=0)
    assert decision.output == Honest(team="login", urgent=False, why="none")
    assert decision.fields["team"].probabilities == pytest.approx({"billing": 1 / 3, "login": 2 / 3})
    assert {one.source for one in decision.fields.values()} == {"agreement", None}
    assert asked(second) == [["why"], ALL] * 3


def test_one_sample_may_take_the_first_steps_answer_back() -> None:
    second = by_sample({"why": "paid"}, {"team": "login", "urgent": False, "why": "none"}, {"why": "paid"})
    decision = two_steps(FakeEngine(LOCAL), second, Honest, samples=3, reask=0)
    assert decision.output == Honest(team="billing", urgent=True, why="paid")
    assert decision.fields["urgent"].probabilities == pytest.approx({False: 1 / 3, True: 2 / 3})


def test_samples_after_a_first_step_without_an_answer_vote_on_all() -> None:
    second = by_sample({**BILLING, "why": "1"}, {"team": "login", "urgent": True, "why": "2"}, "?")
    decision = two_steps(FakeEngine("?"), second, samples=3, reask=0)
    assert decision.output.team == "billing"
    assert decision.fields["team"].probabilities == {"billing": 0.5, "login": 0.5}
    assert decision.fields["team"].source == "agreement"
    assert asked(second) == [ALL] * 3


def test_samples_of_a_first_step_are_only_held_to_its_own_fields() -> None:
    task = task_of(Reasoned)
    closed, rest = task.fields[:2], task.fields[2:]
    first = by_sample({**BILLING}, {"team": "login", "urgent": True}, {"team": "login", "urgent": False})
    second = FakeEngine({"why": "paid"})
    plan = (
        (Step(role="finetuned", engine="chat", fields=closed, samples=3), first),
        (Step(role="prompt", engine="chat", fields=rest, widens=True), second),
    )
    decision: Decision[Any] = drive(Course(task, plan, Around(), mode="prompt").run("charged twice"))
    assert decision.output == Reasoned(team="login", urgent=True, why="paid")
    assert decision.fields["team"].probability == pytest.approx(2 / 3)
