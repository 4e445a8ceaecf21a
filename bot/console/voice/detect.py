"""Finds the topics in which customers are upset more often than chance allows: numbers only.

Each topic's last 24 hours are held against the same 24 hours of the weeks before. The reasons for
the method are in docs/adr/0011-emotion-watch.md; `kefu bench watch` measures what it does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, ndtr

from bot.log.voice_alerts import WINDOWS

LOOKS_A_MONTH = 30 * 24

# A look less careful than its share of the budget: the windows of looks an hour apart overlap by
# 23 hours, so their false alarms come together. `kefu bench watch` shows what is left of it.
_OVERLAP = 3.0
_MIN_CASES = 20
_MIN_UPSET = 8
_MIN_WEEKS = 3
_MIN_RISE = 0.05
_MIN_RATIO = 1.3
# Days that a rise which has just begun may have reached tell nothing of the usual scatter.
_RECENT = 3
# As much as so many windows: what all topics together say of the scatter in one.
_POOLED = 20.0
_PRIOR_CASES = 5.0
# What counts as over: no more than this would be by chance, or the rise is small.
_OVER_P = 0.05

Counts = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at all topics; arrays are (topics,)."""

    cases: Counts
    upset: Counts
    # The share of upset cases that was to be expected.
    expected: Counts
    p_values: Counts
    # Where an alarm is due, and where one that was given is over.
    raised: Flags
    over: Flags


def look(cases: Counts, upset: Counts, *, false_alarms: float) -> Look:
    """Judge the windows (topics, WINDOWS), newest first; each is a day long.

    false_alarms: how many are accepted in 30 days of hourly looks, all topics together.
    """
    assert cases.shape == upset.shape == (len(cases), WINDOWS)
    now_cases, now_upset = cases[:, 0], upset[:, 0]
    same_cases, same_upset = cases[:, 7::7], upset[:, 7::7]  # (topics, weeks)
    before, before_upset = same_cases.sum(axis=1), same_upset.sum(axis=1)
    overall = upset[:, 1:].sum() / max(1.0, cases[:, 1:].sum())
    own = _ratio(upset[:, 1:].sum(axis=1) + overall, cases[:, 1:].sum(axis=1) + 1.0)
    expected = (before_upset + _PRIOR_CASES * own) / (before + _PRIOR_CASES)
    rho = _scatter(cases, upset)
    p_values = _tails(now_cases, now_upset, expected, _with_doubt(now_cases, same_cases, rho))
    share = _ratio(now_upset, now_cases)
    is_known = (same_cases > 0).sum(axis=1) >= _MIN_WEEKS
    is_enough = (now_cases >= _MIN_CASES) & (now_upset >= _MIN_UPSET) & is_known
    is_rise = (share >= expected + _MIN_RISE) & (share >= expected * _MIN_RATIO)
    p_values = np.where(is_enough, p_values, 1.0)
    alpha = _OVERLAP * false_alarms / LOOKS_A_MONTH
    return Look(
        cases=now_cases,
        upset=now_upset,
        expected=expected,
        p_values=p_values,
        raised=_false_discovery(p_values, alpha) & is_rise,
        over=(p_values > _OVER_P) | (share < expected + _MIN_RISE / 2),
    )


def _scatter(cases: Counts, upset: Counts) -> Counts:
    """How much cases of a day are alike: the intraclass correlation rho of a beta-binomial.

    By moments, around each weekday's own share, and drawn towards what all topics show.
    """
    old_cases, old_upset = cases[:, 1 + _RECENT :], upset[:, 1 + _RECENT :]
    squares = np.zeros(len(cases))
    freedom = np.zeros(len(cases))
    weight = np.zeros(len(cases))
    for weekday in range(7):
        n, x = old_cases[:, weekday::7], old_upset[:, weekday::7]
        total = n.sum(axis=1)
        share = _ratio(x.sum(axis=1), total)[:, None]
        spread = n * share * (1 - share)
        known = spread > 0.5
        chi = np.where(known, (x - n * share) ** 2 / np.where(known, spread, 1.0), 0.0)
        count = known.sum(axis=1)
        kept = np.maximum(count - 1, 0)
        # One degree of freedom went into the share.
        squares += np.where(count > 1, chi.sum(axis=1), 0.0)
        freedom += kept
        mean = _ratio(np.where(known, n, 0.0).sum(axis=1), np.maximum(count, 1))
        weight += kept * np.maximum(mean - 1, 0.0)
    raw = _ratio(squares - freedom, weight)
    told = raw[weight > 0]
    # The median: one wild topic says nothing of the others.
    pooled = max(0.0, float(np.median(told))) if len(told) else 0.0
    own = np.maximum(0.0, raw)
    return (freedom * own + _POOLED * pooled) / (freedom + _POOLED)


def _with_doubt(cases: Counts, same_cases: Counts, rho: Counts) -> Counts:
    """The scatter of the window around the expected share, which is itself only an estimate."""
    known = same_cases > 0
    # Each window before says 1 / variance; (topics, weeks)
    says = np.where(known, same_cases / (1 + np.maximum(same_cases - 1, 0) * rho[:, None]), 0.0)
    n = np.maximum(cases, 2.0)
    variance = (1 + (n - 1) * rho) / n + 1 / np.maximum(says.sum(axis=1), 1.0)
    doubtful: Counts = np.clip((n * variance - 1) / (n - 1), 1e-6, 0.9)
    return doubtful


def _tails(cases: Counts, upset: Counts, share: Counts, rho: Counts) -> Counts:
    """P(so many upset or more) of a beta-binomial, exact where it is small."""
    n = np.maximum(cases, 1.0)
    deviation = np.sqrt(n * share * (1 - share) * (1 + (n - 1) * rho))
    scores = _ratio(upset - 0.5 - n * share, deviation)
    tails = np.asarray(ndtr(-scores), dtype=np.float64)
    for index in np.flatnonzero(scores > 1.5):
        tails[index] = _tail(int(cases[index]), int(upset[index]), share[index], rho[index])
    return tails


def _tail(n: int, least: int, share: float, rho: float) -> float:
    if least > n:
        return 0.0
    alpha, beta = share * (1 - rho) / rho, (1 - share) * (1 - rho) / rho
    x = np.arange(least, n + 1, dtype=np.float64)
    logs = (
        gammaln(n + 1)
        - gammaln(x + 1)
        - gammaln(n - x + 1)
        + betaln(x + alpha, n - x + beta)
        - betaln(alpha, beta)
    )
    return float(min(1.0, np.exp(logs).sum()))


def _false_discovery(p_values: Counts, alpha: float) -> Flags:
    """Benjamini and Hochberg's step-up procedure (1995)."""
    order = np.argsort(p_values)
    ranks = np.arange(1, len(p_values) + 1)
    passed = np.flatnonzero(p_values[order] <= alpha * ranks / max(1, len(p_values)))
    raised = np.zeros(len(p_values), dtype=np.bool_)
    if len(passed):
        raised[order[: passed[-1] + 1]] = True
    return raised


def _ratio(above: Counts, below: Counts) -> Counts:
    share: Counts = np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
    return share
