"""An input as a sparse vector: hashed n-grams of its texts, its categories, and its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decider.decision import Input
from decider.model.hashing import BITS, buckets
from decider.schema import pick

Sparse: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]
"""The columns that are not zero, each once, and their values."""

_CLIP = 5.0
"""Standard deviations beyond which a number counts as that far: one absurd value must not decide alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """How one numeric input becomes columns: standardised, in a bin by its quantile, or missing.

    It takes `2 + len(edges) + 1` columns from `start`.
    """

    path: str
    start: int
    mean: float
    scale: float
    edges: tuple[float, ...]

    def columns(self, value: Any) -> Iterable[tuple[int, float]]:
        """Yield the columns of `value` that are not zero."""
        if value is None:
            yield self.start + 1, 1.0
            return
        standard = (float(value) - self.mean) / self.scale
        yield self.start, max(-_CLIP, min(_CLIP, standard)) / _CLIP
        yield self.start + 2 + int(np.searchsorted(self.edges, float(value), side="right")), 1.0

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return 3 + len(self.edges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Everything that turns an input into its vector; fitted in `learn`, and only read here.

    Columns are those of n-grams, then of categories, then of numbers. `texts` and `categories` are input paths, the
    empty path being the whole of a bare text. `seen` maps the hash of a category to its column, so that no value from
    the training rows has to be kept.
    """

    texts: tuple[str, ...]
    categories: tuple[str, ...]
    numbers: tuple[Number, ...]
    least: int
    most: int
    buckets: NDArray[np.int32]
    weights: NDArray[np.float32]
    seen: Mapping[str, int]
    _column_of: NDArray[np.int32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = np.full(1 << BITS, -1, np.int32)
        table[self.buckets] = np.arange(self.buckets.size, dtype=np.int32)
        object.__setattr__(self, "_column_of", table)

    @property
    def width(self) -> int:
        """How many columns a vector has."""
        return self.buckets.size + len(self.seen) + sum(number.width for number in self.numbers)

    def vector(self, value: Input) -> Sparse:
        """Return the vector of one canonical input."""
        columns, values = self._text(value)
        if not self.categories and not self.numbers:
            return columns, values
        more = [*self._categories(value), *self._numbers(value)]
        extra = np.array([column for column, _ in more], np.int64)
        return np.concatenate((columns, extra)), np.concatenate((values, np.array([v for _, v in more], np.float32)))

    def _text(self, value: Input) -> Sparse:
        """N-grams by sublinear frequency times rarity, of length one."""
        texts = [text for text in (text_of(value, path) for path in self.texts) if text]
        found = np.concatenate([buckets(text, least=self.least, most=self.most) for text in texts] or [_NOWHERE])
        columns = self._column_of[found]
        columns = np.sort(columns[columns >= 0])
        if columns.size == 0:
            return _NOWHERE, np.zeros(0, np.float32)
        first = np.flatnonzero(np.concatenate(([True], columns[1:] != columns[:-1])))
        counts = np.diff(np.concatenate((first, [columns.size])))
        once = columns[first].astype(np.int64)
        values = (1.0 + np.log(counts)).astype(np.float32) * self.weights[once]
        return once, values / np.float32(np.sqrt(values @ values))

    def _categories(self, value: Input) -> Iterable[tuple[int, float]]:
        for path in self.categories:
            for key in category_keys(path, value_of(value, path)):
                column = self.seen.get(key)
                if column is not None:
                    yield self.buckets.size + column, 1.0

    def _numbers(self, value: Input) -> Iterable[tuple[int, float]]:
        for number in self.numbers:
            yield from number.columns(value_of(value, number.path))


_NOWHERE = np.zeros(0, np.int64)

Sort: TypeAlias = Literal["text", "category", "number"]


def value_of(value: Input, path: str) -> Any:
    """Return what stands at `path` of an input; None where nothing does."""
    if isinstance(value, str):
        return value
    try:
        return pick(value, path)
    except KeyError:
        return None


def text_of(value: Input, path: str) -> str:
    """Return what stands at `path` as text: JSON for what is neither text nor missing."""
    found = value_of(value, path)
    if found is None or isinstance(found, str):
        return found or ""
    return json.dumps(found, ensure_ascii=False)


def category_keys(path: str, value: Any) -> list[str]:
    """Return the hashed name of each category that `value` stands for; of a list, one for each item."""
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    return [hashlib.sha256(f"{path}\x1f{json.dumps(one)}".encode()).hexdigest()[:16] for one in values]
