"""Reads the audit log: by who, what, on what and when, newest first, page by page."""

import base64
import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, tuple_

from bot.log.tables import agent, audit

Row = dict[str, Any]
Cursor = tuple[datetime, str]  # moment and id of the last row of the page before

_MOST_ACTIONS = 200
_actor = agent.alias("actor_agent")
_target = agent.alias("target_agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows; `actor` is a name, an id, a network, `cli`, and so on; `before` is exclusive."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    after: Cursor | None = None
    limit: int = 50


def page(connection: Connection, wanted: Wanted) -> tuple[list[Row], Cursor | None]:
    """Rows with `actor_name` and `target_name` where those are people; the end if more follow."""
    query = _filtered(
        select(
            audit, _actor.c.name.label("actor_name"), _target.c.name.label("target_name")
        ).select_from(
            audit.outerjoin(_actor, _actor.c.id == audit.c.actor).outerjoin(
                _target, _target.c.id == audit.c.target
            )
        ),
        wanted,
        connection,
    )
    query = query.order_by(audit.c.created_at.desc(), audit.c.id.desc()).limit(wanted.limit + 1)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    shown = rows[: wanted.limit]
    if len(rows) <= wanted.limit:
        return shown, None
    return shown, (shown[-1]["created_at"], shown[-1]["id"])


def following(wanted: Wanted, end: Cursor) -> Wanted:
    """The page after one that ended there."""
    return replace(wanted, after=end)


def actions(connection: Connection) -> list[str]:
    """The actions that occur, each found by one look into the index."""
    found: list[str] = []
    query = select(func.min(audit.c.action))
    last = connection.execute(query).scalar()
    while last is not None and len(found) < _MOST_ACTIONS:
        found.append(last)
        last = connection.execute(query.where(audit.c.action > last)).scalar()
    return found


def write_cursor(cursor: Cursor) -> str:
    """A cursor as an address carries it."""
    raw = json.dumps([cursor[0].isoformat(), cursor[1]]).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read_cursor(text: str) -> Cursor | None:
    """The cursor of an address; None for what is none."""
    try:
        moment, id_ = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        at = datetime.fromisoformat(moment)
    except (ValueError, TypeError, RecursionError):
        return None
    return (at, id_) if isinstance(id_, str) and id_.isprintable() and at.tzinfo else None


def _filtered(query: Select[Any], wanted: Wanted, connection: Connection) -> Select[Any]:
    if wanted.actor is not None:
        query = query.where(audit.c.actor.in_(_names(connection, wanted.actor)))
    if wanted.action is not None:
        query = query.where(audit.c.action == wanted.action)
    if wanted.target is not None:
        query = query.where(audit.c.target.in_(_names(connection, wanted.target)))
    if wanted.since is not None:
        query = query.where(audit.c.created_at >= wanted.since)
    if wanted.before is not None:
        query = query.where(audit.c.created_at < wanted.before)
    if wanted.after is not None:
        at, id_ = wanted.after
        keys = tuple_(audit.c.created_at, audit.c.id)
        query = query.where(audit.c.created_at <= at, keys < tuple_(at, id_))
    return query


def _names(connection: Connection, text: str) -> list[str]:
    """What a person's name stands for in the log: found first, for a condition on the join would
    not use the index."""
    id_ = connection.execute(select(agent.c.id).where(agent.c.name == text)).scalar()
    return [text] if id_ is None else [id_, text]
