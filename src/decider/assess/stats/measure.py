"""One pass over the rows of a dataset, counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import prod
from typing import Any

from pydantic_core import to_json

from decider import prompt
from decider.assess.stats.periods import all_between, day_of, fitting, name_of, start_of
from decider.assess.stats.spread import Spread
from decider.assess.stats.values import (
    NO_SIDE,
    Combinations,
    FieldStats,
    Groups,
    InputStats,
    Joint,
    LabelCount,
    Reason,
    Span,
    Stats,
    Timeline,
    each,
)
from decider.data.rows import Checked, ProblemKind, Rejected
from decider.decision import Example, Request
from decider.schema import Field, Kind, Label, pick
from decider.task import Task

_MOST_FILLED = 60
"""Periods up to which those without a row are shown, too."""

_TOLD = 1000

SideOf = Callable[[Example], str | None]


def measure(
    rows: Iterable[Checked],
    task: Task[Any],
    *,
    side_of: SideOf | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Stats:
    """Count what rows hold, as `decider.data.rows.read` yields them, each looked at once and none of them kept.

    `side_of` says on which side of a split a row is; without it, the rows say so themselves, or not. `progress` is told
    how many rows were counted; twice, since nobody knows how many there will be.
    """
    counted = _Counted(task, side_of or _own_side)
    for n, row in enumerate(rows, 1):
        if isinstance(row, Rejected):
            counted.reject(row)
        else:
            counted.take(row)
        if progress is not None and n % _TOLD == 0:
            progress(n, n)
    return counted.stats()


def _own_side(example: Example) -> str | None:
    return example.split


class _Counted:
    """Everything that is counted, while it is."""

    def __init__(self, task: Task[Any], side_of: SideOf) -> None:
        self._task = task
        self._side_of = side_of
        self._closed = [one for one in task.fields if one.closed]
        self._labels = {one.path: _Labels() for one in self._closed}
        self._open = {one.path: _Values(one.kind) for one in task.fields if not one.closed}
        kinds: dict[str, Kind] = {one.path: one.kind for one in task.inputs} or {"": "text"}
        self._inputs = {path: _Values(kind, words=True) for path, kind in kinds.items()}
        self._joint: Counter[Joint] = Counter()
        self._tokens: Counter[float] = Counter()
        self._line: Counter[float] = Counter()
        self._about: dict[str, Counter[str | None]] = {"source": Counter(), "by": Counter(), "group": Counter()}
        self._sides: Counter[str | None] = Counter()
        self._days: Counter[date] = Counter()
        self._daily: Counter[tuple[date, str, Label]] = Counter()
        self._unread = 0
        self._rejected = 0
        self._reasons: dict[tuple[ProblemKind, str | None], Reason] = {}

    def reject(self, row: Rejected) -> None:
        self._rejected += 1
        for one in {(problem.kind, problem.field): problem for problem in reversed(row.problems)}.values():
            key = one.kind, one.field
            known = self._reasons.get(key)
            count = 1 if known is None else known.rows + 1
            first, message = (row.place, one.message) if known is None else (known.first, known.message)
            self._reasons[key] = Reason(kind=one.kind, field=one.field, rows=count, first=first, message=message)

    def take(self, example: Example) -> None:
        side = self._side_of(example)
        self._sides[side] += 1
        for name, counter in self._about.items():
            counter[getattr(example, name)] += 1
        day = None if example.time is None else day_of(example)
        if day is not None:
            self._days[day] += 1
        elif example.time is not None:
            self._unread += 1
        self._take_output(example, side, day)
        self._take_input(example)

    def _take_output(self, example: Example, side: str | None, day: date | None) -> None:
        joint = []
        for one in self._closed:
            value = pick(example.output, one.path)
            value = _tags(value) if one.kind == "tags" else value
            joint.append(value)
            self._labels[one.path].take(value, side)
            if day is not None:
                for label in each(value):
                    self._daily[day, one.path, label] += 1
        self._joint[tuple(joint)] += 1
        for path, values in self._open.items():
            values.take(pick(example.output, path))

    def _take_input(self, example: Example) -> None:
        given: Any = example.input
        for path, values in self._inputs.items():
            values.take(pick(given, path) if path else given)
        text = example.input if isinstance(example.input, str) else to_json(example.input).decode()
        self._tokens[prompt.tokens(text)] += 1
        self._line[_line_tokens(self._task, example)] += 1

    def stats(self) -> Stats:
        sides = _in_order(self._sides)
        rows = self._sides.total()
        return Stats(
            task=self._task.name,
            rows=rows,
            rejected=self._rejected,
            reasons=tuple(sorted(self._reasons.values(), key=lambda one: -one.rows)),
            fields=tuple(self._field(one, rows, sides) for one in self._task.fields),
            inputs=tuple(values.input_stats(path) for path, values in self._inputs.items()),
            combinations=Combinations(
                paths=tuple(one.path for one in self._closed), counts=self._joint, possible=_possible(self._closed)
            ),
            input_tokens=Spread.of(self._tokens),
            line_tokens=Spread.of(self._line),
            sources=_said(self._about["source"]),
            checked_by=_said(self._about["by"]),
            sides={name or NO_SIDE: self._sides[name] for name in sides},
            groups=_groups(self._about["group"]),
            time=self._timeline(rows),
            unread=self._unread,
        )

    def _field(self, field: Field, rows: int, sides: Sequence[str | None]) -> FieldStats:
        if not field.closed:
            return self._open[field.path].field_stats(field, rows)
        counted = self._labels[field.path]
        labels = tuple(
            LabelCount(
                label=label,
                rows=counted.rows[label],
                sides={name or NO_SIDE: counted.sides[name, label] for name in sides},
            )
            for label in field.labels
        )
        return FieldStats(field=field, rows=rows, empty=counted.empty, labels=labels)

    def _timeline(self, rows: int) -> Timeline | None:
        if not self._days:
            return None
        period, first, last = fitting(self._days), min(self._days), max(self._days)
        starts = all_between(first, last, period)
        if len(starts) > _MOST_FILLED:
            starts = sorted({start_of(day, period) for day in self._days})
        counts: Counter[date] = Counter()
        for day, count in self._days.items():
            counts[start_of(day, period)] += count
        labels: dict[tuple[date, str], Counter[Label]] = {}
        for (day, path, label), count in self._daily.items():
            labels.setdefault((start_of(day, period), path), Counter())[label] += count
        return Timeline(
            period=period,
            first=first,
            last=last,
            without=rows - self._days.total() - self._unread,
            spans=tuple(
                Span(
                    name=name_of(start, period),
                    rows=counts[start],
                    labels={one.path: labels.get((start, one.path), Counter()) for one in self._closed},
                )
                for start in starts
            ),
        )


@dataclass(slots=True)
class _Labels:
    """The labels of one closed field."""

    rows: Counter[Label] = field(default_factory=Counter)
    sides: Counter[tuple[str | None, Label]] = field(default_factory=Counter)
    empty: int = 0

    def take(self, value: Any, side: str | None) -> None:
        self.empty += value is None or value == ()
        for label in each(value):
            self.rows[label] += 1
            self.sides[side, label] += 1


class _Values:
    """The values of one open field or input, of which nothing but numbers is kept."""

    def __init__(self, kind: Kind, *, words: bool = False) -> None:
        self._kind = kind
        self._empty = 0
        self._seen: set[int] = set()
        self._sizes: Counter[float] = Counter()
        self._words: Counter[float] | None = Counter() if words and kind == "text" else None

    def take(self, value: Any) -> None:
        if value is None or value in ("", [], {}):
            self._empty += 1
            return
        if self._kind in ("integer", "number") and isinstance(value, int | float):
            self._sizes[value] += 1
            return
        text = value if isinstance(value, str) else to_json(value).decode()
        self._seen.add(hash(text))
        self._sizes[len(text)] += 1
        if self._words is not None:
            self._words[len(text.split())] += 1

    def field_stats(self, field: Field, rows: int) -> FieldStats:
        characters, values = self._spread()
        return FieldStats(
            field=field, rows=rows, empty=self._empty, distinct=self._distinct, characters=characters, values=values
        )

    def input_stats(self, path: str) -> InputStats:
        characters, values = self._spread()
        return InputStats(
            path=path,
            kind=self._kind,
            empty=self._empty,
            distinct=self._distinct,
            characters=characters,
            words=None if self._words is None else Spread.of(self._words),
            values=values,
        )

    @property
    def _numeric(self) -> bool:
        return self._kind in ("integer", "number")

    @property
    def _distinct(self) -> int:
        return len(self._sizes if self._numeric else self._seen)

    def _spread(self) -> tuple[Spread | None, Spread | None]:
        """The spread of lengths, and that of numbers; categories have neither."""
        spread = Spread.of(self._sizes)
        if self._numeric:
            return None, spread
        return (spread if self._kind in ("text", "other") else None), None


def _line_tokens(task: Task[Any], example: Example) -> int:
    """The tokens of a line to train on: what a tuned model is asked, and what it answers."""
    asked = prompt.render(task, Request(input=example.input, fields=task.fields), "finetuned")
    return prompt.tokens(*(one["content"] for one in asked), prompt.answer(task, example.output))


def _tags(value: Any) -> tuple[Label, ...]:
    return tuple(sorted(set(value or ()), key=str))


def _possible(fields: Iterable[Field]) -> int:
    return prod(2 ** len(one.labels) if one.kind == "tags" else len(one.labels) for one in fields)


def _in_order(sides: Counter[str | None]) -> list[str | None]:
    """The sides that rows are on, in the order in which they are used; none where no row is on any."""
    known = {"train": 0, "validation": 1, "test": 2, "excluded": 4, None: 5}
    named = sorted(sides, key=lambda one: (known.get(one, 3), one or ""))
    return [] if named == [None] else named


def _said(counter: Counter[str | None]) -> dict[str | None, int]:
    """What rows say of themselves, the commonest first; empty where none says anything."""
    return {} if set(counter) <= {None} else dict(counter.most_common())


def _groups(counter: Counter[str | None]) -> Groups | None:
    without = counter.pop(None, 0)
    if not counter:
        return None
    largest = [(str(name), count) for name, count in counter.most_common(5)]
    return Groups(count=len(counter), without=without, largest=tuple(largest))
