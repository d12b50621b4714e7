"""What a split parts that belongs together: the same and nearly the same inputs, and groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from decider.assess.lint.finding import Finding, Rows, Severity, more, shown
from decider.assess.lint.given import grouped
from decider.assess.lint.nearly import likeness
from decider.assess.lint.same import free_text
from decider.data.near import Near

_SURELY = 0.9
"""Similarity from which two inputs are one case: the same words in another order, or a template filled in anew."""
_LIKELY = 0.7
"""Similarity from which two inputs are perhaps one case; below it are mostly questions that many people ask."""

_HELD_OUT = {"test": 0, "validation": 1, "train": 2}
"""Sides, that first which is measured on: its rows are the ones to look at."""


def leaks(rows: Rows) -> Iterator[Finding]:
    """Find what is on several sides of a split; nothing where there is none."""
    if rows.sides is not None:
        clusters = rows.clusters()
        yield from _same(rows, clusters)
        yield from _near(rows, clusters)
        yield from _groups(rows)


def _same(rows: Rows, clusters: Mapping[int, Sequence[int]]) -> Iterator[Finding]:
    severity: Severity = "error" if free_text(rows) else "warning"
    for members in clusters.values():
        sides = _by_side(rows, members) if len(members) > 1 else {}
        if len(sides) > 1:
            yield _leak(rows, sides, "the same input", "delete all but one", severity)


def _near(rows: Rows, clusters: Mapping[int, Sequence[int]]) -> Iterator[Finding]:
    """One finding for each input that was held out, with those that it is like, the most like it first."""
    at = {n: _by_side(rows, clusters[n]) for pair in rows.near for n in (pair.first, pair.second)}
    of: dict[int, list[Near]] = defaultdict(list)
    for pair in rows.near:
        if len(at[pair.first].keys() | at[pair.second].keys()) > 1 and at[pair.first] and at[pair.second]:
            of[min(pair.first, pair.second, key=lambda n: min(map(_held_out, at[n])))].append(pair)
    for n, pairs in of.items():
        like = [pair.second if pair.first == n else pair.first for pair in pairs]
        sides = _by_side(rows, [m for one in (n, *like) for m in clusters[one]])
        similarity = pairs[0].similarity
        yield _leak(rows, sides, likeness(similarity), "delete all but one", _severity(similarity), similarity)


def _groups(rows: Rows) -> Iterator[Finding]:
    named = [n for n, example in enumerate(rows.examples) if example.group is not None]
    for name, members in grouped(named, lambda n: rows.examples[n].group).items():
        sides = _by_side(rows, members)
        if len(sides) > 1:
            yield _leak(rows, sides, f"the group {shown(name)}", "move it to one side", "error")


def _severity(similarity: float) -> Severity:
    if similarity >= _SURELY:
        return "error"
    return "warning" if similarity >= _LIKELY else "note"


def _leak(
    rows: Rows, sides: Mapping[str, Sequence[int]], what: str, remedy: str, severity: Severity, certainty: float = 1.0
) -> Finding:
    held_out = sorted(sides, key=_held_out)
    where = ", ".join(f"{side} ({rows.id(sides[side][0])}{more(len(sides[side]) - 1)})" for side in held_out)
    return Finding(
        code="leakage",
        severity=severity,
        rows=rows.ids([n for side in held_out for n in sides[side]]),
        message=f"{what} is on several sides: {where}",
        suggestion=f"{remedy}, or split anew with data split, which keeps them together",
        certainty=certainty,
    )


def _by_side(rows: Rows, members: Iterable[int]) -> dict[str, list[int]]:
    """Rows by the side they are on, without those that are on none, or were excluded."""
    found: dict[str, list[int]] = defaultdict(list)
    for n in members:
        side = rows.side(n)
        if side is not None and side != "excluded":
            found[side].append(n)
    return found


def _held_out(side: str) -> int:
    return _HELD_OUT.get(side, 1)  # whatever else it is called, it is not what is trained on
