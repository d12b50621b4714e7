"""Many rows from few: halves of two real texts of one label, with some words exchanged; seeded."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from planted.mistakes import Row

EXCHANGED = 0.15
"""The share of words that are replaced by one drawn from all texts, frequent ones more often."""


def many(rows: Sequence[Row], text: str, field: str, count: int, seed: int) -> Iterator[Row]:
    """Yield `count` rows with different texts; the labels are as frequent as in `rows`.

    Each text is the first half of a real text of its label, and the second half of another. Of 100,000 made from 9,000
    short ones, many thus share a half, as real ones share a template, but few are nearly the same.
    """
    chance = random.Random(seed)
    by_label: dict[str, list[list[str]]] = {}
    for row in rows:
        by_label.setdefault(row["output"][field], []).append(row["input"][text].split())
    words = [word for texts in by_label.values() for words in texts for word in words]
    seen: set[str] = set()
    while len(seen) < count:
        row = rows[len(seen) % len(rows)]
        first, second = (chance.choice(by_label[row["output"][field]]) for _ in range(2))
        halves = first[: (len(first) + 1) // 2] + second[len(second) // 2 :]
        made = " ".join(chance.choice(words) if chance.random() < EXCHANGED else word for word in halves)
        if made not in seen:
            seen.add(made)
            yield {"id": f"m{len(seen)}", "input": {**row["input"], text: made}, "output": row["output"]}
