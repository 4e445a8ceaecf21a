"""Compares a figure with the period before: by how much it changed, and whether chance would do."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

FEW = 30
ALPHA = 0.05

Hint = Literal["clear", "chance", "few", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """By how much a figure differs from before, and what to think of it.

    `hint` is "clear" where chance alone would seldom do it, "few" where there are too few cases to
    say, and empty where the kind of figure has no test.
    """

    before: float
    delta: float
    hint: Hint

    @property
    def direction(self) -> Literal["up", "down", "same"]:
        """Which way, for who does not see colours."""
        if abs(self.delta) < 1e-9:
            return "same"
        return "up" if self.delta > 0 else "down"


def change_of_share(now: tuple[float, float], before: tuple[float, float]) -> Change | None:
    """Of two shares as (cases, of how many): pooled two-proportion z-test, two-sided."""
    (x, n), (y, m) = now, before
    if n <= 0 or m <= 0:
        return None
    delta = x / n - y / m
    if n < FEW or m < FEW:
        return Change(before=y / m, delta=delta, hint="few")
    return Change(before=y / m, delta=delta, hint=_hint(share_p(now, before)))


def share_p(now: tuple[float, float], before: tuple[float, float]) -> float:
    """The p-value of that test; 1 where nothing varies."""
    (x, n), (y, m) = now, before
    # More handoffs than contacts are possible, if rare.
    pooled = min(1.0, (x + y) / (n + m))
    spread = pooled * (1 - pooled) * (1 / n + 1 / m)
    return 1.0 if spread <= 0 else two_sided((x / n - y / m) / math.sqrt(spread))


def change_of_mean(now: Counter[str], before: Counter[str]) -> Change | None:
    """Of the means of two distributions of scores: Welch's test with the normal's tails."""
    (mean, variance, n), (mean_before, variance_before, m) = _moments(now), _moments(before)
    if n == 0 or m == 0:
        return None
    delta = mean - mean_before
    if n < FEW or m < FEW:
        return Change(before=mean_before, delta=delta, hint="few")
    spread = variance / n + variance_before / m
    p_value = 1.0 if spread <= 0 else two_sided(delta / math.sqrt(spread))
    return Change(before=mean_before, delta=delta, hint=_hint(p_value))


def change_of_count(now: float | None, before: float | None) -> Change | None:
    """Of plain numbers, as a share of what was before; there is no test of it."""
    if now is None or not before:
        return None
    return Change(before=before, delta=now / before - 1, hint="")


def false_discoveries(p_values: dict[str, float], alpha: float = ALPHA) -> set[str]:
    """Whose p-value stands when so many are looked at (Benjamini and Hochberg, 1995)."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    last = 0
    for rank, name in enumerate(ordered, 1):
        if p_values[name] <= alpha * rank / len(ordered):
            last = rank
    return set(ordered[:last])


def two_sided(z: float) -> float:
    """The chance of a normal value at least so far from 0."""
    return math.erfc(abs(z) / math.sqrt(2))


def _hint(p_value: float) -> Hint:
    return "clear" if p_value < ALPHA else "chance"


def _moments(scores: Counter[str]) -> tuple[float, float, int]:
    n = sum(scores.values())
    if n == 0:
        return 0.0, 0.0, 0
    mean = sum(int(score) * count for score, count in scores.items()) / n
    squares = sum(count * (int(score) - mean) ** 2 for score, count in scores.items())
    return mean, squares / max(1, n - 1), n
