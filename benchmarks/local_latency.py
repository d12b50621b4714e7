"""One local decision beside scikit-learn's own, interleaved in one run.

    python benchmarks/local_latency.py --data FOLDER

FOLDER/helpdesk_tickets has train.jsonl and test.jsonl. Four fields are decided for texts of 60 words: by
`Decider.decide`, everything included, and by scikit-learn with TF-IDF of words (1-2) and characters (2-5), one
transform, and four LogisticRegression predicts, fitted on the same rows. Then every test row is decided, and compared
with our own weights evaluated plainly: a sparse matrix times the coefficients.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import declared, flat
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion

from decider.data.dataset import Dataset
from decider.decider import Decider
from decider.learn.features import stack
from decider.learn.train import train
from decider.model import folder
from decider.schema import pick
from decider.task import Task

FIELDS = ("ticket_type", "category", "urgency", "impact")
WORDS = 60
ROUNDS = 300


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, with the four fields alone."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{"input": row["input"], "output": {name: row["output"][name] for name in FIELDS}} for row in rows]


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    data = parser.parse_args().data / "helpdesk_tickets"
    rows, held = read(data / "train.jsonl"), read(data / "test.jsonl")
    task = declared(rows + held)
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / "model"
        train(task, Dataset.of(rows, task), model)
        trained: Task[Any] = Task(task.output, name="benchmark", input=task.input, finetuned={"model": str(model)})
        with Decider(trained, mode="finetuned") as decider:
            _race(decider, Dataset.of(rows, task))
            _same_labels(decider, model, Dataset.of(held, task))


def _race(decider: Decider[Any], rows: Dataset) -> None:
    grams = FeatureUnion(
        [("word", TfidfVectorizer(ngram_range=(1, 2))), ("char", TfidfVectorizer(analyzer="char", ngram_range=(2, 5)))]
    )
    x = grams.fit_transform([flat(one) for one in rows])
    models = [LogisticRegression(max_iter=300).fit(x, [pick(one.output, path) for one in rows]) for path in FIELDS]
    words = [word for one in rows for word in flat(one).split()]
    texts = [" ".join(words[n * WORDS : (n + 1) * WORDS]) for n in range(ROUNDS)]
    mine, theirs = [], []
    for text in texts:
        begun = time.perf_counter()
        decider.decide({"title": "", "body": text})
        middle = time.perf_counter()
        vector = grams.transform([text])
        for one in models:
            one.predict(vector)
        mine.append(middle - begun)
        theirs.append(time.perf_counter() - middle)
    own, other = statistics.median(mine), statistics.median(theirs)
    print(f"one decision of {WORDS} words, {len(FIELDS)} fields, median of {ROUNDS}, interleaved:")
    print(f"  Decider.decide                       {own * 1000:.3f} ms")
    print(f"  scikit-learn transform + 4 predicts  {other * 1000:.3f} ms")
    ratios = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
    print(f"  ratio of medians {own / other:.4f}, median of ratios {ratios:.4f} (aim: at most 0.12)")


def _same_labels(decider: Decider[Any], path: Path, held: Dataset) -> None:
    model = folder.load(path, task=decider.task)
    vectors = [model.features.vector(one.input) for one in held]
    scores = stack(vectors, model.features.width) @ model.heads.weights.astype(np.float64) + model.heads.bias
    differing = 0
    for n, one in enumerate(held):
        output = decider.decide(one.input).fields
        for field in model.heads.fields:
            start = model.heads.starts[field.path]
            plain = field.labels[int(scores[n, start : start + len(field.labels)].argmax())]
            differing += plain != output[field.path].value
    print(f"labels that differ from our weights evaluated plainly: {differing} of {len(held) * len(FIELDS)}")


if __name__ == "__main__":
    main()
