"""What models say of each row that saw neither the row nor any that must stay with it: scores of every closed field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import SGDClassifier
from sklearn.utils.parallel import Parallel, delayed

from decider.data.joined import Joined
from decider.decision import Example
from decider.learn.features import Counted
from decider.learn.folds import folds_of
from decider.learn.heads import encode
from decider.schema import Field, pick

Progress = Callable[[int, int], object]

LEAST_SEEN = 4
"""Rows with a label, and rows without it, that a model must have seen before it may say anything of that label."""

_MANY = 20_000
"""Rows from which on three models that see two thirds of them say as much as five that see four fifths."""

_FEW = 5_000
"""Rows up to which the descent takes ten passes; of more, five are enough."""

_STRENGTH_OF_TEXT, _STRENGTH = 0.3, 10.0
"""Regularisation times rows. Stronger than what answers best: it ranks planted errors better, on all data tried."""

_BELOW = 1.0
"""How far below the lowest score of a row a label lies that its model has not seen often enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """One field of all rows: `scores` is (rows, labels), of models that had not seen the row.

    `there` says which labels each row has, of tags any number. `known` says which labels the model of a row had seen
    often enough to say anything of them. Both are (rows, labels).
    """

    field: Field
    there: NDArray[np.bool_]
    scores: NDArray[np.float64]
    known: NDArray[np.bool_]


def held_out(
    examples: Sequence[Example],
    inputs: Sequence[Field],
    fields: Sequence[Field],
    *,
    same: Sequence[int],
    seed: int = 0,
    progress: Progress | None = None,
) -> list[HeldOut]:
    """Score every label of every row, for each of `fields`, which are closed, by models of the other rows.

    A score is that of one label against all others: the log odds of logistic regression by stochastic gradient descent
    (Bottou, "Large-scale machine learning with stochastic gradient descent", 2010). `same` gives for each row the
    number of the first with the same input: such rows, and those of one group, are held out together, since a copy
    would vote for its own label. Groups count only where there are several. What the features know of rows held out is
    how often n-grams occur, never a label. Returns nothing where no rows can be held out. The same rows and `seed` give
    the same scores, on any number of cores. `progress` is called with steps done and their number.
    """
    folds = _folds(examples, fields, same, seed)
    if len(folds) < 2:
        return []
    x = _vectors(examples, inputs)
    strength = (_STRENGTH_OF_TEXT if x.has_text else _STRENGTH) / len(examples)
    found = [_empty(field, examples) for field in fields]
    for done, held in enumerate(folds):
        rows = np.setdiff1d(np.arange(len(examples)), held)
        train, test = x.matrix[rows], x.matrix[held]
        for n, one in enumerate(found):
            fitted = _fit(train, one.there[rows], strength, _passes(len(examples)), seed)
            one.scores[held] = fitted.of(test)
            one.known[held] = fitted.known
            if progress is not None:
                progress(done * len(found) + n + 1, len(folds) * len(found))
    return found


def _passes(rows: int) -> int:
    return 5 if rows > _FEW else 10


def _folds(
    examples: Sequence[Example], fields: Sequence[Field], same: Sequence[int], seed: int
) -> list[NDArray[np.int64]]:
    """Rows to be held out together; like rows are spread over all folds where no groups forbid it."""
    count = 3 if len(examples) > _MANY else 5
    together = _together(examples, same)
    if len(set(together)) < len(set(same)):
        return folds_of(
            [replace(one, group=str(at)) for one, at in zip(examples, together, strict=True)], fields, count, seed
        )
    firsts = np.unique(same)
    count = min(count, firsts.size)
    if count < 2:
        return []
    dealt = folds_of([replace(examples[n], group=None) for n in firsts], fields, count, seed)
    fold_of = np.empty(len(examples), np.int64)
    for n, fold in enumerate(dealt):
        fold_of[firsts[fold]] = n
    return [np.flatnonzero(fold_of[np.asarray(same)] == n) for n in range(count)]


def _together(examples: Sequence[Example], same: Sequence[int]) -> Sequence[int]:
    """For each row the number of the first that it must stay with, by its input, its group, or both by turns."""
    first_of: dict[str, int] = {}
    joined = Joined(range(len(examples)))
    for n, example in enumerate(examples):
        joined.join(n, same[n])
        if example.group is not None:
            joined.join(n, first_of.setdefault(example.group, n))
    found = [joined.root(n) for n in range(len(examples))]
    return found if len(set(found)) > 1 else same


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vectors:
    matrix: csr_matrix
    has_text: bool


def _vectors(examples: Sequence[Example], inputs: Sequence[Field]) -> _Vectors:
    counted = Counted([example.input for example in examples], inputs)
    everything = np.arange(len(examples))
    return _Vectors(matrix=counted.matrix(counted.fit(everything), everything), has_text=bool(counted.texts))


def _empty(field: Field, examples: Sequence[Example]) -> HeldOut:
    there = _there(field, [pick(example.output, field.path) for example in examples])
    return HeldOut(field=field, there=there, scores=np.zeros(there.shape), known=np.zeros(there.shape, np.bool_))


def _there(field: Field, values: Sequence[Any]) -> NDArray[np.bool_]:
    if field.kind == "tags":
        return np.array([[label in (tags or ()) for label in field.labels] for tags in values])
    return np.equal.outer(encode(values, field.labels), np.arange(len(field.labels)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    """One model of each label: `weights` is (columns, labels), `bias` and `known` are (labels)."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    known: NDArray[np.bool_]

    def of(self, x: csr_matrix) -> NDArray[np.float64]:
        """The score of every label for every row; an unknown label lies below all others."""
        scores: NDArray[np.float64] = x @ self.weights + self.bias
        if not self.known.all():
            lowest = scores[:, self.known].min(axis=1, keepdims=True, initial=0.0)
            scores = np.where(self.known, scores, lowest - _BELOW)
        return scores


def _fit(x: csr_matrix, there: NDArray[np.bool_], strength: float, passes: int, seed: int) -> _Fitted:
    seen = there.sum(axis=0)
    known = np.minimum(seen, len(there) - seen) >= LEAST_SEEN
    weights, bias = np.zeros((x.shape[1], known.size)), np.zeros(known.size)
    # The descent leaves the interpreter's lock alone, so that threads use all cores, and each has its own seed.
    columns = np.flatnonzero(known)
    fitted = Parallel(n_jobs=-1, prefer="threads")(
        delayed(_one_label)(x, there[:, n], strength, passes, seed) for n in columns
    )
    for n, (weight, shift) in zip(columns, fitted, strict=True):
        weights[:, n], bias[n] = weight, shift
    return _Fitted(weights=weights, bias=bias, known=known)


def _one_label(
    x: csr_matrix, there: NDArray[np.bool_], strength: float, passes: int, seed: int
) -> tuple[NDArray[np.float64], float]:
    model = SGDClassifier(loss="log_loss", alpha=strength, max_iter=passes, tol=None, random_state=seed).fit(x, there)
    return model.coef_[0], float(model.intercept_[0])
