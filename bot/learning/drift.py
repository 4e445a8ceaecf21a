"""Drift: whether the last day, or week, of messages is unlike the weeks before.

What is usual is learned from the days themselves, which differ from each other more than chance
alone would have them differ: weekends, campaigns. A day is measured against all other days by
the same statistic as each of those, and its bound is the prediction interval that they give. A
week is measured against the weeks before, and its bound is what the same days give when they are
dealt out by lot (a permutation test over days). Intent mixes are compared by the divergence of
Jensen and Shannon (Lin 1991), in bits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.log.drift_blocks import Block

Floats = NDArray[np.float64]
# (sums of the one side, sums of the other, days of each) -> statistic, row by row
Statistic = Callable[[Floats, Floats, int, int], Floats]

DAYS = 28  # looked back, besides the last one
WEEK = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftTerms:
    """The bounds; both were set by simulation, see tests/unit/bot/learning/test_drift.py."""

    # Below so many turns a day says nothing of its mix.
    least_turns: int = 50
    # With fewer days there is no saying what is usual.
    least_days: int = 6
    least_days_for_week: int = 14
    # By chance in one look at one kind. Looks are hourly and mostly at the same turns: about one
    # false alarm in three months of looks at everything.
    alpha_day: float = 0.0003
    alpha_intent: float = 0.0001
    alpha_week: float = 0.001
    permutations: int = 4_000
    # The least spread of a logarithm that is believed: days that were alike by chance.
    least_spread: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The last day first; a mean embedding of a day, None where there is none."""

    blocks: Sequence[Block]
    embeddings: Sequence[Floats | None] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What a look came to."""

    model_version: str | None
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alarms(self) -> list[str]:
        """The kinds of drift that were found, with the stretch they were found in."""
        return [
            f"{kind} ({scale})"
            for kind, scales in self.figures.items()
            for scale in ("day", "week")
            if scales.get(scale, {}).get("alarm")
        ]

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "model_version": self.model_version,
            "alarm": bool(self.alarms),
            "alarms": self.alarms,
            "figures": self.figures,
        }


def look(days: Days, terms: DriftTerms, *, seed: int = 0) -> Drift:
    """Measure the last day and week against the days before; the same days give the same."""
    recent = days.blocks[0]
    version = recent.version
    if recent.turns < terms.least_turns:
        reason = f"only {recent.turns} turns in the last day"
        return Drift(model_version=version, figures={"all": {"skipped": reason}})
    draw = np.random.default_rng(seed)
    # Another version understands the same messages in another way.
    same = [
        block
        for block in days.blocks
        if block.turns >= terms.least_turns and block.version == version
    ]
    figures: dict[str, Any] = {}
    if len(same) <= terms.least_days:
        reason = f"{version} answers for {len(same)} days, which does not say what is usual"
        for kind in ("intents", "one_intent", "confidence", "out_of_scope"):
            figures[kind] = {"skipped": reason}
    else:
        figures["intents"] = _of_mixes(same, terms, draw)
        figures["one_intent"] = _of_single(same, terms)
        figures["confidence"] = _of_means(_confidences(same), terms, draw)
        figures["out_of_scope"] = _of_means(_fallbacks(same), terms, draw)
    vectors = [vector for vector in days.embeddings if vector is not None]
    if not days.embeddings or days.embeddings[0] is None:
        figures["embedding"] = {"skipped": "nothing was embedded"}
    elif len(vectors) <= terms.least_days:
        figures["embedding"] = {"skipped": f"only {len(vectors)} days with messages"}
    else:
        figures["embedding"] = _of_vectors(np.stack(vectors), terms, draw)
    return Drift(model_version=version, figures=figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """A figure of each day, the last first, and the error that chance gives one of them."""

    values: Floats  # (days,)
    shown: Callable[[float], float]  # the figure as a person knows it
    chance: float


def _confidences(blocks: Sequence[Block]) -> Means:
    values = np.array([np.mean(block.confidences or [0.0]) for block in blocks])
    # As days usually spread: the last one's own spread would hide that it is another.
    within = np.mean([np.std(block.confidences or [0.0]) for block in blocks[1:]])
    chance = float(within / np.sqrt(max(1, len(blocks[0].confidences))))
    return Means(values=values, shown=lambda value: round(value, 4), chance=chance)


def _fallbacks(blocks: Sequence[Block]) -> Means:
    """Rates as angles (arcsine of the root): their spread does not hang on the rate."""
    values = np.arcsin(np.sqrt([block.fallbacks / block.turns for block in blocks]))
    return Means(
        values=values,
        shown=lambda value: round(float(np.sin(value) ** 2), 4),
        chance=0.5 / float(np.sqrt(blocks[0].turns)),
    )


def _of_means(means: Means, terms: DriftTerms, draw: np.random.Generator) -> dict[str, Any]:
    """A day beyond what the others let one expect, on either side; a week likewise."""
    from scipy.stats import t

    values, others = means.values, means.values[1:]
    spread = max(float(np.std(others, ddof=1)), means.chance)
    wide = spread * np.sqrt(1 + 1 / len(others))
    away = abs(float(values[0] - others.mean()))
    least = float(t.isf(terms.alpha_day / 2, len(others) - 1)) * wide
    figures: dict[str, Any] = {
        "day": {
            "recent": means.shown(float(values[0])),
            "usual": means.shown(float(others.mean())),
            "statistic": round(float(away / wide), 3),
            "bound": round(float(least / wide), 3),
            "alarm": bool(away > least),
        }
    }

    def distance(one: Floats, other: Floats, of_one: int, of_other: int) -> Floats:
        apart: Floats = np.abs(one[:, 0] / of_one - other[:, 0] / of_other)
        return apart

    return figures | _of_week(values[:, None], distance, terms, draw)


def _of_mixes(
    blocks: Sequence[Block], terms: DriftTerms, draw: np.random.Generator
) -> dict[str, Any]:
    names = sorted({name for block in blocks for name in block.intents})
    counts = np.array([[block.intents[name] for name in names] for block in blocks])
    # As many of each day: the fewer there are, the further a mix is from the others by chance.
    least = int(counts.sum(axis=1).min())
    thinned = np.stack([draw.multivariate_hypergeometric(row, least) for row in counts])
    figures = _of_distances(thinned.astype(np.float64), _divergence, terms, draw)
    usual = counts[1:].sum(axis=0) / counts[1:].sum()
    change = counts[0] / counts[0].sum() - usual
    most = sorted(zip(change.tolist(), names, strict=True), key=lambda one: -abs(one[0]))[:5]
    figures["changed"] = {name: round(by, 4) for by, name in most}
    return figures


def _of_single(blocks: Sequence[Block], terms: DriftTerms) -> dict[str, Any]:
    """The intent whose share left what its days let one expect the furthest.

    One among many: the chance of an alarm is shared out among them (Bonferroni).
    """
    from scipy.stats import t

    names = sorted({name for block in blocks for name in block.intents})
    shares = np.array([[block.intents[name] / block.turns for name in names] for block in blocks])
    angles = np.arcsin(np.sqrt(shares))  # (days, intents)
    others = angles[1:]
    chance = 0.5 / np.sqrt(blocks[0].turns)
    wide = np.maximum(others.std(axis=0, ddof=1), chance) * np.sqrt(1 + 1 / len(others))
    away = np.abs(angles[0] - others.mean(axis=0)) / wide
    bound = float(t.isf(terms.alpha_intent / 2 / len(names), len(others) - 1))
    most = int(away.argmax())
    return {
        "intent": names[most],
        "day": {
            "recent": round(float(shares[0, most]), 4),
            "usual": round(float(shares[1:, most].mean()), 4),
            "statistic": round(float(away[most]), 3),
            "bound": round(bound, 3),
            "alarm": bool(away[most] > bound),
        },
    }


def _of_vectors(vectors: Floats, terms: DriftTerms, draw: np.random.Generator) -> dict[str, Any]:
    def distance(one: Floats, other: Floats, of_one: int, of_other: int) -> Floats:
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosine: Floats = (one * other).sum(axis=1) / np.maximum(norms, 1e-12)
        return 1 - cosine

    return _of_distances(vectors, distance, terms, draw)


def _of_distances(
    rows: Floats, distance: Statistic, terms: DriftTerms, draw: np.random.Generator
) -> dict[str, Any]:
    """A day that is further from the others than they are from each other; a week likewise."""
    from scipy.stats import t

    alone = np.eye(len(rows))[1:]
    among = rows[1:].sum(axis=0)
    each = distance(alone @ rows, among - alone @ rows, 1, len(rows) - 2)
    last = float(distance(rows[:1], among[None, :], 1, len(rows) - 1)[0])
    logs = np.log(np.maximum(each, 1e-12))
    spread = max(float(np.std(logs, ddof=1)), terms.least_spread)
    wide = spread * np.sqrt(1 + 1 / len(logs))
    bound = float(np.exp(logs.mean() + float(t.isf(terms.alpha_day, len(logs) - 1)) * wide))
    figures: dict[str, Any] = {
        "day": {
            "usual": round(float(np.exp(logs.mean())), 5),
            "statistic": round(last, 5),
            "bound": round(bound, 5),
            "alarm": bool(last > bound),
        }
    }
    return figures | _of_week(rows, distance, terms, draw)


def _of_week(
    rows: Floats, distance: Statistic, terms: DriftTerms, draw: np.random.Generator
) -> dict[str, Any]:
    """The last seven days against the others, and seven days by lot against the others."""
    if len(rows) < terms.least_days_for_week:
        return {}
    total = rows.sum(axis=0)
    dice = draw.random((terms.permutations, len(rows)))
    # The seven least of each throw: (permutations, days)
    lots = (dice.argsort(axis=1).argsort(axis=1) < WEEK).astype(np.float64)
    week = rows[:WEEK].sum(axis=0)[None, :]
    others = len(rows) - WEEK
    last = float(distance(week, total - week, WEEK, others)[0])
    dealt = distance(lots @ rows, total - lots @ rows, WEEK, others)
    bound = float(np.quantile(dealt, 1 - terms.alpha_week))
    return {
        "week": {
            "usual": round(float(np.median(dealt)), 5),
            "statistic": round(last, 5),
            "bound": round(bound, 5),
            "alarm": bool(last > bound),
        }
    }


def _divergence(one: Floats, other: Floats, of_one: int, of_other: int) -> Floats:
    """Of Jensen and Shannon, in bits, between mixes of counts, row by row."""
    left = one / one.sum(axis=1, keepdims=True)
    right = other / other.sum(axis=1, keepdims=True)
    middle = (left + right) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = [
            np.where(side > 0, side * np.log2(side / middle), 0.0).sum(axis=1)
            for side in (left, right)
        ]
    divergence: Floats = (bits[0] + bits[1]) / 2
    return divergence
