"""Iterative stratification over several fields: blocks of rows, each to the side that its strata need most."""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from decider.data.split.links import rank
from decider.data.split.state import SIDES, Side
from decider.decision import Example
from decider.schema import Field, Label, pick

_BIG = 0.25
"""A block with more of the rows than this share of the smallest side is placed by its size alone."""

_Stratum: TypeAlias = tuple[str, ...]

_ALL: _Stratum = ()
"""The stratum of all rows: what is left to decide by where no field tells blocks apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows that stay together; `name` is the least of their ids."""

    name: str
    rows: tuple[int, ...]


def labels_of(example: Example, field: Field) -> list[Label]:
    """Return the labels that a row shows of a closed field; of tags all of them, and None where there are none."""
    value = pick(example.output, field.path)
    if field.kind == "tags":
        return sorted(value, key=str) if value else [None]
    return [value]


class Strata:
    """How many rows each side has of each stratum, and how many it should have.

    A stratum is all rows with one label of one field, or with one whole record. The rarest are placed first, as in the
    iterative stratification of Sechidis, Tsoumakas and Vlahavas (On the Stratification of Multi-label Data, 2011). A
    record that is too rare for the smallest side to get a row of it says nothing, and is no stratum.
    """

    def __init__(self, examples: Sequence[Example], fields: Sequence[Field], shares: Mapping[str, float]) -> None:
        self._closed = [field for field in fields if field.closed]
        self._of = [self._strata(example) for example in examples]
        self._shares: dict[Side, float] = {side: shares[side] for side in SIDES if shares[side] > 0}
        self._needs: dict[_Stratum, dict[Side, float]] = {}
        self._total: Counter[_Stratum] = Counter()

    def place(self, blocks: Sequence[Block], sides: Mapping[int, Side]) -> Iterator[tuple[Block, Side]]:
        """Yield each block with its side: big ones first, then those of the rarest strata; `sides` are taken already.

        Which side a block goes to depends on the labels and ids of rows alone, and neither on their order nor on luck.
        """
        free = [row for block in blocks for row in block.rows]
        taken = {row: side for row, side in sides.items() if side != "excluded"}
        self._begin(free, taken)
        small = _BIG * min(self._shares.values()) * (len(free) + len(taken))
        big = [block for block in blocks if len(block.rows) > max(small, 1)]
        for block in sorted(big, key=_first):
            yield block, self._put(block, {_ALL: len(block.rows)})
        yield from self._by_rarity([block for block in blocks if len(block.rows) <= max(small, 1)])

    def _strata(self, example: Example) -> list[_Stratum]:
        shown = [(field.path, [json.dumps(label) for label in labels_of(example, field)]) for field in self._closed]
        labels = [(path, label) for path, found in shown for label in found]
        record = ("", *(" ".join(found) for _, found in shown))
        return [_ALL, *labels, record] if len(self._closed) > 1 or len(labels) > 1 else [_ALL, *labels]

    def _begin(self, free: Sequence[int], taken: Mapping[int, Side]) -> None:
        self._total = Counter(stratum for rows in (free, taken) for row in rows for stratum in self._of[row])
        rarest = 0.5 / min(self._shares.values())
        for stratum, count in self._total.items():
            if stratum[:1] != ("",) or count >= rarest:
                self._needs[stratum] = {side: share * count for side, share in self._shares.items()}
        for row, side in taken.items():
            self._take(row, side)

    def _take(self, row: int, side: Side) -> None:
        for stratum in self._of[row]:
            needs = self._needs.get(stratum)
            if needs is not None and side in needs:
                needs[side] -= 1

    def _by_rarity(self, blocks: Sequence[Block]) -> Iterator[tuple[Block, Side]]:
        counts = {block: self._counted(block) for block in sorted(blocks, key=_first)}
        holders: dict[_Stratum, list[Block]] = defaultdict(list)
        left: Counter[_Stratum] = Counter()
        for block, count in counts.items():
            left.update(count)
            for stratum in count:
                holders[stratum].append(block)
        heap = [(rows, stratum) for stratum, rows in left.items()]
        heapq.heapify(heap)
        while heap:
            rows, stratum = heapq.heappop(heap)
            if rows != left[stratum]:
                continue  # fewer are left of it, and it stands in the heap with those as well
            for block in holders[stratum]:
                if block not in counts:
                    continue
                count = counts.pop(block)
                yield block, self._put(block, count)
                left.subtract(count)
                for other in count:
                    heapq.heappush(heap, (left[other], other))

    def _counted(self, block: Block) -> Counter[_Stratum]:
        return Counter(stratum for row in block.rows for stratum in self._of[row] if stratum in self._needs)

    def _put(self, block: Block, count: Mapping[_Stratum, int]) -> Side:
        """The side that its strata need most: where it lessens most what they lack, squared over what they should have.

        That is the chi-squared distance of the side from its shares. It weighs all strata of a block; to look at its
        rarest alone, as Sechidis and others do, left labels up to six points from their share where this leaves one.
        """

        def strain(side: Side) -> float:
            return sum(
                rows * (rows - 2 * self._needs[stratum][side]) / (self._shares[side] * self._total[stratum])
                for stratum, rows in count.items()
            )

        side = min(self._shares, key=lambda one: (round(strain(one), 9), rank(f"{block.name} {one}")))
        for row in block.rows:
            self._take(row, side)
        return side


def _first(block: Block) -> tuple[int, str]:
    return -len(block.rows), rank(block.name)
