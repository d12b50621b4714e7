"""Labels that are wrong: how many of a field, and how probably each, by the scores of models that had not seen them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from decider.learn.calibrate import temperature
from decider.model.heads import sigmoid, softmax

_USUAL = 1.0 / 30.0
"""The share of wrong labels that is assumed before looking: the mean of ten well-known test sets is 3.3 % (Northcutt,
Athalye and Mueller, "Pervasive label errors in test sets destabilize machine learning benchmarks", 2021)."""

_ROWS = 60.0
"""How many rows that assumption weighs as much as."""

_STARTS = ((0.0, 0.01), (0.4, 0.05), (0.6, 0.15))
"""Where the search begins, there being local minima: the logarithm of a further scale, the share of random labels."""

_MOST = 10_000
"""Two or three numbers are fitted; no more rows than this are needed for them."""

_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What the labels of one field are made of: `share` of them are random, the others come from the input.

    `shares` is (rows, labels): how probable each label is by the input alone, without the label that was given.
    `random` is (labels): how probable each is where it is random.
    """

    shares: NDArray[np.float64]
    share: float
    random: NDArray[np.float64]

    def wrong(self, labels: NDArray[np.int64], share: float | None = None) -> NDArray[np.float64]:
        """Return the probability that each of the given labels, one a row, is wrong.

        It is what Bayes' rule makes of both: that the label is random, and not the right one by chance. One row of
        doubt is left, as `model.heads` leaves it, so that few rows make nothing certain. `share` takes the place of the
        field's own where some rows are more or less trusted.
        """
        share = self.share if share is None else share
        by_input = (self.shares[np.arange(labels.size), labels] * labels.size + self.random[labels]) / (labels.size + 1)
        random = share * self.random[labels]
        wrong: NDArray[np.float64] = random * (1.0 - by_input) / ((1.0 - share) * by_input + random)
        return wrong

    def share_of(self, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
        """Return the share of random labels among some rows; of few rows, it is nearly that of all."""
        by_input = self.shares[rows, labels[rows]]
        random = self.random[labels[rows]]

        def loss(share: float) -> float:
            return float(-np.log((1.0 - share) * by_input + share * random + _TINY).sum()) + _before(share, self.share)

        return float(minimize_scalar(loss, bounds=(1e-6, 0.9), method="bounded").x)


def noise_of(
    scores: NDArray[np.float64], labels: NDArray[np.int64], random: NDArray[np.float64] | None = None, *, seed: int = 0
) -> Noise:
    """Fit calibration and noise together, on `scores` (rows, labels) of rows held out and the labels given to them.

    A label that is random and one that is merely hard to tell look alike to plain calibration, which then makes every
    probability too modest. So the scores are calibrated first (`learn.calibrate`), and then the scale, of two labels
    the shift as well, and the share of random labels are those that make the given labels most probable. Without
    `random`, each label that is there is as probable as the other where it is random. Errors that follow the input,
    such as of two labels that everybody confuses, are not random, and count as hard to tell.
    """
    calibration = temperature(scores, labels)
    calibrated = calibration.apply(scores)
    size = scores.shape[1]
    random = _any(labels, size) if random is None else random
    some = np.random.default_rng(seed).permutation(labels.size)[:_MOST]
    sample, given = calibrated[some], labels[some]

    def loss(parameters: NDArray[np.float64]) -> float:
        by_input = softmax(_scaled(sample, parameters))[np.arange(given.size), given]
        share = float(sigmoid(parameters[1]))
        likely = np.log((1.0 - share) * by_input + share * random[given] + _TINY).mean()
        return float(-likely) + _before(share, _USUAL) / labels.size

    starts = [[scale, np.log(share / (1.0 - share)), *([0.0] if size == 2 else [])] for scale, share in _STARTS]
    options = {"xatol": 0.02, "fatol": 1e-6, "maxiter": 200}
    tried = [minimize(loss, np.array(start), method="Nelder-Mead", options=options) for start in starts]
    best = min(tried, key=lambda one: float(one.fun)).x
    return Noise(shares=softmax(_scaled(calibrated, best)), share=float(sigmoid(best[1])), random=random)


def _any(labels: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Each of the labels that are there alike."""
    there = np.bincount(labels, minlength=size) > 0
    alike: NDArray[np.float64] = there / there.sum()
    return alike


def _scaled(scores: NDArray[np.float64], parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    shift = np.array([0.0, parameters[2]]) if parameters.size > 2 else 0.0
    scaled: NDArray[np.float64] = scores * np.exp(parameters[0]) + shift
    return scaled


def _before(share: float, usual: float) -> float:
    """The log loss of a share of wrong labels by what is assumed of it before looking: a beta distribution."""
    return float(-_ROWS * (usual * np.log(share + _TINY) + (1.0 - usual) * np.log(1.0 - share + _TINY)))
