"""Fitting features: which inputs are text, categories or numbers, and which n-grams are worth a column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from decider.decision import Input
from decider.model.features import Features, Number, category_keys, text_of, value_of
from decider.model.hashing import BITS, buckets
from decider.schema import Field

LEAST, MOST = 3, 4
"""Lengths of n-grams inside words; with words and pairs of words beside them, longer ones added nothing."""

_RARE = 2
"""N-grams of fewer training rows than this get no column: they halve the model and carry nothing over."""

_BINS = 10
_MOST_VALUES = 100
_ROWS_PER_VALUE = 5
_LONGEST_VALUE = 80


class Counted:
    """The rows of a dataset with their n-grams counted once, so that every fold can weigh them anew."""

    def __init__(self, inputs: Sequence[Input], fields: Sequence[Field]) -> None:
        self.inputs = inputs
        self.texts, self.categories, self.numbers = _sorts(inputs, fields)
        found = [_counts(value, self.texts) for value in inputs]
        self._pointers = np.cumsum([0, *(columns.size for columns, _ in found)])
        self._columns = np.concatenate([columns for columns, _ in found])
        self._counts = np.concatenate([counts for _, counts in found]).astype(np.float32)

    def fit(self, rows: NDArray[np.int64]) -> Features:
        """Fit features on some of the rows, by their numbers."""
        there = np.concatenate([self._columns[self._pointers[n] : self._pointers[n + 1]] for n in rows])
        documents = np.bincount(there, minlength=1 << BITS)
        kept = np.flatnonzero(documents >= _RARE)
        rarity = np.log((1.0 + rows.size) / (1.0 + documents[kept])) + 1.0
        seen = self._seen(rows)
        numbers, start = [], int(kept.size) + len(seen)
        for path in self.numbers:
            numbers.append(_number(path, start, [value_of(self.inputs[n], path) for n in rows]))
            start += numbers[-1].width
        return Features(
            texts=self.texts,
            categories=self.categories,
            numbers=tuple(numbers),
            least=LEAST,
            most=MOST,
            buckets=kept.astype(np.int32),
            weights=rarity.astype(np.float32),
            seen=seen,
        )

    def matrix(self, features: Features, rows: NDArray[np.int64]) -> csr_matrix:
        """Return the vectors of some of the rows, (rows, columns)."""
        return stack([features.vector(self.inputs[n]) for n in rows], features.width)

    def _seen(self, rows: NDArray[np.int64]) -> dict[str, int]:
        keys = {
            key: None
            for path in self.categories
            for n in rows
            for key in category_keys(path, value_of(self.inputs[n], path))
        }
        return {key: column for column, key in enumerate(sorted(keys))}


def stack(vectors: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], width: int) -> csr_matrix:
    """Return sparse vectors as the rows of one matrix."""
    pointers = np.cumsum([0, *(columns.size for columns, _ in vectors)])
    columns = np.concatenate([columns for columns, _ in vectors])
    values = np.concatenate([values for _, values in vectors])
    return csr_matrix((values.astype(np.float64), columns, pointers), shape=(len(vectors), width))


def _counts(value: Input, texts: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    found = [buckets(text, least=LEAST, most=MOST) for text in (text_of(value, path) for path in texts) if text]
    whole = np.concatenate(found) if found else np.zeros(0, np.int64)
    columns, counts = np.unique(whole, return_counts=True)
    return columns, counts


def _sorts(
    inputs: Sequence[Input], fields: Sequence[Field]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The paths of texts, categories and numbers."""
    if not fields:
        return ("",), (), ()
    texts, categories, numbers = [], [], []
    for field in fields:
        if field.kind in ("integer", "number", "scale"):
            numbers.append(field.path)
        elif field.closed or (field.kind == "text" and _few_values(inputs, field.path)):
            categories.append(field.path)
        else:
            texts.append(field.path)
    return tuple(texts), tuple(categories), tuple(numbers)


def _few_values(inputs: Sequence[Input], path: str) -> bool:
    """Whether a text input holds a handful of short values that come again and again: names of things, not prose."""
    values = Counter(value_of(value, path) for value in inputs)
    most = min(_MOST_VALUES, len(inputs) // _ROWS_PER_VALUE)
    return len(values) <= most and all(value is None or len(value) <= _LONGEST_VALUE for value in values)


def _number(path: str, start: int, values: Sequence[float | None]) -> Number:
    known = np.array([float(value) for value in values if value is not None], np.float64)
    if known.size == 0:
        return Number(path=path, start=start, mean=0.0, scale=1.0, edges=())
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return Number(
        path=path,
        start=start,
        mean=float(known.mean()),
        scale=float(known.std()) or 1.0,
        edges=tuple(float(edge) for edge in edges),
    )
