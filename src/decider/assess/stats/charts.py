"""Pictures of counts, drawn as SVG that stands in a page; each says in words what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

from decider.assess.page import percent, text
from decider.assess.stats.spread import Spread

COLOURS = 7
"""How many series have a colour of their own; what is beyond is grey."""

_WIDTH = 800
_HIGH = 150
_LETTER = 7.2
"""About how wide a letter is at the size that is drawn."""

_LONGEST = 42
_LONGEST_ACROSS = 28
_WIDE_CELL = 46
_NARROW_CELL = 20
_CELL = 24
_WITH_NUMBERS = 14
"""The most columns at which the cells of a heat map are wide enough for numbers."""

_MOST_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class Series:
    """One share of each bar of a stacked chart: its name, and how much of each bar it is."""

    name: str
    counts: Sequence[int]


def bar(share: float, said: str) -> str:
    """Return a bar that is as long as a share of the room there is."""
    return (
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{text(said)}">'
        f"<title>{text(said)}</title>"
        '<rect class="track" x="0" y="4" width="100" height="2"/>'
        f'<rect class="full" x="0" y="0" width="{_least(share * 100, 0.6)}" height="10"/></svg>'
    )


def histogram(spread: Spread, what: str) -> str:
    """Return how many rows are of which size, with the median and the 95th percentile marked; `what` is counted."""
    start, width, counts = spread.bins()
    each, most = _WIDTH / len(counts), max(counts)
    shapes = []
    for n, count in enumerate(counts):
        low = start + n * width
        beyond = f"{low:,g} {what} or more" if n == len(counts) - 1 else f"{low:,g} to {low + width:,g} {what}"
        tall = _least(count / most * _HIGH, 1.0) if count else 0
        shapes.append(_rect("full", n * each, 20 + _HIGH - tall, max(each - 1, 0.5), tall, f"{beyond}: {count:,} rows"))
    for name, value in (("median", spread.median), ("p95", spread.p95)):
        at = min((value - start + width / 2) / width * each, _WIDTH - 2)
        shapes.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="16" y2="{20 + _HIGH}"/>')
        shapes.append(_label(at, 11, f"{name} {value:,g}", _anchor(at)))
    ticks = range(0, len(counts), max(len(counts) // 5, 1))
    shapes += [_label(n * each, _HIGH + 36, f"{start + n * width:,g}", "start") for n in ticks]
    shapes.append(_label(_WIDTH, _HIGH + 54, f"{what}, at most {spread.most:,g}", "end"))
    said = f"{what}: median {spread.median:,g}, 95 of 100 up to {spread.p95:,g}, at most {spread.most:,g}"
    return _svg(_WIDTH, _HIGH + 60, f"How many rows have how many {what}", said, shapes)


def columns(names: Sequence[str], counts: Sequence[int], title: str) -> str:
    """Return one column for each name, as high as its count."""
    each, most = _WIDTH / len(names), max(counts)
    shapes = []
    for n, (name, count) in enumerate(zip(names, counts, strict=True)):
        tall = _least(count / most * 80, 1.0) if count else 0
        shapes.append(_rect("full", n * each, 100 - tall, each * 0.86, tall, f"{name}: {count:,} rows"))
        if each > _LETTER * len(f"{most:,}"):
            shapes.append(_label((n + 0.43) * each, 95 - tall, f"{count:,}", "middle"))
    said = f"most in {names[counts.index(most)]}: {most:,}; fewest: {min(counts):,}"
    return _svg(_WIDTH, 122, title, said, [*shapes, *_below(names, 117)])


def stacked(names: Sequence[str], series: Sequence[Series], title: str) -> str:
    """Return one column for each name, divided as its counts are; the first series stands at the bottom."""
    each, shapes = _WIDTH / len(names), []
    for n, name in enumerate(names):
        total = sum(one.counts[n] for one in series)
        ends = accumulate(one.counts[n] / max(total, 1) * _HIGH for one in series)
        for m, (one, end) in enumerate(zip(series, ends, strict=True)):
            count = one.counts[n]
            if count:
                tall = count / total * _HIGH
                share = f"{name}: {one.name} {percent(count / total)} ({count:,} of {total:,})"
                shapes.append(_rect(f"c{min(m, COLOURS)}", n * each, _HIGH - end, each * 0.86, tall, share))
    ends_said = [f"{one.name} {one.counts[0]:,} in {names[0]} and {one.counts[-1]:,} in {names[-1]}" for one in series]
    chart = _svg(_WIDTH, _HIGH + 22, title, "; ".join(ends_said), [*shapes, *_below(names, _HIGH + 17)])
    return chart + _legend(series)


def heat(
    counts: Mapping[tuple[object, object], int], down: Sequence[object], across: Sequence[object], title: str
) -> str:
    """Return a cell for each two labels, the darker the more rows have both; `down` and `across` name the labels.

    Where there are many labels across, the commonest are shown.
    """
    across = _commonest(counts, across)
    numbered = len(across) <= _WITH_NUMBERS
    wide, most = (_WIDE_CELL if numbered else _NARROW_CELL), max(counts.values())
    left, top = _room(down, _LONGEST), _room(across, _LONGEST_ACROSS) * 0.71 + 14
    shapes = [_label(left - 8, top + n * _CELL + 16, _cut(one, _LONGEST), "end", one) for n, one in enumerate(down)]
    shapes += [_slanted(left + (n + 0.5) * wide, top - 7, one) for n, one in enumerate(across)]
    for y, one in enumerate(down):
        for x, other in enumerate(across):
            count = counts.get((one, other), 0)
            said, at = f"{one} and {other}: {count:,} rows", (left + x * wide, top + y * _CELL)
            depth = 0.08 + 0.92 * (count / most) ** 0.5 if count else 0.0
            shapes.append(_cell(*at, wide - 2, depth, said))
            if numbered and count:
                light = "on" if depth > 0.65 else "in"
                shapes.append(_label(at[0] + wide / 2 - 1, at[1] + 16, f"{count}", "middle", kind=light))
    pairs = sorted(counts.items(), key=lambda pair: -pair[1])[:3]
    said = "; ".join(f"{one} and {other}: {count:,} rows" for (one, other), count in pairs)
    right = left + len(across) * wide + _room(across[-1:], _LONGEST_ACROSS) * 0.71
    return _svg(right, top + len(down) * _CELL + 4, title, f"commonest: {said}", shapes)


def _svg(width: float, height: float, title: str, said: str, shapes: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return (
        f'<svg class="chart" {size} role="img" '
        f'aria-label="{text(title)}"><title>{text(title)}</title><desc>{text(said)}</desc>{"".join(shapes)}</svg>'
    )


def _rect(kind: str, x: float, y: float, width: float, height: float, said: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{text(said)}</title></rect>"
    )


def _cell(x: float, y: float, width: float, depth: float, said: str) -> str:
    shade = f' fill-opacity="{depth:.2f}"' if depth else ""
    return (
        f'<rect class="{"full" if depth else "none"}"{shade} x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" '
        f'height="{_CELL - 2}"><title>{text(said)}</title></rect>'
    )


def _label(x: float, y: float, said: str, anchor: str, whole: object = None, *, kind: str = "beside") -> str:
    hover = "" if whole is None or str(whole) == said else f"<title>{text(whole)}</title>"
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(said)}{hover}</text>'


def _slanted(x: float, y: float, label: object) -> str:
    said = _label(0, 0, _cut(label, _LONGEST_ACROSS), "start", label)
    return f'<g transform="translate({x:.1f} {y:.1f}) rotate(-45)">{said}</g>'


def _below(names: Sequence[str], y: float) -> list[str]:
    """The names below the columns of a chart, of which no two touch."""
    each = _WIDTH / len(names)
    step = ceil((max(map(len, names)) * _LETTER + 4) / each)
    return [_label((n + 0.43) * each, y, name, "middle") for n, name in enumerate(names) if n % step == 0]


def _legend(series: Sequence[Series]) -> str:
    items = (
        f'<li><svg viewBox="0 0 10 10" width="11" height="11" aria-hidden="true"><rect class="c{min(n, COLOURS)}" '
        f'width="10" height="10"/></svg> {text(one.name)}</li>'
        for n, one in enumerate(series)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _commonest(counts: Mapping[tuple[object, object], int], across: Sequence[object]) -> Sequence[object]:
    if len(across) <= _MOST_COLUMNS:
        return across
    sums = {other: sum(count for (_, one), count in counts.items() if one == other) for other in across}
    kept = set(sorted(across, key=lambda one: -sums[one])[:_MOST_COLUMNS])
    return [one for one in across if one in kept]


def _room(labels: Sequence[object], longest: int) -> float:
    return max(len(_cut(one, longest)) for one in labels) * _LETTER + 12


def _cut(label: object, longest: int) -> str:
    said = str(label)
    return said if len(said) <= longest else f"{said[: longest - 1]}…"


def _anchor(x: float) -> str:
    return "start" if x < _WIDTH / 2 else "end"


def _least(size: float, least: float) -> float:
    return round(max(size, least if size else 0.0), 2)
