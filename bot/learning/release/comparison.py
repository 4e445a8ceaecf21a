"""An A/B of two versions: each figure on both sides, with interval, significance and in words.

A conversation counts once. Shares: the hybrid score interval of the difference (Newcombe, 1998) and
Fisher's exact test; means: Welch's interval and test. The p-values of all figures are corrected
together (Holm, 1979). It is a test for one look, at a time chosen beforehand.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.learning.release.sides import HARMS, Mean, Side, Sides

LEVEL = 0.05
_Z = 1.959963984540054
# In these more is better.
_MORE_IS_BETTER = frozenset({"rating"})
_WORDS = {
    "fallback": "conversations with a message that was not understood",
    "handoff": "conversations handed to a person because the bot failed",
    "upset": "conversations with an upset customer",
    "bad_rating": "rated conversations with a bad rating",
    "slow": "conversations with a slow turn",
    "error": "conversations with a failed turn",
    "rating": "stars (1 to 5)",
    "understanding_ms": "ms of understanding",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of both sides; `difference` is b minus a, with its 95 % interval."""

    metric: str
    kind: str  # share or mean
    n_a: int
    n_b: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    corrected_p: float = 1.0

    @property
    def words(self) -> str:
        """What it is a figure of."""
        return _WORDS[self.metric]

    @property
    def better(self) -> str | None:
        """The side that is better, `a` or `b`; None while nothing is proven."""
        if self.corrected_p >= LEVEL or self.difference == 0:
            return None
        return "b" if (self.difference > 0) == (self.metric in _MORE_IS_BETTER) else "a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All figures of an A/B, and what they come to."""

    a: str
    b: str
    conversations_a: int
    conversations_b: int
    figures: tuple[Figure, ...]
    conclusion: str

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        figures = [asdict(one) | {"better": one.better} for one in self.figures]
        return asdict(self) | {"figures": figures}


def compare(a: str, b: str, sides: Sides) -> Comparison:
    """Version `a` (the active side) against version `b` (on trial)."""
    figures = _corrected([*_shares(sides.active, sides.trial), *_means(sides.active, sides.trial)])
    return Comparison(
        a=a,
        b=b,
        conversations_a=sides.active.conversations,
        conversations_b=sides.trial.conversations,
        figures=tuple(figures),
        conclusion=_conclusion(figures, a=a, b=b),
    )


def share_difference(x_a: int, n_a: int, x_b: int, n_b: int) -> tuple[float, float, float]:
    """b minus a of two shares with its 95 % interval: Newcombe's hybrid of two Wilson scores."""
    a, b = x_a / n_a, x_b / n_b
    low_a, high_a = _wilson(x_a, n_a)
    low_b, high_b = _wilson(x_b, n_b)
    difference = b - a
    low = difference - math.hypot(b - low_b, high_a - a)
    high = difference + math.hypot(high_b - b, a - low_a)
    return difference, low, high


def _wilson(x: int, n: int) -> tuple[float, float]:
    share = x / n
    middle = share + _Z * _Z / (2 * n)
    reach = _Z * math.sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n))
    whole = 1 + _Z * _Z / n
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)


def _shares(a: Side, b: Side) -> list[Figure]:
    from scipy.stats import fisher_exact

    found = []
    for metric in HARMS:
        rated = metric == "bad_rating"
        n_a, n_b = (a.rated, b.rated) if rated else (a.conversations, b.conversations)
        if not n_a or not n_b:
            continue
        x_a, x_b = a.events[metric], b.events[metric]
        difference, low, high = share_difference(x_a, n_a, x_b, n_b)
        p = float(fisher_exact([[x_a, n_a - x_a], [x_b, n_b - x_b]])[1])
        found.append(
            Figure(
                metric=metric,
                kind="share",
                n_a=n_a,
                n_b=n_b,
                a=x_a / n_a,
                b=x_b / n_b,
                difference=difference,
                low=low,
                high=high,
                p=p,
            )
        )
    return found


def _means(a: Side, b: Side) -> list[Figure]:
    pairs = (
        ("rating", a.rating, b.rating),
        ("understanding_ms", a.understanding_ms, b.understanding_ms),
    )
    return [found for name, x, y in pairs if (found := _mean(name, x, y)) is not None]


def _mean(metric: str, a: Mean, b: Mean) -> Figure | None:
    """Welch's comparison of two means; None while a side has fewer than two values."""
    from scipy.stats import t

    if a.mean is None or b.mean is None or a.deviation is None or b.deviation is None:
        return None
    of_a, of_b = a.deviation**2 / a.n, b.deviation**2 / b.n
    difference, error = b.mean - a.mean, math.sqrt(of_a + of_b)
    if error == 0:
        low = high = difference
        p = 1.0 if difference == 0 else 0.0
    else:
        freedom = (of_a + of_b) ** 2 / (of_a**2 / (a.n - 1) + of_b**2 / (b.n - 1))
        reach = float(t.ppf(1 - LEVEL / 2, freedom)) * error
        low, high = difference - reach, difference + reach
        p = 2 * float(t.sf(abs(difference) / error, freedom))
    return Figure(
        metric=metric,
        kind="mean",
        n_a=a.n,
        n_b=b.n,
        a=a.mean,
        b=b.mean,
        difference=difference,
        low=low,
        high=high,
        p=p,
    )


def _corrected(figures: Sequence[Figure]) -> list[Figure]:
    """The same with Holm's correction, in their own order."""
    from dataclasses import replace

    order = sorted(range(len(figures)), key=lambda index: figures[index].p)
    corrected, least = list(figures), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, figures[index].p * (len(figures) - rank)))
        corrected[index] = replace(figures[index], corrected_p=least)
    return corrected


def _conclusion(figures: Sequence[Figure], *, a: str, b: str) -> str:
    if not figures:
        return "there are no conversations on both sides yet"
    better = {side: [one.words for one in figures if one.better == side] for side in ("a", "b")}
    if not better["a"] and not better["b"]:
        return f"no difference between {a} and {b} is proven"
    said = [
        f"{version} is better in {', '.join(words)}"
        for version, words in ((b, better["b"]), (a, better["a"]))
        if words
    ]
    return "; ".join(said)
