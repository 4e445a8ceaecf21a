"""Who is signed in: sessions by the hash of their cookie, and the counts that slow guessing.

A name's wrong passwords are counted in the database, so that the pause holds in every gateway. It
is never longer than a quarter of an hour, and it does not hold for networks that the person has
signed in from before: guessing from elsewhere locks nobody out of their work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from bot.log.tables import agent as _agent
from bot.log.tables import session as _session

Row = dict[str, Any]

FREE_TRIES = 5
FIRST_PAUSE_S = 15
LONGEST_PAUSE_S = 900
# After so long without a wrong password the count starts anew.
FORGIVEN_AFTER = timedelta(days=1)
KNOWN_NETWORKS = 8
ONE_TIME_FOR = timedelta(days=7)
MOST_SESSIONS = 20
# Requests that were on their way when the cookie changed still come with the old one.
GRACE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a session lasts: without a click, and at most."""

    idle: timedelta
    longest: timedelta
    rotate_every: timedelta = timedelta(minutes=15)
    seen_every: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """A password that is about to be looked at, or the seconds until one may be."""

    agent_id: str | None
    password_hash: str | None = None
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A right password: the hash it was checked against, one made anew, and whence it came."""

    agent_id: str
    password_hash: str | None
    renewed_hash: str | None
    network: str


def pause_after(failed: int) -> float:
    """Seconds in which no password is looked at, after so many wrong ones in a row."""
    if failed < FREE_TRIES:
        return 0.0
    return float(min(FIRST_PAUSE_S * 2 ** min(failed - FREE_TRIES, 16), LONGEST_PAUSE_S))


def begin_try(connection: Connection, *, name: str, network: str, now: datetime) -> Try:
    """Count a try before its password is looked at: many at once are counted as well.

    `network` is a hash. Unknown names give a Try without agent.
    """
    row = connection.execute(
        select(
            _agent.c.id,
            _agent.c.password_hash,
            _agent.c.failed_sign_ins,
            _agent.c.locked_until,
            _agent.c.known_networks,
        )
        .where(_agent.c.name == name, _agent.c.disabled_at.is_(None))
        .with_for_update()
    ).one_or_none()
    if row is None:
        return Try(agent_id=None)
    if network in (row.known_networks or []):
        return Try(agent_id=row.id, password_hash=row.password_hash)
    failed, until = row.failed_sign_ins, row.locked_until
    if until is not None and until > now:
        return Try(agent_id=row.id, pause_s=(until - now).total_seconds())
    if until is not None and now - until > FORGIVEN_AFTER:
        failed = 0
    failed += 1
    connection.execute(
        update(_agent)
        .where(_agent.c.id == row.id)
        .values(failed_sign_ins=failed, locked_until=now + timedelta(seconds=pause_after(failed)))
    )
    return Try(agent_id=row.id, password_hash=row.password_hash)


def admit(connection: Connection, entry: Entry, *, now: datetime) -> bool:
    """Note a right password; False when it is over, or was changed meanwhile.

    One that must be changed is good for a week: it may lie in a mailbox.
    """
    row = connection.execute(
        select(_agent.c.known_networks)
        .where(
            _agent.c.id == entry.agent_id,
            _agent.c.disabled_at.is_(None),
            _agent.c.password_hash == entry.password_hash,
            or_(
                _agent.c.must_change_password.is_(False),
                _agent.c.password_changed_at > now - ONE_TIME_FOR,
            ),
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    known = [entry.network, *(one for one in row.known_networks or [] if one != entry.network)]
    values: Row = {
        "known_networks": known[:KNOWN_NETWORKS],
        "failed_sign_ins": 0,
        "locked_until": None,
    }
    if entry.renewed_hash is not None:
        values["password_hash"] = entry.renewed_hash
    connection.execute(update(_agent).where(_agent.c.id == entry.agent_id).values(**values))
    return True


def open_session(connection: Connection, row: Row) -> None:
    """Keep a new session; who has very many loses the one seen longest ago."""
    connection.execute(insert(_session), row)
    kept = (
        select(_session.c.id)
        .where(_session.c.agent_id == row["agent_id"])
        .order_by(_session.c.seen_at.desc(), _session.c.id.desc())
        .limit(MOST_SESSIONS)
    )
    connection.execute(
        delete(_session).where(
            _session.c.agent_id == row["agent_id"], _session.c.id.not_in(kept.scalar_subquery())
        )
    )


def find(connection: Connection, *, key_hash: str, now: datetime, terms: Terms) -> Row | None:
    """The session of a cookie, with its agent's columns; None when it is over or there is none."""
    of_cookie = or_(
        _session.c.key_hash == key_hash,
        and_(
            _session.c.previous_hash == key_hash,
            or_(_session.c.previous_until.is_(None), _session.c.previous_until > now),
        ),
    )
    return _open(connection, of_cookie, now, terms)


