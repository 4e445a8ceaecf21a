"""Requests to erase in the database: taken up by one process at a time, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, or_, select, update

from bot.log.tables import erasure_request as _request

Kind = Literal["customer", "conversation", "retention"]
# Renewed while a step runs; after it another gateway goes on where this one stopped.
LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """A request as it comes in; `work` is all that the steps need to know of the customer."""

    id: str
    kind: Kind
    actor: str
    target_hash: str
    work: dict[str, Any]
    steps: Sequence[str]
    reason: str | None = None


def add(connection: Connection, *, request: NewRequest, now: datetime) -> str:
    """Keep a request; one of the same target that is under way is the same request.

    Returns the id of the request that is kept.
    """
    earlier = connection.execute(
        select(_request.c.id).where(
            _request.c.target_hash == request.target_hash, _request.c.state == "running"
        )
    ).scalar()
    if earlier is not None:
        return str(earlier)
    connection.execute(
        insert(_request),
        {
            "id": request.id,
            "kind": request.kind,
            "actor": request.actor,
            "reason": request.reason,
            "target_hash": request.target_hash,
            "state": "running",
            "work": request.work,
            "steps": {name: {"state": "open", "tries": 0} for name in request.steps},
            "next_at": now,
            "created_at": now,
        },
    )
    return request.id


def due(connection: Connection, *, now: datetime) -> list[str]:
    """The requests that somebody should take up now, the oldest first."""
    return list(
        connection.execute(
            select(_request.c.id)
            .where(
                _request.c.state == "running",
                _request.c.next_at <= now,
                or_(_request.c.claimed_until.is_(None), _request.c.claimed_until < now),
            )
            .order_by(_request.c.created_at)
        ).scalars()
    )


def claim(connection: Connection, *, id_: str, now: datetime) -> dict[str, Any] | None:
    """Take a request up; None when another has it, or it is done."""
    taken = connection.execute(
        update(_request)
        .where(
            _request.c.id == id_,
            _request.c.state == "running",
            or_(_request.c.claimed_until.is_(None), _request.c.claimed_until < now),
        )
        .values(claimed_until=now + LEASE)
    )
    return read(connection, id_=id_) if taken.rowcount else None


def note(
    connection: Connection,
    *,
    id_: str,
    steps: dict[str, Any],
    work: dict[str, Any],
    now: datetime,
) -> bool:
    """Keep how far it is, and the claim on it."""
    done = connection.execute(
        update(_request)
        .where(_request.c.id == id_, _request.c.state == "running")
        .values(steps=steps, work=work, claimed_until=now + LEASE)
    )
    return bool(done.rowcount)


def hold(connection: Connection, *, id_: str, now: datetime) -> bool:
    """Renew the claim on a request that is being worked on."""
    done = connection.execute(
        update(_request)
        .where(
            _request.c.id == id_,
            _request.c.state == "running",
            _request.c.claimed_until.is_not(None),
        )
        .values(claimed_until=now + LEASE)
    )
    return bool(done.rowcount)


def rest(connection: Connection, *, id_: str, next_at: datetime) -> bool:
    """Let go of a request until its next try."""
    done = connection.execute(
        update(_request)
        .where(_request.c.id == id_, _request.c.state == "running")
        .values(claimed_until=None, next_at=next_at)
    )
    return bool(done.rowcount)


def postpone(connection: Connection, *, id_: str, next_at: datetime) -> bool:
    """Set when a request that nobody is at is due."""
    done = connection.execute(
        update(_request)
        .where(_request.c.id == id_, _request.c.claimed_until.is_(None))
        .values(next_at=next_at)
    )
    return bool(done.rowcount)


def finish(connection: Connection, *, id_: str, report: dict[str, Any], now: datetime) -> bool:
    """Close a request: its report stays, what it knew of the customer goes."""
    done = connection.execute(
        update(_request)
        .where(_request.c.id == id_, _request.c.state == "running")
        .values(state="done", report=report, work=None, claimed_until=None, finished_at=now)
    )
    return bool(done.rowcount)


def drop(connection: Connection, *, id_: str) -> bool:
    """Forget a request, such as a batch of the retention that is through."""
    return bool(connection.execute(delete(_request).where(_request.c.id == id_)).rowcount)


def read(connection: Connection, *, id_: str) -> dict[str, Any] | None:
    """A request; None when there is none."""
    row = connection.execute(select(_request).where(_request.c.id == id_)).mappings().one_or_none()
    return None if row is None else dict(row)


def latest(
    connection: Connection, *, most: int, before: datetime | None = None
) -> list[dict[str, Any]]:
    """The requests of people, the newest first."""
    query = (
        select(_request)
        .where(_request.c.kind != "retention")
        .order_by(_request.c.created_at.desc(), _request.c.id.desc())
        .limit(most)
    )
    if before is not None:
        query = query.where(_request.c.created_at < before)
    return [dict(row) for row in connection.execute(query).mappings()]


def being_erased(connection: Connection) -> set[str]:
    """The conversations of all requests that are not done: nothing more is to come of them."""
    rows = connection.execute(select(_request.c.work).where(_request.c.state == "running"))
    return {id_ for work in rows.scalars() for id_ in (work or {}).get("conversations", ())}


def of_target(connection: Connection, *, target_hash: str) -> list[dict[str, Any]]:
    """The requests about a target, by its hash, the newest first."""
    rows = connection.execute(
        select(_request)
        .where(_request.c.target_hash == target_hash)
        .order_by(_request.c.created_at.desc())
    )
    return [dict(row) for row in rows.mappings()]


def versions_to_retire(connection: Connection) -> dict[str, list[str]]:
    """By model version that was trained on words of erased customers: the requests that say so."""
    found: dict[str, list[str]] = {}
    rows = connection.execute(
        select(_request.c.id, _request.c.report).where(_request.c.state == "done")
    )
    for row in rows:
        for version in (row.report or {}).get("models", {}).get("trained_on", ()):
            found.setdefault(version, []).append(row.id)
    return found
