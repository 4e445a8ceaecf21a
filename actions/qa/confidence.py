"""How likely the first pair found is the right one: logistic regression on score and margins."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actions.understanding import FloatArray

DEPTH = 4  # scores that are looked at
_STEPS = 25  # of Newton's method; it has settled after about ten
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """Turns the best scores of a search into a probability.

    A high score alone says little: a question can be near to many pairs. That the first pair
    stands clear of the second and of the fourth says more.
    """

    intercept: float
    weights: tuple[float, ...]  # of the best score, its lead on the second, its lead on the fourth

    def of(self, best: Sequence[float]) -> float:
        """The probability for the best scores of one search, largest first."""
        row = np.zeros((1, DEPTH), dtype=np.float32)
        row[0, : len(best[:DEPTH])] = best[:DEPTH]
        return float(self.of_many(row)[0])

    def of_many(self, best: FloatArray) -> FloatArray:
        """The probabilities for many searches: (queries, DEPTH) -> (queries,)."""
        logits = _features(best) @ np.asarray(self.weights) + self.intercept
        return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)


# Of a store too small to measure.
DEFAULT = Confidence(intercept=-4.0, weights=(6.0, 8.0, 4.0))


def fit_confidence(
    best: FloatArray, right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> Confidence:
    """Fits by Newton's method; best: (queries, DEPTH), right and weights: (queries,)."""
    if right.all() or not right.any():
        return DEFAULT
    features = _features(best)
    scale = features.std(axis=0) + 1e-9
    x = np.c_[np.ones(len(features)), features / scale]  # (queries, 1 + features)
    ridge = _RIDGE * np.diag([0.0] + [1.0] * features.shape[1])
    beta = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (weights * (right - p)) - ridge @ beta
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + ridge
        beta = beta + np.linalg.solve(hessian, gradient)
    return Confidence(intercept=float(beta[0]), weights=tuple(float(b) for b in beta[1:] / scale))


def _features(best: FloatArray) -> NDArray[np.float64]:
    first = best[:, 0].astype(np.float64)
    columns = (first, first - best[:, 1], first - best[:, DEPTH - 1])
    return np.stack(columns, axis=1)  # (queries, 3)
