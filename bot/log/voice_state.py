"""How far the counting is, which gateway is at it, and what it replaces."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, Row, delete, func, or_, select, update

from bot.log import tables, voice_changes
from bot.log.voice_count import Counted, keep, keep_month

_state = tables.voice_state
_turn = tables.turn
_day = tables.voice_day
LEASE = timedelta(minutes=5)
# The watch looks back eight weeks, also when it is tried on the last month.
_HOURS_KEPT = timedelta(days=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A gateway that counts; while its lease lasts no other one does."""

    id: str
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be counted: days in order, and the marks that are done with them."""

    days: list[date]
    marks: list[str]


def claim(connection: Connection, *, holder: Holder) -> bool:
    """Take the counting on, or go on with it; False while another gateway has it."""
    taken = connection.execute(
        update(_state)
        .where(
            or_(
                _state.c.claimed_by == holder.id,
                _state.c.claimed_until.is_(None),
                _state.c.claimed_until < holder.now,
            )
        )
        .values(claimed_by=holder.id, claimed_until=holder.now + LEASE)
    )
    return bool(taken.rowcount)


def release(connection: Connection, *, holder: Holder) -> bool:
    """Let others have it."""
    done = connection.execute(
        update(_state)
        .where(_state.c.claimed_by == holder.id)
        .values(claimed_by=None, claimed_until=None)
    )
    return bool(done.rowcount)


def state(connection: Connection) -> Row[tuple[object, ...]]:
    """The one row."""
    return connection.execute(select(_state)).one()


def first_turn(connection: Connection) -> datetime | None:
    """The moment of the oldest turn; None when there is none."""
    return connection.execute(select(func.min(_turn.c.created_at))).scalar_one_or_none()


def knows(connection: Connection, *, day: date) -> bool:
    """Whether there are figures of a day or of an earlier one."""
    found = select(_day.c.day).where(_day.c.day <= day).limit(1)
    return connection.execute(found).one_or_none() is not None


def start_again(connection: Connection, *, holder: Holder, zone: str) -> bool:
    """Drop what was counted: the days are those of another zone now.

    Days that are frozen stay: their turns are gone.
    """
    if not claim(connection, holder=holder):
        return False
    first = state(connection).frozen_before or date.min
    for begins in (
        tables.voice_day.c.day,
        tables.voice_topic.c.day,
        tables.voice_topic_month.c.month,
        tables.watch_hour.c.day,
    ):
        connection.execute(delete(begins.table).where(begins >= first))
    connection.execute(update(_state).values(zone=zone, counted_to=None))
    return True


def replace_day(connection: Connection, *, holder: Holder, counted: Counted) -> bool:
    """Keep a day's figures; False when another gateway has taken over since."""
    if not claim(connection, holder=holder):
        return False
    frozen_before = state(connection).frozen_before
    # It may have been frozen, and its turns deleted, while it was counted.
    if frozen_before is None or frozen_before <= counted.day:
        keep(connection, counted)
    return True


def replace_month(connection: Connection, *, holder: Holder, month: date) -> bool:
    """Add up a month that is over; False when another gateway has taken over since."""
    if not claim(connection, holder=holder):
        return False
    keep_month(connection, month)
    return True


def finish(
    connection: Connection, *, holder: Holder, counted_to: date, marks: Iterable[str]
) -> bool:
    """The plan is done: days before `counted_to` stay as they are until they are marked."""
    if not claim(connection, holder=holder):
        return False
    voice_changes.forget(connection, list(marks))
    connection.execute(update(_state).values(counted_to=counted_to))
    oldest = counted_to - _HOURS_KEPT
    connection.execute(delete(tables.watch_hour).where(tables.watch_hour.c.day < oldest))
    return True
