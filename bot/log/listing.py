"""Lists conversations for agents: the queue in its order, the others newest first, page by page."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select, tuple_

from bot.log import tables
from bot.log.handoff import rank
from bot.log.records import Status

_conversation = tables.conversation
_message = tables.message
_agent = tables.agent

Row = dict[str, Any]
Cursor = tuple[int, datetime, str]  # rank in the queue (0 elsewhere), moment, id


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which conversations, and where the page before ended."""

    status: Status | None = None
    agent_id: str | None = None
    upset_first: bool = True
    after: Cursor | None = None
    limit: int = 50


def listed(connection: Connection, wanted: Wanted) -> tuple[list[Row], Cursor | None]:
    """A page of rows with `agent_name` and the `last_` message; and its end, where more follows."""
    ordered = _in_queue_order if wanted.status == "waiting" else _newest_first
    query = (
        select(
            _conversation,
            _agent.c.name.label("agent_name"),
            _message.c.author.label("last_author"),
            _message.c.text.label("last_text"),
            _message.c.created_at.label("last_at"),
        )
        .outerjoin(_agent, _agent.c.id == _conversation.c.agent_id)
        .outerjoin(
            _message,
            and_(
                _message.c.conversation_id == _conversation.c.id,
                _message.c.seq == _conversation.c.last_seq,
            ),
        )
    )
    if wanted.status is not None:
        query = query.where(_conversation.c.status == wanted.status)
    if wanted.agent_id is not None:
        query = query.where(_conversation.c.agent_id == wanted.agent_id)
    query = ordered(query, wanted).limit(wanted.limit + 1)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    page = rows[: wanted.limit]
    if len(rows) <= wanted.limit:
        return page, None
    last = page[-1]
    if wanted.status == "waiting":
        return page, (last["rank"], last["waiting_since"], last["id"])
    return page, (0, last["updated_at"], last["id"])


def write_cursor(cursor: Cursor) -> str:
    """A cursor as clients carry it."""
    place, moment, id_ = cursor
    raw = json.dumps([place, moment.isoformat(), id_]).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read_cursor(text: str) -> Cursor | None:
    """The cursor that a client sent back; None for what is none."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        place, moment, id_ = json.loads(raw)
        at = datetime.fromisoformat(moment)
    except (ValueError, TypeError, RecursionError):
        return None
    if type(place) is not int or not isinstance(id_, str) or at.tzinfo is None or "\0" in id_:
        return None
    return (place, at, id_) if abs(place) < 10 else None


def _in_queue_order(query: Select[Any], wanted: Wanted) -> Select[Any]:
    place = rank(wanted.upset_first)
    keys = (place, _conversation.c.waiting_since, _conversation.c.id)
    query = query.add_columns(place.label("rank")).order_by(*keys)
    if wanted.after is None:
        return query
    after_place, since, id_ = wanted.after
    later = and_(
        place == after_place,
        tuple_(_conversation.c.waiting_since, _conversation.c.id) > tuple_(since, id_),
    )
    return query.where(or_(place > after_place, later))


def _newest_first(query: Select[Any], wanted: Wanted) -> Select[Any]:
    query = query.order_by(_conversation.c.updated_at.desc(), _conversation.c.id.desc())
    if wanted.after is None:
        return query
    _, at, id_ = wanted.after
    keys = tuple_(_conversation.c.updated_at, _conversation.c.id)
    return query.where(keys < tuple_(at, id_))