def find_by_id(connection: Connection, *, id_: str, now: datetime, terms: Terms) -> Row | None:
    """The same session whatever its cookie is by now; None when it is over."""
    return _open(connection, _session.c.id == id_, now, terms)


def _open(
    connection: Connection, which: ColumnElement[bool], now: datetime, terms: Terms
) -> Row | None:
    row = (
        connection.execute(
            select(
                _session,
                _agent.c.name,
                _agent.c.role,
                _agent.c.locale,
                _agent.c.theme,
                _agent.c.must_change_password,
            )
            .join(_agent, _agent.c.id == _session.c.agent_id)
            .where(
                which,
                _agent.c.disabled_at.is_(None),
                _session.c.expires_at > now,
                _session.c.seen_at > now - terms.idle,
            )
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else dict(row)


def change(connection: Connection, *, id_: str, key_hash: str, values: Row) -> bool:
    """Change a session whose cookie is still that of `key_hash`; False when it is not."""
    changed = connection.execute(
        update(_session)
        .where(_session.c.id == id_, _session.c.key_hash == key_hash)
        .values(**values)
    )
    return bool(changed.rowcount)


def end(connection: Connection, *, key_hash: str) -> str | None:
    """End the session of a cookie, also of one that was rotated; returns whose it was."""
    row = connection.execute(
        select(_session.c.id, _session.c.agent_id).where(
            or_(_session.c.key_hash == key_hash, _session.c.previous_hash == key_hash)
        )
    ).first()
    if row is None:
        return None
    connection.execute(delete(_session).where(_session.c.id == row.id))
    return str(row.agent_id)


def end_one(connection: Connection, *, agent_id: str, id_: str) -> bool:
    """End one session of a person; False when it is not theirs or over."""
    ended = connection.execute(
        delete(_session).where(_session.c.id == id_, _session.c.agent_id == agent_id)
    )
    return bool(ended.rowcount)


def end_all(connection: Connection, *, agent_id: str, but: str | None = None) -> int:
    """End a person's sessions, but the one with the id `but`; returns how many."""
    which = _session.c.agent_id == agent_id
    if but is not None:
        which = and_(which, _session.c.id != but)
    return int(connection.execute(delete(_session).where(which)).rowcount)


def open_of(connection: Connection, *, agent_id: str, now: datetime, terms: Terms) -> list[Row]:
    """A person's sessions that are not over, the one seen last first."""
    rows = connection.execute(
        select(
            _session.c.id,
            _session.c.created_at,
            _session.c.seen_at,
            _session.c.network,
            _session.c.user_agent,
        )
        .where(
            _session.c.agent_id == agent_id,
            _session.c.expires_at > now,
            _session.c.seen_at > now - terms.idle,
        )
        .order_by(_session.c.seen_at.desc(), _session.c.id.desc())
    )
    return [dict(row) for row in rows.mappings()]


def forget(connection: Connection, *, now: datetime, idle: timedelta) -> int:
    """Drop what is over; returns how many."""
    over = or_(_session.c.expires_at <= now, _session.c.seen_at <= now - idle)
    return int(connection.execute(delete(_session).where(over)).rowcount)
