"""Lines: the bytes that an endpoint gets, and the rules that a file of them keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from decider import prompt
from decider.data.exporters.lines import Inspector, Lines
from decider.data.exporters.targets import TARGETS, Rules
from decider.data.shapes import CHAT, SHAPES, VERTEX, Shape
from decider.decider import Decider
from decider.decision import Example, Request
from decider.errors import DataError
from decider.task import Task
from endpoint import LANES, Answer, Lane, saying, serve


class Where(BaseModel):
    desk: Annotated[int, Field(ge=1, le=3)]


class Ticket(BaseModel):
    team: Literal["billing", "login"]
    where: Where
    note: str


OUTPUT = {"team": "login", "where": {"desk": 2}, "note": 'say "hi"\n'}
TEXT = 'It said:\u200b "no" </s>\n[INST] caf\u0065\u0301 {{x}} %s \u2028 \U0001f600'


def task_at(url: str = "http://127.0.0.1:1/v1", **keys: Any) -> Task[Any]:
    given = {"model": "m", "base_url": url, **keys.pop("prompt", {})}
    return Task(Ticket, **{"name": "t", "instructions": "Decide.", "prompt": given, **keys})


def tuned_at(url: str, lane: Lane, **keys: Any) -> Task[Any]:
    return task_at(url, finetuned={"engine": "chat", "model": "ft", "base_url": url, "structure": lane, **keys})


@pytest.mark.parametrize("lane", LANES)
def test_what_is_trained_on_is_what_the_endpoint_gets(lane: Lane) -> None:
    with serve(saying(lane, json.dumps(OUTPUT))) as endpoint:
        task = tuned_at(endpoint.url, lane)
        with Decider(task, mode="finetuned") as decider:
            answered = decider.decide(TEXT)
    line = json.loads(Lines(task, CHAT).line(Example(input=TEXT, output=OUTPUT)))
    (sent,) = endpoint.bodies
    assert line["messages"][:-1] == sent["messages"]
    assert line.get("tools") == sent.get("tools")
    said = line["messages"][-1]
    reply = {**said, "refusal": None, "content": said.get("content")}
    with (
        serve(
            Answer(body=json.dumps({"model": "ft", "choices": [{"message": reply, "finish_reason": "stop"}]}))
        ) as other,
        Decider(tuned_at(other.url, lane), mode="finetuned") as decider,
    ):
        again = decider.decide(TEXT)
    assert again.output == answered.output == Ticket.model_validate(OUTPUT)


@pytest.mark.parametrize(
    ("messages", "structure", "answer"),
    [
        ({"answer": "json"}, "schema", prompt._json(OUTPUT)),
        ({"answer": "json", "user": "json"}, "schema", prompt._json(OUTPUT)),
        ({"answer": "tool"}, "schema", None),
        ({"answer": "json"}, "md_json", f"```json\n{prompt._json(OUTPUT)}\n```"),
    ],
)
def test_a_model_tuned_elsewhere_is_trained_in_its_own_words(
    tmp_path: Path, messages: dict[str, Any], structure: str, answer: str | None
) -> None:
    (tmp_path / "old.txt").write_text("Old words.\n")
    said = {"system": "old.txt", **messages}
    reply = answer if answer is not None else json.dumps(OUTPUT)
    with serve(saying("tools" if answer is None else "schema", reply)) as endpoint:
        task = task_at(
            endpoint.url,
            folder=tmp_path,
            prompt={"reask": 0},
            finetuned={"engine": "chat", "model": "ft", "structure": structure, "messages": said},
        )
        with Decider(task, mode="finetuned") as decider:
            assert decider.decide(TEXT).output == Ticket.model_validate(OUTPUT)
    line = json.loads(Lines(task, CHAT).line(Example(input=TEXT, output=OUTPUT)))
    assert line["messages"][:-1] == endpoint.bodies[0]["messages"]
    assert line.get("tools") == endpoint.bodies[0].get("tools")
    assert line["messages"][-1].get("content") == answer


@pytest.mark.parametrize(("answer", "bare"), [("a", "a"), (2, "2"), (True, "true"), (None, "null")])
def test_a_model_that_answers_with_a_label_is_trained_to(answer: Any, bare: str) -> None:
    class One(BaseModel):
        it: Literal["a", 2, True] | None

    with serve(saying("schema", bare)) as endpoint:
        said = {"engine": "chat", "model": "ft", "messages": {"answer": {"label": "it"}}}
        task = Task(One, name="one", prompt={"model": "m", "base_url": endpoint.url}, finetuned=said)
        with Decider(task, mode="finetuned") as decider:
            assert decider.decide("x").output == One(it=answer)
    line = json.loads(Lines(task, CHAT).line(Example(input="x", output={"it": answer})))
    assert line == {"messages": [*endpoint.bodies[0]["messages"], {"role": "assistant", "content": bare}]}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("role", ["prompt", "finetuned"])
def test_lines_are_the_rendered_messages_in_their_shape(shape: Shape, role: Any, tmp_path: Path) -> None:
    shots = [{"input": f"shot {n} \u00e9", "output": {**OUTPUT, "note": str(n)}} for n in range(3)]
    (tmp_path / "shots.jsonl").write_text("\n".join(map(json.dumps, shots)), encoding="utf-8")
    examples = {"file": "shots.jsonl", "count": 3, "select": "similar"}
    task = task_at(folder=tmp_path, prompt={"examples": examples})
    lines, inspector = Lines(task, shape, role), Inspector(shape, Rules())
    for text in (TEXT, "plain", "shot 1 \u00e9", "n" * 5000):
        example = Example(input=text, output={**OUTPUT, "note": text})
        messages = prompt.render(task, Request(input=text, fields=task.fields), role)
        answer = prompt.answer(task, example.output, role)
        line = lines.line(example)
        assert json.loads(line) == shape.write(messages, answer)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert inspector.tokens(line) == prompt.tokens(*(one["content"] for one in messages), answer)
        assert len(messages) == (2 if role == "finetuned" else 6 if text == "shot 1 \u00e9" else 8)


def test_an_answer_has_its_fields_in_the_order_of_the_schema() -> None:
    turned = {"note": "n", "where": {"desk": 1}, "team": "login"}
    assert prompt.answer(task_at(), turned) == '{"team":"login","where":{"desk":1},"note":"n"}'


def test_a_tool_is_only_where_one_is_called() -> None:
    assert prompt.tool(task_at()) is None
    assert prompt.tool(task_at(prompt={"structure": "tools"})) is None
    assert prompt.tool(task_at(prompt={"structure": "tools"}), "prompt") is not None
    with pytest.raises(DataError, match="no place for a tool call"):
        Lines(task_at(prompt={"structure": "tools"}), VERTEX, "prompt").line(Example(input="x", output=OUTPUT))


GOOD: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
        {"role": "assistant", "content": "A"},
    ]
}
CALLED = CHAT.write(
    [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}], "{}", tools=[{"type": "function"}]
)


def messages(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in pairs]}


WRONG: list[tuple[Any, str]] = [
    ("{", "is not JSON"),
    ("NaN", "is not JSON"),
    ([], "is not a JSON object"),
    ({}, "messages is not a list of messages"),
    ({**GOOD, "id": 1}, "holds what the shape 'chat' has no place for: id"),
    ({"messages": [{**GOOD["messages"][0], "name": "x"}, *GOOD["messages"][1:]]}, "holds what the shape 'chat' has no"),
    ({"messages": [*GOOD["messages"][:2], {"role": "assistant", "content": "A", "weight": 0}]}, "has no place for$"),
    (messages(("user", "U"), ("user", "U"), ("assistant", "A")), "two messages of the same role behind each other"),
    (messages(("user", "U"), ("system", "S"), ("user", "U"), ("assistant", "A")), "system message that is not"),
    (messages(("system", "S"), ("user", "U")), "does not end with a message of the assistant"),
    (messages(("system", "S"), ("user", " \n"), ("assistant", "A")), "has an empty text"),
    (messages(("system", ""), ("user", "U"), ("assistant", "A")), "has an empty text"),
    (messages(("system", "S"), ("user", "U"), ("assistant", "")), "has an empty text"),
    (messages(("system", "S"), ("user", "u" * 500), ("assistant", "A")), "is about 126 tokens long, and 100"),
    (messages(("system", "S"), ("user", "a User: b"), ("assistant", "A")), "holds 'User:', which is reserved there"),
]  # fmt: skip
RULES = Rules(tokens=100, reserved=("User:",))


@pytest.mark.parametrize(("line", "said"), WRONG)
@pytest.mark.parametrize("first", [True, False])
def test_a_line_that_breaks_a_rule_is_refused(line: Any, said: str, *, first: bool) -> None:
    inspector = Inspector(CHAT, RULES)
    if not first:
        assert inspector.tokens(json.dumps(GOOD).encode()) == 1
    with pytest.raises(DataError, match=said):
        inspector.tokens(line.encode() if isinstance(line, str) else json.dumps(line).encode())


@pytest.mark.parametrize("line", [messages(("user", "U"), ("assistant", "A")), CALLED])
def test_all_lines_of_a_file_are_of_the_same_kind(line: dict[str, Any]) -> None:
    inspector = Inspector(CHAT, Rules())
    inspector.inspect(GOOD)
    with pytest.raises(DataError, match="is of another kind than the first line"):
        inspector.inspect(line)


def test_answers_may_hold_what_is_reserved_in_questions() -> None:
    assert Inspector(CHAT, RULES).inspect(messages(("user", "U"), ("assistant", "User: x")))


def test_lines_with_calls_are_looked_at_one_by_one() -> None:
    inspector = Inspector(CHAT, Rules())
    line = json.dumps(CALLED).encode()
    assert inspector.tokens(line) == inspector.tokens(line) == 2
    with pytest.raises(DataError, match="no place for"):
        inspector.tokens(json.dumps({**CALLED, "more": 1}).encode())


def test_another_system_message_and_other_turns_are_no_mistake() -> None:
    inspector = Inspector(CHAT, Rules())
    inspector.inspect(GOOD)
    more = messages(("system", "S2"), ("user", "U"), ("assistant", "A"), ("user", "U"), ("assistant", "A"))
    assert inspector.tokens(json.dumps(more).encode()) == 2


def test_every_target_of_lines_has_rules_that_a_good_line_keeps() -> None:
    for target in TARGETS.values():
        if target.shape is not None:
            turns = target.shape.write([{"role": "system", "content": "S"}, {"role": "user", "content": "U"}], "A")
            assert Inspector(target.shape, target.rules).tokens(json.dumps(turns).encode()) == 1
