"""Fitting linear classifiers: one score for every label, by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

_NEVER = -1.0
"""How far below the lowest score of a row a label lies that the training rows do not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way to fit: a margin classifier, or logistic regression; a larger `c` regularises less."""

    loss: Literal["margin", "logistic"]
    c: float

    def __str__(self) -> str:
        return f"{self.loss}, C={self.c:g}"


def candidates(*, has_text: bool, work: int) -> tuple[Candidate, ...]:
    """Return what cross-validation chooses among; `work` is rows times labels, and bounds the training time.

    On text, margins reach what logistic regression does in a tenth of the time. Without text there are few columns,
    and logistic regression gives the better probabilities.
    """
    if not has_text:
        return tuple(Candidate(loss="logistic", c=c) for c in (0.03, 0.1, 0.3, 1.0))
    if work > 200_000:
        return (Candidate(loss="margin", c=1.0),)
    return tuple(Candidate(loss="margin", c=c) for c in (0.1, 0.3, 1.0, 3.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """A fitted classifier of one field: `weights` is (columns, labels), `bias` is (labels).

    `known` says which labels the training rows have; the others have neither weights nor bias of their own.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    known: NDArray[np.bool_]

    def of(self, x: csr_matrix) -> NDArray[np.float64]:
        """Return the score of every label for every row; an unknown label lies below all others."""
        scores: NDArray[np.float64] = x @ self.weights + self.bias
        if self.known.any() and not self.known.all():
            lowest = scores[:, self.known].min(axis=1, keepdims=True)
            scores = np.where(self.known, scores, lowest + _NEVER)
        return scores


def fit(candidate: Candidate, x: csr_matrix, labels: NDArray[np.int64], size: int, seed: int) -> Scores:
    """Fit scores for the labels `0 … size - 1` of one field; those that no row has stay unknown."""
    present = np.unique(labels)
    weights, bias = np.zeros((x.shape[1], size)), np.zeros(size)
    if present.size > 1:
        classifier = _fitted(candidate, x, labels, seed)
        if present.size == 2:
            weights[:, present[1]], bias[present[1]] = classifier.coef_[0], classifier.intercept_[0]
        else:
            weights[:, present], bias[present] = classifier.coef_.T, classifier.intercept_
    return Scores(weights=weights, bias=bias, known=np.isin(np.arange(size), present))


def fit_tags(candidate: Candidate, x: csr_matrix, tags: NDArray[np.bool_], seed: int) -> Scores:
    """Fit one score for each tag, above 0 where it is likely; `tags` is (rows, tags)."""
    weights, bias = np.zeros((x.shape[1], tags.shape[1])), np.zeros(tags.shape[1])
    for n in range(tags.shape[1]):
        column = tags[:, n]
        if column.all() or not column.any():
            bias[n] = 1.0 if column.all() else -1.0
            continue
        classifier = _fitted(candidate, x, column, seed)
        weights[:, n], bias[n] = classifier.coef_[0], classifier.intercept_[0]
    return Scores(weights=weights, bias=bias, known=np.ones(tags.shape[1], np.bool_))


def _fitted(candidate: Candidate, x: csr_matrix, labels: NDArray[Any], seed: int) -> Any:
    """One classifier; where the solver stops early, cross-validation judges what it has, as it does any other."""
    if candidate.loss == "logistic":
        classifier = LogisticRegression(C=candidate.c, max_iter=1000)
    else:
        classifier = LinearSVC(C=candidate.c, tol=1e-2, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier.fit(x, labels)


def encode(values: Sequence[Any], labels: Sequence[Any]) -> NDArray[np.int64]:
    """Return the number of each value among `labels`, told apart by type: true is not 1."""
    numbers = {(type(label), label): n for n, label in enumerate(labels)}
    return np.array([numbers[type(value), value] for value in values], np.int64)
