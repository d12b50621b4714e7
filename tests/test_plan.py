"""Plans: which steps a mode takes, and what stands in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, create_model

from decider.decider import Decider
from decider.errors import SpecError
from decider.plan import MODES, not_yet, obstacles, steps_of
from decider.task import Task


class Mixed(BaseModel):
    team: Literal["a", "b"]
    why: str


def with_options(count: int, letters: int) -> Task[Any]:
    options: Any = Literal[tuple(f"{n:0{letters}}" for n in range(count))]
    return Task(create_model("Many", label=(options, ...)), name="many", prompt={"model": "m"})


def test_prompt_asks_everything_and_finetuned_asks_what_it_cannot_learn(tmp_path: Path) -> None:
    task = Task(Mixed, name="t", prompt={"model": "m"}, finetuned={"model": str(tmp_path)})
    assert [(step.engine, [field.path for field in step.fields]) for step in steps_of(task, "prompt")] == [
        ("chat", ["team", "why"])
    ]
    assert [(step.engine, [field.path for field in step.fields]) for step in steps_of(task, "finetuned")] == [
        ("local", ["team"]),
        ("chat", ["why"]),
    ]


def test_every_obstacle_is_told_at_once() -> None:
    task = Task(Mixed, name="t")
    assert [one.message for one in obstacles(task, "finetuned")] == [
        "finetuned.model is missing",
        "prompt.model is missing",
    ]
    with pytest.raises(SpecError) as caught:
        steps_of(task, "finetuned")
    assert len(str(caught.value).splitlines()) == 2
    with pytest.raises(SpecError, match=r"prompt\.model is missing; name the model to ask"):
        steps_of(task, "prompt")


def test_several_unsupported_keys_are_told_at_once() -> None:
    task = Task(Mixed, name="t", cache={"ttl": "1d"}, log={"folder": "log"})
    assert [one.message.split()[0] for one in not_yet(task)] == ["cache", "log"]
    with pytest.raises(SpecError) as caught:
        Decider(task)
    assert "cache is not supported in this version; remove it" in str(caught.value)
    assert len(caught.value.also) == 1


def test_limits_of_strict_schemas_bind_the_prompt_alone(tmp_path: Path) -> None:
    for task, says in [
        (with_options(1001, 4), "a strict schema takes 1000 options in all, and the task has 1001, most of them here"),
        (
            with_options(251, 60),
            "has 251 options of 15060 letters; above 250 options a strict schema takes 15000 letters",
        ),
    ]:
        (problem,) = obstacles(task, "prompt")
        assert problem.message == says
        assert problem.field == "label"
        assert "use mode: finetuned" in str(problem)
    fine = Task(with_options(1001, 4).output, name="many", finetuned={"model": str(tmp_path)})
    assert obstacles(fine, "finetuned") == []
    assert obstacles(with_options(251, 59), "prompt") == []


def test_too_many_fields_are_told() -> None:
    fields: Any = {f"f{n}": (bool, ...) for n in range(5001)}
    task = Task(create_model("Wide", **fields), name="wide", prompt={"model": "m"})
    assert any(
        "the task has 5001 fields; a strict schema takes 5000" in one.message for one in obstacles(task, "prompt")
    )


def test_a_model_beyond_the_folder_is_told(tmp_path: Path) -> None:
    task = Task(Mixed, name="t", folder=tmp_path, finetuned={"model": "../model"})
    assert "leads out of the spec's folder" in obstacles(task, "finetuned")[0].message


def test_modes_are_two() -> None:
    assert MODES == ("prompt", "finetuned")
