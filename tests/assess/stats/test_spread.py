"""How numbers are spread, against what can be counted by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from decider.assess.stats.spread import Spread


def spread(*values: float) -> Spread:
    found = Spread.of(Counter(values))
    assert found is not None
    return found


def test_percentiles_are_of_the_nearest_rank() -> None:
    found = spread(*range(1, 101))
    assert (found.least, found.median, found.p95, found.most) == (1, 50, 95, 100)
    assert (found.count, found.total) == (100, 5050)
    assert found.to_json() == {"min": 1, "median": 50, "p95": 95, "max": 100, "total": 5050}


def test_one_number_is_all_of_them_and_none_has_no_spread() -> None:
    assert spread(7).to_json() == {"min": 7, "median": 7, "p95": 7, "max": 7, "total": 7}
    assert Spread.of({}) is None


@pytest.mark.parametrize(
    ("values", "start", "width"),
    [((3, 18), 0, 1), ((90, 100), 90, 1), ((-50, 500), -60, 20), ((4, 4), 4, 1), ((0,), 0, 1), ((7, 1500), 0, 50)],
)
def test_bins_have_edges_that_can_be_read(values: tuple[float, ...], start: float, width: float) -> None:
    first, each, counts = spread(*values).bins()
    assert (first, each) == pytest.approx((start, width))
    assert sum(counts) == len(values)


def test_the_last_bin_holds_what_lies_far_beyond() -> None:
    found = Spread.of({10: 999, 5000: 1})
    assert found is not None
    start, width, counts = found.bins()
    assert start + width * len(counts) < 20
    assert counts[-1] == 1000
