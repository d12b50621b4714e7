"""Inputs that say nothing."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from decider.assess.lint.columns import Column
from decider.assess.lint.finding import Finding, Rows, Severity, counted
from decider.schema import pick

_BY_PROGRAMS = frozenset(
    {"n/a", "#n/a", "na", "nan", "<na>", "null", "nil", "undefined", "#ref!", "#value!", "(empty)"}
)
"""What programs and tables write where there is nothing."""

_BY_PEOPLE = frozenset(
    {"test", "testing", "test test", "this is a test", "asdf", "tbd", "todo", "lorem ipsum", "empty"}
    | {"deleted", "removed", "no text", "no comment", "no description", "no content", "not applicable", "blank"}
)
"""What people write where they have to write something; in answer to a question it may say all that there is."""

_SAYS = re.compile(r"[^\W_]|[?!]")
_HIDDEN = re.compile(r"\[[A-Z][A-Z_-]*\]|\b[xX]{2,}\b")
"""What was put for names and numbers when a text was made anonymous."""

_MOST_SHOWN = 5
_LONGEST_SHOWN = 20
_LOOKED_AT = 80
"""Letters at the beginning that a longer text is judged by, if they say something: no placeholder is so long."""


def empty(columns: Sequence[Column], rows: Rows) -> Iterator[Finding]:
    """Inputs of which no text says anything, and that hold no other value: errors, or warnings where people wrote them.

    A letter, a digit, an emoji, `?` and `!` say something; `n/a`, `-` and what was made anonymous do not.
    """
    texts: dict[int, list[str]] = defaultdict(list)
    for column in columns:
        for n, text in zip(column.rows, column.texts, strict=True):
            texts[n].append(text)
    beside = {column.path for column in columns}
    alone = [n for n in sorted(texts) if not any(map(_speaks, texts[n])) and not _has_more(rows, n, beside)]
    by_people = [n for n in alone if any(_plain(text) in _BY_PEOPLE for text in texts[n])]
    by_programs = sorted(set(alone) - set(by_people))
    if by_programs:
        yield _finding(rows, by_programs, texts, "error", "delete: there is nothing to decide on")
    if by_people:
        advice = "delete, unless it answers a question that the label depends on"
        yield _finding(rows, by_people, texts, "warning", advice)


def _speaks(text: str) -> bool:
    start = text[:_LOOKED_AT]
    if len(text) > len(start) and _SAYS.search(_HIDDEN.sub(" ", start)) is not None:
        return True
    if _plain(text) in _BY_PEOPLE or " ".join(text.casefold().split()) in _BY_PROGRAMS:
        return False
    shown = _HIDDEN.sub(" ", text)
    return _SAYS.search(shown) is not None or any(unicodedata.category(one).startswith("S") for one in shown)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(".!-[]()<> ")


def _has_more(rows: Rows, n: int, beside: set[str | None]) -> bool:
    """Whether an input has values that are none of its free texts."""
    value = rows.examples[n].input
    return isinstance(value, Mapping) and any(
        field.path not in beside and pick(value, field.path) not in (None, "", []) for field in rows.task.inputs
    )


def _finding(
    rows: Rows, found: Sequence[int], texts: Mapping[int, Sequence[str]], severity: Severity, advice: str
) -> Finding:
    forms = Counter(" ".join(" ".join(texts[n]).split())[:_LONGEST_SHOWN] for n in found)
    shown = ", ".join(f"{form!r} ({count})" for form, count in forms.most_common(_MOST_SHOWN))
    return Finding(
        code="empty",
        severity=severity,
        rows=rows.ids(found),
        message=f"the input says nothing in {counted(len(found), 'row')}: {shown}"
        + ("" if len(forms) <= _MOST_SHOWN else " …"),
        suggestion=advice,
    )
