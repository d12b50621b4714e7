"""Splitting a dataset: rows that have a side keep it, new ones join what they belong to, or fill what is short."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from decider.data.dataset import Dataset
from decider.data.near import near as near_pairs
from decider.data.near import same
from decider.data.split.links import Links, Placed, Touch, links_of, rank
from decider.data.split.moments import cutoffs_of, moments_of
from decider.data.split.state import DEFAULT, ROUNDING, SIDES, Cutoffs, Side, Split, digest, side_named
from decider.data.split.strata import Block, Strata
from decider.decision import Example
from decider.errors import DataError
from decider.task import Task


def split(
    dataset: Dataset,
    task: Task[Any],
    *,
    before: Split | None = None,
    shares: Mapping[str, float] | None = None,
    by_time: bool = False,
    near: bool = True,
    progress: Callable[[int, int], object] | None = None,
) -> Split:
    """Return the side of each row: train, validation or test, or excluded.

    Rows of one group, with the same input or (unless `near` is False) with nearly the same text are on one side, and
    every side has its share of each label and of each combination of labels. The same rows give the same split,
    whatever their order; nothing is drawn.

    Rows that `before` has stay where they are, and a new row that names a side of its own, as those of a published
    split do, is on that side. Any other new row joins the side of the rows that it belongs together with; where these
    are on two sides, it is excluded. All others go where their labels are needed most. With `by_time`, the
    oldest rows are train and the newest test, later rows keep to the moments at which sides ended first, and a row that
    belongs together with an older one on another side is excluded.

    `shares` are in [0, 1] and sum to 1; without them those of `before` hold, or 0.8, 0.1 and 0.1. Raises `DataError`
    where rows share an id, are not those that `before` knew by their numbers, or say no time; `ImportError` where
    datasketch is not installed; `ValueError` for shares that are none.
    """
    shares = _shares(shares, before)
    names = _names(dataset.examples)
    _refuse_foreign(before, task, by_time)
    found = [example.input for example in dataset]
    pairs = near_pairs(found, task.inputs, progress=progress) if near else []
    links = links_of(dataset.examples, same(found), pairs)
    placed = Placed(links, names)
    new = _keep(dataset.examples, before, placed)
    free = _own(dataset.examples, new, placed)
    cutoffs = before.cutoffs if before is not None else None
    blocks: dict[str, int] = {}
    if by_time and cutoffs is None and not free:
        raise DataError("there is no row without a side of its own to place by time; split without by-time")
    if by_time or cutoffs is not None:
        moments = moments_of([dataset[row] for row in free])
        cutoffs = cutoffs or cutoffs_of(moments, shares)
        excluded = _by_time(dict(zip(free, moments, strict=True)), cutoffs, placed, names)
    else:
        excluded = _joining(free, links, placed, names)
        left = [row for row in free if row not in placed.sides]
        blocks = _filling(left, links, placed, names, dataset, task, shares)
    sides = {names[row]: placed.sides[row] for row in new}
    numbered = {names[row]: digest(dataset[row].input) for row in new if dataset[row].numbered}
    return Split(
        task=task.name,
        fingerprint=dataset.fingerprint,
        shares=shares,
        cutoffs=cutoffs,
        sides=sides if before is None else {**before.sides, **sides},
        excluded=excluded if before is None else {**before.excluded, **excluded},
        inputs=numbered if before is None else {**before.inputs, **numbered},
        blocks=blocks,
    )


def _shares(given: Mapping[str, float] | None, before: Split | None) -> Mapping[str, float]:
    shares = dict(given if given is not None else DEFAULT if before is None else before.shares)
    named = set(shares) == set(SIDES) and all(0 <= share <= 1 for share in shares.values())
    if not named or abs(sum(shares.values()) - 1) > ROUNDING:
        raise ValueError(f"shares must be those of {', '.join(SIDES)}, in [0, 1] and 1 together, not {shares}")
    return {side: shares[side] for side in SIDES}


def _names(examples: Sequence[Example]) -> list[str]:
    """The id of each row; two rows with one cannot be told apart."""
    places: dict[str, int] = {}
    for n, example in enumerate(examples, 1):
        if example.id is None:
            raise DataError(f"row {n} has no id, by which its side is known; give it one")
        if example.id in places:
            raise DataError(
                f"rows {places[example.id]} and {n} have the same id {example.id!r}; give each row one of its own",
                row=n,
            )
        places[example.id] = n
    return list(places)


def _refuse_foreign(before: Split | None, task: Task[Any], by_time: bool) -> None:
    if before is None:
        return
    before.refuse_other(task.name)
    if by_time and before.cutoffs is None:
        raise DataError("the split file was not made by time, and its rows never move; delete it to split anew by time")


def _keep(examples: Sequence[Example], before: Split | None, placed: Placed) -> list[int]:
    """Give each row the side that it has; returns the rows that have none."""
    new = []
    for row, example in enumerate(examples):
        side = None if before is None else before.side_of(example)
        if side is None:
            new.append(row)
        else:
            placed.put(row, side)
    return new


def _own(examples: Sequence[Example], new: Sequence[int], placed: Placed) -> list[int]:
    """Put each new row that names a side there; returns those that name none."""
    free = []
    for row in new:
        side = side_named(examples[row].split)
        if side is None:
            free.append(row)
        else:
            placed.put(row, side)
    return free


def _by_time(moments: Mapping[int, datetime], cutoffs: Cutoffs, placed: Placed, names: Sequence[str]) -> dict[str, str]:
    """Put each row on the side of its time, the oldest first; returns those that cannot be there, and why."""
    excluded = {}
    for row in sorted(moments, key=lambda one: (moments[one], rank(names[one]))):
        side = cutoffs.side_at(moments[row])
        others = {other: touch for other, touch in placed.touches(row).items() if other != side}
        if others:
            excluded[names[row]] = f"{side} by its time, and {_said(others, names)}"
        placed.put(row, "excluded" if others else side)
    return excluded


def _joining(new: Sequence[int], links: Links, placed: Placed, names: Sequence[str]) -> dict[str, str]:
    """Put rows on the side of those they belong together with, the nearest first; returns the excluded, and why.

    A row that is put on a side draws in those that belong together with it. Where two sides meet, the row that comes
    later touches both, and is excluded: so no side is ever joined with another, not even through new rows.
    """
    excluded = {}
    heap = [(1, rank(names[row]), row) for row in new if placed.touches(row)]
    heapq.heapify(heap)
    while heap:
        distance, _, row = heapq.heappop(heap)
        if row in placed.sides:
            continue
        touches = placed.touches(row)
        if len(touches) > 1:
            excluded[names[row]] = _said(touches, names)
            placed.put(row, "excluded")
            continue
        for knot in placed.put(row, next(iter(touches))):
            for other in links.belonging(knot):
                if other not in placed.sides:
                    heapq.heappush(heap, (distance + 1, rank(names[other]), other))
    return excluded


def _filling(
    free: Sequence[int],
    links: Links,
    placed: Placed,
    names: Sequence[str],
    dataset: Dataset,
    task: Task[Any],
    shares: Mapping[str, float],
) -> dict[str, int]:
    """Put rows that belong together with none on a side where their labels are needed; returns blocks too big."""
    blocks = [Block(name=min(names[row] for row in rows), rows=tuple(rows)) for rows in links.blocks(free)]
    for block, side in Strata(dataset.examples, task.fields, shares).place(blocks, dict(placed.sides)):
        for row in block.rows:
            placed.put(row, side)
    smallest = min(share for share in shares.values() if share > 0) * len(dataset)
    return {block.name: len(block.rows) for block in blocks if len(block.rows) > max(smallest, 1)}


def _said(touches: Mapping[Side, Touch], names: Sequence[str]) -> str:
    return " and ".join(f"{touch.why} row {names[touch.row]} ({side})" for side, touch in sorted(touches.items()))
