"""Measures of decisions: pure functions on plain sequences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import sqrt
from statistics import NormalDist, fmean

_Z = NormalDist().inv_cdf(0.975)


def accuracy(truth: Sequence[Hashable], guess: Sequence[Hashable]) -> float:
    """Return the share of pairs that are equal, in [0, 1]; raises `ValueError` for none, or for unequal lengths."""
    _check(truth, guess)
    return fmean(a == b for a, b in zip(truth, guess, strict=True))


def macro_f1(truth: Sequence[Hashable], guess: Sequence[Hashable]) -> float:
    """Return the mean over the labels of each one's F1; a label that only `guess` has counts as 0."""
    _check(truth, guess)
    right = Counter(a for a, b in zip(truth, guess, strict=True) if a == b)
    there, guessed = Counter(truth), Counter(guess)
    return fmean(2 * right[label] / (there[label] + guessed[label]) for label in there | guessed)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson, 1927)."""
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} of {n} is no share")
    share, z2 = hits / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (middle - half if hits else 0.0), (middle + half if hits < n else 1.0)


def expected_calibration_error(probabilities: Sequence[float], hits: Sequence[bool], *, bins: int = 15) -> float:
    """Return the mean gap between probability and share of hits over bins of equal width (Guo et al., 2017)."""
    _check(probabilities, hits)
    members: dict[int, list[tuple[float, bool]]] = {}
    for p, hit in zip(probabilities, hits, strict=True):
        members.setdefault(min(int(p * bins), bins - 1), []).append((p, hit))
    return sum(abs(sum(p - hit for p, hit in rows)) for rows in members.values()) / len(hits)


def corrected_interval(
    differences: Sequence[float], *, tested: int, trained: int, quantile: float
) -> tuple[float, float, float]:
    """Return mean, low and high of paired differences over cross-validation folds.

    Folds share training rows, so the variance is corrected by `tested / trained`, the rows of one test fold over those
    of its training folds (Nadeau and Bengio, "Inference for the generalization error", 2003). `quantile` is that of
    Student's t with `len(differences) - 1` degrees of freedom, such as 2.776 for 95 % and five folds.
    """
    k = len(differences)
    if k < 2:
        raise ValueError("an interval needs at least two differences")
    mean = fmean(differences)
    variance = sum((one - mean) ** 2 for one in differences) / (k - 1)
    half = quantile * sqrt((1 / k + tested / trained) * variance)
    return mean, mean - half, mean + half


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the percentile of `values`, interpolated between neighbours."""
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"no percentile {percent} of {len(values)} values")
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def _check(one: Sequence[object], other: Sequence[object]) -> None:
    if not one or len(one) != len(other):
        raise ValueError(f"expected two sequences of one length, and got {len(one)} and {len(other)}")
