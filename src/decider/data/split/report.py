"""What a split holds: rows and labels on each side, and what came in, stayed and was excluded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decider.data.dataset import Dataset
from decider.data.split.state import SIDES, Side, Split
from decider.data.split.strata import labels_of
from decider.schema import Label
from decider.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """How a label's share of one side's rows differs from its share of all rows; both in [0, 1]."""

    field: str
    label: str
    side: Side
    share: float
    overall: float

    @property
    def size(self) -> float:
        """The difference, without its sign."""
        return abs(self.share - self.overall)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A dataset by the sides of a split.

    `rows` counts the dataset's rows per side, `new` those that came in, `stayed` those that had a side, `moved` those
    that lost it (never), `absent` rows of the split file that the dataset does not have. `excluded` says why, by id.
    `labels` holds for each closed field and label the share of each side's rows, in [0, 1]; `deviations` the largest
    for each field, the largest first.
    """

    rows: Mapping[Side, int]
    shares: Mapping[str, float]
    new: int
    stayed: int
    moved: int
    absent: int
    excluded: Mapping[str, str]
    labels: Mapping[str, Mapping[str, Mapping[Side, float]]]
    deviations: tuple[Deviation, ...]
    blocks: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "rows": dict(self.rows),
            "shares": dict(self.shares),
            "new": self.new,
            "stayed": self.stayed,
            "moved": self.moved,
            "absent": self.absent,
            "excluded": dict(self.excluded),
            "labels": self.labels,
            "deviations": [
                {"field": one.field, "label": one.label, "side": one.side, "share": one.share, "overall": one.overall}
                for one in self.deviations
            ],
            "blocks": dict(self.blocks),
        }


def report(dataset: Dataset, task: Task[Any], split: Split, *, before: Split | None = None) -> Report:
    """Return what each side holds of a dataset, and what became of it since the split was `before`.

    Raises `DataError` where rows are not those that the split knew by their numbers.
    """
    sides = [split.side_of(example) for example in dataset]
    ids = {example.id for example in dataset}
    had = {} if before is None else before.sides
    counted = Counter(side for side in sides if side is not None)
    labels, deviations = {}, []
    for field in task.fields:
        if field.closed:
            shown = [labels_of(example, field) for example in dataset]
            found = _shares(shown, sides, counted)
            labels[field.path] = {label: {side: one[side] for side in SIDES} for label, (_, one) in found.items()}
            deviations += _largest(field.path, found, counted)
    return Report(
        rows={side: counted[side] for side in (*SIDES, "excluded")},
        shares=split.shares,
        new=sum(one in ids and one not in had for one in split.sides),
        stayed=sum(one in had for one in ids),
        moved=sum(split.sides.get(one) != side for one, side in had.items()),
        absent=sum(one not in ids for one in split.sides),
        excluded={one: why for one, why in split.excluded.items() if one in ids},
        labels=labels,
        deviations=tuple(sorted(deviations, key=lambda one: (-one.size, one.field))),
        blocks=split.blocks,
    )


def _shares(
    shown: list[list[Label]], sides: list[Side | None], counted: Mapping[Side, int]
) -> dict[str, tuple[float, dict[Side, float]]]:
    """For each label its share of all rows that have a side, and of those of each side."""
    kept = sum(counted[side] for side in SIDES)
    on = {side: Counter[str]() for side in SIDES}
    for labels, side in zip(shown, sides, strict=True):
        if side in on:
            on[side].update(map(_text, labels))
    everywhere = sum(on.values(), Counter[str]())
    return {
        label: (everywhere[label] / kept, {side: on[side][label] / max(counted[side], 1) for side in SIDES})
        for label in sorted(everywhere)
    }


def _largest(
    path: str, found: Mapping[str, tuple[float, Mapping[Side, float]]], counted: Mapping[Side, int]
) -> list[Deviation]:
    """The largest deviation of a field, on the sides that hold rows."""
    everything = [
        Deviation(field=path, label=label, side=side, share=on[side], overall=overall)
        for label, (overall, on) in found.items()
        for side in SIDES
        if counted[side]
    ]
    return [max(everything, key=lambda one: (one.size, one.label, one.side))] if everything else []


def _text(label: Label) -> str:
    return label if isinstance(label, str) else json.dumps(label)
