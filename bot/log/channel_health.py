"""How each channel does, without a word that was said: when it was last heard of, what waits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Integer, cast, func, select

from bot.log import tables

_message = tables.message
_outbox = tables.outbox

HOURS = 24
_WAITING = ("queued", "failed")


@dataclass(slots=True, kw_only=True)
class ChannelHealth:
    """One channel. `hourly` has the messages of the last HOURS hours, oldest first."""

    last_in: datetime | None = None
    last_out: datetime | None = None
    hourly_in: list[int] = field(default_factory=lambda: [0] * HOURS)
    hourly_out: list[int] = field(default_factory=lambda: [0] * HOURS)
    queued: int = 0
    oldest_queued: datetime | None = None
    failed: int = 0
    oldest_failed: datetime | None = None
    last_error: str | None = None  # the platform's or our own reason
    last_error_at: datetime | None = None


def channels_seen(connection: Connection) -> list[str]:
    """The channels that messages came or went through, by name.

    From one name to the next by the index: the messages are too many to look at.
    """
    found: list[str] = []
    while True:
        query = select(func.min(_message.c.channel))
        if found:
            query = query.where(_message.c.channel > found[-1])
        name = connection.execute(query).scalar()
        if name is None:
            return found
        found.append(name)


def health_of(
    connection: Connection, channels: Sequence[str], *, now: datetime
) -> dict[str, ChannelHealth]:
    """The health of each channel."""
    found = {name: ChannelHealth() for name in channels}
    for name, health in found.items():
        health.last_in = _last(connection, name, "in")
        health.last_out = _last(connection, name, "out")
        health.hourly_in = _hourly(connection, name, "in", now)
        health.hourly_out = _hourly(connection, name, "out", now)
    waiting = connection.execute(
        select(_outbox.c.channel, _outbox.c.state, func.count(), func.min(_outbox.c.created_at))
        .where(_outbox.c.state.in_(_WAITING))
        .group_by(_outbox.c.channel, _outbox.c.state)
    )
    for channel, state, count, oldest in waiting:
        one = found.setdefault(channel, ChannelHealth())
        if state == "queued":
            one.queued, one.oldest_queued = count, oldest
        else:
            one.failed, one.oldest_failed = count, oldest
    for name, health in found.items():
        if health.queued or health.failed:
            health.last_error, health.last_error_at = _last_error(connection, name)
    return found


def _last(connection: Connection, channel: str, direction: str) -> datetime | None:
    return connection.execute(
        select(_message.c.created_at)
        .where(_message.c.channel == channel, _message.c.direction == direction)
        .order_by(_message.c.created_at.desc())
        .limit(1)
    ).scalar()


def _hourly(connection: Connection, channel: str, direction: str, now: datetime) -> list[int]:
    """Messages of each of the last HOURS hours, oldest first; the last is the hour until now."""
    since = now - timedelta(hours=HOURS)
    # Seconds since 1970 in whole hours before now: each database has its own word for seconds.
    if connection.dialect.name == "postgresql":
        seconds: Any = func.extract("epoch", now - _message.c.created_at)
        ago: Any = func.floor(seconds / 3600)
    else:
        at = cast(func.strftime("%s", _message.c.created_at), Integer)
        ago = (int(now.timestamp()) - at) // 3600
    rows = connection.execute(
        select(ago.label("ago"), func.count())
        .where(
            _message.c.channel == channel,
            _message.c.direction == direction,
            _message.c.created_at > since,
        )
        .group_by("ago")
    )
    counts = [0] * HOURS
    for hours_ago, count in rows:
        place = HOURS - 1 - int(hours_ago)
        if 0 <= place < HOURS:
            counts[place] += count
    return counts


def _last_error(connection: Connection, channel: str) -> tuple[str | None, datetime | None]:
    row = connection.execute(
        select(_outbox.c.error, _outbox.c.created_at)
        .where(
            _outbox.c.state.in_(_WAITING),
            _outbox.c.channel == channel,
            _outbox.c.error.is_not(None),
        )
        .order_by(_outbox.c.created_at.desc())
        .limit(1)
    ).first()
    return (None, None) if row is None else (row.error, row.created_at)
