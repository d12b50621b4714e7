"""Fields that say nothing of their own: always the same, told by another field, or hardly ever there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic_core import to_json

from decider.assess.lint.answers import listed
from decider.assess.lint.columns import at
from decider.assess.lint.finding import Finding, Rows, shown
from decider.schema import Field, pick

_FEWEST = 20
"""Rows below which nothing is said of what all of them have."""
_ROWS_PER_VALUE = 10
_FEWEST_OTHERS = 20
_LAMBDA = 0.95
"""The part of the mistakes of a guess that the other field takes away: lambda of Goodman and Kruskal (1954)."""
_MISSING = 0.95

_Values: TypeAlias = Sequence[Any]


def constant(rows: Rows) -> Iterator[Finding]:
    """Fields that have the same value in all rows, of 20 rows or more; of inputs one note for all."""
    if len(rows.examples) < _FEWEST:
        return
    for field in rows.task.fields:
        if is_constant(values := _outputs(rows, field)):
            yield Finding(
                code="constant",
                severity="warning",
                rows=(),
                field=field.path,
                message=f"is {shown(values[0])} in all {len(values):,} rows: a model learns to answer nothing else",
                suggestion="add rows with other values, or take the field out of the schema",
            )
    same = [field.path for field in rows.task.inputs if is_constant(_inputs(rows, field))]
    if same:
        yield Finding(
            code="constant",
            severity="note",
            rows=(),
            message=f"the same in all {len(rows.examples):,} rows, and so nothing to learn from: input {listed(same)}",
            suggestion="look whether the values were lost on the way here, or leave the field out of the input",
        )


def is_constant(values: _Values) -> bool:
    """Whether all values are the same."""
    return all(value == values[0] and type(value) is type(values[0]) for value in values)


@dataclass(frozen=True, slots=True)
class _Rule:
    """That `by` tells `field`, but for the rows `broken`."""

    field: Field
    by: Field
    values: int
    broken: tuple[int, ...]


def determined(rows: Rows) -> Iterator[Finding]:
    """Fields that another field tells in all rows, or in all but a few, which are then likely to be mistakes.

    Only where the other field has few values for the number of rows, and takes away 95 % of the mistakes that the most
    frequent value makes, which are 20 at least.
    """
    fields = [field for field in rows.task.fields if field.closed and field.kind != "tags"]
    values = {field.path: _outputs(rows, field) for field in fields}
    told: set[tuple[str, str]] = set()
    for field in fields:
        rules = [rule for by in fields if (rule := _rule(field, by, values)) is not None]
        best = min(rules, key=lambda rule: (len(rule.broken), rule.values), default=None)
        if best is not None and (best.by.path, field.path) not in told:
            told.add((field.path, best.by.path))
            yield _determined(rows, best)


def _rule(field: Field, by: Field, values: dict[str, _Values]) -> _Rule | None:
    """How the field `by` tells `field`, None where it does not."""
    if field is by:
        return None
    pairs = list(zip(values[by.path], values[field.path], strict=True))
    counts, alone = Counter(pairs), Counter(values[field.path])
    best: dict[Any, Any] = {}
    for (key, value), _ in counts.most_common():
        best.setdefault(key, value)
    broken = tuple(n for n, (key, value) in enumerate(pairs) if best[key] != value)
    if not {value for _, value in pairs} <= set(best.values()):
        return None  # it has values that the other field never tells: those rows break no rule
    others = len(pairs) - max(alone.values(), default=0)
    if others < _FEWEST_OTHERS or len(pairs) < _ROWS_PER_VALUE * len(best) or len(broken) > (1 - _LAMBDA) * others:
        return None
    return _Rule(field, by, len(best), broken)


def _determined(rows: Rows, rule: _Rule) -> Finding:
    count = len(rule.broken)
    if not count:
        said = f"follows from `{rule.by.path}` in all {len(rows.examples):,} rows"
        advice = f"compute it from `{rule.by.path}` instead of deciding it, or keep them together with a validator"
    else:
        said = f"follows from `{rule.by.path}` in all rows but {count} of {len(rows.examples):,}"
        advice = f"look at {'this row' if count == 1 else 'these rows'} first: a label may be wrong"
    return Finding(
        code="determined",
        severity="warning" if count else "note",
        rows=rows.ids(rule.broken),
        field=rule.field.path,
        message=said,
        suggestion=advice,
    )


def missing(rows: Rows) -> Iterator[Finding]:
    """Optional fields that have a value in hardly any row, but in some."""
    inputs = [(f"input {field.path}", field, _inputs(rows, field)) for field in rows.task.inputs if field.optional]
    outputs = [(field.path, field, _outputs(rows, field)) for field in rows.task.fields if field.optional]
    for name, field, values in (*inputs, *(one for one in outputs if not one[1].closed)):
        there = sum(value is not None for value in values)
        if len(values) >= _FEWEST and 0 < there < (1 - _MISSING) * len(values):
            yield Finding(
                code="missing",
                severity="note",
                rows=(),
                field=field.path,
                message=f"{name} has a value in only {there:,} of {len(values):,} rows",
                suggestion="look whether its values were lost on the way here; else leave it",
            )


def _outputs(rows: Rows, field: Field) -> _Values:
    return [_comparable(pick(example.output, field.path)) for example in rows.examples]


def _inputs(rows: Rows, field: Field) -> _Values:
    return [_comparable(at(example.input, field.path)) for example in rows.examples]


def _comparable(value: Any) -> Any:
    """A value that can be counted: lists and objects as JSON."""
    return to_json(value).decode() if isinstance(value, (list, dict)) else value
