"""`train`: from rows with their true outputs to a model folder, with an honest estimate of how good it is."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

try:
    import numpy as np
    import scipy
    import sklearn
    from numpy.typing import NDArray
except ModuleNotFoundError as error:
    raise ImportError("training needs scikit-learn: pip install 'decider-sdk[train]'") from error

from decider.data.dataset import Dataset
from decider.decision import Example
from decider.errors import DataError
from decider.learn import heads as fitting
from decider.learn.calibrate import Calibration, sigmoids, temperature
from decider.learn.features import Counted
from decider.learn.folds import folds_of
from decider.metrics import percentile, wilson
from decider.model import folder
from decider.model.features import Features
from decider.model.heads import Heads
from decider.schema import Field, pick
from decider.task import Task

Told = Callable[[str], None]

FOLDS = 5
LEAST_ROWS = 20
_TIMED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A cross-validated share of right rows, with its 95 % interval."""

    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What `fit` found: features and heads that answer, and how they did on rows that they had not seen.

    `chosen` says by field how it was fitted, `hits` is (rows, fields), true where the fold's model was right.
    """

    features: Features
    heads: Heads
    chosen: Mapping[str, str]
    hits: NDArray[np.bool_]

    @property
    def joint(self) -> Share:
        """The whole record."""
        return _share(np.asarray(self.hits.all(axis=1)))

    @property
    def fields(self) -> dict[str, Share]:
        """Each field by its path."""
        return {field.path: _share(self.hits[:, n]) for n, field in enumerate(self.heads.fields)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What `train` wrote, and what cross-validation says of it.

    `latency_ms` is the median time of one answer of these weights, without the pipeline around it; `cpu_seconds` is
    what the training took of this process.
    """

    model: str
    rows: int
    joint: Share
    fields: Mapping[str, Share]
    chosen: Mapping[str, str]
    latency_ms: float
    cpu_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the report in JSON types, with the keys that programs may rely on."""
        return {
            "model": self.model,
            "encoder": None,
            "rows": self.rows,
            "joint": _plain(self.joint),
            "fields": {path: {**_plain(one), "fitted": self.chosen[path]} for path, one in self.fields.items()},
            "thresholds": {},
            "latency_ms": self.latency_ms,
            "cpu_seconds": self.cpu_seconds,
        }

    def summary(self) -> str:
        """Return the report as a few lines for people."""
        lines = [
            f"trained {self.model}: a classifier on n-grams, {self.rows} rows, {self.latency_ms:.2f} ms an answer",
            f"right on rows not trained on, by {FOLDS}-fold cross-validation:",
        ]
        width = max(len(path) for path in [*self.fields, "whole record"])
        for path, one in [*self.fields.items(), ("whole record", self.joint)]:
            between = f"(95 % interval {one.low * 100:.1f} to {one.high * 100:.1f} %)"
            lines.append(f"  {path:<{width}}  {one.accuracy * 100:5.1f} %  {between}")
        return "\n".join(lines)


def train(
    task: Task[Any], dataset: Dataset, path: str | Path, *, seed: int = 0, progress: Told | None = None
) -> TrainReport:
    """Train a classifier of every closed field of `task` and write it to the folder `path`.

    Raises `DataError` where the rows teach nothing, and `ModelError` where something else stands at `path`. The same
    rows and seed give the same weights.
    """
    begun, target = process_time(), Path(path)
    folder.refuse_foreign(target)
    fitted = fit(task, dataset, seed=seed, progress=progress)
    report = TrainReport(
        model=str(path),
        rows=len(dataset),
        joint=fitted.joint,
        fields=fitted.fields,
        chosen=fitted.chosen,
        latency_ms=_latency_ms(fitted, dataset),
        cpu_seconds=process_time() - begun,
    )
    manifest = {
        "task": task.name,
        "version": task.version,
        "schema_fingerprint": task.schema_fingerprint,
        "inputs": [field.path for field in task.inputs],
        "data_fingerprint": dataset.fingerprint,
        "rows": len(dataset),
        "metrics": {"joint": _plain(fitted.joint), "fields": {at: _plain(one) for at, one in fitted.fields.items()}},
        "settings": {"seed": seed, "folds": FOLDS, "fitted": dict(fitted.chosen)},
        "versions": _versions(),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    folder.save(target, manifest=manifest, features=fitted.features, heads=fitted.heads)
    return report


def fit(task: Task[Any], examples: Sequence[Example], *, seed: int = 0, progress: Told | None = None) -> Fitted:
    """Fit every closed field of `task` on `examples`, without writing anything.

    Regularisation and calibration come from cross-validation on rows held out; the weights are then fitted on all.
    """
    told = progress or _silent
    fields = tuple(field for field in task.fields if field.closed)
    _refuse_hopeless(task, examples, fields)
    counted = Counted([example.input for example in examples], task.inputs)
    folds = folds_of(examples, fields, FOLDS, seed)
    everything = np.arange(len(examples))
    features = counted.fit(everything)
    told(f"{len(examples)} rows, {features.width} columns, {FOLDS} folds")
    parts = [_Part.of(counted, np.setdiff1d(everything, held), held) for held in folds]
    whole = _Part.of(counted, everything, everything, features)
    weights, biases, chosen, hits = [], [], {}, []
    for field in fields:
        truth = _Truth.of(field, examples)
        candidate, calibration, unseen = _choose(truth, parts, has_text=bool(counted.texts), seed=seed)
        scores = truth.fit(candidate, whole.train, everything, seed)
        weights.append(scores.weights * calibration.scale)
        biases.append(_calibrated_bias(scores, calibration, unseen))
        chosen[field.path] = str(candidate)
        right = truth.right(unseen)
        hits.append(right)
        told(f"{field.path}: {candidate}, {right.mean() * 100:.1f} % right on held-out rows")
    heads = Heads(
        fields=fields,
        weights=np.concatenate(weights, axis=1).astype(np.float32),
        bias=np.concatenate(biases).astype(np.float32),
    )
    return Fitted(features=features, heads=heads, chosen=chosen, hits=np.stack(hits, axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One fold: the vectors to train on and those held out, by features that saw only the former."""

    rows: NDArray[np.int64]
    held: NDArray[np.int64]
    train: Any
    test: Any

    @classmethod
    def of(
        cls, counted: Counted, rows: NDArray[np.int64], held: NDArray[np.int64], features: Features | None = None
    ) -> _Part:
        features = features or counted.fit(rows)
        train = counted.matrix(features, rows)
        return cls(rows=rows, held=held, train=train, test=train if held is rows else counted.matrix(features, held))


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

    def fit(self, candidate: fitting.Candidate, x: Any, rows: NDArray[np.int64], seed: int) -> fitting.Scores:
        if self.field.kind == "tags":
            return fitting.fit_tags(candidate, x, self.values[rows], seed)
        return fitting.fit(candidate, x, self.values[rows], len(self.field.labels), seed)

    def calibrate(self, scores: NDArray[np.float64]) -> Calibration:
        return sigmoids(scores, self.values) if self.field.kind == "tags" else temperature(scores, self.values)

    def right(self, calibrated: NDArray[np.float64]) -> NDArray[np.bool_]:
        if self.field.kind == "tags":
            return np.asarray(((calibrated > 0) == self.values).all(axis=1))
        return np.asarray(calibrated.argmax(axis=1) == self.values)


