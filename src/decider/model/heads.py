"""From a vector to the distribution of each field: one matrix for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from decider.decision import Distribution
from decider.model.features import Sparse
from decider.schema import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Calibrated linear classifiers of several fields.

    `weights` is (columns, labels of all fields), `bias` is (labels of all fields); a field's labels stand side by side
    in its own order, from `starts[path]`. Calibration is part of the weights: a softmax, or for tags a sigmoid, of what
    they give is a probability. `rows` is how many rows they were learned from.
    """

    fields: tuple[Field, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    rows: int
    starts: Mapping[str, int] = field(init=False, repr=False)
    _begins: NDArray[np.int64] = field(init=False, repr=False)
    _owner: NDArray[np.int64] = field(init=False, repr=False)
    _sure: float = field(init=False, repr=False)
    _doubt: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sizes = [len(one.labels) for one in self.fields]
        begins = [0, *accumulate(sizes[:-1])]
        object.__setattr__(self, "starts", {one.path: at for one, at in zip(self.fields, begins, strict=True)})
        object.__setattr__(self, "_begins", np.array(begins, np.int64))
        object.__setattr__(self, "_owner", np.repeat(np.arange(len(sizes)), sizes))
        answers = [2 if one.kind == "tags" else len(one.labels) for one in self.fields for _ in one.labels]
        object.__setattr__(self, "_sure", self.rows / (self.rows + 1.0))
        object.__setattr__(self, "_doubt", 1.0 / (self.rows + 1.0) / np.array(answers))

    def logits(self, vector: Sparse) -> NDArray[np.float32]:
        """Return the score of every label of every field."""
        columns, values = vector
        scores: NDArray[np.float32] = values @ self.weights.take(columns, axis=0) + self.bias
        return scores

    def distributions(self, vector: Sparse, asked: Iterable[Field]) -> dict[str, Distribution]:
        """Return the distribution of each field that is asked."""
        return self.shares(self.logits(vector).astype(np.float64), asked)

    def shares(self, scores: NDArray[np.float64], asked: Iterable[Field]) -> dict[str, Distribution]:
        """Return the distribution of each field that is asked, from the scores of all labels.

        It is that of the weights with one row more, whose label nothing tells, beside the `rows`: no probability is 0
        or 1, and with few rows none is near.
        """
        shares = self._softmax(scores) * self._sure + self._doubt
        found: dict[str, Distribution] = {}
        for one in asked:
            start, labels = self.starts[one.path], one.labels
            part = slice(start, start + len(labels))
            mine = sigmoid(scores[part]) * self._sure + self._doubt[part] if one.kind == "tags" else shares[part]
            found[one.path] = dict(zip(labels, mine.tolist(), strict=True))
        return found

    def _softmax(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """One softmax over all fields at once: small arrays cost by the call, not by their size."""
        powers = np.exp(scores - np.maximum.reduceat(scores, self._begins).take(self._owner))
        shares: NDArray[np.float64] = powers / np.add.reduceat(powers, self._begins).take(self._owner)
        return shares


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logistic function of each score, without overflow."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1.0, small) / (1.0 + small)
