"""`kefu bench watch`: how often the emotion watch cries wolf, and how soon it sees one."""

from collections import defaultdict
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

from bot.bench.report import emit, machine, progress
from bot.bench.watch_traffic import Made, Traffic, make, shifted
from bot.console.voice import detect
from bot.log.voice_alerts import WINDOWS

DAY = 24
_BEFORE = WINDOWS * DAY
_COOLDOWN_H = 24
# Where the power is given: topics with at least so many cases a day, and such a share before.
BUSY = 150.0
SHARE = 0.2
# Smaller topics are not tried: the watch asks for 20 cases.
LEAST = 35.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """What steady traffic gave."""

    alarms: int
    months: int
    # Months of all topics together.
    series_months: int

    @property
    def a_month(self) -> float:
        """False alarms in 30 days, all topics together."""
        return self.alarms / self.months


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One injected rise: how busy the topic was, its share before, the hours until the alarm."""

    cases_a_day: float
    share: float
    found_h: int | None


class _Sums:
    """Windows of a day, newest first, that end at any hour."""

    def __init__(self, made: Made) -> None:
        self._cases, self._upset = (
            np.concatenate([np.zeros((len(hourly), 1)), hourly.cumsum(axis=1)], axis=1)
            for hourly in (made.cases, made.upset)
        )

    def look(self, end: int, false_alarms: float) -> detect.Look:
        """The look at the end of an hour."""
        edges = end - DAY * np.arange(WINDOWS + 1)
        return detect.look(
            _between(self._cases, edges), _between(self._upset, edges), false_alarms=false_alarms
        )


def _between(sums: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = sums[:, edges[:-1]] - sums[:, edges[1:]]
    return found


def steady(*, months: int, seed: int, false_alarms: float, traffic: Traffic) -> Steady:
    """Count the alarms of hourly looks at months of traffic in which nothing happens."""
    draw = np.random.default_rng(seed)
    days = WINDOWS + 30 * months
    made = make(Traffic(topics=traffic.topics, cases_a_day=traffic.cases_a_day, days=days), draw)
    sums = _Sums(made)
    alarms = 0
    is_open = np.zeros(traffic.topics, dtype=np.bool_)
    closed_at = np.full(traffic.topics, -_COOLDOWN_H)
    for hour in range(_BEFORE, days * DAY):
        found = sums.look(hour, false_alarms)
        new = found.raised & ~is_open & (hour - closed_at >= _COOLDOWN_H)
        alarms += int(new.sum())
        is_open |= new
        over = is_open & found.over
        closed_at[over] = hour
        is_open &= ~over
    return Steady(alarms=alarms, months=months, series_months=months * traffic.topics)


def trials(
    *, runs: int, seed: int, false_alarms: float, traffic: Traffic, times: float = 2.0
) -> list[Trial]:
    """Let the share of one topic rise at some hour, each topic in turn, and wait for a day."""
    found = []
    for run in range(runs):
        draw = np.random.default_rng([seed, run])
        days = WINDOWS + 5
        made = make(
            Traffic(topics=traffic.topics, cases_a_day=traffic.cases_a_day, days=days), draw
        )
        for topic in range(traffic.topics):
            share = float(made.upset[topic].sum() / max(1.0, made.cases[topic].sum()))
            a_day = float(made.cases[topic].sum() / days)
            # A share that can double, of a topic with enough cases to tell.
            if share > 0.45 or a_day < LEAST:
                continue
            start = _BEFORE + 2 * DAY + int(draw.integers(0, DAY))
            sums = _Sums(shifted(made, topic, start, times=times, draw=draw))
            hit = next(
                (
                    hour - start
                    for hour in range(start + 1, start + DAY + 1)
                    if sums.look(hour, false_alarms).raised[topic]
                ),
                None,
            )
            found.append(Trial(cases_a_day=a_day, share=share, found_h=hit))
    return found


def power(found: list[Trial], *, busy: float = BUSY, share: float = SHARE) -> float:
    """The part of the rises that were found within the day, of busy topics with some share."""
    fit = [one for one in found if one.cases_a_day >= busy and one.share >= share]
    return sum(one.found_h is not None for one in fit) / max(1, len(fit))


def by_size(found: list[Trial]) -> dict[str, str]:
    """The power by cases a day and share before: `found of tried, median hours`."""
    cells: dict[tuple[int, int], list[Trial]] = defaultdict(list)
    for one in found:
        volume = next(low for low in (300, 150, 75, 0) if one.cases_a_day >= low)
        share = next(low for low in (30, 20, 10, 0) if one.share * 100 >= low)
        cells[volume, share].append(one)
    shown = {}
    for (volume, share), tried in sorted(cells.items(), reverse=True):
        hits = [one.found_h for one in tried if one.found_h is not None]
        after = f", after {np.median(hits):.0f} h" if hits else ""
        shown[f">= {volume or LEAST:.0f} cases a day, >= {share} % upset"] = (
            f"{len(hits)} of {len(tried)}{after}"
        )
    return shown


@click.command()
@click.option("--years", type=click.IntRange(1), default=10, show_default=True, help="Steady ones.")
@click.option("--runs", type=click.IntRange(1), default=60, show_default=True, help="With rises.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def watch(*, years: int, runs: int, as_json: bool) -> None:
    """False alarms in steady traffic, and the power to find a doubling within a day."""
    traffic, false_alarms = Traffic(), 0.25
    calm = []
    for year in range(years):
        progress(f"steady year {year + 1} of {years}")
        calm.append(steady(months=12, seed=year, false_alarms=false_alarms, traffic=traffic))
    progress("rises")
    found = trials(runs=runs, seed=7, false_alarms=false_alarms, traffic=traffic)
    alarms, months = sum(one.alarms for one in calm), sum(one.months for one in calm)
    report: dict[str, object] = {
        "bench": "watch",
        "machine": machine(),
        "ratios": {},
        "figures": {
            "topics": traffic.topics,
            "cases_a_day": traffic.cases_a_day,
            "series_months": sum(one.series_months for one in calm),
            "false_alarms": alarms,
            "false_alarms_per_30_days": round(alarms / months, 3),
            "rises": len(found),
            "power_within_a_day": round(power(found), 3),
            "power_is_of": f"topics with {BUSY:.0f} cases a day or more, {SHARE:.0%} upset or more",
            "found": by_size(found),
        },
    }
    emit(report, as_json=as_json)
