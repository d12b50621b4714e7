"""Best first equals trying everything."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decider.model.joint import MOST_TRIES, most_probable
from decider.schema import Field, Option

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
