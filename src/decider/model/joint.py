"""The most probable record that the schema accepts, best first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any

from decider.decision import Distribution
from decider.schema import Field, Label

MOST_TRIES = 2000
"""Assignments that are shown to the schema before giving up."""

_TAGS_FLIPPED = 6
_TINY = 1e-300


def most_probable(
    fields: Sequence[Field],
    distributions: Mapping[str, Distribution],
    accepts: Callable[[Mapping[str, Any]], bool] | None = None,
) -> dict[str, Any] | None:
    """Return the most probable value of each field, by path, that `accepts` takes together; None if it takes none.

    Fields count as independent. Without `accepts` each field has its own most probable value. With it, assignments are
    tried from the most probable on: each step gives one field its next best value (a search over ranks as in Huang and
    Chiang, "Better k-best parsing", 2005).
    """
    if accepts is None:
        return {field.path: _best(field, distributions[field.path]) for field in fields}
    ranked = [_ranked(field, distributions[field.path]) for field in fields]
    paths = [field.path for field in fields]
    start = (0,) * len(fields)
    waiting, seen = [(-_score(ranked, start), start)], {start}
    for _ in range(MOST_TRIES):
        if not waiting:
            return None
        _, ranks = heapq.heappop(waiting)
        values = {path: ranked[n][rank][1] for n, (path, rank) in enumerate(zip(paths, ranks, strict=True))}
        if accepts(values):
            return values
        for n, rank in enumerate(ranks):
            following = (*ranks[:n], rank + 1, *ranks[n + 1 :])
            if rank + 1 < len(ranked[n]) and following not in seen:
                seen.add(following)
                heapq.heappush(waiting, (-_score(ranked, following), following))
    return None


def _best(field: Field, distribution: Distribution) -> Any:
    if field.kind == "tags":
        return [label for label, p in distribution.items() if p >= 0.5]
    return max(distribution, key=distribution.__getitem__)


def _score(ranked: Sequence[Sequence[tuple[float, Any]]], ranks: Sequence[int]) -> float:
    return sum(ranked[n][rank][0] for n, rank in enumerate(ranks))


def _ranked(field: Field, distribution: Distribution) -> list[tuple[float, Any]]:
    """The values of a field with their log probabilities, the best first."""
    if field.kind == "tags":
        return _ranked_sets(field, distribution)
    ordered = sorted(distribution.items(), key=lambda item: -item[1])
    return [(log(max(p, _TINY)), label) for label, p in ordered]


def _ranked_sets(field: Field, distribution: Distribution) -> list[tuple[float, list[Label]]]:
    """Sets of tags: those more likely than not, then with the least certain ones turned over."""
    doubtful = sorted(distribution, key=lambda label: abs(distribution[label] - 0.5))[:_TAGS_FLIPPED]
    likely = {label for label, p in distribution.items() if p >= 0.5}
    found = []
    for pattern in range(1 << len(doubtful)):
        turned = {label for n, label in enumerate(doubtful) if pattern >> n & 1}
        chosen = [label for label in field.labels if label in likely ^ turned]
        found.append((log(max(field.probability(chosen, distribution), _TINY)), chosen))
    return sorted(found, key=lambda item: -item[0])
