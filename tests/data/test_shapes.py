"""The shapes of lines: each is read back as what was written, and what others write is read as well, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decider.data.shapes import SHAPES, Shape, ShapeName, Turns, recognise
from decider.errors import DataError
from decider.prompt import Message

SYSTEM: Message = {"role": "system", "content": "S"}
SHOT: list[Message] = [{"role": "user", "content": "U1"}, {"role": "assistant", "content": "A1"}]
ASKED: Message = {"role": "user", "content": "U"}
TOOL = {"type": "function", "function": {"name": "decision", "parameters": {"type": "object"}}}

TEXTS = st.text(min_size=1)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("messages", [[SYSTEM, *SHOT, ASKED], [*SHOT, *SHOT, ASKED], [SYSTEM, ASKED], [ASKED]])
def test_what_is_written_is_read_back(shape: Shape, messages: list[Message]) -> None:
    line = shape.write(messages, '{"a": 1}')
    system = "S" if messages[0] is SYSTEM else None
    said = tuple((one["role"], one["content"]) for one in messages if one is not SYSTEM)
    assert shape.read(line) == Turns(system=system, turns=said, answer='{"a": 1}')  # type: ignore[arg-type]  # roles of turns
    assert recognise(json.loads(json.dumps(line))) is shape


@given(system=TEXTS, asked=TEXTS, answer=TEXTS)
def test_texts_are_data_whatever_they_hold(system: str, asked: str, answer: str) -> None:
    for shape in SHAPES.values():
        line = shape.write([{"role": "system", "content": system}, {"role": "user", "content": asked}], answer)
        assert shape.read(line) == Turns(system=system, turns=(("user", asked),), answer=answer)


EXACT: dict[ShapeName, dict[str, Any]] = {
    "chat": {
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "U"},
            {"role": "assistant", "content": "A"},
        ]
    },
    "prompt-completion": {
        "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
        "completion": [{"role": "assistant", "content": "A"}],
    },
    "sharegpt": {"conversations": [{"from": "human", "value": "U"}, {"from": "gpt", "value": "A"}], "system": "S"},
    "alpaca": {"instruction": "U", "input": "", "output": "A", "system": "S"},
    "vertex": {
        "systemInstruction": {"role": "system", "parts": [{"text": "S"}]},
        "contents": [{"role": "user", "parts": [{"text": "U"}]}, {"role": "model", "parts": [{"text": "A"}]}],
    },
    "bedrock": {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "S"}],
        "messages": [{"role": "user", "content": [{"text": "U"}]}, {"role": "assistant", "content": [{"text": "A"}]}],
    },
}


@pytest.mark.parametrize("name", EXACT)
def test_lines_are_what_trainers_document(name: ShapeName) -> None:
    assert SHAPES[name].write([SYSTEM, ASKED], "A") == EXACT[name]


def test_a_tool_call_has_the_tool_beside_it() -> None:
    line = SHAPES["chat"].write([SYSTEM, ASKED], '{"a": 1}', tools=[TOOL])
    call = {"id": "call_1", "type": "function", "function": {"name": "decision", "arguments": '{"a": 1}'}}
    assert line == {
        "messages": [SYSTEM, ASKED, {"role": "assistant", "tool_calls": [call]}],
        "tools": [TOOL],
    }
    assert SHAPES["chat"].read(line) == Turns(system="S", turns=(("user", "U"),), answer='{"a": 1}', tool=True)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "chat"])
def test_a_tool_call_has_no_place_elsewhere(name: ShapeName) -> None:
    with pytest.raises(DataError, match="has no place for a tool call; shapes that have one: chat"):
        SHAPES[name].write([ASKED], "{}", tools=[TOOL])


ANSWER = {"role": "assistant", "content": "A"}
PARTS = [{"type": "text", "text": "U"}, "2"]
CALL = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": {"a": 1}}}
SAYING = [{"from": "system", "value": "S"}, {"from": "human", "value": "U"}, {"from": "gpt", "value": "A"}]
CONTENTS = [{"role": "user", "parts": [{"text": "U"}]}, {"role": "model", "parts": [{"text": "A"}]}]
BLOCKS = [{"role": "user", "content": [{"text": "U"}]}, {"role": "assistant", "content": [{"text": "A"}]}]


def turns(system: str | None, asked: str, answer: str, *, tool: bool = False) -> Turns:
    return Turns(system=system, turns=(("user", asked),), answer=answer, tool=tool)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"messages": [{"role": "developer", "content": "S"}, ASKED, {**ANSWER, "weight": 1}]}, turns("S", "U", "A")),
        ({"messages": [{"role": "user", "content": PARTS}, ANSWER]}, turns(None, "U2", "A")),
        ({"messages": [ASKED, CALL]}, turns(None, "U", '{"a":1}', tool=True)),
        ({"prompt": "U", "completion": "A"}, turns(None, "U", "A")),
        ({"instruction": "S", "input": "U", "output": "A"}, turns("S", "U", "A")),
        ({"instruction": "I", "input": "U", "output": "A", "system": "S"}, turns("S", "I\nU", "A")),
        ({"conversations": SAYING}, turns("S", "U", "A")),
        ({"systemInstruction": "S", "contents": CONTENTS}, turns("S", "U", "A")),
        ({"system_instruction": "S", "contents": CONTENTS}, turns("S", "U", "A")),
        ({"system": "S", "messages": [ASKED, ANSWER]}, turns("S", "U", "A")),
        (
            {"system": "T", "messages": [{"role": "system", "content": "S"}, ASKED, ANSWER]},
            turns("S", "U", "A"),
        ),
        ({"messages": BLOCKS}, turns(None, "U", "A")),
    ],
)
def test_what_others_write_is_read(line: dict[str, Any], said: Turns) -> None:
    shape = recognise(line)
    assert shape is not None
    assert shape.read(line) == said


def test_bedrock_is_known_by_its_blocks() -> None:
    line = {"messages": [{"role": "user", "content": [{"text": "U"}]}]}
    assert recognise(line) is SHAPES["bedrock"]
    assert recognise({"messages": [{"role": "user", "content": [{"type": "text", "text": "U"}]}]}) is SHAPES["chat"]
    assert recognise({"messages": []}) is SHAPES["chat"]
    assert recognise({"messages": ["U"]}) is SHAPES["chat"]
    assert recognise({"messages": [{"content": ["U"]}]}) is SHAPES["chat"]
    assert recognise({"input": "U", "output": {}}) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"messages": [ASKED]}, "does not end with a message of the assistant"),
        ({"messages": []}, "messages is not a list of messages"),
        ({"messages": "U"}, "messages is not a list of messages"),
        ({"messages": ["U"]}, "messages is not a list of messages"),
        ({"messages": [{"role": "assistant", "content": "A"}]}, "has no message of the user before the answer"),
        ({"messages": [ASKED, SYSTEM, ASKED, *SHOT]}, "has a system message that is not the first one"),
        ({"messages": [ASKED, {"role": "tool", "content": "x"}, *SHOT]}, "has a message of the role 'tool'"),
        ({"messages": [ASKED, {"role": ["x"], "content": "x"}, *SHOT]}, r"has a message of the role \"\['x'\]\""),
        ({"messages": [ASKED, {"role": "assistant", "content": None}]}, "content of a message is not a text"),
        ({"messages": [{"role": "user", "content": [{"image": 1}]}, *SHOT]}, "content of a message is not a text"),
        ({"messages": [{"role": "user", "content": []}, *SHOT]}, "content of a message is not a text"),
        ({"messages": [ASKED, {"role": "assistant", "tool_calls": [{}, {}]}]}, "calls several tools"),
        ({"messages": [ASKED, {"role": "assistant", "tool_calls": "x"}]}, "calls several tools"),
        ({"messages": [ASKED, {"role": "assistant", "tool_calls": ["x"]}]}, "calls a tool without arguments"),
        ({"messages": [ASKED, {"role": "assistant", "tool_calls": [{"function": {}}]}]}, "without arguments"),
        ({"prompt": "U", "completion": 1}, "the completion is not a text"),
        ({"instruction": None, "output": "A"}, "instruction is not a text"),
        ({"instruction": "U", "output": "A", "history": [["x"]]}, "history is not a list of pairs"),
        ({"instruction": "U", "output": "A", "history": "x"}, "history is not a list of pairs"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_refused(line: dict[str, Any], said: str) -> None:
    shape = recognise(line)
    assert shape is not None
    with pytest.raises(DataError, match=said):
        shape.read(line)
