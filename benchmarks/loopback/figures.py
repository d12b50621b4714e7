"""How figures are printed: with their aims; ratios as that of the medians and as the median of those of each round."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence


def table(times: Mapping[str, Sequence[float]]) -> None:
    """Print the median of each, in microseconds."""
    for name, seconds in times.items():
        print(f"  {name:32} {statistics.median(seconds) * 1e6:8.1f} us")


def compare(ours: str, other: str, times: Mapping[str, Sequence[float]], aim: float) -> None:
    """Print how ours is to the other, and whether both ratios keep to the aim."""
    ratio = statistics.median(times[ours]) / statistics.median(times[other])
    each = statistics.median(a / b for a, b in zip(times[ours], times[other], strict=True))
    verdict = "met" if max(ratio, each) <= aim else "not met"
    print(f"  {f'{ours} / {other}':58} {ratio:6.3f} x, each round {each:6.3f} x; aim: at most {aim:g}, {verdict}")


def say(name: str, value: float, aim: float | None = None, *, unit: str = "") -> None:
    """Print one figure, with the most that it may be."""
    wanted = "" if aim is None else f"; aim: at most {aim:g}{unit}, {'met' if value <= aim else 'not met'}"
    print(f"  {name:58} {value:g}{unit}{wanted}")


def busy() -> str:
    """Say how busy the machine has been for the last minute and the last five."""
    one, five, _ = os.getloadavg()
    return f"load {one:.1f} over a minute, {five:.1f} over five, on {os.cpu_count()} cores"