def _choose(
    truth: _Truth, parts: Sequence[_Part], *, has_text: bool, seed: int
) -> tuple[fitting.Candidate, Calibration, NDArray[np.float64]]:
    """The candidate whose calibrated probabilities lose least on held-out rows, and its calibrated scores of those."""
    size = len(truth.field.labels)
    tried = []
    for candidate in fitting.candidates(has_text=has_text, work=len(truth.values) * size):
        scores = np.empty((len(truth.values), size))
        for part in parts:
            scores[part.held] = truth.fit(candidate, part.train, part.rows, seed).of(part.test)
        calibration = truth.calibrate(scores)
        tried.append((candidate, calibration, calibration.apply(scores)))
    return min(tried, key=lambda one: one[1].loss)


def _calibrated_bias(
    scores: fitting.Scores, calibration: Calibration, unseen: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The calibrated bias; labels without a single row share the chance of one row in all, and one more.

    That is the rule of succession (Laplace, 1814): n rows without a label do not make it impossible.
    """
    bias = scores.bias * calibration.scale + calibration.shift
    if not scores.known.all():
        usual = float(np.log(np.exp(unseen[:, scores.known]).sum(axis=1)).mean())
        missing = int((~scores.known).sum())
        bias[~scores.known] = usual - np.log((len(unseen) + 1.0) * missing)
    return bias


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


def _latency_ms(fitted: Fitted, examples: Sequence[Example]) -> float:
    """The median milliseconds of one answer, over the first rows."""
    times = []
    for example in examples[:_TIMED]:
        begun = perf_counter()
        fitted.heads.distributions(fitted.features.vector(example.input), fitted.heads.fields)
        times.append((perf_counter() - begun) * 1000.0)
    return percentile(times, 50)


def _share(hits: NDArray[np.bool_]) -> Share:
    low, high = wilson(int(hits.sum()), hits.size)
    return Share(accuracy=float(hits.mean()), low=low, high=high)


def _plain(share: Share) -> dict[str, float]:
    return {"accuracy": share.accuracy, "low": share.low, "high": share.high}


def _versions() -> dict[str, str]:
    return {
        "decider": version("decider-sdk"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
    }


def _silent(_: str) -> None:
    """Tell nobody."""
