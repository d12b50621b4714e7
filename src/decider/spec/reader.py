"""The text of a spec as nested plain values, every scalar as its author typed it, with the place of every key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import yaml

from decider.errors import SpecError
from decider.spec.syntax import explain, unprintable

Path: TypeAlias = tuple[str | int, ...]
"""The keys and list positions from the top of a spec down to one value."""

MAX_BYTES = 256_000
MAX_DEPTH = 20

MINIMAL = """\
name: triage
instructions: Decide which team handles this ticket.
fields:
  team: {options: [billing, technical, sales]}
prompt:
  model: gpt-6-luna
"""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_EXCERPT = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a key stands; line and column count from 1, and are None where there is no text."""

    file: str | None = None
    line: int | None = None
    column: int | None = None


class Plain(str):
    """Text that was typed without quotes, so that a free-form value may still turn out to be a number."""

    __slots__ = ()


def plain(text: str) -> Plain | None:
    """Return the value of text without quotes: None where YAML says null."""
    return None if text in _NULLS else Plain(text)


def compose(text: str, file: str | None) -> tuple[dict[str, Any], dict[Path, Place]]:
    """Return the mapping that `text` holds and the places of its keys; raises a `SpecError` at the first mistake."""
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise too_big(file)
    composer = _Composer(file)
    for event in _events(text.removeprefix("\ufeff"), file):
        composer.take(event)
    if composer.root is None:
        raise SpecError("is empty", file=file, remedy=f"write, for example:\n\n{MINIMAL}")
    if not isinstance(composer.root, dict):
        found = "a list" if isinstance(composer.root, list) else "text"
        crowded = isinstance(composer.root, str) and ":" in composer.root
        remedy = "write a space after the `:`" if crowded else "begin with a line such as `name: triage`"
        _refuse(composer.places[()], f"expected `key: value` lines, found {found}", remedy)
    return composer.root, composer.places


def too_big(file: str | None) -> SpecError:
    """The error for a spec that is not even read."""
    return SpecError(
        f"is larger than {MAX_BYTES // 1000} kB",
        file=file,
        remedy="keep data and examples in files of their own, and name them in the spec",
    )


def _refuse(place: Place, message: str, remedy: str) -> NoReturn:
    raise SpecError(message, file=place.file, line=place.line, column=place.column, remedy=remedy)


class _Loader(yaml.SafeLoader):
    """PyYAML's parser, which stops at deep brackets before its look-ahead becomes quadratic in them."""

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level > MAX_DEPTH:
            raise _TooDeep(problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token)


class _TooDeep(yaml.MarkedYAMLError):
    """More brackets inside each other than a spec may have."""


def _events(text: str, file: str | None) -> Iterator[yaml.Event]:
    try:
        loader = _Loader(text)
        while loader.check_event():
            yield loader.get_event()  # type: ignore[no-untyped-call]  # the stubs leave it untyped
    except yaml.reader.ReaderError as error:
        line, column, message, remedy = unprintable(text, error.position)
        raise SpecError(message, file=file, line=line, column=column, remedy=remedy) from error
    except _TooDeep as error:
        _too_deep(_place(file, error.problem_mark))
    except yaml.MarkedYAMLError as error:
        line, column, message, remedy = explain(error, text)
        raise SpecError(message, file=file, line=line, column=column, remedy=remedy) from error
    except ValueError as error:
        # PyYAML hands some escapes and directives to chr() and int() unchecked.
        _bad_escape(_place(file, loader.get_mark()), error)


def _too_deep(place: Place) -> NoReturn:
    _refuse(place, f"is nested deeper than {MAX_DEPTH} levels", "flatten it; nested fields are written `outer.inner:`")


def _bad_escape(place: Place, error: ValueError | None = None) -> NoReturn:
    raise SpecError(
        "holds an escape that is no character",
        file=place.file,
        line=place.line,
        column=place.column,
        remedy="type the character itself",
    ) from error


def _place(file: str | None, mark: Any) -> Place:
    return Place(file=file, line=mark.line + 1, column=mark.column + 1)


@dataclass(slots=True)
class _Frame:
    """A collection that is still open; `key` is the key whose value comes next."""

    container: Any
    path: Path
    key: str | None = None

    @property
    def wants_key(self) -> bool:
        return isinstance(self.container, dict) and self.key is None

    @property
    def next_path(self) -> Path:
        return (*self.path, len(self.container) if self.key is None else self.key)

    def put(self, value: Any) -> None:
        if self.key is None:
            self.container.append(value)
        else:
            self.container[self.key] = value
            self.key = None


@dataclass(slots=True)
class _Composer:
    """Builds the nested values from parser events, without recursion."""

    file: str | None
    root: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    _open: list[_Frame] = field(default_factory=list)
    _documents: int = 0

    def take(self, event: yaml.Event) -> None:
        place = _place(self.file, event.start_mark)
        match event:
            case yaml.DocumentStartEvent():
                self._start_document(place)
            case yaml.AliasEvent():
                _refuse(place, f"`*{event.anchor}` is an alias, which a spec may not have", "write the value out here")
            case yaml.NodeEvent():
                self._refuse_extras(event, place)
                self._take_node(event, place)
            case yaml.CollectionEndEvent():
                self._open.pop()

    def _start_document(self, place: Place) -> None:
        self._documents += 1
        if self._documents > 1:
            _refuse(place, "a second document begins here", "remove the `---` and what follows: one spec, one file")

    @staticmethod
    def _refuse_extras(event: Any, place: Place) -> None:
        if event.anchor is not None:
            _refuse(
                place,
                f"`&{event.anchor}` is an anchor, which a spec may not have",
                f"remove `&{event.anchor}`, and write the value out wherever it is needed",
            )
        if event.tag is not None:
            tag = _excerpt(event.tag.replace("tag:yaml.org,2002:", "!!"))
            _refuse(place, f"`{tag}` is a tag, which a spec may not have", "remove it")

    def _take_node(self, event: Any, place: Place) -> None:
        frame = self._open[-1] if self._open else None
        if frame is not None and frame.wants_key:
            self._take_key(frame, event, place)
            return
        path = () if frame is None else frame.next_path
        # A value in a mapping stands where its key stands.
        self.places.setdefault(path, place)
        value = self._value(event, place)
        if frame is None:
            self.root = value
        else:
            frame.put(value)
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append(_Frame(value, path))

    def _take_key(self, frame: _Frame, event: Any, place: Place) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            _refuse(place, "a key must be text, found a list or a mapping", "write `key: value`")
        key = _text(event, place)
        if not key and event.style is None:
            _refuse(place, "the key before this `:` is missing", "write `key: value`")
        path = (*frame.path, key)
        if path in self.places:
            first = self.places[path].line
            on = f"twice on line {first}" if first == place.line else f"on line {first} and again on line {place.line}"
            _refuse(place, f"the key `{_excerpt(key)}` stands {on}", "keep one of them")
        self.places[path] = place
        frame.key = key

    def _value(self, event: Any, place: Place) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return plain(event.value) if event.style is None else _text(event, place)
        if len(self._open) >= MAX_DEPTH:
            _too_deep(place)
        return {} if isinstance(event, yaml.MappingStartEvent) else []


def _text(event: Any, place: Place) -> str:
    text: str = event.value
    if any("\ud800" <= char <= "\udfff" for char in text):
        _bad_escape(place)
    return text


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"
