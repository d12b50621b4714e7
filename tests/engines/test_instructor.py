"""The lanes that go through instructor: what is sent, what is read, and that it adds, says and retries nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Literal

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

from decider import prompt
from decider.decider import Decider
from decider.decision import Decision, Request, Usage
from decider.engines.instructor import InstructorEngine
from decider.errors import DeciderError, EngineRejected, EngineUnavailable, InvalidDecision
from decider.schema import strict_schema
from decider.task import Task
from decider.testing import check_engine
from endpoint import (
    GOOD,
    LANES,
    Answer,
    Lane,
    Route,
    ask_at,
    calling,
    completion,
    error,
    route_at,
    saying,
    serve,
)

Decide = Callable[..., Decision[Any]]
OURS: tuple[Lane, ...] = LANES[1:]
lanes = pytest.mark.parametrize("lane", OURS)
SCHEMA = {
    "type": "object",
    "properties": {"team": {"type": "string", "enum": ["billing", "login"]}, "urgent": {"type": "boolean"}},
    "required": ["team", "urgent"],
    "additionalProperties": False,
}


class Place(BaseModel):
    city: str = Field(description="Where it is.")
    zone: Literal[1, 2, 3]


class Visit(BaseModel):
    """Something that somebody wants to see.

    Args:
        title: Not a description for any model: instructor would take it for one.
    """

    title: str
    place: Place
    tags: list[Literal["indoors", "outdoors"]]


def engine_at(url: str, lane: Lane, **keys: Any) -> tuple[InstructorEngine, Request]:
    task = route_at(url, prompt={"structure": lane}, **keys)
    return InstructorEngine(task=task), Request(input="x", fields=task.fields)


def messages_of(task: Task[Any], x: str) -> list[Any]:
    return list(prompt.render(task, Request(input=x, fields=task.fields)))


def test_the_lane_of_tools_sends_one_tool_and_calls_for_it(decide: Decide) -> None:
    with serve(saying("tools", GOOD)) as endpoint:
        decision = ask_at(endpoint, decide, prompt={"structure": "tools"})
        task = route_at(endpoint.url, prompt={"structure": "tools"})
    function = {"name": "decision", "description": prompt.TOOL_DESCRIPTION, "parameters": SCHEMA}
    assert endpoint.bodies == [
        {
            "model": "m-1",
            "messages": messages_of(task, "charged twice"),
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": "decision"}},
        }
    ]
    assert decision.output == Route(team="billing", urgent=True)


@pytest.mark.parametrize(("lane", "kind"), [("json", "json_object"), ("md_json", "text")])
def test_the_lanes_of_json_send_a_format_and_write_the_schema_into_the_prompt(
    lane: Lane, kind: str, decide: Decide
) -> None:
    with serve(saying(lane, GOOD)) as endpoint:
        ask_at(endpoint, decide, prompt={"structure": lane})
        task = route_at(endpoint.url, prompt={"structure": lane})
    messages = messages_of(task, "charged twice")
    assert endpoint.bodies == [{"model": "m-1", "messages": messages, "response_format": {"type": kind}}]
    assert json.dumps(SCHEMA) in messages[0]["content"]


@lanes
def test_parameters_go_to_the_endpoint_and_are_no_orders_to_instructor(lane: Lane, decide: Decide) -> None:
    params = {
        "seed": 1,
        "strict": True,
        "context": {"a": 1},
        "max_retries": 3,
        "hooks": "h",
        "cache": "c",
        "cache_ttl": 5,
        "cache_namespace": "",
        "token_budget": 0,
        "timeout": 0.001,
        "autodetect_images": True,
        "response_model": "r",
        "args": [1],
    }
    with serve(saying(lane, GOOD)) as endpoint:
        ask_at(endpoint, decide, prompt={"structure": lane, "params": {**params, "extra_body": {"top_k": 2}}})
    (body,) = endpoint.bodies
    assert {name: body.get(name) for name in params} == params
    assert body["top_k"] == 2
    assert "extra_body" not in body


@lanes
def test_a_parameter_of_the_spec_has_the_last_word(lane: Lane, decide: Decide) -> None:
    own = {"tool_choice": "auto", "response_format": {"type": "own"}}
    with serve(saying(lane, GOOD)) as endpoint:
        ask_at(endpoint, decide, prompt={"structure": lane, "params": own})
    assert {name: endpoint.bodies[0][name] for name in own} == own


@lanes
def test_nested_fields_are_asked_as_the_strict_schema_has_them(lane: Lane, decide: Decide) -> None:
    said = {"title": "Lighthouse", "place": {"city": "Cuxhaven", "zone": 2}, "tags": ["outdoors"]}
    with serve(saying(lane, json.dumps(said))) as endpoint:
        task = Task(Visit, name="visit", prompt={"model": "m", "base_url": endpoint.url, "structure": lane})
        with Decider(task) as decider:
            assert decide(decider, "x").output == Visit.model_validate(said)
    (body,) = endpoint.bodies
    schema = strict_schema(task.fields)
    if lane == "tools":
        sent = body["tools"][0]["function"]["parameters"]
        assert sent == {**schema, "required": sorted(schema["required"])}
    else:
        assert json.dumps(schema, ensure_ascii=False) in body["messages"][0]["content"]
    assert "Not a description" not in json.dumps(body)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (calling(("evil", GOOD)), "The reply called the tool 'evil', and there is only 'decision'."),
        (calling(("e" * 500, GOOD)), "The reply called the tool 'eeee"),
        (calling(("Decision", GOOD)), "The reply called the tool 'Decision'"),
        (calling(("decision", GOOD), ("decision", GOOD)), "The reply called 2 tools, and should call 'decision' once."),
        (calling(("decision", GOOD), ("other", "{}")), "The reply called 2 tools"),
        (calling(), "The reply did not call the tool 'decision'."),
        (completion(GOOD), "The reply did not call the tool 'decision'."),
        (
            completion(GOOD, choices=[{"message": {"tool_calls": [{"type": "custom"}]}}]),
            "The reply called the tool 'No",
        ),
        (calling(("decision", "")), "The reply is not JSON"),
        (calling(("decision", None)), "The reply is not JSON"),
        (calling(("decision", "null")), "The reply is not a JSON object"),
        (calling(("decision", [1])), "The reply is not a JSON object"),
        (calling(("decision", {"team": "x", "urgent": True})), "team: 'x' is not allowed"),
        (calling(("decision", {"team": float("nan"), "urgent": True})), "'team' is a number that JSON does not have"),
    ],
)
def test_34_a_call_that_is_not_the_one_is_asked_again_once(answer: Answer, problem: str, decide: Decide) -> None:
    with serve(answer) as endpoint, pytest.raises(InvalidDecision) as caught:
        ask_at(endpoint, decide, prompt={"structure": "tools"})
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 300
    assert len(endpoint.requests) == 2
    assert endpoint.bodies[1]["messages"][-1]["content"] in str(caught.value)


@pytest.mark.parametrize("calls", [[("evil", GOOD)], [("decision", GOOD), ("other", "{}")]])
def test_a_reask_shows_what_was_called(calls: list[tuple[str, str]], decide: Decide) -> None:
    with serve(calling(*calls), saying("tools", GOOD)) as endpoint:
        ask_at(endpoint, decide, prompt={"structure": "tools"})
    shown = endpoint.bodies[1]["messages"][-2]
    assert shown == {"role": "assistant", "content": "\n".join(arguments for _, arguments in calls)}


def test_arguments_may_come_as_an_object(decide: Decide) -> None:
    with serve(calling(("decision", json.loads(GOOD)))) as endpoint:
        assert ask_at(endpoint, decide, prompt={"structure": "tools"}).output.urgent


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f" {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"```json\r\n{GOOD}\r\n```\r\n",
        f"```json\n{GOOD}```",
        f"Here it is:\n\n```json\n{GOOD}\n```\nAnything else?",
    ],
)
def test_a_code_block_is_read_and_what_stands_around_it_is_not(text: str, decide: Decide) -> None:
    with serve(completion(text)) as endpoint:
        decision = ask_at(endpoint, decide, prompt={"structure": "md_json"})
    assert decision.output.urgent
    assert decision.attempts == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```", "The reply has 2 code blocks, and should have one."),
        (f"```python\n{GOOD}\n```", "not JSON"),
        (f"```json\n{GOOD}", "not JSON"),
        (f"Sure! {GOOD}", "not JSON"),
        ("```json\n\n```", "not JSON"),
    ],
)
def test_two_code_blocks_or_none_are_asked_again_once(text: str, problem: str, decide: Decide) -> None:
    with serve(completion(text)) as endpoint, pytest.raises(InvalidDecision, match=problem):
        ask_at(endpoint, decide, prompt={"structure": "md_json"})
    assert len(endpoint.requests) == 2


FAILURES: list[tuple[Answer, type[DeciderError], int]] = [
    (error(401, "no"), EngineRejected, 1),
    (error(400, "bad"), EngineRejected, 1),
    (error(404, "gone"), EngineRejected, 1),
    (error(500, "x", retry_after_ms="0"), EngineUnavailable, 3),
    (Answer(body="<html>", headers={"retry-after-ms": "0"}), EngineUnavailable, 3),
    (completion("I cannot say."), InvalidDecision, 2),
    (completion("{", finish="length"), InvalidDecision, 2),
]


@lanes
def test_it_says_nothing_and_asks_once_for_each_attempt(
    lane: Lane, decide: Decide, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for answer, raises, calls in FAILURES:
        with serve(answer) as endpoint, pytest.raises(raises) as caught:
            ask_at(endpoint, decide, "a ticket", retry={"attempts": 3}, prompt={"structure": lane})
        assert type(caught.value) is raises
        assert len(endpoint.requests) == calls
    said = [record for record in caplog.records if record.name.startswith("instructor")]
    assert [record for record in said if record.levelno > logging.DEBUG] == []
    assert "a ticket" not in "".join(record.getMessage() for record in said)
    assert capfd.readouterr() == ("", "")


@lanes
def test_usage_is_that_of_each_answer_and_summed_once(lane: Lane, decide: Decide) -> None:
    wrong, right = (saying(lane, text, usage={"prompt_tokens": 100, "completion_tokens": 10}) for text in ("no", GOOD))
    with serve(wrong, wrong, right) as endpoint:
        decision = ask_at(endpoint, decide, prompt={"structure": lane, "reask": 2})
    assert decision.attempts == 3
    assert decision.usage == Usage(input_tokens=300, output_tokens=30)


@lanes
def test_it_keeps_the_contract_of_an_engine_and_is_safe_for_many_at_once(lane: Lane) -> None:
    with serve(saying(lane, GOOD)) as endpoint:
        engine, request = engine_at(endpoint.url, lane)
        check_engine(engine, request, request)
        engine.close()
        assert len(endpoint.requests) == 4
        with Decider(route_at(endpoint.url, prompt={"structure": lane})) as decider:
            decisions = list(decider.decide_many([str(n) for n in range(40)], concurrency=8, on_error="raise"))
        assert all(decision.output.urgent for decision in decisions)
        assert len(endpoint.requests) == 44
        sent = [json.loads(body["messages"][-1]["content"]) for body in endpoint.bodies[4:]]
    assert sorted(sent, key=int) == [str(n) for n in range(40)]


@lanes
def test_misuse_stays_what_it_is(lane: Lane, capfd: pytest.CaptureFixture[str]) -> None:
    task = route_at("http://127.0.0.1:9/v1", prompt={"structure": lane})
    engine = InstructorEngine(task=task, client=AsyncOpenAI(api_key="own"))
    with pytest.raises(TypeError, match="apredict alone"):
        engine.predict(Request(input="x", fields=task.fields))
    assert capfd.readouterr() == ("", "")


@lanes
def test_an_interrupt_goes_through(lane: Lane) -> None:
    slow = saying(lane, GOOD)
    slow.drip = 0.05

    async def run(url: str) -> None:
        engine, request = engine_at(url, lane)
        asked = asyncio.create_task(engine.apredict(request))
        while not endpoint.requests:  # noqa: ASYNC110  # the server runs in a thread
            await asyncio.sleep(0.001)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await engine.aclose()

    with serve(slow) as endpoint:
        asyncio.run(run(endpoint.url))
