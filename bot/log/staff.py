"""The people who have access, as administrators see them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from bot.log.sessions import Terms
from bot.log.tables import agent, session

Row = dict[str, Any]


def everyone(connection: Connection, *, now: datetime, terms: Terms) -> list[Row]:
    """All who have access by name: role, ways in, open sessions and when they were last seen."""
    return _rows(connection, _query(now, terms).order_by(agent.c.name))


def one(connection: Connection, *, id_: str, now: datetime, terms: Terms) -> Row | None:
    """The same of one person; None for who has no access."""
    rows = _rows(connection, _query(now, terms).where(agent.c.id == id_))
    return rows[0] if rows else None


def _query(now: datetime, terms: Terms) -> Select[Any]:
    is_open = and_(
        session.c.agent_id == agent.c.id,
        session.c.expires_at > now,
        session.c.seen_at > now - terms.idle,
    )
    open_sessions = select(func.count()).where(is_open).scalar_subquery()
    seen_at = select(func.max(session.c.seen_at)).where(is_open).scalar_subquery()
    return select(
        agent.c.id,
        agent.c.name,
        agent.c.role,
        agent.c.created_at,
        agent.c.password_changed_at,
        agent.c.must_change_password,
        agent.c.password_hash.is_not(None).label("has_password"),
        agent.c.token_hash.is_not(None).label("has_token"),
        agent.c.locked_until,
        open_sessions.label("sessions"),
        seen_at.label("seen_at"),
    ).where(agent.c.disabled_at.is_(None))


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]
