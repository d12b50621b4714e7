"""Best first equals trying everything."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator, model_validator

from decider.model.joint import MOST_TRIES, judge_of, most_probable
from decider.schema import Field, Option
from decider.task import Task

LABELS = ("x", "y", "z")


def field(path: str, kind: Any = "choice") -> Field:
    return Field(path=path, kind=kind, options=tuple(Option(value=label) for label in LABELS))


FIELDS = [field("a"), field("b"), field("t", "tags")]
shares = st.lists(st.integers(1, 99), min_size=3, max_size=3)


def spread(weights: list[int]) -> dict[Any, float]:
    return {label: weight / sum(weights) for label, weight in zip(LABELS, weights, strict=True)}


@given(shares, shares, shares, st.sets(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS), st.integers(0, 3))))
def test_it_is_the_most_probable_of_all_that_are_accepted(
    a: list[int], b: list[int], t: list[int], refused: set[tuple[str, str, int]]
) -> None:
    distributions = {"a": spread(a), "b": spread(b), "t": {label: w / 100 for label, w in zip(LABELS, t, strict=True)}}

    def accepts(values: Mapping[str, Any]) -> bool:
        return (values["a"], values["b"], len(values["t"])) not in refused

    def probability(values: Mapping[str, Any]) -> float:
        return prod(one.probability(values[one.path], distributions[one.path]) for one in FIELDS)

    sets = [[label for n, label in enumerate(LABELS) if pattern >> n & 1] for pattern in range(8)]
    every = [{"a": x, "b": y, "t": z} for x, y, z in product(LABELS, LABELS, sets)]
    allowed = [values for values in every if accepts(values)]
    found = most_probable(FIELDS, distributions, accepts)
    if not allowed:
        assert found is None
    else:
        assert found is not None
        assert accepts(found)
        assert probability(found) == pytest.approx(max(map(probability, allowed)))


def test_without_a_judge_each_field_has_its_own_best() -> None:
    distributions = {"a": spread([1, 8, 1]), "b": spread([9, 1, 1]), "t": {"x": 0.9, "y": 0.4, "z": 0.5}}
    assert most_probable(FIELDS, distributions) == {"a": "y", "b": "x", "t": ["x", "z"]}


def test_it_gives_up_after_so_many_tries() -> None:
    tried = 0

    def accepts(_: Mapping[str, Any]) -> bool:
        nonlocal tried
        tried += 1
        return False

    many = [field(str(n)) for n in range(8)]
    assert most_probable(many, {one.path: spread([1, 2, 3]) for one in many}, accepts) is None
    assert tried == MOST_TRIES


def test_a_rule_that_turns_over_many_tags_is_met() -> None:
    tags = Field(path="t", kind="tags", options=tuple(Option(value=f"tag{n}") for n in range(12)))
    distribution = {label: 0.1 + n / 1000 for n, label in enumerate(tags.labels)}
    found = most_probable([tags], {"t": distribution}, lambda values: len(values["t"]) == 3)
    assert found == {"t": ["tag9", "tag10", "tag11"]}
    assert most_probable([tags], {"t": distribution}, lambda values: "tag0" in values["t"]) == {"t": ["tag0"]}


def test_what_is_impossible_is_tried_last() -> None:
    tried: list[str] = []

    def accepts(values: Mapping[str, Any]) -> bool:
        tried.append(values["a"])
        return False

    assert most_probable([field("a")], {"a": {"x": 0.0, "y": 1.0, "z": 0.0}}, accepts) is None
    assert tried == ["y", "x", "z"]


class Pair(BaseModel):
    a: Literal["x", "y"]
    b: Literal["x", "y"]


class Different(Pair):
    @model_validator(mode="after")
    def differ(self) -> Different:
        if self.a == self.b:
            raise ValueError("a and b differ")
        return self


def test_only_a_schema_with_rules_judges() -> None:
    plain, strict = Task(Pair, name="pair"), Task(Different, name="different")
    assert judge_of(plain, plain.fields) is None
    accepts = judge_of(strict, strict.fields)
    assert accepts is not None
    assert accepts({"a": "x", "b": "y"})
    assert not accepts({"a": "x", "b": "x"})


class Reasoned(Different):
    why: str

    @field_validator("a")
    @classmethod
    def never_y(cls, a: str) -> str:
        if a == "y":
            raise ValueError("a is never y")
        return a

    @model_validator(mode="before")
    @classmethod
    def reads_what_a_part_lacks(cls, said: Any) -> Any:
        return said if said.get("why", "") != "never" else None


def test_of_a_part_only_the_rules_of_its_single_fields_are_asked() -> None:
    task = Task(Reasoned, name="reasoned")
    accepts = judge_of(task, task.fields[:2])
    assert accepts is not None
    assert accepts({"a": "x", "b": "x"})
    assert accepts({"a": "z", "b": "x"}) is False
    assert accepts({"a": "y", "b": "x"}) is False
    shares: dict[str, dict[Any, float]] = {"a": {"x": 0.1, "y": 0.9}, "b": {"x": 0.6, "y": 0.4}}
    assert most_probable(task.fields[:2], shares, accepts) == {"a": "x", "b": "x"}
    assert most_probable(task.fields[:2], {**shares, "a": {"y": 1.0}}, accepts) is None


class Brittle(Pair):
    why: str

    @model_validator(mode="before")
    @classmethod
    def reads_what_a_part_lacks(cls, said: Any) -> Any:
        assert len(said["why"])
        return said


def test_a_rule_that_fails_on_a_part_is_not_in_the_way() -> None:
    task = Task(Brittle, name="brittle")
    accepts = judge_of(task, task.fields[:2])
    assert accepts is not None
    assert accepts({"a": "x", "b": "x"})
