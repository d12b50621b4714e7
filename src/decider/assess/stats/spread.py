"""How numbers are spread: the least, the middle, the most, and how many lie where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil, log10
from typing import Any

_MOST_BINS = 40
_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Some numbers, and no less than one: percentiles are of the nearest rank, so that each is one of the numbers.

    `counts` holds how often each number occurs, in ascending order.
    """

    count: int
    total: float
    least: float
    median: float
    p95: float
    most: float
    counts: Mapping[float, int] = field(repr=False)

    @classmethod
    def of(cls, counts: Mapping[float, int]) -> Spread | None:
        """Return the spread of numbers, each with how often it occurs; None where there are none."""
        if not counts:
            return None
        ordered = dict(sorted(counts.items()))
        count = sum(ordered.values())
        return cls(
            count=count,
            total=sum(value * times for value, times in ordered.items()),
            least=next(iter(ordered)),
            median=_ranked(ordered, 0.5 * count),
            p95=_ranked(ordered, 0.95 * count),
            most=next(reversed(ordered)),
            counts=ordered,
        )

    def bins(self) -> tuple[float, float, list[int]]:
        """Return the start, the width, and the counts of equal bins of lengths; the last holds all that lies beyond.

        They reach from the least number, or from zero where that is near, to where 99 of 100 numbers are. The width is
        1, 2 or 5 times a power of ten, so that their edges can be read, and no less than 1.
        """
        high = _ranked(self.counts, 0.99 * self.count)
        start = 0.0 if 0 <= self.least <= high / 4 else self.least
        width = _nice(max((high - start) / _MOST_BINS, 1.0))
        start = start // width * width
        found = [0] * (int((high - start) // width) + 1)
        for value, times in self.counts.items():
            found[min(int((value - start) // width), len(found) - 1)] += times
        return start, width, found

    def to_json(self) -> dict[str, Any]:
        """Return the spread in JSON types."""
        return {"min": self.least, "median": self.median, "p95": self.p95, "max": self.most, "total": self.total}


def _ranked(ordered: Mapping[float, int], rank: float) -> float:
    """The number at a rank, from 1, of all of them in order."""
    passed = accumulate(ordered.values())
    return next(value for value, so_far in zip(ordered, passed, strict=True) if so_far >= rank)


def _nice(width: float) -> float:
    """The next width up that is 1, 2 or 5 times a power of ten."""
    power = 10.0 ** (ceil(log10(width)) - 1)
    return next(_steps(width, power))


def _steps(width: float, power: float) -> Iterator[float]:
    return (step * power for step in _STEPS if step * power >= width * (1 - 1e-9))
