"""Training: every kind of field and of input, honest estimates, honest refusals."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel

from decider.data.dataset import Dataset
from decider.decision import Example
from decider.errors import DataError
from decider.learn.calibrate import sigmoids, temperature
from decider.learn.features import Counted
from decider.learn.folds import folds_of
from decider.learn.heads import candidates, encode
from decider.learn.train import fit, train
from decider.model.features import value_of
from decider.model.heads import softmax
from decider.schema import fields_of
from decider.task import Task
from model.samples import Guarded, everything, guarded, leads, tickets


def test_it_learns_every_kind_of_field_and_says_how_well(tmp_path: Path) -> None:
    task, rows = everything(200)
    said: list[str] = []
    report = train(task, rows, tmp_path / "model", progress=said.append)
    assert report.rows == 200
    assert {path: share.accuracy > 0.9 for path, share in report.fields.items()} == dict.fromkeys(
        ["team", "urgent", "tags", "owner", "constant"], True
    ) | {"level": report.fields["level"].accuracy > 0.9}
    assert report.joint.low < report.joint.accuracy < report.joint.high or report.joint.accuracy == 1.0
    assert [line.split(":")[0] for line in said[1:]] == ["team", "urgent", "level", "tags", "owner", "constant"]


def test_the_report_has_the_keys_that_programs_rely_on(tmp_path: Path) -> None:
    task, rows = guarded(60)
    report = train(task, rows, tmp_path / "model")
    said = report.to_json()
    assert {"model", "encoder", "fields", "thresholds"} <= set(said)
    assert said["model"] == str(tmp_path / "model")
    assert set(said["fields"]["team"]) == {"accuracy", "low", "high", "fitted"}
    summary = report.summary()
    assert "ms an answer" in summary
    assert "by 5-fold cross-validation" in summary
    assert "whole record" in summary


def test_it_learns_from_rows_as_the_model_will_be_asked_them(tmp_path: Path) -> None:
    """A word that stands in addresses alone tells nothing of a row: nobody will see it."""
    rows = guarded(60)[1]
    shown = Task(Guarded, name="shown", prompt={"model": "m"})
    hidden = Task(Guarded, name="hidden", prompt={"model": "m"}, redact={"kinds": ["email"]})
    told = [replace(one, input=f"write to {one.output['team']}@example.com") for one in rows]
    right = [train(one, Dataset(tuple(told)), tmp_path / one.name).fields["team"].accuracy for one in (shown, hidden)]
    assert right[0] == 1.0
    assert right[1] < 0.6
    clean = Dataset(tuple(replace(one, input="write to [EMAIL]") for one in rows))
    train(hidden, clean, tmp_path / "clean")
    same = [(tmp_path / name / "buckets.npy").read_bytes() for name in ("hidden", "clean")]
    assert same[0] == same[1]


def test_structured_inputs_are_learned_with_missing_values() -> None:
    task, rows = leads()
    fitted = fit(task, rows)
    assert fitted.hits.mean() > 0.85
    features = fitted.features
    assert features.texts == ("note", "extra")
    assert features.categories == ("job", "member", "seen")
    assert [number.path for number in features.numbers] == ["age", "income", "empty"]
    absurd = features.vector({"age": 10**12, "job": "unheard of"})
    assert np.abs(absurd[1]).max() <= 1.0
    assert features.vector({})[0].max() < features.width


def test_a_structured_task_without_text_uses_logistic_regression() -> None:
    task, rows = leads()

    class Short(BaseModel):
        age: int | None
        member: bool

    short = Task(task.output, name="short", input=Short)
    data = Dataset.of(
        [{"input": {"age": value_of(one.input, "age"), "member": True}, "output": one.output} for one in rows], short
    )
    fitted = fit(short, data)
    assert fitted.chosen["bought"].startswith("logistic")
    assert fitted.hits.mean() > 0.7


def test_the_same_rows_and_seed_give_the_same_weights() -> None:
    task, rows = everything(60)
    one, two, other = fit(task, rows), fit(task, rows), fit(task, rows, seed=1)
    assert one.heads.weights.tobytes() == two.heads.weights.tobytes()
    assert one.heads.bias.tobytes() == two.heads.bias.tobytes()
    assert (one.hits == two.hits).all()
    assert other.heads.weights.shape == one.heads.weights.shape


def test_a_constant_field_is_likely_and_not_certain_and_an_unseen_label_is_possible() -> None:
    task, rows = everything(60)
    fitted = fit(task, rows)
    found = fitted.heads.distributions(fitted.features.vector("refund invoice"), task.fields)
    assert 0.9 < found["constant"]["one"] < 0.999
    assert 0.0 < found["team"]["never"] < 0.1
    assert 0.0 < found["tags"]["rare"] < 0.1
    for path in ("team", "urgent", "level", "owner", "constant"):
        assert sum(found[path].values()) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["", "zzz", "\x00", "🙂🙂", "x" * 200_000])
def test_any_text_has_an_answer(text: str) -> None:
    task, rows = everything(40)
    fitted = fit(task, rows)
    found = fitted.heads.distributions(fitted.features.vector(text), task.fields)
    assert all(0.0 <= p <= 1.0 for one in found.values() for p in one.values())


class Open(BaseModel):
    why: str


class Same(BaseModel):
    team: Literal["a", "b"]


@pytest.mark.parametrize(
    ("output", "rows", "says"),
    [
        (Same, [{"input": f"t {n}", "output": {"team": "a"}} for n in range(19)], "19 rows are too few to learn from"),
        (Same, [{"input": f"t {n}", "output": {"team": "a"}} for n in range(30)], "every row has the same output"),
        (Open, [{"input": f"t {n}", "output": {"why": "x"}} for n in range(30)], "has no closed field"),
    ],
)
def test_rows_that_teach_nothing_are_refused(
    output: type[BaseModel], rows: list[dict[str, Any]], says: str, tmp_path: Path
) -> None:
    task: Task[Any] = Task(output, name="t")
    with pytest.raises(DataError, match=says):
        train(task, Dataset.of(rows, task), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def examples(n: int, groups: int | None = None) -> list[Example]:
    labels = ["a", "b", "b", "b"]
    return [
        Example(input="x", output={"team": labels[at % 4]}, group=None if groups is None else str(at % groups))
        for at in range(n)
    ]


def test_folds_hold_every_row_once_and_are_alike() -> None:
    rows = examples(100)
    folds = folds_of(rows, fields_of(Same), 5, seed=3)
    assert sorted(n for fold in folds for n in fold) == list(range(100))
    assert [sum(rows[n].output["team"] == "a" for n in fold) for fold in folds] == [5] * 5


def test_a_group_is_never_in_two_folds() -> None:
    rows = [*examples(100, groups=7), *examples(3)]
    folds = folds_of(rows, fields_of(Same), 5, seed=3)
    assert sorted(n for fold in folds for n in fold) == list(range(103))
    places = [{at for at, fold in enumerate(folds) for n in fold if rows[n].group == str(group)} for group in range(7)]
    assert all(len(place) == 1 for place in places)


def test_there_are_no_more_folds_than_groups_and_one_group_is_refused() -> None:
    folds = folds_of(examples(30, groups=2), fields_of(Same), 5, seed=3)
    assert [len(fold) for fold in folds] == [15, 15]
    with pytest.raises(DataError, match="all rows are of one group: none are left to measure on"):
        folds_of(examples(30, groups=1), fields_of(Same), 5, seed=3)


def test_few_groups_are_said_in_the_report(tmp_path: Path) -> None:
    task, rows = guarded(60)
    grouped = Dataset(tuple(replace(row, group=str(n % 3)) for n, row in enumerate(rows)))
    report = train(task, grouped, tmp_path / "model")
    assert report.folds == 3
    assert "by 3-fold cross-validation" in report.summary()


def test_a_temperature_makes_overconfident_scores_honest() -> None:
    draw = np.random.default_rng(0)
    true = draw.normal(size=(4000, 3))
    shares = softmax(true)
    labels = np.array([draw.choice(3, p=row) for row in shares])
    calibration = temperature(true * 10, labels)
    assert calibration.scale[0] == pytest.approx(0.1, rel=0.1)


def test_two_labels_and_tags_get_a_shift_of_their_own() -> None:
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(4000, 1))
    there = draw.random((4000, 1)) < 1 / (1 + np.exp(-(2 * scores + 1)))
    tags = sigmoids(scores, there)
    assert tags.scale[0] == pytest.approx(2.0, rel=0.1)
    assert tags.shift[0] == pytest.approx(1.0, rel=0.2)
    two = temperature(np.hstack([np.zeros((4000, 1)), scores]), there[:, 0].astype(np.int64))
    assert two.shift.tolist() == [0.0, pytest.approx(tags.shift[0])]


def test_much_work_has_one_candidate_and_little_has_several() -> None:
    assert len(candidates(has_text=True, work=1_000_000)) == 1
    assert len(candidates(has_text=True, work=1_000)) > 1


def test_labels_are_told_apart_by_type() -> None:
    assert encode([1, 2, None], [2, 1, None]).tolist() == [1, 0, 2]
    with pytest.raises(KeyError):
        encode([True], [1, 2])


def test_names_are_categories_and_prose_is_text() -> None:
    task, rows = leads()
    counted = Counted([row.input for row in rows], task.inputs)
    assert counted.categories == ("job", "member", "seen")
    few = Counted([row.input for row in rows[:3]], task.inputs)
    assert "job" in few.texts


def test_no_text_at_all_is_fine() -> None:
    task, _ = everything(40)
    empty = Counted(["", " "], task.inputs)
    assert empty.fit(np.arange(2)).width == 0


def blocked(package: str, code: str) -> str:
    """What running `code` says where a package is not installed."""
    script = f"import sys; sys.modules[{package!r}] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1]


def test_a_missing_extra_is_named() -> None:
    assert "pip install 'decider-sdk[train]'" in blocked("sklearn", "import decider.learn.train")
    assert "pip install 'decider-sdk[local]'" in blocked("numpy", "import decider.engines.local")


def test_other_missing_modules_are_not_mistaken_for_the_extra() -> None:
    assert "decider-sdk" not in blocked("decider.model.joint", "import decider.engines.local")


def test_the_sample_rows_are_what_they_seem() -> None:
    assert tickets(3) == tickets(3)
