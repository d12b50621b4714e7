"""Rows that belong together, also through each other."""

from __future__ import annotations

import random

import pytest

from decider.data.joined import Joined


@pytest.mark.parametrize("seed", range(5))
def test_a_set_is_known_by_its_least_row_whatever_the_order_of_pairs(seed: int) -> None:
    pairs = [(9, 4), (4, 7), (1, 3), (2, 2)]
    random.Random(seed).shuffle(pairs)
    joined = Joined(range(10))
    for pair in pairs:
        joined.join(*pair)
    assert [joined.root(row) for row in range(10)] == [0, 1, 2, 1, 4, 5, 6, 4, 8, 4]
    assert joined.blocks() == {0: [0], 1: [1, 3], 2: [2], 4: [4, 7, 9], 5: [5], 6: [6], 8: [8]}


def test_a_row_that_is_none_of_them_is_refused() -> None:
    with pytest.raises(KeyError):
        Joined([1, 2]).root(3)
