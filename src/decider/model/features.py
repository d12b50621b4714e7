"""An input as a sparse vector: hashed n-grams of its texts, its categories, and its numbers."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import isnan
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decider.decision import Input
from decider.model.hashing import BITS, buckets
from decider.schema import pick

Sparse: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float32]]
"""The columns that are not zero, each once, and their values."""

Counts: TypeAlias = tuple[NDArray[Any], NDArray[np.int64]]
"""Numbers, each once and ascending, and how often each is there."""

_FREQUENCY = (1.0 + np.log(np.arange(1, 1025))).astype(np.float32)
"""What an n-gram that is there once, twice … counts: sublinear, and bounded."""

_CLIP = 5.0
"""Standard deviations beyond which a number counts as that far: one absurd value must not decide alone."""

_HUGE = 1e100
"""No number counts as larger than this, so that neither its square nor a sum of squares overflows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """How one numeric input becomes columns: standardised, whether it is missing, and its bin between `edges`."""

    path: str
    mean: float
    scale: float
    edges: tuple[float, ...]

    def columns(self, value: Any) -> Iterable[tuple[int, float]]:
        """Yield the columns of `value` that are not zero, from 0 on."""
        number = number_of(value)
        if number is None:
            yield 1, 1.0
            return
        standard = (number - self.mean) / self.scale
        yield 0, max(-_CLIP, min(_CLIP, standard)) / _CLIP
        yield 2 + bisect_right(self.edges, number), 1.0

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return 3 + len(self.edges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Everything that turns an input into its vector; fitted in `learn`, and only read here.

    `texts` and `categories` are input paths, the empty path being the whole of a bare text. Columns are those of
    n-grams, one for each of `buckets` (ascending), whose `rarity` weighs them; then one for each of `seen`, which
    holds hashes of categories, so that no value of the training rows is kept; then those of numbers.
    """

    texts: tuple[str, ...]
    categories: tuple[str, ...]
    numbers: tuple[Number, ...]
    least: int
    most: int
    buckets: NDArray[np.int32]
    rarity: NDArray[np.float32]
    seen: tuple[str, ...]
    _column_of: NDArray[np.int32] = field(init=False, repr=False)
    _category_at: Mapping[str, int] = field(init=False, repr=False)
    _number_at: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = np.full(1 << BITS, -1, np.int32)
        table[self.buckets] = np.arange(self.buckets.size, dtype=np.int32)
        begin = self.buckets.size
        starts = accumulate((number.width for number in self.numbers), initial=begin + len(self.seen))
        object.__setattr__(self, "_column_of", table)
        object.__setattr__(self, "_category_at", {key: column for column, key in enumerate(self.seen, begin)})
        object.__setattr__(self, "_number_at", tuple(starts))

    @property
    def width(self) -> int:
        """How many columns a vector has."""
        return self._number_at[-1]

    def vector(self, value: Input) -> Sparse:
        """Return the vector of one canonical input."""
        columns = self._column_of.take(grams_of(value, self.texts, least=self.least, most=self.most))
        return self._whole(value, counted(columns[columns >= 0]))

    def vector_of(self, value: Input, grams: Counts) -> Sparse:
        """Return the vector of one canonical input whose n-grams are counted already, by bucket."""
        columns = self._column_of.take(grams[0])
        known = columns >= 0
        return self._whole(value, (columns[known], grams[1][known]))

    def _whole(self, value: Input, grams: Counts) -> Sparse:
        """N-grams by sublinear frequency times rarity, of length one; and beside them all that is no text."""
        columns, counts = grams
        values = _FREQUENCY.take(counts - 1, mode="clip")
        values *= self.rarity.take(columns)
        values /= np.float32(float(values @ values) ** 0.5 or 1.0)
        if not self.categories and not self.numbers:
            return columns, values
        others = [*self._categories(value), *self._numbers(value)]
        return (
            np.concatenate((columns, np.array([column for column, _ in others], np.int32))),
            np.concatenate((values, np.array([one for _, one in others], np.float32))),
        )

    def _categories(self, value: Input) -> Iterable[tuple[int, float]]:
        for path in self.categories:
            for key in category_keys(path, value_of(value, path)):
                column = self._category_at.get(key)
                if column is not None:
                    yield column, 1.0

    def _numbers(self, value: Input) -> Iterable[tuple[int, float]]:
        for number, start in zip(self.numbers, self._number_at, strict=False):
            for column, one in number.columns(value_of(value, number.path)):
                yield start + column, one


def grams_of(value: Input, texts: Sequence[str], *, least: int, most: int) -> NDArray[np.int64]:
    """Return the bucket of each n-gram of all texts of an input, with repetitions."""
    said = [text for text in (text_of(value, path) for path in texts) if text]
    found = [buckets(text, least=least, most=most) for text in said]
    return found[0] if len(found) == 1 else np.concatenate([np.zeros(0, np.int64), *found])


def counted(numbers: NDArray[Any]) -> Counts:
    """Return each different one of `numbers`, and how often it is there; sorts them in place."""
    numbers.sort()
    again = np.zeros(numbers.size + 1, np.bool_)
    np.equal(numbers[1:], numbers[:-1], out=again[1:-1])
    at = (~again).nonzero()[0]
    return numbers[at[:-1]], at[1:] - at[:-1]


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


def number_of(value: Any) -> float | None:
    """Return a number that can be reckoned with, or None for one that is missing or NaN."""
    if value is None:
        return None
    number = max(min(value, _HUGE), -_HUGE)  # in this order NaN stays NaN
    return None if isnan(number) else float(number)


def category_keys(path: str, value: Any) -> list[str]:
    """Return the hashed name of each category that `value` stands for; of a list, one for each different item."""
    values = {json.dumps(one) for one in (value if isinstance(value, list) else [value])}
    return [hashlib.sha256(f"{path}\x1f{one}".encode()).hexdigest()[:16] for one in sorted(values)]
