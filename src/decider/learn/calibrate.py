"""Calibration: scores of rows that were not trained on become probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from decider.model.heads import sigmoid, softmax

_PRIOR = 1.0
"""Rows of doubt: how strongly few rows are kept from certainty."""

_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A probability is the softmax (of tags: the sigmoid) of `scale * score + shift`; `loss` is its mean log loss."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    loss: float

    def apply(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calibrated scores."""
        calibrated: NDArray[np.float64] = scores * self.scale + self.shift
        return calibrated


def temperature(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Calibration:
    """Fit one temperature for all labels of a field (Guo et al., "On calibration of modern neural networks", 2017).

    With two labels there is a shift as well, since the two need not be equally frequent (Platt, 1999).
    """
    size = scores.shape[1]
    if size == 2:
        platt = sigmoids(scores[:, 1:] - scores[:, :1], labels[:, None] == 1)
        shift = np.array([0.0, platt.shift[0]])
        return Calibration(scale=np.full(2, platt.scale[0]), shift=shift, loss=platt.loss)

    def loss(log_scale: float) -> float:
        shares = softmax(scores * np.exp(log_scale))
        right = shares[np.arange(labels.size), labels]
        # A prior towards the uniform distribution: the same as `_PRIOR` rows whose label nothing tells.
        return float(-(np.log(right + _TINY).sum() + _PRIOR * np.log(shares + _TINY).mean()) / labels.size)

    best = minimize_scalar(loss, bounds=(-3.0, 4.0), method="bounded")
    return Calibration(scale=np.full(size, np.exp(best.x)), shift=np.zeros(size), loss=float(best.fun))


def sigmoids(scores: NDArray[np.float64], there: NDArray[np.bool_]) -> Calibration:
    """Fit a scale and a shift for each column (Platt, "Probabilistic outputs for support vector machines", 1999)."""
    fitted = [_platt(scores[:, n], there[:, n]) for n in range(scores.shape[1])]
    return Calibration(
        scale=np.array([scale for scale, _, _ in fitted]),
        shift=np.array([shift for _, shift, _ in fitted]),
        loss=float(np.mean([loss for _, _, loss in fitted])),
    )


def _platt(scores: NDArray[np.float64], there: NDArray[np.bool_]) -> tuple[float, float, float]:
    yes = int(there.sum())
    no = there.size - yes
    # Platt's own targets: a label of few rows is never certain.
    target = np.where(there, (yes + 1.0) / (yes + 2.0), 1.0 / (no + 2.0))

    def loss(parameters: NDArray[np.float64]) -> float:
        shares = sigmoid(np.exp(parameters[0]) * scores + parameters[1])
        said = target * np.log(shares + _TINY) + (1 - target) * np.log(1 - shares + _TINY)
        return float(-said.mean())

    best = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-3.0, 4.0), (-12.0, 12.0)])
    return float(np.exp(best.x[0])), float(best.x[1]), float(best.fun)
