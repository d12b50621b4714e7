"""What keeps rows together: a group, the same input, nearly the same text."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from decider.data.joined import Joined
from decider.data.near import Near
from decider.data.split.state import Side
from decider.decision import Example

Why = Literal["of one group with", "the same input as", "nearly the same text as"]


class Knot(NamedTuple):
    """Rows that all belong together, and why; `key` is a group, or the number of the first row with the input."""

    why: Why
    key: str | int


class Touch(NamedTuple):
    """A row of a side that another one belongs together with."""

    row: int
    why: Why


@dataclass(frozen=True, slots=True)
class Links:
    """Which rows belong together, by their numbers."""

    knots: Sequence[Sequence[Knot]]
    """The knots of each row."""
    rows: Mapping[Knot, Sequence[int]]
    beside: Mapping[Knot, Sequence[Knot]]
    """For each knot, those that are near it: their rows belong together with its own."""

    def around(self, row: int) -> Iterator[tuple[Knot, Why]]:
        """Yield the knots whose rows belong together with `row`, and why."""
        for knot in self.knots[row]:
            yield knot, knot.why
            for other in self.beside.get(knot, ()):
                yield other, "nearly the same text as"

    def belonging(self, knot: Knot) -> Iterator[int]:
        """Yield the rows that belong together with those of a knot."""
        for one in (knot, *self.beside.get(knot, ())):
            yield from self.rows[one]

    def blocks(self, rows: Sequence[int]) -> list[list[int]]:
        """Return the rows in blocks that belong together, also through each other, each in order."""
        joined = Joined(rows)
        first: dict[Knot, int] = {}
        for row in rows:
            for knot in self.knots[row]:
                first.setdefault(knot, row)
        for row in rows:
            for knot, _ in self.around(row):
                joined.join(row, first.get(knot, row))
        return list(joined.blocks().values())


def links_of(examples: Sequence[Example], same: Sequence[int], near: Sequence[Near]) -> Links:
    """Return what keeps these rows together."""
    alike = _alike(near)
    knots: list[list[Knot]] = []
    rows: dict[Knot, list[int]] = defaultdict(list)
    for n, example in enumerate(examples):
        own = [Knot("of one group with", example.group)] if example.group is not None else []
        own.append(Knot("the same input as", same[n]))
        if same[n] in alike:
            own.append(Knot("nearly the same text as", alike[same[n]]))
        knots.append(own)
        for knot in own:
            rows[knot].append(n)
    beside: dict[Knot, list[Knot]] = defaultdict(list)
    for pair in near:
        if pair.similarity < 1:
            a, b = (Knot("nearly the same text as", alike[one]) for one in (pair.first, pair.second))
            beside[a].append(b)
            beside[b].append(a)
    return Links(knots, rows, beside)


def _alike(near: Sequence[Near]) -> Mapping[int, int]:
    """For each row that is near another, the first of those that have all the same shingles: a knot."""
    rows = {row for pair in near for row in (pair.first, pair.second)}
    joined = Joined(rows)
    for pair in near:
        if pair.similarity == 1:
            joined.join(pair.first, pair.second)
    return {row: joined.root(row) for row in rows}


class Placed:
    """The side of each row that has one, and the sides that each knot has rows on."""

    def __init__(self, links: Links, names: Sequence[str]) -> None:
        self.sides: dict[int, Side] = {}
        self._links = links
        self._names = names
        self._on: dict[Knot, dict[Side, int]] = defaultdict(dict)

    def put(self, row: int, side: Side) -> list[Knot]:
        """Put a row on a side; returns the knots that have a row on it for the first time."""
        self.sides[row] = side
        if side == "excluded":
            return []
        fresh = []
        for knot in self._links.knots[row]:
            on = self._on[knot]
            if side not in on:
                fresh.append(knot)
            if side not in on or self._names[row] < self._names[on[side]]:
                on[side] = row
        return fresh

    def touches(self, row: int) -> dict[Side, Touch]:
        """Return for each side a row on it that `row` belongs together with."""
        found: dict[Side, Touch] = {}
        for knot, why in self._links.around(row):
            for side, other in self._on.get(knot, {}).items():
                found.setdefault(side, Touch(other, why))
        return found


def rank(name: str) -> str:
    """Return what ties between rows are decided by: a hash of the id."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
