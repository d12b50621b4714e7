"""The shapes of lines that a chat model is trained on: what it is asked and what it answers, written and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic_core import to_json

from decider.errors import DataError
from decider.prompt import TOOL, Message

ShapeName = Literal["chat", "prompt-completion", "sharegpt", "alpaca", "vertex", "bedrock"]
Speaker = Literal["user", "assistant"]
Line: TypeAlias = Mapping[str, Any]
Tools: TypeAlias = Sequence[Mapping[str, Any]]

BEDROCK_VERSION = "bedrock-conversation-2024"

_SPEAKERS = frozenset({"user", "assistant"})

_CALL = "call_1"
"""The id of the one call of a line: endpoints want one, and nobody answers to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What a line says in any shape: the system message, the turns up to the last of the user, and the answer to it.

    With `tool`, the answer is the arguments of a tool call, a JSON object as text.
    """

    system: str | None
    turns: tuple[tuple[Speaker, str], ...]
    answer: str
    tool: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One shape; `keys` are those that a line of it has, and `tools` says whether an answer may be a tool call."""

    name: ShapeName
    keys: frozenset[str]
    tools: bool
    writer: Callable[[Turns, Tools], dict[str, Any]]
    reader: Callable[[Line], Turns]

    def write(self, messages: Sequence[Message], answer: str, *, tools: Tools = ()) -> dict[str, Any]:
        """Return the line by which a model learns to give `answer` to `messages`; with `tools`, by calling one.

        Raises `DataError` where the shape has no place for a tool call.
        """
        if tools and not self.tools:
            able = ", ".join(shape.name for shape in SHAPES.values() if shape.tools)
            raise DataError(f"the shape {self.name!r} has no place for a tool call; shapes that have one: {able}")
        return self.writer(_turns(messages, answer, tool=bool(tools)), tools)

    def read(self, line: Line) -> Turns:
        """Return what a line says; raises `DataError` where it is not of this shape, or does not end in an answer."""
        return self.reader(line)


def recognise(line: Line) -> Shape | None:
    """Return the shape that a line has by its keys, or None where it has that of none."""
    if BEDROCK.keys <= line.keys() or _in_blocks(line.get("messages")):
        return BEDROCK
    return next((shape for shape in SHAPES.values() if shape.keys <= line.keys()), None)


def _in_blocks(messages: Any) -> bool:
    """Whether messages have their text in blocks as Bedrock writes them, without a type."""
    first = messages[0] if isinstance(messages, list) and messages else None
    content = first.get("content") if isinstance(first, Mapping) else None
    return isinstance(content, list) and bool(content) and _keys_of(content[0]) == {"text"}


def _keys_of(value: Any) -> set[str]:
    return set(value) if isinstance(value, Mapping) else set()


def _turns(messages: Sequence[Message], answer: str, *, tool: bool) -> Turns:
    """What rendered messages say: the system message, if any, is the first."""
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    rest = messages if system is None else messages[1:]
    turns: list[tuple[Speaker, str]] = [
        ("assistant" if one["role"] == "assistant" else "user", one["content"]) for one in rest
    ]
    return Turns(system=system, turns=tuple(turns), answer=answer, tool=tool)


def _spoken(
    said: Sequence[tuple[str, str]], *, system: str | None = None, answer: str | None = None, tool: bool = False
) -> Turns:
    """What messages say, each a role (system, user or assistant) with its text; `answer` stands for the last of them.

    Raises `DataError` where the turns are not in order.
    """
    if said and said[0][0] == "system":
        system, said = said[0][1], said[1:]
    if answer is None:
        if not said or said[-1][0] != "assistant":
            raise DataError("does not end with a message of the assistant")
        answer, said = said[-1][1], said[:-1]
    if not said or said[-1][0] != "user":
        raise DataError("has no message of the user before the answer")
    strange = {role for role, _ in said} - _SPEAKERS
    if strange:
        role = next(role for role, _ in said if role in strange)
        wrong = "a system message that is not the first one" if role == "system" else f"a message of the role {role!r}"
        raise DataError(f"has {wrong}; there are messages of user and assistant, behind one of the system")
    turns: Any = tuple(said)  # of speakers alone
    return Turns(system=system, turns=turns, answer=answer, tool=tool)


