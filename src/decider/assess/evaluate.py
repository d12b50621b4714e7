"""`evaluate`: a Decider against the truth of a dataset, per field and for the whole record, with latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from decider.data.dataset import Dataset
from decider.decider import Decider
from decider.decision import Decision, Example
from decider.errors import DataError, EngineError
from decider.metrics import accuracy, expected_calibration_error, macro_f1, percentile, wilson
from decider.schema import Field, pick

Progress = Callable[[int, int], None]

_PAUSE = 1.0
"""Seconds before rows that failed are tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A share with its 95 % interval, all in [0, 1]."""

    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldReport:
    """How one field did; `ece` is None where its values have no probability."""

    accuracy: float
    low: float
    high: float
    macro_f1: float
    ece: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `evaluate` measured on `n` rows.

    A record counts as right when every closed field is; a row that failed or was refused counts as wrong.
    `latency_ms` holds p50, p95 and mean of the whole decision, over those that the cache did not answer; where it
    answered all, it is the cache's. `from_cache` says how many those are. `ece` is the calibration error of the
    record's confidence in 15 bins, None where it has none.
    """

    task: str
    mode: str
    engine: str
    model: str
    n: int
    failed: int
    joint: Interval
    fields: Mapping[str, FieldReport]
    ece: float | None
    latency_ms: Mapping[str, float]
    cost_usd: float | None
    left_out: Sequence[str] = ()
    from_cache: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the report in JSON types, with the keys that programs may rely on."""
        return {
            "task": self.task,
            "mode": self.mode,
            "engine": self.engine,
            "model": self.model,
            "n": self.n,
            "failed": self.failed,
            "joint": _plain(self.joint, "accuracy", "low", "high"),
            "fields": {
                path: _plain(one, "accuracy", "low", "high", "macro_f1", "ece") for path, one in self.fields.items()
            },
            "calibration": {"ece": self.ece},
            "latency_ms": dict(self.latency_ms),
            "cost_usd": self.cost_usd,
            "left_out": list(self.left_out),
            "from_cache": self.from_cache,
        }


def evaluate(
    decider: Decider[Any], dataset: Dataset, *, mode: str | None = None, progress: Progress | None = None
) -> Report:
    """Decide every row of `dataset` and compare with its true output; open fields are decided and not compared.

    Nothing is written to the log: what a model answers to the rows that it is measured on is no truth to train on.
    Answers may come from the cache. `progress` is told the rows done and the rows in all. Raises what `decide_many`
    raises, and `DataError` where there is nothing to compare.
    """
    closed = [field for field in decider.task.fields if field.closed]
    if not closed:
        raise DataError(f"the task {decider.task.name!r} has no closed field: there is nothing to compare")
    decisions = _decided(decider, dataset, mode, progress)
    pairs = list(zip(decisions, dataset, strict=True))
    hits = [all(_right(field, decision, example) for field in closed) for decision, example in pairs]
    low, high = wilson(sum(hits), len(hits))
    first = decisions[0]
    return Report(
        task=decider.task.name,
        mode=first.mode,
        engine=first.engine,
        model=first.model,
        n=len(hits),
        failed=sum(decision.get() is None for decision in decisions),
        joint=Interval(accuracy=sum(hits) / len(hits), low=low, high=high),
        fields={field.path: _field_report(field, pairs) for field in closed},
        ece=_calibration([decision.confidence for decision in decisions], hits),
        latency_ms=_latency(decisions),
        cost_usd=None,
        left_out=tuple(field.path for field in decider.task.fields if not field.closed),
        from_cache=sum(decision.cached for decision in decisions),
    )


def cached_of(report: Report) -> str:
    """Say how many answers came from the cache, and what that makes of the latency."""
    if report.from_cache == report.n:
        return "every answer, so the latency is the cache's"
    return f"{report.from_cache:,} of {report.n:,} answers, which the latency leaves out"


def _decided(
    decider: Decider[Any], dataset: Dataset, mode: str | None, progress: Progress | None
) -> list[Decision[Any]]:
    """The decision of every row, in the order of the rows; what failed for now is tried `retry.passes` times."""
    waiting = {str(n): example.input for n, example in enumerate(dataset, 1)}
    found: dict[str, Decision[Any]] = {}
    left = decider.task.spec.retry.passes
    while waiting:
        left -= 1
        for decision in decider.each(list(waiting.items()), record=_forget, mode=mode):
            if left > 0 and _may_change(decision):
                continue
            row = str(decision.row_id)
            found[row] = decision
            del waiting[row]
            if progress is not None:
                progress(len(found), len(dataset))
        if waiting:
            time.sleep(_PAUSE)
    return [found[str(n)] for n in range(1, len(dataset) + 1)]


def _forget(_: Decision[Any]) -> None:
    """Keep no record."""


def _may_change(decision: Decision[Any]) -> bool:
    """Whether a row that failed may be decided at another time; an answer that does not fit would come again."""
    return isinstance(decision.error, EngineError) and decision.error.retryable


def _field_report(field: Field, pairs: Sequence[tuple[Decision[Any], Example]]) -> FieldReport:
    truth = [_comparable(field, pick(example.output, field.path)) for _, example in pairs]
    guess = [_guess(field, decision) for decision, _ in pairs]
    hits = [a == b for a, b in zip(truth, guess, strict=True)]
    low, high = wilson(sum(hits), len(hits))
    probabilities = [decision.fields[field.path].probability if decision.fields else None for decision, _ in pairs]
    return FieldReport(
        accuracy=accuracy(truth, guess),
        low=low,
        high=high,
        macro_f1=_tags_f1(field, truth, guess) if field.kind == "tags" else macro_f1(truth, guess),
        ece=_calibration(probabilities, hits),
    )


def _tags_f1(field: Field, truth: Sequence[Any], guess: Sequence[Any]) -> float:
    """The mean over the tags of each tag's F1; a tag that is neither there nor guessed does not count."""
    scores = []
    for tag in field.labels:
        there, guessed = [tag in tags for tags in truth], [tag in (tags or ()) for tags in guess]
        both = sum(a and b for a, b in zip(there, guessed, strict=True))
        if sum(there) + sum(guessed):
            scores.append(2 * both / (sum(there) + sum(guessed)))
    return sum(scores) / len(scores) if scores else 1.0


def _guess(field: Field, decision: Decision[Any]) -> Any:
    return _comparable(field, decision.fields[field.path].value) if decision.fields else _NOTHING


def _right(field: Field, decision: Decision[Any], example: Example) -> bool:
    return bool(_guess(field, decision) == _comparable(field, pick(example.output, field.path)))


def _comparable(field: Field, value: Any) -> Any:
    return frozenset(value) if field.kind == "tags" and value is not None else value


def _calibration(probabilities: Sequence[float | None], hits: Sequence[bool]) -> float | None:
    """The calibration error over the rows that have a probability; None where none has."""
    known = [(p, hit) for p, hit in zip(probabilities, hits, strict=True) if p is not None]
    if not known:
        return None
    return expected_calibration_error([p for p, _ in known], [hit for _, hit in known])


def _latency(decisions: Sequence[Decision[Any]]) -> dict[str, float]:
    times = [one.latency_ms for one in decisions if not one.cached] or [one.latency_ms for one in decisions]
    return {"p50": percentile(times, 50), "p95": percentile(times, 95), "mean": sum(times) / len(times)}


def _plain(value: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


_NOTHING = "\x00nothing was decided"
"""Equal to no label: a row without an answer is wrong."""
