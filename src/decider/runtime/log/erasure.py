"""A line of the log without what users wrote, and of the same length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from json import JSONDecoder
from typing import Any

from pydantic_core import from_json

from decider.runtime.log.record import Record
from decider.schema import Field
from decider.task import Task

_WHOLE = ("input", "input_sha256", "row_hash", "meta", "note", "error")
"""What is overwritten as a whole; hashes as well, since whoever guesses the text can check it."""

_SHORT = {b'"': b'""', b"[": b"[]", b"{": b"{}"}
_read = JSONDecoder().raw_decode


def without_text(line: bytes, record: Record, task: Task[Any]) -> bytes:
    """Return the line of a record with `null` in place of its text, padded; all other bytes stay as they are.

    Text is the input with its hashes, `meta`, the note, the error, the value of an outcome that is no number, and what
    stands in a field of the answer without being one of its labels. Labels of another task's records are not known.
    """
    closed = {field.path: field for field in task.fields if field.closed} if record.task == task.name else {}
    text = line.decode()
    parts, end = [], 0
    for start, stop in _spans(text, closed):
        parts += [text[end:start].encode(), _nothing(text[start:stop].encode())]
        end = stop
    return b"".join([*parts, text[end:].encode()])


def _nothing(value: bytes) -> bytes:
    """A JSON value of the same length that says nothing."""
    empty = b"null" if len(value) >= len(b"null") else _SHORT.get(value[:1], b"0")
    return empty.ljust(len(value))


def _spans(text: str, closed: Mapping[str, Field]) -> Iterator[tuple[int, int]]:
    """Where the values stand that are to be overwritten, in order."""
    for key, start, end in _members(text, text.index("{")):
        match key, text[start]:
            case ("value", '"' | "[" | "{"):
                yield start, end
            case ("output", "{"):
                yield from _leaves(text, start, "", closed)
            case ("fields", "{"):
                yield from _values(text, start, closed)
            case ("steps", "["):
                yield from _keys(text, start, end)
            case _ if key in _WHOLE:
                yield start, end


def _leaves(text: str, start: int, prefix: str, closed: Mapping[str, Field]) -> Iterator[tuple[int, int]]:
    """Where in an answer, nested as the schema is, the values stand that are no labels."""
    for name, at, end in _members(text, start):
        path = f"{prefix}{name}"
        if text[at] == "{" and any(one.startswith(f"{path}.") for one in closed):
            yield from _leaves(text, at, f"{path}.", closed)
        elif not _is_label(text[at:end], closed.get(path)):
            yield at, end


def _values(text: str, start: int, closed: Mapping[str, Field]) -> Iterator[tuple[int, int]]:
    """Where in the fields, by path, the values stand that are no labels."""
    for path, at, _ in _members(text, start):
        for name, begin, end in _members(text, at):
            if name == "value" and not _is_label(text[begin:end], closed.get(path)):
                yield begin, end


def _keys(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where in a list of steps the keys of the cache stand: they are hashes of the input, too."""
    at = start
    for step in from_json(text[start:end]):
        key = step.get("cache_key")
        if key is not None:
            at = text.index(f'"{key}"', at)
            yield at, at + len(key) + 2
            at += 1


def _is_label(text: str, field: Field | None) -> bool:
    """Whether a value is one of a finite set, and not what somebody wrote."""
    value = from_json(text)
    return field is not None and all(one in field.labels for one in (value if isinstance(value, list) else [value]))


def _members(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """The members of the JSON object that begins at `start`: the key, and where its value begins and ends."""
    at = _skip(text, start + 1, ",")
    while text[at] != "}":
        key, at = _read(text, at)
        begin = _skip(text, at, ":")
        _, at = _read(text, begin)
        yield key, begin, at
        at = _skip(text, at, ",")


def _skip(text: str, at: int, mark: str) -> int:
    while text[at] == mark or text[at].isspace():
        at += 1
    return at
