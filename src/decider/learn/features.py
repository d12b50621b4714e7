"""Fitting features: which inputs are text, categories or numbers, and which n-grams are worth a column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from decider.decision import Input
from decider.model.features import Features, Number, Sparse, category_keys, counted, grams_of, number_of, value_of
from decider.model.hashing import BITS
from decider.model.manifest import NUMERIC
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
        self._grams = [counted(grams_of(value, self.texts, least=LEAST, most=MOST)) for value in inputs]

    def fit(self, rows: NDArray[np.int64]) -> Features:
        """Fit features on some of the rows, by their numbers."""
        documents = np.bincount(np.concatenate([self._grams[n][0] for n in rows]), minlength=1 << BITS)
        kept = np.flatnonzero(documents >= _RARE)
        rarity = np.log((1.0 + rows.size) / (1.0 + documents[kept])) + 1.0
        return Features(
            texts=self.texts,
            categories=self.categories,
            numbers=tuple(_number(path, [value_of(self.inputs[n], path) for n in rows]) for path in self.numbers),
            least=LEAST,
            most=MOST,
            buckets=kept.astype(np.int32),
            rarity=rarity.astype(np.float32),
            seen=self._seen(rows),
        )

    def matrix(self, features: Features, rows: NDArray[np.int64]) -> csr_matrix:
        """Return the vectors of some of the rows, (rows, columns)."""
        return stack([features.vector_of(self.inputs[n], self._grams[n]) for n in rows], features.width)

    def _seen(self, rows: NDArray[np.int64]) -> tuple[str, ...]:
        values = ((path, value_of(self.inputs[n], path)) for path in self.categories for n in rows)
        return tuple(sorted({key for path, value in values for key in category_keys(path, value)}))


def stack(vectors: Sequence[Sparse], width: int) -> csr_matrix:
    """Return sparse vectors as the rows of one matrix."""
    pointers = np.cumsum([0, *(columns.size for columns, _ in vectors)])
    columns = np.concatenate([columns for columns, _ in vectors])
    values = np.concatenate([values for _, values in vectors])
    return csr_matrix((values.astype(np.float64), columns, pointers), shape=(len(vectors), width))


def _sorts(
    inputs: Sequence[Input], fields: Sequence[Field]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The paths of texts, categories and numbers."""
    if not fields:
        return ("",), (), ()
    texts, categories, numbers = [], [], []
    for field in fields:
        if field.kind in NUMERIC:
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


def _number(path: str, values: Sequence[Any]) -> Number:
    known = np.array([number for value in values if (number := number_of(value)) is not None], np.float64)
    if known.size == 0:
        return Number(path=path, mean=0.0, scale=1.0, edges=())
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return Number(path=path, mean=float(known.mean()), scale=float(known.std()) or 1.0, edges=tuple(edges.tolist()))
