"""The pipeline, sync and async, through the shipped fake engine."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from decider.data.dataset import Dataset
from decider.decider import Decider
from decider.decider import decide as decide_by_file
from decider.decision import Decision, Reply, Usage
from decider.errors import (
    DeadlineExceeded,
    EngineRejected,
    EngineUnavailable,
    InputError,
    InvalidDecision,
    SpecError,
    Undecided,
)
from decider.learn.train import train
from decider.task import Task
from decider.testing import FakeEngine
from endpoint import Answer, completion, serve

Decide = Callable[..., Decision[Any]]


class Route(BaseModel):
    team: Literal["billing", "login"]
    urgent: bool


class Guarded(Route):
    @model_validator(mode="after")
    def login_is_never_urgent(self) -> Guarded:
        if self.team == "login" and self.urgent:
            raise ValueError("a login ticket is never urgent")
        return self


class Noted(BaseModel):
    team: Literal["billing", "login"] = Field(alias="Team")
    tags: list[Literal["a", "b", "c"]]
    note: str


BILLING = {"team": "billing", "urgent": True}
LOGIN = {"team": "login", "urgent": False}


def decider_of(*script: Any, output: type[BaseModel] = Route, retry: Any = None, **how: Any) -> Any:
    task: Task[Any] = Task(output, name="route", instructions="Decide.", prompt={"model": "m"}, retry=retry)
    engine = FakeEngine(*script, **how)
    return Decider(task, engine=engine), engine


def test_a_decision_says_what_was_decided_and_by_whom(decide: Decide) -> None:
    decider, engine = decider_of(BILLING)
    decision = decide(decider, "charged twice", id="7", meta={"who": "ana"})
    assert decision.output == Route(team="billing", urgent=True)
    assert (decision.status, decision.accepted, decision.row_id, decision.meta) == (
        "decided",
        True,
        "7",
        {"who": "ana"},
    )
    assert (decision.task, decision.version, decision.mode, decision.engine) == ("route", 1, "prompt", "fake")
    assert decision.input == "charged twice"
    assert decision.attempts == 1
    assert decision.confidence is None
    assert decision.fields["team"].value == "billing"
    assert decision.fields["team"].probability is None
    assert decision.latency_ms > 0
    assert decision.created_at.tzinfo is not None
    assert [field.path for field in engine.requests[0].fields] == ["team", "urgent"]


def test_ids_are_unique() -> None:
    decider, _ = decider_of(BILLING)
    assert len({decider.decide("x").id for _ in range(100)}) == 100


def test_probabilities_come_with_their_source(decide: Decide) -> None:
    reply = Reply(
        text='{"team": "login", "urgent": false}',
        probabilities={"team": {"billing": 0.25, "login": 0.75}, "urgent": {False: 0.8, True: 0.2}},
        source="local",
        calibrated=True,
        served_model="m-2",
    )
    decider, _ = decider_of(reply)
    decision = decide(decider, "x")
    team = decision.fields["team"]
    assert (team.probability, team.source, team.calibrated) == (0.75, "local", True)
    assert decision.confidence == pytest.approx(0.6)
    assert decision.served_model == "m-2"
    assert decision.row()["fields"]["team"] == {"value": "login", "probability": 0.75, "source": "local"}


def test_a_row_has_the_keys_that_programs_rely_on() -> None:
    decider, _ = decider_of(BILLING)
    decision = decider.decide("x", id="3")
    assert decision.row() == {
        "id": "3",
        "decision": decision.id,
        "input": "x",
        "output": BILLING,
        "status": "decided",
        "accepted": True,
        "confidence": None,
        "fields": {
            "team": {"value": "billing", "probability": None, "source": None},
            "urgent": {"value": True, "probability": None, "source": None},
        },
        "mode": "prompt",
        "engine": "fake",
        "model": "fake",
        "error": None,
    }


def test_unavailable_engine_is_asked_again(decide: Decide) -> None:
    decider, engine = decider_of(EngineUnavailable("429", retry_after=0.001), BILLING)
    decision = decide(decider, "double charge")
    assert decision.output.team == "billing"
    assert (len(engine.requests), decision.attempts) == (2, 2)


def test_attempts_end(decide: Decide) -> None:
    decider, engine = decider_of(EngineUnavailable("down"), retry={"attempts": 3})
    with pytest.raises(EngineUnavailable, match="down"):
        decide(decider, "x")
    assert len(engine.requests) == 3


def test_attempts_are_those_of_the_whole_decision_re_asks_included(decide: Decide) -> None:
    down = EngineUnavailable("down")
    decider, engine = decider_of(down, "?", down, BILLING, retry={"attempts": 2})
    with pytest.raises(EngineUnavailable, match="down"):
        decide(decider, "x")
    assert len(engine.requests) == 3


def test_a_wait_beyond_the_deadline_is_not_begun(decide: Decide) -> None:
    decider, engine = decider_of(EngineUnavailable("busy", retry_after=600.0), BILLING)
    with pytest.raises(DeadlineExceeded, match="busy; asking again in 600 s would be beyond the deadline of 60 s"):
        decide(decider, "x")
    assert len(engine.requests) == 1


def test_a_slow_engine_is_left_at_the_deadline(decide: Decide) -> None:
    decider, _ = decider_of(BILLING, retry={"deadline": "50ms"}, delay=30.0, in_process=False)
    begun = time.perf_counter()
    with decider, pytest.raises(DeadlineExceeded, match="did not answer before the deadline"):
        decide(decider, "x")
    assert time.perf_counter() - begun < 15.0


def test_no_time_left_is_no_attempt(decide: Decide) -> None:
    def slow(_: Any) -> Any:
        time.sleep(0.03)
        return "not json"

    decider, engine = decider_of(slow, retry={"deadline": "20ms"})
    with pytest.raises(DeadlineExceeded, match="no decision within 0.02 s"):
        decide(decider, "x")
    assert len(engine.requests) == 1


def test_rejections_are_not_asked_again(decide: Decide) -> None:
    decider, engine = decider_of(EngineRejected("no such model", reason="model"), BILLING)
    with pytest.raises(EngineRejected):
        decide(decider, "x")
    assert len(engine.requests) == 1


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("certainly!", "The reply is not JSON: "),
        ('["billing"]', "The reply is not a JSON object."),
        ('{"team": "billing"}', "The field 'urgent' is missing."),
        ('{"team": "billing", "urgent": true, "why": 1}', "The field 'why' was not asked for."),
        ('{"team": "Billing ", "urgent": true}', "team: 'Billing ' is not allowed; allowed: 'billing', 'login'."),
        ('{"team": "billing", "urgent": "true"}', "urgent: 'true' is not allowed; allowed: false, true."),
        ('{"team": NaN, "urgent": true}', "The field 'team' is a number that JSON does not have"),
    ],
)
def test_a_reply_that_does_not_fit_is_asked_again_once_with_a_short_reason(
    decide: Decide, reply: str, problem: str
) -> None:
    decider, engine = decider_of(reply, BILLING)
    decision = decide(decider, "x")
    assert decision.output.team == "billing"
    correction = engine.requests[1].correction
    assert correction.reply == reply
    assert problem in correction.problem
    assert len(correction.problem) < 400
    assert decision.attempts == 2


def test_a_reply_that_never_fits_is_an_invalid_decision(decide: Decide) -> None:
    decider, engine = decider_of("?")
    with pytest.raises(InvalidDecision, match="no reply of fake 'fake' fitted the schema"):
        decide(decider, "x")
    assert len(engine.requests) == 2


def test_a_cut_off_reply_says_so(decide: Decide) -> None:
    decider, _ = decider_of(Reply(text='{"team": "bil', outcome="truncated"))
    with pytest.raises(InvalidDecision, match="cut off"):
        decide(decider, "x")


def test_the_schemas_own_validators_hold(decide: Decide) -> None:
    decider, engine = decider_of({"team": "login", "urgent": True}, LOGIN, output=Guarded)
    assert decide(decider, "x").output.urgent is False
    assert "a login ticket is never urgent" in engine.requests[1].correction.problem


def test_tags_are_a_set_in_the_order_of_the_schema_and_names_are_not_aliases(decide: Decide) -> None:
    decider, _ = decider_of({"team": "login", "tags": ["c", "a", "c"], "note": "n"}, output=Noted)
    decision = decide(decider, "x")
    assert decision.output.tags == ["a", "c"]
    assert decision.fields["team"].value == "login"
    assert decision.row()["output"] == {"team": "login", "tags": ["a", "c"], "note": "n"}


@pytest.mark.parametrize("tags", [["z"], [["a"]], "a"])
def test_wrong_tags_are_refused(tags: Any) -> None:
    decider, engine = decider_of({"team": "login", "tags": tags, "note": "n"}, output=Noted)
    with pytest.raises(InvalidDecision, match="tags"):
        decider.decide("x")
    assert len(engine.requests) == 2


def test_numbers_that_json_does_not_have_are_refused() -> None:
    class Amount(BaseModel):
        amount: float

    decider, _ = decider_of('{"amount": 1e999}', output=Amount)
    with pytest.raises(InvalidDecision, match="amount: Input should be a valid number"):
        decider.decide("x")


@pytest.mark.parametrize("outcome", ["refused", "filtered"])
def test_a_refusal_is_a_decision_without_an_output(decide: Decide, outcome: Any) -> None:
    decider, engine = decider_of(Reply(text="", outcome=outcome, usage=Usage(input_tokens=5)))
    decision = decide(decider, "x")
    assert (decision.status, decision.accepted, decision.get()) == (outcome, False, None)
    assert decision.row()["output"] is None
    assert decision.usage.input_tokens == 5
    assert len(engine.requests) == 1
    with pytest.raises(Undecided, match=outcome):
        _ = decision.output


def test_tokens_are_summed_over_every_attempt(decide: Decide) -> None:
    usage = Usage(input_tokens=10, output_tokens=2)
    decider, _ = decider_of(Reply(text="?", usage=usage), Reply(text='{"team":"login","urgent":false}', usage=usage))
    decision = decide(decider, "x")
    assert decision.usage == Usage(input_tokens=20, output_tokens=4)
    assert [trace.attempts for trace in decision.steps] == [2]


@pytest.mark.parametrize("x", ["", "  \n", None, 3, {"body": "x"}])
def test_inputs_that_are_no_text_are_refused(decide: Decide, x: Any) -> None:
    decider, engine = decider_of(BILLING)
    with pytest.raises(InputError):
        decide(decider, x)
    assert engine.requests == []


def test_an_unknown_mode_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="mode must be one of prompt, finetuned"):
        Decider(Task(Route, name="r", prompt={"model": "m"})).decide("x", mode="finetune")


def test_override_replaces_whatever_would_answer() -> None:
    decider, engine = decider_of(BILLING)
    with decider.override(engine=FakeEngine(LOGIN)):
        assert decider.decide("x").output.team == "login"
    assert decider.decide("x").output.team == "billing"
    assert len(engine.requests) == 1


@pytest.mark.parametrize("in_process", [True, False])
def test_many_rows_come_in_order_and_failures_are_rows_too(in_process: bool) -> None:
    def answer(request: Any) -> Any:
        n = int(str(request.input))
        if n % 5 == 0:
            return "?"
        return {"team": "billing", "urgent": n % 2 == 0}

    decider, _ = decider_of(answer, in_process=in_process)
    with decider:
        decisions = list(decider.decide_many((str(n) for n in range(1, 101)), concurrency=8))
    assert [decision.row_id for decision in decisions] == [str(n) for n in range(1, 101)]
    assert [decision.status == "failed" for decision in decisions] == [n % 5 == 0 for n in range(1, 101)]
    assert decisions[1].output.urgent is True
    assert isinstance(decisions[4].error, InvalidDecision)
    assert decisions[4].attempts == 2
    assert "fitted the schema" in decisions[4].row()["error"]
    with pytest.raises(InvalidDecision):
        _ = decisions[4].output


@pytest.mark.parametrize("in_process", [True, False])
def test_many_rows_are_taken_lazily(in_process: bool) -> None:
    taken = 0

    def rows() -> Iterator[str]:
        nonlocal taken
        for n in range(10_000):
            taken += 1
            yield str(n)

    decider, _ = decider_of(BILLING, in_process=in_process)
    with decider:
        decided = decider.decide_many(rows(), concurrency=4)
        assert taken == 0
        next(decided)
        assert taken <= 32
        decided.close()


@pytest.mark.parametrize("in_process", [True, False])
def test_many_rows_raise_when_asked_to_or_when_no_row_would_survive(in_process: bool) -> None:
    decider, _ = decider_of(lambda request: "?" if request.input == "b" else BILLING, in_process=in_process)
    with decider, pytest.raises(InvalidDecision):
        list(decider.decide_many(["a", "b", "c"], concurrency=1, on_error="raise"))
    decider, _ = decider_of(EngineRejected("no key", reason="auth"), in_process=in_process)
    with decider, pytest.raises(EngineRejected):
        list(decider.decide_many(["a", "b"]))
    decider, _ = decider_of(EngineRejected("too long", reason="request"), in_process=in_process)
    with decider:
        assert [decision.status for decision in decider.decide_many(["a", "b"])] == ["failed", "failed"]


def test_many_rows_never_use_more_than_the_concurrency() -> None:
    running = highest = 0
    lock = threading.Lock()

    class Counting(FakeEngine):
        async def apredict(self, request: Any) -> Reply:
            nonlocal running, highest
            with lock:
                running += 1
                highest = max(highest, running)
            reply = await super().apredict(request)
            with lock:
                running -= 1
            return reply

    engine = Counting(BILLING, delay=0.002, in_process=False)
    with Decider(Task(Route, name="r", prompt={"model": "m"}), engine=engine) as decider:
        assert len(list(decider.decide_many(map(str, range(1, 50)), concurrency=5))) == 49
    assert highest == 5


def test_waiting_for_a_turn_does_not_count_against_the_deadline() -> None:
    decider, _ = decider_of(BILLING, retry={"deadline": "300ms"}, delay=0.05, in_process=False)
    with decider:
        decisions = list(decider.decide_many(["x"] * 20, concurrency=1))
    assert [decision.status for decision in decisions] == ["decided"] * 20
    assert all(decision.latency_ms < 900 for decision in decisions)


def test_many_rows_in_a_running_loop() -> None:
    async def rows() -> AsyncIterator[str]:
        for n in range(30):
            yield str(n)

    async def both() -> tuple[list[str | None], list[str | None]]:
        decider, _ = decider_of(BILLING, in_process=False)
        async with decider:
            first = [d.row_id async for d in decider.adecide_many(rows(), concurrency=3)]
            second = [d.row_id async for d in decider.adecide_many(["a", "b"], concurrency=3)]
            begun = decider.adecide_many(rows(), concurrency=2)
            await anext(begun)
            await begun.aclose()
        return first, second

    first, second = asyncio.run(both())
    assert first == [str(n) for n in range(1, 31)]
    assert second == ["1", "2"]


@pytest.mark.parametrize("how", [{"concurrency": 0}, {"on_error": "ignore"}])
def test_misuse_of_many_is_a_value_error(how: Any) -> None:
    decider, _ = decider_of(BILLING)
    with pytest.raises(ValueError, match="must be"):
        decider.decide_many(["x"], **how)


def test_three_loops_and_ten_threads_share_one_decider() -> None:
    decider, engine = decider_of(BILLING, in_process=False)
    with decider:
        for _ in range(3):
            assert asyncio.run(decider.adecide("x")).output.team == "billing"
        with ThreadPoolExecutor(10) as pool:
            teams = list(pool.map(lambda n: decider.decide(str(n)).output.team, range(50)))
    assert teams == ["billing"] * 50
    assert len(engine.requests) == 53


def test_a_sync_call_inside_a_running_loop_works() -> None:
    decider, _ = decider_of(BILLING, in_process=False)

    async def inside() -> Any:
        return decider.decide("x")

    with decider:
        assert asyncio.run(inside()).output.team == "billing"


def test_a_closed_decider_opens_again() -> None:
    decider, _ = decider_of(BILLING, in_process=False)
    decider.decide("x")
    decider.close()
    decider.close()
    assert decider.decide("x").output.team == "billing"
    decider.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_decides_too() -> None:
    decider, _ = decider_of(BILLING, in_process=False)
    decider.decide("x")
    child = os.fork()
    if child == 0:
        os._exit(0 if decider.decide("x").output.team == "billing" else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    decider.close()


def test_an_error_that_is_nobodys_fault_but_the_engines_is_not_swallowed(decide: Decide) -> None:
    decider, _ = decider_of(KeyError("a bug"))
    with pytest.raises(KeyError, match="a bug"):
        decide(decider, "x")


def test_the_one_liner_keeps_its_decider_until_the_file_changes(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    text = "name: r\nfields: {team: {options: [a, b]}}\nprompt: {model: m, base_url: 'http://127.0.0.1:9/v1'}\n"
    spec.write_text(text + "retry: {attempts: 1}\n")
    with pytest.raises(EngineUnavailable, match="127.0.0.1:9"):
        decide_by_file(spec, "x")
    spec.write_text(text.replace("[a, b]", "[a, b, a]"))
    with pytest.raises(SpecError, match="twice"):
        decide_by_file(spec, "x")


def test_the_one_liner_decides_again_with_what_it_kept(tmp_path: Path) -> None:
    with serve(completion('{"team": "a"}')) as endpoint:
        spec = tmp_path / "spec.yaml"
        spec.write_text(
            f"name: r\nfields: {{team: {{options: [a, b]}}}}\nprompt: {{model: m, base_url: '{endpoint.url}'}}\n"
        )
        assert [decide_by_file(spec, "x").output.team for _ in range(3)] == ["a"] * 3


def test_open_fields_of_a_trained_task_are_asked_of_the_prompt(tmp_path: Path, decide: Decide) -> None:
    class Reasoned(Route):
        why: str | None

    outputs = [{**LOGIN, "why": None}, {**BILLING, "why": None}]
    rows = [{"input": f"{('password', 'card')[n % 2]} {n}", "output": outputs[n % 2]} for n in range(40)]
    whole = '{"team": "login", "urgent": false, "why": null}'
    with serve(completion('{"why": "because"}'), completion(whole)) as endpoint:
        task = Task(
            Reasoned,
            name="r",
            prompt={"model": "m", "base_url": endpoint.url},
            finetuned={"model": str(tmp_path / "model")},
        )
        train(task, Dataset.of(rows, task), tmp_path / "model")
        with Decider(task, mode="finetuned") as decider:
            decision = decide(decider, "my card was charged")
            assert decide(decider, "my card was charged", mode="prompt").output.team == "login"
    assert decision.output == Reasoned(team="billing", urgent=True, why="because")
    assert [(trace.engine, trace.fields) for trace in decision.steps] == [
        ("local", ("team", "urgent")),
        ("chat", ("why",)),
    ]
    assert (decision.fields["team"].step, decision.fields["why"].step) == (0, 1)
    assert decision.fields["why"].probability is None
    assert decision.confidence is None
    assert list(endpoint.requests[0][2]["response_format"]["json_schema"]["schema"]["properties"]) == ["why"]


class Reasoned(Route):
    why: str

    @model_validator(mode="after")
    def urgency_has_a_reason(self) -> Reasoned:
        if self.urgent and self.why == "none":
            raise ValueError("what is urgent has a reason")
        return self


def answers(**shares: Any) -> Answer:
    """What a decision endpoint answers to a choice and to a truth."""
    said = {"q0": {"type": "choice", "probabilities": shares["team"]}, "q1": {"type": "noul", "noul": shares["urgent"]}}
    return Answer(body=json.dumps({"answers": said, "usage": {"input_tokens": 7}, "model": "d-1"}))


def test_open_fields_beside_a_decision_endpoint_are_asked_of_the_model(decide: Decide) -> None:
    first = answers(team={"billing": 0.9, "login": 0.1}, urgent=0.8)
    with serve(first, completion('{"why": "paid"}')) as endpoint:
        prompt = {"engine": "decisions", "model": "d", "base_url": endpoint.url, "price": {"input": 1e6, "output": 0}}
        with Decider(Task(Reasoned, name="r", prompt=prompt)) as decider:
            decision = decide(decider, "charged twice")
    assert decision.output == Reasoned(team="billing", urgent=True, why="paid")
    team, why = decision.fields["team"], decision.fields["why"]
    assert (team.probability, team.source, team.calibrated, team.step) == (0.9, "decisions", False, 0)
    assert (why.probability, why.source, why.step) == (None, None, 1)
    assert [trace.engine for trace in decision.steps] == ["decisions", "chat"]
    assert [path for path, _, _ in endpoint.requests] == ["/v1/systemone", "/v1/chat/completions"]
    assert list(endpoint.requests[1][2]["response_format"]["json_schema"]["schema"]["properties"]) == ["why"]
    assert decision.cost_usd == pytest.approx(7 + 11)
    assert decision.usage == Usage(input_tokens=18, output_tokens=3)
    assert decision.confidence is None


def test_an_answer_that_the_open_fields_break_is_asked_for_as_a_whole(decide: Decide) -> None:
    first = answers(team={"billing": 0.9, "login": 0.1}, urgent=0.8)
    whole = completion('{"team": "billing", "urgent": false, "why": "none"}')
    with serve(first, completion('{"why": "none"}'), whole) as endpoint:
        prompt = {"engine": "decisions", "model": "d", "base_url": endpoint.url}
        with Decider(Task(Reasoned, name="r", prompt=prompt)) as decider:
            decision = decide(decider, "charged twice")
    assert decision.output == Reasoned(team="billing", urgent=False, why="none")
    assert {one.step for one in decision.fields.values()} == {1}
    reply, problem = endpoint.requests[2][2]["messages"][-2:]
    assert reply == {"role": "assistant", "content": '{"team":"billing","urgent":true,"why":"none"}'}
    assert "what is urgent has a reason" in problem["content"]


def test_a_model_that_answers_with_a_label_has_the_rest_asked_of_the_prompt(decide: Decide) -> None:
    with serve(completion(" billing\n"), completion('{"urgent": true, "why": "paid"}')) as endpoint:
        task = Task(
            Reasoned,
            name="r",
            mode="finetuned",
            prompt={"model": "m", "base_url": endpoint.url},
            finetuned={"engine": "chat", "model": "ft", "messages": {"answer": {"label": "team"}}},
        )
        with Decider(task) as decider:
            decision = decide(decider, "charged twice")
    assert decision.output == Reasoned(team="billing", urgent=True, why="paid")
    assert [body["model"] for _, _, body in endpoint.requests] == ["ft", "m"]
    assert endpoint.requests[0][2]["messages"] == [{"role": "user", "content": "charged twice"}]
    assert "response_format" not in endpoint.requests[0][2]


def test_a_label_that_is_none_has_all_asked_of_the_prompt(decide: Decide) -> None:
    with serve(completion("Billing!"), completion('{"team": "login", "urgent": true, "why": "paid"}')) as endpoint:
        task = Task(
            Reasoned,
            name="r",
            mode="finetuned",
            prompt={"model": "m", "base_url": endpoint.url},
            finetuned={"engine": "chat", "model": "ft", "messages": {"answer": {"label": "team"}}},
        )
        with Decider(task) as decider:
            decision = decide(decider, "charged twice")
    assert (decision.output.team, len(endpoint.requests)) == ("login", 2)
    assert len(endpoint.requests[1][2]["messages"]) == 2


def test_answers_that_vote_are_drawn_from_an_endpoint(decide: Decide) -> None:
    said = [completion(f'{{"team": "{team}", "urgent": true}}') for team in ("billing", "login", "billing")]
    with serve(*said) as endpoint:
        with Decider(Task(Route, name="r", prompt={"model": "m", "base_url": endpoint.url, "samples": 3})) as decider:
            decision = decide(decider, "charged twice")
        assert len({json.dumps(body) for _, _, body in endpoint.requests}) == 1
    assert (decision.output.team, decision.attempts, decision.usage.input_tokens) == ("billing", 3, 33)
    assert decision.fields["team"].probabilities == {"billing": 2 / 3, "login": 1 / 3}
    assert decision.confidence == pytest.approx(2 / 3)


def test_an_engine_of_a_test_leaves_the_cache_alone(tmp_path: Path) -> None:
    task = Task(Route, name="route", cache={}, folder=tmp_path)
    first, second = ({"team": team, "urgent": True} for team in ("billing", "login"))
    with Decider(task, engine=FakeEngine(first)) as decider:
        for said in (first, second):
            with decider.override(engine=FakeEngine(said)):
                assert decider.decide("x").output.model_dump() == said
        assert not decider.decide("x").cached
        assert decider.decide("x").cached
