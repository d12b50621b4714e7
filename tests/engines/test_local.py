"""The local engine: valid answers with honest probabilities, and nothing of training at answer time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, model_validator

from decider.decider import Decider
from decider.decision import Decision, Request
from decider.engines.local import LocalEngine
from decider.errors import InvalidDecision, ModelError, SpecError
from decider.learn.features import stack
from decider.learn.train import train
from decider.model import folder
from decider.task import Task
from decider.testing import check_engine
from model.samples import Guarded, everything, guarded, tickets

Decide = Callable[..., Decision[Any]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    train(*everything(160), path / "everything")
    train(*guarded(160), path / "guarded")
    return path


def decider_of(output: type[BaseModel], path: Path) -> Decider[Any]:
    return Decider(Task(output, name=path.name, finetuned={"model": str(path)}), mode="finetuned")


def test_it_answers_with_calibrated_probabilities(models: Path, decide: Decide) -> None:
    decision = decide(decider_of(everything()[0].output, models / "everything"), "refund of an invoice please")
    assert decision.output.team == "billing"
    assert decision.output.tags == ["money"]
    team = decision.fields["team"]
    assert (team.source, team.calibrated) == ("local", True)
    assert team.probability == max(team.probabilities.values())  # type: ignore[union-attr]  # a local answer has them
    assert decision.confidence is not None
    assert team.probability is not None
    assert 0.0 < decision.confidence <= team.probability
    assert (decision.mode, decision.engine, decision.model) == ("finetuned", "local", "everything")
    assert decision.attempts == 1


def test_no_answer_ever_breaks_the_schema(models: Path) -> None:
    decider = decider_of(Guarded, models / "guarded")
    texts = [str(row["input"]) + f" immediately {n}" for n, row in enumerate(tickets(2000, seed=9))]
    decisions = list(decider.decide_many(texts, on_error="raise"))
    assert all(not (one.output.team == "login" and one.output.urgent) for one in decisions)
    assert {one.output.team for one in decisions} == {"billing", "login", "bug"}


def test_a_schema_that_accepts_nothing_is_an_invalid_decision(models: Path, decide: Decide) -> None:
    class Never(Guarded):
        @model_validator(mode="after")
        def never(self) -> Never:
            raise ValueError("no")

    with pytest.raises(InvalidDecision, match="accepts no record: of the most probable .* 2000 at most were tried"):
        decide(decider_of(Never, models / "guarded"), "refund")


def test_labels_equal_our_own_weights_evaluated_plainly(models: Path) -> None:
    task, rows = everything(160)
    decider = decider_of(task.output, models / "everything")
    model = folder.load(models / "everything", task=task)
    x = stack([model.features.vector(row.input) for row in rows], model.features.width)
    scores = x @ model.heads.weights.astype(np.float64) + model.heads.bias
    for n, row in enumerate(rows):
        fields = decider.decide(row.input).fields
        for field in model.heads.fields:
            start = model.heads.starts[field.path]
            part = scores[n, start : start + len(field.labels)]
            if field.kind == "tags":
                assert fields[field.path].value == [
                    label for label, one in zip(field.labels, part, strict=True) if one >= 0
                ]
            else:
                assert fields[field.path].value == field.labels[int(part.argmax())]


def test_ten_threads_get_the_answers_of_one(models: Path) -> None:
    decider = decider_of(everything()[0].output, models / "everything")
    texts = [str(row["input"]) for row in tickets(100, seed=5)]
    alone = [decider.decide(text).output for text in texts]
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(lambda text: decider.decide(text).output, texts)) == alone


def test_it_keeps_the_contract_of_an_engine(models: Path) -> None:
    task, _ = everything()
    engine = LocalEngine(task=task, path=models / "everything")
    check_engine(engine, Request(input="refund", fields=task.fields), Request(input="", fields=task.fields[:2]))
    assert engine.identity.startswith("local:")


def test_a_missing_model_says_how_to_make_one(models: Path, tmp_path: Path) -> None:
    task = everything()[0]
    with pytest.raises(
        SpecError, match=r"finetuned.model is missing; train one \(decider train SPEC DATA -o models/e\)"
    ):
        Decider(Task(task.output, name="e"), mode="finetuned").decide("x")
    with pytest.raises(SpecError, match="there is no model at .*nowhere; train one"):
        decider_of(task.output, tmp_path / "nowhere").decide("x")
    with pytest.raises(ModelError, match="is not of the task 'guarded'"):
        decider_of(task.output, models / "guarded").decide("x")


def test_answering_loads_neither_scikit_learn_nor_scipy_nor_openai(models: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from model.samples import Guarded\n"
        "from decider import Decider, Task\n"
        "task = Task(Guarded, name='guarded', finetuned={'model': sys.argv[2]})\n"
        "assert Decider(task, mode='finetuned').decide('refund').output.team == 'billing'\n"
        "print(sorted({'sklearn', 'scipy', 'openai', 'instructor', 'asyncio'} & set(sys.modules)))\n"
    )
    tests = str(Path(__file__).parents[1])
    said = subprocess.run(
        [sys.executable, "-c", code, tests, str(models / "guarded")], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
