"""`train`: from rows with their true outputs to a model folder, with an honest estimate of how good it is."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from decider.learn.fit import Fitted, Told, fit
from decider.metrics import percentile, wilson
from decider.model import folder
from decider.redact import Redactor
from decider.task import Task

__all__ = ["Share", "TrainReport", "fit", "train"]

_TIMED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A cross-validated share of right rows, with its 95 % interval."""

    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What `train` wrote, and what cross-validation says of it.

    `latency_ms` is the median time of one answer of these weights, without the pipeline around it; `cpu_seconds` is
    what the training took of this process.
    """

    model: str
    rows: int
    folds: int
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
            "joint": asdict(self.joint),
            "fields": {path: {**asdict(one), "fitted": self.chosen[path]} for path, one in self.fields.items()},
            "thresholds": {},
            "latency_ms": self.latency_ms,
            "cpu_seconds": self.cpu_seconds,
        }

    def summary(self) -> str:
        """Return the report as a few lines for people."""
        lines = [
            f"trained {self.model}: a classifier on n-grams, {self.rows} rows, {self.latency_ms:.2f} ms an answer",
            f"right on rows not trained on, by {self.folds}-fold cross-validation:",
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
    rows and seed give the same weights. Where the spec has `redact`, it learns from redacted inputs, as it is asked
    them.
    """
    begun, target = process_time(), Path(path)
    folder.refuse_foreign(target)
    dataset = _redacted(task, dataset)
    fitted = fit(task, dataset, seed=seed, progress=progress)
    report = TrainReport(
        model=str(path),
        rows=len(dataset),
        folds=fitted.folds,
        joint=_share(np.asarray(fitted.hits.all(axis=1))),
        fields={field.path: _share(fitted.hits[:, n]) for n, field in enumerate(fitted.heads.fields)},
        chosen=fitted.chosen,
        latency_ms=_latency_ms(fitted, dataset),
        cpu_seconds=process_time() - begun,
    )
    folder.save(target, manifest=_manifest(task, dataset, report, seed), features=fitted.features, heads=fitted.heads)
    return report


def _redacted(task: Task[Any], dataset: Dataset) -> Dataset:
    """The rows as the model will see them."""
    redactor = Redactor.of(task)
    if redactor is None:
        return dataset
    return Dataset(tuple(replace(one, input=redactor.redact(one.input, row=one.id)) for one in dataset))


def _manifest(task: Task[Any], dataset: Dataset, report: TrainReport, seed: int) -> dict[str, Any]:
    return {
        "task": task.name,
        "version": task.version,
        "schema_fingerprint": task.schema_fingerprint,
        "inputs": {field.path: field.kind for field in task.inputs},
        "data_fingerprint": dataset.fingerprint,
        "metrics": {
            "joint": asdict(report.joint),
            "fields": {path: asdict(one) for path, one in report.fields.items()},
        },
        "settings": {"seed": seed, "folds": report.folds, "fitted": dict(report.chosen)},
        "versions": _versions(),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


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


def _versions() -> dict[str, str]:
    return {
        "decider": version("decider-sdk"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
    }
