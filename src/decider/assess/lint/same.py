"""The same inputs: where their labels differ, and where they do not; and ids that are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from decider.assess.lint.columns import at
from decider.assess.lint.finding import Finding, Rows, counted, more
from decider.assess.lint.given import Given, compared, grouped, value_key
from decider.assess.lint.rejected import has_id
from decider.data.near import texts_of
from decider.decision import Example
from decider.task import Task

_MOST_NAMED = 10
_FREE_TEXT = 4.0
"""Words that an input of free text has in the mean; what has fewer is a name or a category."""
_SAMPLE = 500
_OTHER_CASE = 0.5
"""Certainty of what is wrong only if the same values are the same case."""
_LEAVE_CONTRADICTION = "leave them if such cases really end differently; else correct what is wrong"
_LEAVE_DUPLICATE = "delete what was entered twice; leave what are different cases with the same values"


def duplicate_ids(rows: Rows) -> Iterator[Finding]:
    """Find ids that several rows have."""
    named: dict[str, list[str]] = defaultdict(list)
    for n, example in enumerate(rows.examples):
        named[rows.id(n)].append(f"{rows.place(n)}{' (its number, for want of an id)' if example.numbered else ''}")
    for one in rows.rejected:
        if has_id(one, rows.task):
            named[one.id].append(f"{one.place} (rejected)")
    for name, places in named.items():
        if len(places) > 1:
            yield Finding(
                code="duplicate-id",
                severity="error",
                rows=(name,),
                message=f"{len(places):,} rows have this id: rows {', '.join(places[:_MOST_NAMED])}"
                f"{more(len(places) - _MOST_NAMED)}",
                suggestion="give each of them an id of its own, or delete all but one",
            )


def contradictions(rows: Rows) -> Iterator[Finding]:
    """Find identical inputs with different labels, per field.

    Without any free text the same input may well be another case, so that it is a warning.
    """
    cases = free_text(rows)
    for members in rows.clusters().values():
        for given in _contradicting(rows, members):
            if cases:
                yield given.finding("contradiction", "error", "the same input", 0.9 + 0.1 * given.share)
            else:
                yield given.finding("contradiction", "warning", "the same input", _OTHER_CASE, _LEAVE_CONTRADICTION)


def duplicates(rows: Rows) -> Iterator[Finding]:
    """Find identical inputs with the same output; without any free text, they may well be other cases."""
    cases = free_text(rows)
    for members in rows.clusters().values():
        for alike in alike_in(rows, members):
            yield Finding(
                code="duplicate",
                severity="warning" if cases else "note",
                rows=rows.ids(alike),
                message=f"{counted(len(alike), 'row')} have the same input and the same output",
                suggestion="keep one of them; --fix does so" if cases else _LEAVE_DUPLICATE,
                certainty=1.0 if cases else _OTHER_CASE,
            )


def alike_in(rows: Rows, members: Sequence[int]) -> Iterator[list[int]]:
    """Of rows with one input, those that have the same output: several each, and sets of tags whatever their order."""
    if len(members) > 1:
        for alike in grouped(members, lambda n: _answer(rows.examples[n], rows.task)).values():
            if len(alike) > 1:
                yield alike


def free_text(rows: Rows) -> bool:
    """Whether the inputs have a text of some words, by which a case tells itself apart from every other."""
    inputs = rows.task.inputs
    sample = rows.examples[:_SAMPLE]
    open_ = [field.path for field in inputs if field.kind in ("text", "other")]
    if len(inputs) == len(open_) <= 1:
        return True
    return any(sum(_words(at(one.input, path)) for one in sample) >= _FREE_TEXT * len(sample) for path in open_)


def _answer(example: Example, task: Task[Any]) -> tuple[str, ...]:
    """What two equal outputs have in common."""
    return tuple(value_key(field, example) for field in task.fields)


def _words(value: Any) -> int:
    """The number of words in all texts of a value."""
    return sum(len(text.split()) for text in texts_of(value))


def _contradicting(rows: Rows, members: Sequence[int]) -> Iterator[Given]:
    if len(members) > 1:
        found = (Given.of(rows, field, members) for field in compared(rows.task))
        yield from (given for given in found if given.differ)
