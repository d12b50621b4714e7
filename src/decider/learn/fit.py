"""`fit`: features and classifiers from rows, chosen and calibrated on rows held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from decider.decision import Example
from decider.errors import DataError
from decider.learn import heads as fitting
from decider.learn.calibrate import Calibration, sigmoids, temperature
from decider.learn.features import Counted
from decider.learn.folds import folds_of
from decider.model.features import Features
from decider.model.heads import Heads
from decider.model.joint import Accepts, judge_of, most_probable
from decider.schema import Field, pick
from decider.task import Task

Told = Callable[[str], None]

FOLDS = 5
LEAST_ROWS = 20

_NEVER = -1e4
"""The score of a label that no row has: below all others on any input. What is left of it is the doubt in `Heads`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What `fit` found: features and heads that answer, and how they did on rows that they had not seen.

    `chosen` says by field how it was fitted. `hits` is (rows, fields), true where the answer was right of a model that
    had seen neither the row nor, where rows have groups, its group; `folds` is how many such models there were.
    """

    features: Features
    heads: Heads
    chosen: Mapping[str, str]
    hits: NDArray[np.bool_]
    folds: int


def fit(task: Task[Any], examples: Sequence[Example], *, seed: int = 0, progress: Told | None = None) -> Fitted:
    """Fit every closed field of `task` on `examples`, without writing anything.

    Regularisation and calibration come from cross-validation on rows held out; the weights are then fitted on all.
    Raises `DataError` where the rows teach nothing.
    """
    told = progress or _silent
    fields = tuple(field for field in task.fields if field.closed)
    _refuse_hopeless(task, examples, fields)
    counted = Counted([example.input for example in examples], task.inputs)
    folds = folds_of(examples, fields, FOLDS, seed)
    features = counted.fit(np.arange(len(examples)))
    told(f"{len(examples)} rows, {features.width} columns, {len(folds)} folds")
    matrices = _Matrices.of(counted, features, folds)
    learned = []
    for field in fields:
        truth = _Truth.of(field, examples)
        learned.append(_learn(truth, matrices, has_text=bool(counted.texts), seed=seed))
        right = truth.right(learned[-1].held_out)
        told(f"{field.path}: {learned[-1].candidate}, {right.mean() * 100:.1f} % right on held-out rows")
    heads = Heads(
        fields=fields,
        weights=np.concatenate([one.weights for one in learned], axis=1).astype(np.float32),
        bias=np.concatenate([one.bias for one in learned]).astype(np.float32),
        rows=len(examples),
    )
    held_out = np.concatenate([one.held_out for one in learned], axis=1)
    return Fitted(
        features=features,
        heads=heads,
        chosen={field.path: str(one.candidate) for field, one in zip(fields, learned, strict=True)},
        hits=_hits(heads, held_out, examples, judge_of(task, fields)),
        folds=len(folds),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fold:
    """The numbers of the rows to train on and of those held out, and the vectors of both, which saw only the former."""

    rows: NDArray[np.int64]
    held: NDArray[np.int64]
    train: csr_matrix
    test: csr_matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matrices:
    """The vectors of all rows, and those of each fold."""

    whole: csr_matrix
    folds: Sequence[_Fold]

    @classmethod
    def of(cls, counted: Counted, features: Features, folds: Sequence[NDArray[np.int64]]) -> _Matrices:
        everything = np.arange(len(counted.inputs))
        made = []
        for held in folds:
            rows = np.setdiff1d(everything, held)
            blind = counted.fit(rows)
            train, test = counted.matrix(blind, rows), counted.matrix(blind, held)
            made.append(_Fold(rows=rows, held=held, train=train, test=test))
        return cls(whole=counted.matrix(features, everything), folds=made)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Truth:
    """The true values of one field: the number of each row's label, or for tags which of them are there."""

    field: Field
    values: NDArray[Any]

    @classmethod
    def of(cls, field: Field, examples: Sequence[Example]) -> _Truth:
        found = [pick(example.output, field.path) for example in examples]
        if field.kind == "tags":
            there = [[label in (tags or ()) for label in field.labels] for tags in found]
            return cls(field=field, values=np.array(there))
        return cls(field=field, values=fitting.encode(found, field.labels))

    def fit(self, candidate: fitting.Candidate, x: csr_matrix, values: NDArray[Any], seed: int) -> fitting.Scores:
        if self.field.kind == "tags":
            return fitting.fit_tags(candidate, x, values, seed)
        return fitting.fit(candidate, x, values, len(self.field.labels), seed)

    def calibrate(self, scores: NDArray[np.float64]) -> Calibration:
        return sigmoids(scores, self.values) if self.field.kind == "tags" else temperature(scores, self.values)

    def right(self, calibrated: NDArray[np.float64]) -> NDArray[np.bool_]:
        if self.field.kind == "tags":
            return np.asarray(((calibrated > 0) == self.values).all(axis=1))
        return np.asarray(calibrated.argmax(axis=1) == self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """One field: its calibrated weights and bias, and the calibrated scores of rows held out, (rows, labels)."""

    candidate: fitting.Candidate
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    held_out: NDArray[np.float64]


def _learn(truth: _Truth, matrices: _Matrices, *, has_text: bool, seed: int) -> _Learned:
    """Fit the candidate whose calibrated probabilities lose least on held-out rows."""
    size = len(truth.field.labels)
    tried = []
    for candidate in fitting.candidates(has_text=has_text, work=len(truth.values) * size):
        scores = np.empty((len(truth.values), size))
        for fold in matrices.folds:
            scores[fold.held] = truth.fit(candidate, fold.train, truth.values[fold.rows], seed).of(fold.test)
        tried.append((candidate, truth.calibrate(scores), scores))
    candidate, calibration, scores = min(tried, key=lambda one: one[1].loss)
    final = truth.fit(candidate, matrices.whole, truth.values, seed)
    return _Learned(
        candidate=candidate,
        weights=final.weights * calibration.scale,
        bias=np.where(final.known, final.bias * calibration.scale + calibration.shift, _NEVER),
        held_out=np.where(final.known, calibration.apply(scores), _NEVER),
    )


def _hits(
    heads: Heads, held_out: NDArray[np.float64], examples: Sequence[Example], accepts: Accepts | None
) -> NDArray[np.bool_]:
    """Where the answers were right, made from the scores of rows held out as the local engine makes them."""
    hits = np.zeros((len(examples), len(heads.fields)), np.bool_)
    for n, example in enumerate(examples):
        said = most_probable(heads.fields, heads.shares(held_out[n], heads.fields), accepts) or {}
        hits[n] = [_same(said.get(field.path), pick(example.output, field.path)) for field in heads.fields]
    return hits


def _same(said: Any, true: Any) -> bool:
    return set(said) == set(true or ()) if isinstance(said, list) else bool(said == true)


def _refuse_hopeless(task: Task[Any], examples: Sequence[Example], fields: tuple[Field, ...]) -> None:
    if not fields:
        raise DataError(f"the task {task.name!r} has no closed field: there is nothing that a classifier can learn")
    if len(examples) < LEAST_ROWS:
        raise DataError(
            f"{len(examples)} rows are too few to learn from and to measure on; label at least {LEAST_ROWS}, "
            "better ten for each label, and let the prompt decide until then"
        )
    first = examples[0].output
    if all(pick(one.output, field.path) == pick(first, field.path) for field in fields for one in examples):
        raise DataError("every row has the same output: there is nothing to tell apart")


def _silent(_: str) -> None:
    """Tell nobody."""
