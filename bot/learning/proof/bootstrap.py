"""Paired bootstrap intervals: texts are drawn anew, each with what both models made of it.

Efron, Annals of Statistics 1979; percentile intervals. Texts that count alike are drawn together:
so many of each kind, by one multinomial draw, which is the same and needs no index a text.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Draws = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Challenger minus champion, with the interval of that."""

    champion: float
    challenger: float
    low: float
    high: float
    # Share of the draws in which the challenger is no better, and no worse.
    no_gain: float
    no_loss: float

    @property
    def delta(self) -> float:
        return self.challenger - self.champion

    def as_json(self) -> dict[str, float]:
        """Its figures, rounded."""
        return {
            "champion": round(self.champion, 4),
            "challenger": round(self.challenger, 4),
            "delta": round(self.delta, 4),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How the bootstrap draws."""

    draws: int
    seed: int
    level: float = 0.95

    def counts(self, kinds: Ints) -> Draws:
        """So many texts of each kind, in each draw: (draws, kinds)."""
        total = int(kinds.sum())
        drawn = np.random.default_rng(self.seed).multinomial(total, kinds / total, size=self.draws)
        return drawn.astype(np.float64)

    def difference(self, point: tuple[float, float], draws: tuple[Draws, Draws]) -> Difference:
        """A difference from the value of each side and from its values in the draws."""
        gap = draws[1] - draws[0]  # (draws,)
        tail = (1 - self.level) / 2
        low, high = np.quantile(gap, [tail, 1 - tail])
        return Difference(
            champion=point[0],
            challenger=point[1],
            low=float(low),
            high=float(high),
            no_gain=float((gap <= 0).mean()),
            no_loss=float((gap >= 0).mean()),
        )


def accuracy(truth: Ints, champion: Ints, challenger: Ints, how: Resampling) -> Difference:
    """Of the share of right guesses; all (texts,)."""
    sides = np.stack([champion == truth, challenger == truth], axis=1)  # (texts, 2)
    kinds, counts = np.unique(sides, axis=0, return_counts=True)
    drawn = how.counts(counts) @ kinds / len(truth)  # (draws, 2)
    point = sides.mean(axis=0)
    return how.difference((float(point[0]), float(point[1])), (drawn[:, 0], drawn[:, 1]))


def macro_f1(truth: Ints, champion: Ints, challenger: Ints, how: Resampling) -> Difference:
    """Of the mean F1 over the labels of the truth; all (texts,), -1 for a label unknown.

    Labels that only a guess names are left out: one stray guess would count as much as a label
    with a hundred texts, and two sides that guess different ones could not be compared.
    """
    triples, counts = np.unique(
        np.stack([truth, champion, challenger], axis=1), axis=0, return_counts=True
    )
    labels = np.unique(truth)
    weights = how.counts(counts)
    is_truth = (triples[:, :1] == labels).astype(np.float64)  # (kinds, labels)
    support = weights @ is_truth  # (draws, labels)
    points, draws = [], []
    for column in (1, 2):
        is_guess = (triples[:, column : column + 1] == labels).astype(np.float64)
        right = is_truth * is_guess
        points.append(_mean_f1(*(counts[None] @ part for part in (right, is_truth, is_guess)))[0])
        draws.append(_mean_f1(weights @ right, support, weights @ is_guess))
    return how.difference((float(points[0]), float(points[1])), (draws[0], draws[1]))


def span_f1(champion: Ints, challenger: Ints, how: Resampling) -> Difference:
    """Of the micro F1 of entities; each (texts, 3): right, found and annotated ones of a text."""
    both = np.concatenate([champion, challenger], axis=1)
    kinds, counts = np.unique(both, axis=0, return_counts=True)
    drawn = how.counts(counts) @ kinds  # (draws, 6)
    point = both.sum(axis=0, dtype=np.float64)[None]
    left, right = ((_f1(point[:, at : at + 3]), _f1(drawn[:, at : at + 3])) for at in (0, 3))
    return how.difference((float(left[0][0]), float(right[0][0])), (left[1], right[1]))


def _mean_f1(right: Draws, support: Draws, guessed: Draws) -> Draws:
    """Over the labels that a draw holds: each (draws, labels)."""
    both = support + guessed
    scores = np.divide(2 * right, both, out=np.zeros_like(both, dtype=np.float64), where=both > 0)
    there = support > 0
    found: Draws = np.where(there, scores, 0).sum(axis=1) / np.maximum(1, there.sum(axis=1))
    return found


def _f1(counts: Draws) -> Draws:
    right, both = 2 * counts[:, 0], counts[:, 1] + counts[:, 2]
    found: Draws = np.divide(right, both, out=np.zeros(len(counts)), where=both > 0)
    return found
