"""Tests and intervals for two models that were asked the same texts.

Of such texts only those count that one model has right and the other wrong: `gained` are right
with the challenger alone, `lost` with the champion alone.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm, rankdata

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Better = Literal["challenger", "champion", "either"]

BINS = 15  # of confidence, as in nlu/calibration.py


def mcnemar(gained: int, lost: int, *, better: Better, mid: bool = False) -> float:
    """The p-value of so uneven a split if neither model were better than the other.

    `better` is whom the test is to find better. The exact test (McNemar, Psychometrika 1947) keeps
    its level whatever the data; its mid-p form (Fagerland, Lydersen and Laake, BMC Medical Research
    Methodology 2013) misses fewer differences, and passes the level a little with few texts.
    """
    if min(gained, lost) < 0:
        raise ValueError(f"counts cannot be negative: {gained} gained, {lost} lost")
    total = gained + lost
    if total == 0:
        return 1.0
    if better == "either":
        larger = max(gained, lost)
        tail = float(binom.sf(larger - 1, total, 0.5))
        if mid:
            tail -= 0.5 * float(binom.pmf(larger, total, 0.5))
        return min(1.0, 2 * tail)
    won = gained if better == "challenger" else lost
    tail = float(binom.sf(won - 1, total, 0.5))
    return tail - 0.5 * float(binom.pmf(won, total, 0.5)) if mid else tail


def not_worse(gained: int, lost: int, *, n: int, margin: float) -> float:
    """The p-value of "the challenger's accuracy is lower by `margin` or more"; small: it is not.

    The score test for a difference of paired proportions of Tango, Statistics in Medicine 1998:
    it holds its level in small samples, where Wald's does not.
    """
    if n == 0:
        return 1.0
    if not 0 < margin < 1:
        raise ValueError(f"margin {margin} is not between 0 and 1")
    edge = -margin
    a = 2.0 * n
    b = -gained - lost + (2 * n - gained + lost) * edge
    c = -lost * edge * (1 - edge)
    # The share of lost texts, were the difference just `edge`, that makes the data most likely.
    share = (-b + math.sqrt(max(0.0, b * b - 4 * a * c))) / (2 * a)
    spread = n * (2 * share + edge * (1 - edge))
    if spread <= 0:
        return 1.0
    return float(norm.sf((gained - lost - n * edge) / math.sqrt(spread)))


def wilson(right: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """The interval of a share (Wilson, Journal of the American Statistical Association 1927)."""
    if n == 0:
        return 0.0, 1.0
    z = float(norm.ppf(0.5 + level / 2))
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the bound is the end itself; rounding is not to put it beside.
    low = 0.0 if right == 0 else middle - half
    high = 1.0 if right == n else middle + half
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The texts whose confidence lies in `low` to `high`."""

    low: float
    high: float
    n: int
    confidence: float  # mean
    accuracy: float


def reliability(confidence: Floats, right: Bools, *, bins: int = BINS) -> list[Bin]:
    """Equally wide bins of confidence that hold any text: both (texts,)."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    found = []
    for number in range(bins):
        inside = bin_of == number
        if inside.any():
            found.append(
                Bin(
                    low=number / bins,
                    high=(number + 1) / bins,
                    n=int(inside.sum()),
                    confidence=float(confidence[inside].mean()),
                    accuracy=float(right[inside].mean()),
                )
            )
    return found


def calibration_error(bins: list[Bin]) -> float:
    """The mean gap of confidence and accuracy (Guo et al., On Calibration, 2017)."""
    total = sum(one.n for one in bins)
    gaps = sum(one.n * abs(one.confidence - one.accuracy) for one in bins)
    return gaps / total if total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """The areas under two ROC curves of the same texts, and the spread of their difference."""

    champion: float
    challenger: float
    error: float  # standard error of the difference

    @property
    def worse_p(self) -> float:
        """The p-value of so large a loss if both areas were the same."""
        loss = self.champion - self.challenger
        if self.error == 0:
            return 1.0 if loss <= 0 else 0.0
        return float(norm.sf(loss / self.error))


def areas(champion: tuple[Floats, Floats], challenger: tuple[Floats, Floats]) -> Areas | None:
    """AUROC of both, each as (scores of positives, of negatives), of the same texts.

    The variance is that of DeLong, DeLong and Clarke-Pearson, Biometrics 1988, by midranks as in
    Sun and Xu, IEEE Signal Processing Letters 2014. None with fewer than two of a kind.
    """
    positives, negatives = len(champion[0]), len(champion[1])
    if min(positives, negatives) < 2:
        return None
    places = [_placements(*side) for side in (champion, challenger)]
    area = [float(of_positives.mean()) for of_positives, _ in places]
    positive = places[0][0] - places[1][0]
    negative = places[0][1] - places[1][1]
    variance = float(positive.var(ddof=1)) / positives + float(negative.var(ddof=1)) / negatives
    return Areas(champion=area[0], challenger=area[1], error=math.sqrt(max(0.0, variance)))


def _placements(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Of each positive the share of negatives below it, of each negative of positives above it."""
    m, n = len(positive), len(negative)
    together = rankdata(np.concatenate([positive, negative]))
    of_positive = (together[:m] - rankdata(positive)) / n
    of_negative = 1 - (together[m:] - rankdata(negative)) / m
    return of_positive, of_negative
