"""A conversation as agents read it: messages with their turns, what was said of them, and notes.

Read in stretches by `seq` from either end: a long conversation opens as fast as a short one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, literal, or_, select

from actions.tables import QaPair
from bot.log import conversation_notes, tables
from bot.log.feedback import THUMB_ID

_message = tables.message
_turn = tables.turn
_agent = tables.agent
_feedback = tables.feedback
_annotation = tables.annotation

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which messages: those before a sequence number, or after one, or else the newest."""

    before: int | None = None
    after: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Entries in order, each with `kind` (message or note) and `seq`; and where the rest begins.

    A message has `agent_name`, `thumb` (1, -1 or None) and, of a customer's that was understood,
    `turn`, with `pair` (the QA pair that answered) and `annotations`, the newest first. `earlier`
    is the `before` of the stretch before, None at the beginning.
    """

    entries: list[Row]
    last_seq: int
    earlier: int | None


def read(connection: Connection, *, conversation_id: str, span: Span) -> Stretch:
    """One stretch of a conversation; empty for one that does not exist."""
    rows = [dict(row) for row in connection.execute(_messages(conversation_id, span)).mappings()]
    more = len(rows) > span.limit
    rows = rows[: span.limit]
    if span.after is None:
        rows.reverse()
    at_start = span.after is None and not more
    has_newer = more if span.after is not None else span.before is not None
    turns = _turns(connection, [row["id"] for row in rows if row["author"] == "customer"])
    first = rows[0]["seq"] if rows else 0
    last = rows[-1]["seq"] if rows else (span.after or 0)
    notes = conversation_notes.between(
        connection,
        conversation_id=conversation_id,
        first=0 if at_start else (first if span.after is None else span.after),
        last=last if has_newer else None,
    )
    entries = [row | {"kind": "message", "turn": turns.get(row["id"])} for row in rows]
    return Stretch(
        entries=_merged(entries, notes),
        last_seq=last,
        earlier=None if at_start or span.after is not None else first,
    )


def read_turn(connection: Connection, *, conversation_id: str, turn_id: str) -> Row | None:
    """One turn of a conversation; None when it has no such turn."""
    query = select(_turn).where(_turn.c.id == turn_id, _turn.c.conversation_id == conversation_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def is_payload(turn: Row) -> bool:
    """Whether the customer pressed a button: what it sends is understood without any model."""
    return str(turn["text"]).lstrip().startswith("/") and turn["emotion"] is None


def last_words(connection: Connection, *, conversation_id: str) -> str | None:
    """The last text of the customer's own that was understood, without personal data."""
    query = (
        select(_turn.c.text)
        .join(_message, _message.c.id == _turn.c.inbound_id)
        .where(
            _message.c.conversation_id == conversation_id,
            _turn.c.text != "",
            # Buttons: see is_payload.
            or_(~_turn.c.text.startswith("/"), _turn.c.emotion.is_not(None)),
        )
        .order_by(_message.c.seq.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def _messages(conversation_id: str, span: Span) -> Select[Any]:
    query = (
        select(_message, _agent.c.name.label("agent_name"), _feedback.c.score.label("thumb"))
        .outerjoin(_agent, _agent.c.id == _message.c.agent_id)
        .outerjoin(
            _feedback,
            and_(_message.c.author == "bot", _feedback.c.id == literal(THUMB_ID) + _message.c.id),
        )
        .where(_message.c.conversation_id == conversation_id)
        # One more than is shown tells whether there are others.
        .limit(span.limit + 1)
    )
    if span.after is not None:
        return query.where(_message.c.seq > span.after).order_by(_message.c.seq)
    if span.before is not None:
        query = query.where(_message.c.seq < span.before)
    return query.order_by(_message.c.seq.desc())


def _turns(connection: Connection, message_ids: list[str]) -> dict[str, Row]:
    """The turns of inbound messages, by the message's id."""
    if not message_ids:
        return {}
    rows = connection.execute(select(_turn).where(_turn.c.inbound_id.in_(message_ids)))
    turns = [dict(row) for row in rows.mappings()]
    pairs = _pairs(connection, {turn["qa_pair_id"] for turn in turns} - {None})
    annotations = _annotations(connection, [turn["id"] for turn in turns])
    return {
        turn["inbound_id"]: turn
        | {
            "pair": pairs.get(turn["qa_pair_id"]),
            "annotations": annotations.get(turn["id"], []),
        }
        for turn in turns
    }


def _pairs(connection: Connection, ids: set[str]) -> dict[str, Row]:
    if not ids:
        return {}
    columns = (QaPair.id, QaPair.question, QaPair.answer, QaPair.source, QaPair.active)
    rows = connection.execute(select(*columns).where(QaPair.id.in_(sorted(ids))))
    return {row["id"]: dict(row) for row in rows.mappings()}


def _annotations(connection: Connection, turn_ids: list[str]) -> dict[str, list[Row]]:
    if not turn_ids:
        return {}
    taken_back = _annotation.alias("taken_back")
    rows = connection.execute(
        select(_annotation, _agent.c.name.label("agent_name"))
        .outerjoin(_agent, _agent.c.id == _annotation.c.agent_id)
        .where(
            _annotation.c.turn_id.in_(turn_ids),
            _annotation.c.kind != "revoke",
            ~exists().where(taken_back.c.revokes == _annotation.c.id),
        )
        .order_by(_annotation.c.created_at.desc(), _annotation.c.id.desc())
    )
    found: dict[str, list[Row]] = {}
    for row in rows.mappings():
        found.setdefault(row["turn_id"], []).append(dict(row))
    return found


def _merged(messages: list[Row], notes: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Each note behind the message that was the last when it was written."""
    placed = [
        {**note, "kind": "note", "seq": note["after_seq"], "author": "note"} for note in notes
    ]
    return sorted([*messages, *placed], key=lambda one: (one["seq"], one["kind"] == "note"))
