"""Labels whose shares change over time, or that are used only before or after some day."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from decider.assess.lint.answers import counted_labels, each_label
from decider.assess.lint.finding import Finding, Rows, shown
from decider.data.split.moments import moment_of
from decider.schema import Field, Label

_FEWEST = 100
"""Rows with a time below which nothing is said."""
_QUARTER = 4
_LEVEL = 0.001
"""The chance of one false finding in a whole dataset that does not drift, after Holm (1979)."""
_EXPECTED = 5
"""Labels that would have fewer rows in a quarter count as one: the chi-square distribution is no match for less."""
_SHIFT = 0.1
"""The part of the labels that changes, or the change of a tag's share, below which a drift does not matter."""
_MOST_SHOWN = 4
_LEAST_ROWS = 10
_ABSENT = 0.1
"""The part of all rows in which a label is missing at the beginning or the end."""


@dataclass(frozen=True, slots=True)
class _Timed:
    """The numbers of the rows that have a time, in its order, and their times."""

    numbers: Sequence[int]
    moments: Sequence[datetime]

    @property
    def first(self) -> Sequence[int]:
        """The rows of the first quarter."""
        return self.numbers[: len(self.numbers) // _QUARTER]

    @property
    def last(self) -> Sequence[int]:
        """The rows of the last quarter."""
        return self.numbers[-(len(self.numbers) // _QUARTER) :]


@dataclass(frozen=True, slots=True)
class _Change:
    """One thing that may be chance: how likely that is, the labels that shift, or what is said of one that ends."""

    field: Field
    chance: float
    shifting: tuple[Label, ...] = ()
    text: str = ""


def drift(rows: Rows) -> Iterator[Finding]:
    """Find fields whose labels change over time: a finding for each field, where 100 rows have a time.

    The first quarter of the rows is compared with the last by a chi-square test (tags one by one), and each label is
    asked whether all of its rows would come so late, or so early, in a random order. All that is asked of the dataset
    is held together against chance, by the method of Holm (1979). Of rows of one group or one input the first counts.
    """
    timed = _timed(rows)
    if len(timed.numbers) < _FEWEST or timed.moments[0] == timed.moments[-1]:
        return
    changes = [change for field in rows.task.fields if field.closed for change in _changes(rows, timed, field)]
    real = _beyond_chance(changes)
    for field in rows.task.fields:
        mine = [change for change in real if change.field is field]
        shifting = [label for change in mine for label in change.shifting]
        said = [_shift(rows, timed, field, shifting)] if shifting else []
        said += [change.text for change in mine if change.text]
        if said:
            yield _finding(field, said)


def _finding(field: Field, said: Sequence[str]) -> Finding:
    more = len(said) - _MOST_SHOWN
    return Finding(
        code="drift",
        severity="warning",
        rows=(),
        field=field.path,
        message="; ".join(said[:_MOST_SHOWN]) + (f"; and {more} more labels begin or end" if more > 0 else ""),
        suggestion="look what changed: the cases, or how they were labelled; then measure on the latest rows"
        " (`decider data split --by-time`), and leave out rows that were labelled by old rules",
    )


def _timed(rows: Rows) -> _Timed:
    """Rows in the order of their times, one of each group and of each input."""
    seen: set[tuple[str, str | int]] = set()
    timed: list[tuple[datetime, int]] = []
    for n, example in enumerate(rows.examples):
        keys = {("same", rows.same[n] if rows.same else n)} | ({("group", example.group)} if example.group else set())
        moment = moment_of(example)  # a time that cannot be read says nothing here; a split by time names it
        if moment is not None and seen.isdisjoint(keys):
            timed.append((moment, n))
            seen |= keys
    timed.sort()
    return _Timed([n for _, n in timed], [moment for moment, _ in timed])


def _changes(rows: Rows, timed: _Timed, field: Field) -> Iterator[_Change]:
    """All that may have changed in a field; nothing is said of what would not matter."""
    first, last = counted_labels(rows, field, timed.first), counted_labels(rows, field, timed.last)
    size = len(timed.first)
    moved = {label: abs(first[label] - last[label]) / size for label in sorted(first | last, key=str)}
    if field.kind == "tags":
        for label, by in moved.items():
            chance = _chance([first[label], size - first[label]], [last[label], size - last[label]])
            yield _Change(field, chance, (label,) if by >= _SHIFT else ())
    else:
        chance = _chance([first[label] for label in moved], [last[label] for label in moved])
        yield _Change(field, chance, tuple(moved) if sum(moved.values()) / 2 >= _SHIFT else ())
    yield from _ends(rows, timed, field)


def _chance(first: Sequence[int], last: Sequence[int]) -> float:
    """How likely two rows of counts of the same sum are to differ so much by chance: a chi-square test."""
    pairs = list(zip(first, last, strict=True))
    common = [pair for pair in pairs if sum(pair) >= 2 * _EXPECTED]
    few = [pair for pair in pairs if sum(pair) < 2 * _EXPECTED]
    together = (sum(one for one, _ in few), sum(one for _, one in few))
    cells = [*common, *([together] if sum(together) >= 2 * _EXPECTED else [])]
    if len(cells) < 2:
        return 1.0
    return _beyond(sum((one - other) ** 2 / (one + other) for one, other in cells), len(cells) - 1)


def _beyond(square: float, freedom: int) -> float:
    """The probability that chi-square with so many degrees of freedom is larger: the incomplete gamma, step by step."""
    half = square / 2
    step, chance = (0.5, math.erfc(math.sqrt(half))) if freedom % 2 else (1.0, math.exp(-half))
    while step < freedom / 2 and half > 0:
        chance += math.exp(step * math.log(half) - half - math.lgamma(step + 1))
        step += 1
    return min(1.0, chance)


def _shift(rows: Rows, timed: _Timed, field: Field, labels: Sequence[Label]) -> str:
    """What is said of labels whose shares change: from what to what, those that change the most first."""
    size = len(timed.first)
    first, last = counted_labels(rows, field, timed.first), counted_labels(rows, field, timed.last)
    most = sorted(labels, key=lambda one: -abs(last[one] - first[one]))
    parts = [f"{shown(one)} {first[one] / size:.0%} → {last[one] / size:.0%}" for one in most[:_MOST_SHOWN]]
    before = f"{_day(timed.moments[0])} to {_day(timed.moments[size - 1])}"
    after = f"{_day(timed.moments[-size])} to {_day(timed.moments[-1])}"
    return f"from the first quarter of the rows ({before}) to the last ({after}): {', '.join(parts)}"


def _ends(rows: Rows, timed: _Timed, field: Field) -> Iterator[_Change]:
    """Labels that begin late or end early, with the chance that all of their rows would in a random order."""
    places: dict[Label, list[int]] = {label: [] for label in field.labels}
    for place, n in enumerate(timed.numbers):
        for label in set(each_label(field, rows.examples[n].output)):
            places.setdefault(label, []).append(place)
    total = len(timed.numbers)
    for label, found in places.items():
        if len(found) >= _LEAST_ROWS:
            begin, end = timed.moments[found[0]], timed.moments[found[-1]]
            before = bisect_left(timed.moments, begin)
            after = total - bisect_right(timed.moments, end)
            late = f"{shown(label)} begins on {_day(begin)}: none of the {before:,} rows before has it"
            early = f"{shown(label)} ends on {_day(end)}: none of the {after:,} rows after has it"
            yield _Change(field, (1 - before / total) ** len(found), text=late if before >= _ABSENT * total else "")
            yield _Change(field, (1 - after / total) ** len(found), text=early if after >= _ABSENT * total else "")


def _beyond_chance(changes: Sequence[_Change]) -> list[_Change]:
    """The changes that are no chance, even for so many looked at: the step-down method of Holm."""
    ordered = sorted(changes, key=lambda one: one.chance)
    steps = enumerate(ordered)
    return [change for _, change in takewhile(lambda one: one[1].chance <= _LEVEL / (len(ordered) - one[0]), steps)]


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