def _text(content: Any, where: str) -> str:
    """The text of a message, which some write in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    found = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    texts = [text for text in found if isinstance(text, str)]
    if not texts or len(texts) < len(found):
        raise DataError(f"{where} is not a text")
    return "".join(texts)


def _objects(line: Line, key: str) -> list[dict[str, Any]]:
    """The objects of a list; raises `DataError` where it is none, or empty."""
    found = line.get(key)
    if not isinstance(found, list) or set(map(type, found)) != {dict}:
        raise DataError(f"{key} is not a list of messages")
    return found


def _said(messages: Sequence[Mapping[str, Any]], role: str, text: str) -> list[tuple[str, str]]:
    """The role and the text of each message, which stand under these keys."""
    return [(_role(one.get(role)), _text(one.get(text), f"{text} of a message")) for one in messages]


def _role(name: Any) -> str:
    return _ROLES.get(name, name) if isinstance(name, str) else repr(name)


_ROLES = {"developer": "system", "model": "assistant", "human": "user", "gpt": "assistant"}
"""What roles are called elsewhere."""

# Chat messages, as OpenAI's files have them; read also with the system message beside them, as Claude's have it.


def _to_messages(said: Turns) -> list[dict[str, Any]]:
    system = [] if said.system is None else [{"role": "system", "content": said.system}]
    return [*system, *({"role": role, "content": text} for role, text in said.turns)]


def _write_chat(said: Turns, tools: Tools) -> dict[str, Any]:
    if not tools:
        return {"messages": [*_to_messages(said), {"role": "assistant", "content": said.answer}]}
    function = {"name": TOOL, "arguments": said.answer}
    call = {"role": "assistant", "tool_calls": [{"id": _CALL, "type": "function", "function": function}]}
    return {"messages": [*_to_messages(said), call], "tools": list(tools)}


def _read_chat(line: Line) -> Turns:
    messages = _objects(line, "messages")
    called = _called(messages[-1])
    if called is None:
        return _spoken(_said(messages, "role", "content"), system=_system(line))
    return _spoken(_said(messages[:-1], "role", "content"), system=_system(line), answer=called, tool=True)


def _called(message: Mapping[str, Any]) -> str | None:
    """The arguments of the call that a message makes, as text; None where it makes none."""
    calls = message.get("tool_calls")
    if not calls and not message.get("function_call"):
        return None
    calls = calls or [message["function_call"]]
    if not isinstance(calls, list) or len(calls) > 1:
        raise DataError("calls several tools; an answer is one call")
    call = calls[0]
    function = call.get("function", call) if isinstance(call, Mapping) else None
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    if isinstance(arguments, Mapping):
        return to_json(arguments).decode()
    if not isinstance(arguments, str):
        raise DataError("calls a tool without arguments")
    return arguments


# Prompt and completion, each a list of messages as TRL has them; read also as the two texts of older files.


def _write_completion(said: Turns, tools: Tools) -> dict[str, Any]:
    del tools
    return {"prompt": _to_messages(said), "completion": [{"role": "assistant", "content": said.answer}]}


def _read_completion(line: Line) -> Turns:
    if isinstance(line.get("prompt"), str):
        return _spoken([("user", line["prompt"])], answer=_text(line.get("completion"), "the completion"))
    return _spoken(_said([*_objects(line, "prompt"), *_objects(line, "completion")], "role", "content"))


# ShareGPT, as LLaMA-Factory reads it: the system message beside the conversation.

_FROM = {"user": "human", "assistant": "gpt"}


def _write_sharegpt(said: Turns, tools: Tools) -> dict[str, Any]:
    del tools
    turns = [*said.turns, ("assistant", said.answer)]
    line: dict[str, Any] = {"conversations": [{"from": _FROM[role], "value": text} for role, text in turns]}
    return line if said.system is None else {**line, "system": said.system}


def _read_sharegpt(line: Line) -> Turns:
    return _spoken(_said(_objects(line, "conversations"), "from", "value"), system=_system(line))


def _system(line: Line) -> str | None:
    return _text(line["system"], "system") if line.get("system") else None


# Alpaca, as LLaMA-Factory reads it. Trainers join instruction and input to one message of the user, so that what the
# user says is the instruction alone: it is then trained on as it is asked.


def _write_alpaca(said: Turns, tools: Tools) -> dict[str, Any]:
    del tools
    texts = [text for _, text in said.turns]
    line: dict[str, Any] = {"instruction": texts[-1], "input": "", "output": said.answer}
    if said.system is not None:
        line["system"] = said.system
    if len(texts) > 1:
        line["history"] = [texts[at : at + 2] for at in range(0, len(texts) - 1, 2)]
    return line


def _read_alpaca(line: Line) -> Turns:
    system, asked = _system(line), _text(line.get("instruction"), "instruction")
    more = _text(line.get("input") or "", "input")
    if more and system is None:  # as alpaca was first written: the instruction is the same for many inputs
        system, asked = asked, more
    elif more:
        asked = f"{asked}\n{more}"
    said = [*_history(line.get("history") or []), ("user", asked)]
    return _spoken(said, system=system, answer=_text(line.get("output"), "output"))


def _history(pairs: Any) -> Iterator[tuple[str, str]]:
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise DataError("history is not a list of pairs")
        yield "user", _text(pair[0], "a question of history")
        yield "assistant", _text(pair[1], "an answer of history")


# Gemini on Vertex AI, and Nova on Bedrock.

_VERTEX = {"user": "user", "assistant": "model"}


def _write_vertex(said: Turns, tools: Tools) -> dict[str, Any]:
    del tools
    turns = [*said.turns, ("assistant", said.answer)]
    line: dict[str, Any] = {"contents": [{"role": _VERTEX[role], "parts": [{"text": text}]} for role, text in turns]}
    if said.system is None:
        return line
    return {"systemInstruction": {"role": "system", "parts": [{"text": said.system}]}, **line}


def _read_vertex(line: Line) -> Turns:
    system = line.get("systemInstruction", line.get("system_instruction"))
    parts = system.get("parts") if isinstance(system, Mapping) else system
    said = None if parts is None else _text(parts, "systemInstruction")
    return _spoken(_said(_objects(line, "contents"), "role", "parts"), system=said)


def _write_bedrock(said: Turns, tools: Tools) -> dict[str, Any]:
    del tools
    turns = [*said.turns, ("assistant", said.answer)]
    system = {} if said.system is None else {"system": [{"text": said.system}]}
    messages = [{"role": role, "content": [{"text": text}]} for role, text in turns]
    return {"schemaVersion": BEDROCK_VERSION, **system, "messages": messages}


def _read_bedrock(line: Line) -> Turns:
    return _spoken(_said(_objects(line, "messages"), "role", "content"), system=_system(line))


def _shape(name: ShapeName, keys: str, writer: Any, reader: Any, *, tools: bool = False) -> Shape:
    return Shape(name=name, keys=frozenset(keys.split()), tools=tools, writer=writer, reader=reader)


CHAT = _shape("chat", "messages", _write_chat, _read_chat, tools=True)
PROMPT_COMPLETION = _shape("prompt-completion", "prompt completion", _write_completion, _read_completion)
SHAREGPT = _shape("sharegpt", "conversations", _write_sharegpt, _read_sharegpt)
ALPACA = _shape("alpaca", "instruction output", _write_alpaca, _read_alpaca)
VERTEX = _shape("vertex", "contents", _write_vertex, _read_vertex)
BEDROCK = _shape("bedrock", "schemaVersion messages", _write_bedrock, _read_bedrock)

SHAPES: Mapping[ShapeName, Shape] = {
    shape.name: shape for shape in (CHAT, PROMPT_COMPLETION, SHAREGPT, ALPACA, VERTEX, BEDROCK)
}
"""Every shape by its name."""
