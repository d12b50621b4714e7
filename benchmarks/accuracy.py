"""Joint accuracy by cross-validation, ours beside plain scikit-learn on the same folds.

    python benchmarks/accuracy.py --data FOLDER [--sets cfpb_complaints banking77] [--folds 5]

FOLDER holds one folder for each set, with its train.jsonl; test.jsonl is never read. The reference is what scikit-learn
gives without tuning: TF-IDF of words (1-2) and of characters (2-5), and a LogisticRegression for each field. The
interval is that of the paired difference over the folds, Nadeau and Bengio's corrected t at 95 %.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline

from decider.data.dataset import Dataset
from decider.learn.folds import folds_of
from decider.learn.train import fit
from decider.metrics import corrected_interval
from decider.model.joint import most_probable
from decider.schema import pick
from decider.task import Task

SETS = ("cfpb_complaints", "banking77")


def declared(rows: Sequence[dict[str, Any]]) -> Task[Any]:
    """The task of a set, as its rows have it: every output value a choice, every boolean a bool, every list tags."""
    fields: dict[str, Any] = {}
    for name in rows[0]["output"]:
        values = [row["output"][name] for row in rows]
        if isinstance(values[0], bool):
            fields[name] = {"type": "bool"}
        elif isinstance(values[0], list):
            fields[name] = {"type": "tags", "options": sorted({tag for tags in values for tag in tags})}
        else:
            fields[name] = {"options": sorted(set(values))}
    inputs = {name: _input_type([row["input"][name] for row in rows]) for name in rows[0]["input"]}
    return task_of(fields, inputs)


def task_of(fields: dict[str, Any], inputs: dict[str, Any]) -> Task[Any]:
    """A task with these inline declarations."""
    from decider.schema import Inline, Option, model_of

    made = {}
    for name, one in fields.items():
        options = tuple(Option(value=value) for value in one.get("options", ()))
        made[name] = Inline(type=one.get("type", "choice"), options=options)
    return Task(model_of("Output", made), name="benchmark", input=inputs)


def _input_type(values: Sequence[Any]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in known):
        return {"type": "bool", "optional": True}
    if all(isinstance(value, int | float) for value in known):
        return {"type": "number", "optional": True}
    return {"type": "text", "optional": len(values) > 1 and None in values}


def flat(example: Any) -> str:
    """What the reference reads: all input values as one text."""
    if isinstance(example.input, str):
        return example.input
    return " ".join(str(value) for value in example.input.values() if value is not None)


def reference(
    train: Sequence[Any], test: Sequence[Any], paths: Sequence[str], c: float
) -> tuple[NDArray[np.bool_], float, float]:
    """Hits of plain scikit-learn (rows, fields), CPU seconds of training, and ms for one decision."""
    begun = time.process_time()
    grams = FeatureUnion(
        [("word", TfidfVectorizer(ngram_range=(1, 2))), ("char", TfidfVectorizer(analyzer="char", ngram_range=(2, 5)))]
    )
    x = grams.fit_transform([flat(one) for one in train])
    models = {}
    for path in paths:
        truth = [json.dumps(pick(one.output, path)) for one in train]
        models[path] = LogisticRegression(C=c, max_iter=1000).fit(x, truth)
    seconds = time.process_time() - begun
    held = grams.transform([flat(one) for one in test])
    hits = [models[path].predict(held) == [json.dumps(pick(one.output, path)) for one in test] for path in paths]
    pipelines = [make_pipeline(grams, models[path]) for path in paths]
    return np.stack(hits, axis=1), seconds, _latency(lambda one: [p.predict([flat(one)]) for p in pipelines[:1]], test)


def ours(task: Task[Any], train: Dataset, test: Dataset) -> tuple[NDArray[np.bool_], float, float]:
    """Hits of a freshly trained model (rows, fields), CPU seconds of training, and ms for one decision."""
    begun = time.process_time()
    fitted = fit(task, train)
    seconds = time.process_time() - begun

    def decide(one: Any) -> dict[str, Any]:
        distributions = fitted.heads.distributions(fitted.features.vector(one.input), task.fields)
        return most_probable(task.fields, distributions) or {}

    hits = []
    for one in test:
        said = decide(one)
        hits.append([_same(said[field.path], pick(one.output, field.path)) for field in task.fields])
    return np.array(hits), seconds, _latency(decide, test)


def _same(guess: Any, truth: Any) -> bool:
    return bool(set(guess) == set(truth) if isinstance(truth, list) else guess == truth)


def _latency(decide: Any, rows: Sequence[Any]) -> float:
    """The median milliseconds of one decision, over up to 100 rows."""
    times = []
    for one in list(rows)[:100]:
        begun = time.perf_counter()
        decide(one)
        times.append(time.perf_counter() - begun)
    return float(np.median(times) * 1000)


def compare(folder: Path, folds: int, c: float) -> None:
    """Print one set's cross-validation."""
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    task = declared(rows)
    data = Dataset.of(rows, task)
    paths = [field.path for field in task.fields]
    print(f"\n{folder.name}: {len(data)} rows, fields {', '.join(paths)}; reference LogisticRegression(C={c:g})")
    print("fold   ours  (ms, train CPU s)   reference  (ms, train CPU s)   difference")
    differences, sizes = [], []
    for n, held in enumerate(folds_of(data.examples, task.fields, folds, seed=1), 1):
        kept = np.setdiff1d(np.arange(len(data)), held)
        train, test = (Dataset(tuple(data[int(row)] for row in part)) for part in (kept, held))
        mine, mine_seconds, mine_ms = ours(task, train, test)
        theirs, their_seconds, their_ms = reference(train, test, paths, c)
        joint, their_joint = mine.all(axis=1).mean(), theirs.all(axis=1).mean()
        differences.append(joint - their_joint)
        sizes.append((len(test), len(train)))
        own = f"{joint:.4f}  ({mine_ms:.2f}, {mine_seconds:5.1f})"
        other = f"{their_joint:.4f}  ({their_ms:.2f}, {their_seconds:6.1f})"
        print(f"{n:>4}  {own}      {other}        {joint - their_joint:+.4f}", flush=True)
    tested, trained = (float(np.mean(column)) for column in zip(*sizes, strict=True))
    quantile = float(student.ppf(0.975, folds - 1))
    mean, low, high = corrected_interval(differences, tested=round(tested), trained=round(trained), quantile=quantile)
    verdict = "better" if low > 0 else "not worse" if high >= 0 else "worse"
    print(f"{folder.name}: difference {mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}: {verdict}")


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--c", type=float, default=1.0, help="regularisation of the reference; scikit-learn's own is 1")
    arguments = parser.parse_args()
    for name in arguments.sets:
        compare(arguments.data / name, arguments.folds, arguments.c)


if __name__ == "__main__":
    main()
