"""Saved views: filters under a name, of one agent or shared with everyone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from bot.log import tables

_view = tables.inbox_view

MOST_VIEWS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view to keep: `filters` as the fields of the inbox's address; no `agent_id`: for all."""

    id: str
    name: str
    filters: dict[str, str]
    agent_id: str | None
    created_by: str


def views_of(connection: Connection, *, agent_id: str) -> list[dict[str, Any]]:
    """The shared views, then the agent's own, each by name."""
    rows = connection.execute(
        select(_view)
        .where(or_(_view.c.agent_id.is_(None), _view.c.agent_id == agent_id))
        .order_by(_view.c.agent_id.is_not(None), _view.c.name)
    )
    return [dict(row) for row in rows.mappings()]


def keep_view(connection: Connection, *, view: View, now: datetime) -> str | None:
    """Keep a view, in place of the owner's one of that name; its id, or None."""
    owner = (
        _view.c.agent_id.is_(None) if view.agent_id is None else _view.c.agent_id == view.agent_id
    )
    there = connection.execute(
        select(_view.c.id).where(owner, _view.c.name == view.name)
    ).scalar_one_or_none()
    if there is not None:
        connection.execute(
            update(_view)
            .where(_view.c.id == there)
            .values(filters=view.filters, created_by=view.created_by)
        )
        return str(there)
    count = connection.execute(select(func.count()).select_from(_view).where(owner)).scalar_one()
    if count >= MOST_VIEWS:
        return None
    connection.execute(
        insert(_view).values(
            id=view.id,
            name=view.name,
            filters=view.filters,
            agent_id=view.agent_id,
            created_by=view.created_by,
            created_at=now,
        )
    )
    return view.id


def drop_view(connection: Connection, *, view_id: str, agent_id: str, shared: bool) -> bool:
    """Remove an own view, or (`shared`) also one for all; False when there is none to remove."""
    mine = _view.c.agent_id == agent_id
    dropped = connection.execute(
        delete(_view).where(
            _view.c.id == view_id, or_(mine, _view.c.agent_id.is_(None)) if shared else mine
        )
    )
    return bool(dropped.rowcount)
