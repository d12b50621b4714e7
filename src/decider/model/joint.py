"""The most probable record that the schema accepts, best first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count, islice
from math import log
from typing import Any, TypeAlias

from pydantic import ValidationError

from decider.decision import Distribution
from decider.schema import Field, nest
from decider.task import Task

Accepts: TypeAlias = Callable[[Mapping[str, Any]], bool]

MOST_TRIES = 2000
"""Records that are shown to the schema before giving up."""

_TINY = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What is settled by itself: the value of a field, or for tags whether one of them is there (`[tag]` or `[]`).

    `answers` begin with the most probable; `costs` are their negative log probabilities.
    """

    path: str
    answers: tuple[Any, ...]
    costs: tuple[float, ...]

    @classmethod
    def of(cls, path: str, shares: Sequence[tuple[Any, float]]) -> _Choice:
        ordered = sorted(shares, key=lambda one: -one[1])
        costs = tuple(-log(max(p, _TINY)) for _, p in ordered)
        return cls(path=path, answers=tuple(answer for answer, _ in ordered), costs=costs)


def judge_of(task: Task[Any], fields: Sequence[Field]) -> Accepts | None:
    """Return whether the schema accepts values of `fields` together, or None where it has nothing to say.

    Of a part of the record only the rules of its single fields are asked: a rule of the whole may read the rest.
    """
    if not task.has_validators:
        return None
    whole = len(fields) == len(task.fields)

    def accepts(values: Mapping[str, Any]) -> bool:
        if not whole:
            return not task.objections(nest(values), fields)
        try:
            task.validate(nest(values))
        except ValidationError:
            return False
        return True

    return accepts


def most_probable(
    fields: Sequence[Field], distributions: Mapping[str, Distribution], accepts: Accepts | None = None
) -> dict[str, Any] | None:
    """Return the most probable value of each field, by path, that `accepts` takes together; None if it takes none.

    Fields, and the tags of a field, count as independent. Without `accepts` each has its own most probable value. With
    it, records are tried from the most probable on.
    """
    if accepts is None:
        return {field.path: _best(field, distributions[field.path]) for field in fields}
    choices = [choice for field in fields for choice in _choices(field, distributions[field.path])]
    for ranks in islice(_best_first([choice.costs for choice in choices]), MOST_TRIES):
        values = _record(choices, ranks)
        if accepts(values):
            return values
    return None


def _best(field: Field, distribution: Distribution) -> Any:
    if field.kind == "tags":
        return [label for label, p in distribution.items() if p >= 0.5]
    return max(distribution, key=distribution.__getitem__)


def _choices(field: Field, distribution: Distribution) -> list[_Choice]:
    if field.kind != "tags":
        return [_Choice.of(field.path, list(distribution.items()))]
    return [_Choice.of(field.path, [([label], p), ([], 1.0 - p)]) for label, p in distribution.items()]


def _best_first(costs: Sequence[Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """Yield every way of taking one rank of each choice, by rising total cost.

    Each is reached from exactly one other, which costs no more: the one with the last rank that is not 0 one lower. So
    nothing needs to be remembered but what waits.
    """
    turn = count()
    waiting: list[tuple[float, int, tuple[int, ...], int]] = []
    ranks, last, cost = (0,) * len(costs), 0, 0.0
    while True:
        yield ranks
        for n in range(last, len(costs)):
            rank = ranks[n]
            if rank + 1 < len(costs[n]):
                heappush(waiting, (cost + costs[n][rank + 1] - costs[n][rank], next(turn), ranks, n))
        if not waiting:
            return
        cost, _, before, last = heappop(waiting)
        ranks = (*before[:last], before[last] + 1, *before[last + 1 :])


def _record(choices: Sequence[_Choice], ranks: Sequence[int]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for choice, rank in zip(choices, ranks, strict=True):
        answer = choice.answers[rank]
        values[choice.path] = values[choice.path] + answer if choice.path in values else answer
    return values
