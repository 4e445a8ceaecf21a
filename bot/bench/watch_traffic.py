"""Made-up traffic for the emotion watch: cases and upset cases by hour, with all that is usual.

Volume goes by hour and weekday; the share of upset customers differs by topic, hour and weekday,
and scatters from day to day more than chance alone would have it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hourly = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What to make: topics with volumes falling as 1/rank."""

    topics: int = 46
    cases_a_day: float = 2740.0
    days: int = 90
    # Standard deviation of a day's common effect on the log-odds of a topic.
    daily: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Cases and upset cases; all (topics, hours)."""

    cases: Hourly
    upset: Hourly
    # The chance of an upset case.
    share: Hourly


def make(traffic: Traffic, draw: np.random.Generator) -> Made:
    """One run of traffic."""
    hours = 24 * traffic.days
    hour = np.arange(hours)
    of_day, weekday = hour % 24, (hour // 24) % 7
    volume = 1 / np.arange(1, traffic.topics + 1)
    volume *= traffic.cases_a_day / volume.sum() / 24
    wave = np.maximum(0.05, 1 + 0.9 * np.sin(2 * np.pi * (of_day - 8) / 24))
    wave *= np.where(weekday < 5, 1.15, 0.625)
    cases = draw.poisson(volume[:, None] * wave)
    base = draw.uniform(np.log(0.05 / 0.95), np.log(0.5 / 0.5), traffic.topics)
    odds = (
        base[:, None]
        + 0.2 * np.sin(2 * np.pi * (of_day - 20) / 24)
        + draw.normal(0, 0.15, (traffic.topics, 7))[:, weekday]
        + np.repeat(draw.normal(0, traffic.daily, (traffic.topics, traffic.days)), 24, axis=1)
    )
    share = 1 / (1 + np.exp(-odds))
    return Made(
        cases=cases.astype(np.float64),
        upset=draw.binomial(cases, share).astype(np.float64),
        share=share,
    )


def shifted(made: Made, topic: int, start: int, *, times: float, draw: np.random.Generator) -> Made:
    """The same traffic, where one topic's share is so many times what it was from an hour on."""
    upset = made.upset.copy()
    share = np.minimum(0.95, made.share[topic, start:] * times)
    upset[topic, start:] = draw.binomial(made.cases[topic, start:].astype(np.int64), share)
    return Made(cases=made.cases, upset=upset, share=made.share)
