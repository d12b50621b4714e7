"""The texts of a dataset by the input field that they stand in, as the checks of texts look at them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from decider.assess.lint.finding import Rows
from decider.data.near import texts_of
from decider.schema import pick

_MOST_VALUES = 100
_ROWS_PER_VALUE = 5
_LONGEST_VALUE = 80

_WORD = re.compile(r"\w+")
_ODD = re.compile(r"[^\w\s]|[\d_]")
_MOST_ODD = 0.2
"""Prose in any language has fewer marks and digits than one in five characters; logs, code and tables have more."""
_LOOKED_AT = 400

_TEXTUAL = ("text", "other")
"""Kinds of input fields that may hold free text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """All free texts of one input field, in row order; `path` is None for an input that is one text.

    `rows` holds for each text the number of its row, which comes again where a field holds several texts. `words` are
    the words of each text in lower case with a space before, between and after them, so that phrases can be looked up.
    """

    path: str | None
    texts: tuple[str, ...]
    rows: tuple[int, ...]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """How a message calls it."""
        return "the input" if self.path is None else f"`{self.path}`"


def columns_of(rows: Rows) -> tuple[Column, ...]:
    """Return the columns of free text; texts that are a handful of values again and again are categories, not prose."""
    return tuple(_column(path, found) for path, found in _found(rows).items() if not _is_category(found))


def categories_of(rows: Rows) -> Mapping[str, Sequence[tuple[int, str]]]:
    """Return the input fields that hold a handful of short texts, each with the row numbers and values."""
    found = {path: texts for path, texts in _found(rows).items() if path is not None and _is_category(texts)}
    for field in rows.task.inputs:
        if field.kind == "choice":
            values = ((n, at(example.input, field.path)) for n, example in enumerate(rows.examples))
            found[field.path] = [(n, value) for n, value in values if isinstance(value, str)]
    return found


def is_prose(text: str) -> bool:
    """Whether a text is written to be read: no JSON, no markup, no log line, no table of numbers."""
    start = text[:_LOOKED_AT].lstrip()
    return start[:1] not in ("{", "[", "<") and len(_ODD.findall(start)) <= _MOST_ODD * len(start)


def words_of(text: str) -> str:
    """Return the words of a text in lower case, with a space before, between and after them."""
    return f" {' '.join(_WORD.findall(text))} ".casefold()


def at(value: Any, path: str) -> Any:
    """Return the value of an input, or an output, at a path; None where it has none."""
    try:
        return pick(value, path)
    except KeyError:
        return None


def _found(rows: Rows) -> dict[str | None, list[tuple[int, str]]]:
    """The row numbers and texts of each input field that may hold text."""
    found: dict[str | None, list[tuple[int, str]]] = defaultdict(list)
    paths: list[str | None] = [field.path for field in rows.task.inputs if field.kind in _TEXTUAL]
    for n, example in enumerate(rows.examples):
        for path in paths or [None] * (not rows.task.inputs):
            value = example.input if path is None else at(example.input, path)
            found[path] += [(n, text) for text in texts_of(value)]
    return found


def _is_category(found: Sequence[tuple[int, str]]) -> bool:
    """Whether texts are a handful of short values that come again and again: names of things, not prose."""
    values = {text for _, text in found}
    most = min(_MOST_VALUES, len(found) // _ROWS_PER_VALUE)
    return len(values) <= most and all(len(value) <= _LONGEST_VALUE for value in values)


def _column(path: str | None, found: Sequence[tuple[int, str]]) -> Column:
    return Column(
        path=path,
        texts=tuple(text for _, text in found),
        rows=tuple(n for n, _ in found),
        words=tuple(words_of(text) for _, text in found),
    )
