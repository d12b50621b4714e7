"""Rows that were rejected: what cannot be read, labels that no field has, and what the schema refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from decider.assess.lint.finding import Finding, Rows, shown
from decider.assess.lint.rejected import is_empty, output_at
from decider.assess.lint.spelling import nearest, replaced, unknown
from decider.data.rows import Problem, Rejected
from decider.schema import Field, Label
from decider.task import Task

_CODES: Mapping[str, str] = {
    "unreadable": "unreadable",
    "row": "unreadable",
    "input": "schema",
    "schema": "schema",
    "unknown-label": "unknown-label",
}
_REMEDIES: Mapping[str, str] = {
    "unreadable": "write the row anew, or delete it",
    "row": "mend the row, or delete it",
    "input": "correct the input, or what the spec says of it",
    "schema": "correct the output, or the rule of the schema that is wrong",
}
_MOST_OPTIONS = 8
_PYDANTIC = "Value error, "


def outside(rows: Rows) -> Iterator[Finding]:
    """Say of each rejected row what is wrong with it, one finding for each of its fields."""
    fields = {field.path: field for field in rows.task.fields}
    for one in rows.rejected:
        if is_empty(one, rows.task):
            yield _empty(one)
            continue
        for problem in _first_of_each(one):
            field = fields.get(problem.field or "")
            if problem.kind == "unknown-label" and field is not None:
                yield _unknown(one, field, rows.task)
            else:
                yield _other(one, problem)


def _first_of_each(one: Rejected) -> Iterator[Problem]:
    """The problems of a row, of several unknown tags in one field only the first: they are told together."""
    seen = set()
    for problem in one.problems:
        if problem.kind != "unknown-label" or problem.field not in seen:
            seen.add(problem.field)
            yield problem


def _empty(one: Rejected) -> Finding:
    return Finding(
        code="empty",
        severity="error",
        rows=(one.id,),
        message="the input is empty",
        suggestion="delete the row, or find its text; --fix leaves it out",
    )


def _other(one: Rejected, problem: Problem) -> Finding:
    message = problem.message.removeprefix(_PYDANTIC)
    if _CODES[problem.kind] == "unreadable":
        message = f"row {one.place}: {message}"
    path, colon, rest = message.partition(": ")
    of_input = problem.kind == "input" and colon and " " not in path
    return Finding(
        code=_CODES[problem.kind],
        severity="error",
        rows=(one.id,),
        field=path if of_input else problem.field,
        message=f"in the input: {rest}" if of_input else message,
        suggestion=_REMEDIES[problem.kind],
    )


def _unknown(one: Rejected, field: Field, task: Task[Any]) -> Finding:
    value = output_at(one, field, task)
    parts = unknown(value, field)
    close: dict[int, Label] = {n: label for n, part in parts.items() for label in nearest(part, field)}
    named = " and ".join(shown(part) for part in parts.values())
    return Finding(
        code="unknown-label",
        severity="error",
        rows=(one.id,),
        field=field.path,
        message=f"{named} {'is' if len(parts) == 1 else 'are'} none of the options{_options(field)}",
        suggestion=_suggestion([close[n] for n in close], len(parts)),
        suggested=replaced(value, close) if len(close) == len(parts) else None,
    )


def _suggestion(close: list[Label], unknown_ones: int) -> str:
    otherwise = "add it to the schema, or map it with data migrate"
    if len(close) == unknown_ones:
        return f"write {' and '.join(map(shown, dict.fromkeys(close)))} if that is meant; else {otherwise}"
    return otherwise


def _options(field: Field) -> str:
    """The options, where there are few enough to be read."""
    return f": {', '.join(map(shown, field.labels))}" if len(field.labels) <= _MOST_OPTIONS else ""
