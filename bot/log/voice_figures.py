"""Reads the figures of a period: by day, by topic, compared by who asks."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    func,
    or_,
    select,
    union_all,
)

from bot.log import tables
from bot.log.voice_count import SCALARS, next_month
from bot.log.voice_labels import ALL, bucket_ms

_day = tables.voice_day
_topic = tables.voice_topic
_month = tables.voice_topic_month
_state = tables.voice_state
TOPIC_COUNTS = ("turns", "fallbacks", "answers", "handoffs")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Whole days, the last one included, of one channel and language or of all."""

    first: date
    last: date
    channel: str | None = None
    # "" asks for conversations whose language nobody knows.
    language: str | None = None

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    def before(self) -> "Period":
        """The period of the same length that ends where this one begins."""
        return Period(
            first=self.first - timedelta(days=self.days),
            last=self.first - timedelta(days=1),
            channel=self.channel,
            language=self.language,
        )


@dataclass(slots=True, kw_only=True)
class Figures:
    """All counts of some days together."""

    counts: Counter[str] = field(default_factory=Counter)
    spread: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, row: RowMapping) -> None:
        """Count a day's row in."""
        for name in SCALARS:
            self.counts[name] += row[name]
        for name, found in row["spread"].items():
            self.spread[name].update(found)

    @property
    def ratings(self) -> int:
        """How many ratings were given."""
        return sum(self.spread["rating"].values())

    @property
    def rating_mean(self) -> float | None:
        """The mean of the ratings, 1 to 5; None without one."""
        total = sum(int(score) * count for score, count in self.spread["rating"].items())
        return total / self.ratings if self.ratings else None

    def percentile_ms(self, name: str, share: float) -> float | None:
        """A percentile of `first_answer` or `person_answer`, off by 9 % at most; None without."""
        buckets = sorted((int(bucket), count) for bucket, count in self.spread[name].items())
        total = sum(count for _, count in buckets)
        rank = share * total
        for bucket, count in buckets:
            rank -= count
            if rank <= 0:
                return bucket_ms(bucket)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The figures of a period: altogether, and by bucket of time, channel and language."""

    total: Figures
    by_time: dict[date, Figures]
    # Counts only.
    by_channel: dict[str, Counter[str]]
    by_language: dict[str, Counter[str]]


def read(connection: Connection, period: Period, *, bucket_days: int = 1) -> Found:
    """The figures of a period, in buckets of so many days from its first."""
    channel = ALL if period.channel is None else period.channel
    language = ALL if period.language is None else period.language
    rows = connection.execute(
        select(_day).where(
            _day.c.day.between(period.first, period.last),
            _day.c.channel == channel,
            _day.c.language == language,
        )
    ).mappings()
    total = Figures()
    by_time: dict[date, Figures] = {
        period.first + timedelta(days=n): Figures() for n in range(0, period.days, bucket_days)
    }
    for row in rows:
        place = (row["day"] - period.first).days // bucket_days * bucket_days
        by_time[period.first + timedelta(days=place)].add(row)
        total.add(row)
    return Found(
        total=total,
        by_time=by_time,
        by_channel=_by(connection, period, _day.c.channel, _day.c.language == language),
        by_language=_by(connection, period, _day.c.language, _day.c.channel == channel),
    )


def _by(
    connection: Connection, period: Period, label: ColumnElement[str], other: ColumnElement[bool]
) -> dict[str, Counter[str]]:
    wanted = period.channel if label is _day.c.channel else period.language
    query = (
        select(label.label("label"), *(func.sum(_day.c[name]).label(name) for name in SCALARS))
        .where(_day.c.day.between(period.first, period.last), other, label != ALL)
        .group_by(label)
    )
    if wanted is not None:
        query = query.where(label == wanted)
    return {
        str(row["label"]): Counter({name: int(row[name]) for name in SCALARS})
        for row in connection.execute(query).mappings()
    }


def topics(connection: Connection, period: Period, labels: Sequence[str]) -> list[Row]:
    """Turns by some of channel, language, intent, emotion and model_version, over a period.

    Whole months that are over are read as months, so a year takes no longer than two months.
    """
    counted_to = connection.execute(select(_state.c.counted_to)).scalar_one()
    first_month = period.first if period.first.day == 1 else next_month(period.first)
    after_last = (period.last + timedelta(days=1)).replace(day=1)
    if counted_to is None or counted_to < after_last:
        after_last = date.min if counted_to is None else counted_to.replace(day=1)
    if after_last <= first_month:
        parts = [_part(_topic, _topic.c.day.between(period.first, period.last), period, labels)]
    else:
        around = or_(
            (_topic.c.day >= period.first) & (_topic.c.day < first_month),
            (_topic.c.day >= after_last) & (_topic.c.day <= period.last),
        )
        months = (_month.c.month >= first_month) & (_month.c.month < after_last)
        parts = [
            _part(_topic, around, period, labels),
            _part(_month, months, period, labels),
        ]
    whole = union_all(*parts).subquery()
    query = select(
        *(whole.c[label] for label in labels),
        *(func.sum(whole.c[name]).label(f"sum_{name}") for name in TOPIC_COUNTS),
    ).group_by(*(whole.c[label] for label in labels))
    return [
        {label: row[label] for label in labels}
        | {name: int(row[f"sum_{name}"]) for name in TOPIC_COUNTS}
        for row in connection.execute(query).mappings()
    ]


def day_rows(connection: Connection, period: Period) -> list[Row]:
    """Every row of a period, in order; those of all channels or languages too."""
    query = (
        select(_day)
        .where(_day.c.day.between(period.first, period.last), *_where(_day, period))
        .order_by(_day.c.day, _day.c.channel, _day.c.language)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def choices(connection: Connection) -> tuple[list[str], list[str]]:
    """The channels and the languages that there are figures of."""
    found = []
    for one in (_day.c.channel, _day.c.language):
        query = select(one).where(one != ALL).distinct()
        found.append([str(row[0]) for row in connection.execute(query)])
    return sorted(found[0]), sorted(found[1])


def _part(
    table: Table, when: ColumnElement[bool], period: Period, labels: Sequence[str]
) -> Select[Any]:
    return (
        select(
            *(table.c[label] for label in labels),
            *(func.sum(table.c[name]).label(name) for name in TOPIC_COUNTS),
        )
        .where(when, *_where(table, period))
        .group_by(*(table.c[label] for label in labels))
    )


def _where(table: Table, period: Period) -> list[ColumnElement[bool]]:
    wanted = []
    if period.channel is not None:
        wanted.append(table.c.channel == period.channel)
    if period.language is not None:
        wanted.append(table.c.language == period.language)
    return wanted
