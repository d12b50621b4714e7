"""Lines to train a chat model on: an example as it will be asked and is to be answered, and whether a file may hold it.

A line is put together from pieces that are made once: the system message and most answers are the same many times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pydantic_core import CoreSchema, SchemaValidator, ValidationError, core_schema, from_json, to_json

from decider import prompt
from decider.data.exporters.targets import Rules
from decider.data.shapes import Shape, Turns
from decider.decision import Example, Request
from decider.errors import DataError
from decider.spec import Role
from decider.task import Task

_MARK = re.compile(rb'"\\u0000(\d+)"')
"""A text in a line that is still to be filled in, by its number: no text of a spec holds the character in front."""

_REPEATED = 1024
"""Answers, and texts of messages, that are kept for the next row."""

_LONGEST_KEPT = 4096
"""Bytes of an answer that is kept."""

_NAMED = 3


class Lines:
    """Writes examples in a shape, as the model of a role is asked and answers; with `tool`, it answers by calling it.

    Raises `DataError` where it answers by a tool, and the shape has no place for one.
    """

    def __init__(self, task: Task[Any], shape: Shape, role: Role = "finetuned") -> None:
        tool = prompt.tool(task, role)
        self._task, self._shape, self._role = task, shape, role
        self._tools = () if tool is None else (tool,)
        self._constant = role == "finetuned"
        self._frames: dict[Any, tuple[tuple[bytes, ...], tuple[int, ...]]] = {}
        self._escaped = lru_cache(maxsize=_REPEATED)(to_json)
        self._answered = lru_cache(maxsize=_REPEATED)(self._answer)

    def line(self, example: Example) -> bytes:
        """Return an example as a line, with its end."""
        output = to_json(example.output)
        answer = self._answered(output) if len(output) <= _LONGEST_KEPT else self._answer(output)
        if self._constant:  # no more than the last message depends on the input
            frame = self._frames.get(None) or self._constant_frame(example)
            asked = to_json(prompt.user_message(self._task, example.input, self._role))
            return _filled(frame, (asked, answer))
        *before, last = self._rendered(example)
        texts = [*(self._escaped(message["content"]) for message in before), to_json(last["content"]), answer]
        return _filled(self._frame(before, last), texts)

    def _answer(self, output: bytes) -> bytes:
        return to_json(prompt.answer(self._task, from_json(output), self._role))

    def _rendered(self, example: Example) -> list[prompt.Message]:
        return prompt.render(self._task, Request(input=example.input, fields=self._task.fields), self._role)

    def _constant_frame(self, example: Example) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
        *before, last = self._rendered(example)
        frame = self._frames[None] = self._made([*before, {**last, "content": "\0000"}], "\0001")
        return frame

    def _frame(
        self, before: Sequence[prompt.Message], last: prompt.Message
    ) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
        """The pieces of a line around its texts, by who says them."""
        roles = tuple(message["role"] for message in before)
        if roles not in self._frames:
            marked = [{**message, "content": f"\0{n}"} for n, message in enumerate([*before, last])]
            self._frames[roles] = self._made(marked, f"\0{len(marked)}")  # type: ignore[arg-type]  # mypy and ** of a TypedDict
        return self._frames[roles]

    def _made(self, messages: Sequence[prompt.Message], answer: str) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
        pieces = _MARK.split(to_json(self._shape.write(messages, answer, tools=self._tools)) + b"\n")
        return tuple(pieces[::2]), tuple(map(int, pieces[1::2]))


def _filled(frame: tuple[tuple[bytes, ...], tuple[int, ...]], texts: Sequence[bytes]) -> bytes:
    pieces, order = frame
    line = [pieces[0]]
    for n, piece in zip(order, pieces[1:], strict=True):
        line += (texts[n], piece)
    return b"".join(line)


class Inspector:
    """Looks at the lines of one file in turn, for what a shape and the rules of a target ask of each.

    The first line is looked at key by key. Those behind it are held against a schema that is made of it, all of it but
    the texts; what differs is looked at again, and said.
    """

    def __init__(self, shape: Shape, rules: Rules) -> None:
        self._shape, self._rules = shape, rules
        self._first: Turns | None = None
        self._form: _LineForm | None = None
        self.keys: set[str] = set()
        """What some line has: a shape has keys that are left out where there is nothing to say."""

    def tokens(self, line: bytes) -> int:
        """Return about how many tokens a line is; raises `DataError` that names the rule it breaks."""
        texts = None if self._form is None else self._form.texts(line)
        if texts is not None:
            return self._counted(texts)
        try:
            value = from_json(line, allow_inf_nan=False)
        except ValueError as error:
            raise DataError(f"is not JSON: {error}") from error
        return self.inspect(value)

    def inspect(self, value: Any) -> int:
        """The same for a line that was read already."""
        if not isinstance(value, dict):
            raise DataError("is not a JSON object")
        self.keys.update(value)
        said = self._shape.read(value)
        if self._shape.writer(said, value.get("tools", ())) != value:
            extra = ", ".join(sorted(value.keys() - self._shape.writer(said, ()).keys())[:_NAMED])
            raise DataError(f"holds what the shape {self._shape.name!r} has no place for" + (extra and f": {extra}"))
        speakers = [role for role, _ in said.turns]
        if "assistant" in speakers[::2] or "user" in speakers[1::2]:
            raise DataError("has two messages of the same role behind each other")
        if self._first is None:
            self._first, self._form = said, _LineForm.of(said, self._shape)
        elif (said.system is None, said.tool) != (self._first.system is None, self._first.tool):
            raise DataError("is of another kind than the first line: one has a system message or a tool call")
        asked = [text for _, text in said.turns]
        return self._counted((*asked, said.answer) if said.system is None else (said.system, *asked, said.answer))

    def _counted(self, texts: Sequence[str]) -> int:
        """The tokens of the texts of a line, the answer last."""
        if not all(map(str.strip, texts)):
            raise DataError("has an empty text")
        for word in self._rules.reserved:
            if any(word in text for text in texts[:-1]):
                raise DataError(f"holds {word!r}, which is reserved there; say it in other words, or leave the row out")
        size = prompt.tokens(*texts)
        if self._rules.tokens is not None and size > self._rules.tokens:
            raise DataError(f"is about {size:,} tokens long, and {self._rules.tokens:,} is the most; shorten the input")
        return size


class _LineForm:
    """The schema of lines that differ in their texts alone, but for the system message, which is always the same."""

    def __init__(self, schema: CoreSchema, paths: Sequence[tuple[Any, ...]], system: str | None) -> None:
        self._validate = SchemaValidator(schema).validate_json
        self._paths = tuple(paths)
        self._before = () if system is None else (system,)

    @classmethod
    def of(cls, said: Turns, shape: Shape) -> _LineForm | None:
        """Return the schema of lines like one that says this; None where they call a tool."""
        if said.tool:
            return None
        turns = tuple((role, f"\0{n}") for n, (role, _) in enumerate(said.turns))
        marked = shape.writer(replace(said, turns=turns, answer=f"\0{len(turns)}"), ())
        found: dict[str, tuple[Any, ...]] = {}
        schema = _schema_of(marked, (), found)
        return cls(schema, [found[f"\0{n}"] for n in range(len(turns) + 1)], said.system)

    def texts(self, line: bytes) -> tuple[str, ...] | None:
        """Return the texts of a line, the answer last, or None where it is anything else."""
        try:
            value = self._validate(line)
        except ValidationError:
            return None
        return (*self._before, *(_at(value, path) for path in self._paths))


def _at(value: Any, path: tuple[Any, ...]) -> str:
    for key in path:
        value = value[key]
    text: str = value
    return text


def _schema_of(value: Any, path: tuple[Any, ...], found: dict[str, tuple[Any, ...]]) -> CoreSchema:
    """The schema of a value with marks in the places of texts; `found` takes the path of each."""
    if isinstance(value, dict):
        fields = {
            key: core_schema.typed_dict_field(_schema_of(one, (*path, key), found), required=True)
            for key, one in value.items()
        }
        return core_schema.typed_dict_schema(fields, extra_behavior="forbid")
    if isinstance(value, list):
        return core_schema.tuple_schema([_schema_of(one, (*path, n), found) for n, one in enumerate(value)])
    if value.startswith("\0"):
        found[value] = path
        return core_schema.str_schema(strict=True)
    return core_schema.literal_schema([value])
