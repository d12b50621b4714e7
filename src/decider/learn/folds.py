"""Folds for cross-validation: like rows spread over all of them, rows of one group never apart."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decider.decision import Example
from decider.errors import DataError
from decider.schema import Field, pick


def folds_of(examples: Sequence[Example], fields: Sequence[Field], count: int, seed: int) -> list[NDArray[np.int64]]:
    """Return `count` sets of row numbers that share no row and hold all of them.

    Rows are dealt out in the order of their whole true record, so that every combination of labels is spread as evenly
    as its number allows. Where examples name a group, whole groups go to the smallest fold; there are then no more
    folds than groups. Raises `DataError` where all rows are of one group.
    """
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)  # noqa: S311  # reproducible, guards nothing
    if any(example.group is not None for example in examples):
        return _by_group(examples, order, count)
    order.sort(key=lambda n: json.dumps([pick(examples[n].output, field.path) for field in fields]))
    return [np.sort(np.array(order[start::count], np.int64)) for start in range(count)]


def _by_group(examples: Sequence[Example], order: Sequence[int], count: int) -> list[NDArray[np.int64]]:
    groups: dict[str, list[int]] = {}
    for n in order:
        group = examples[n].group
        groups.setdefault(f"\x00{n}" if group is None else group, []).append(n)
    if len(groups) < 2:
        raise DataError("all rows are of one group: none are left to measure on; label rows of other groups as well")
    folds: list[list[int]] = [[] for _ in range(min(count, len(groups)))]
    for rows in sorted(groups.values(), key=len, reverse=True):
        min(folds, key=len).extend(rows)
    return [np.sort(np.array(fold, np.int64)) for fold in folds]
