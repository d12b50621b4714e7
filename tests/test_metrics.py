"""Measures against values worked out by hand, and against their definitions."""

from __future__ import annotations

import pytest

from decider.metrics import accuracy, corrected_interval, expected_calibration_error, macro_f1, percentile, wilson


def test_accuracy_and_macro_f1_by_hand() -> None:
    truth, guess = ["a", "a", "b", "c"], ["a", "b", "b", "d"]
    assert accuracy(truth, guess) == 0.5
    # a: 2·1/(2+1), b: 2·1/(1+2), c and d: 0
    assert macro_f1(truth, guess) == pytest.approx((2 / 3 + 2 / 3 + 0 + 0) / 4)


def test_wilson_by_hand() -> None:
    low, high = wilson(50, 100)
    assert [low, high] == pytest.approx([0.4038, 0.5962], abs=1e-4)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0


def test_calibration_error_is_the_gap_by_bin() -> None:
    assert expected_calibration_error([0.75] * 4, [True, True, True, False]) == pytest.approx(0.0)
    assert expected_calibration_error([1.0, 1.0, 0.0, 0.0], [True, False, False, False]) == pytest.approx(0.25)


def test_corrected_interval_is_wider_than_the_naive_one() -> None:
    mean, low, high = corrected_interval([0.1, 0.2, 0.3], tested=20, trained=80, quantile=4.303)
    assert mean == pytest.approx(0.2)
    # variance 0.01, (1/3 + 1/4) of it
    assert high - mean == pytest.approx(4.303 * (0.01 * (1 / 3 + 1 / 4)) ** 0.5)
    assert low == pytest.approx(2 * mean - high)


def test_percentiles_are_interpolated() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([1.0, 2.0], 75) == 1.75
    assert percentile([5.0], 95) == 5.0


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: accuracy([], []),
        lambda: macro_f1(["a"], ["a", "b"]),
        lambda: wilson(2, 1),
        lambda: wilson(0, 0),
        lambda: corrected_interval([0.1], tested=1, trained=1, quantile=2.0),
        lambda: percentile([], 50),
        lambda: percentile([1.0], 101),
    ],
)
def test_misuse_is_a_value_error(misuse: object) -> None:
    with pytest.raises(ValueError, match="."):
        misuse()  # type: ignore[operator]  # each is a function of nothing
