"""Private notes of agents: at their place in the transcript, and never given to customers."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import audit, tables

_conversation = tables.conversation
_note = tables.note
_agent = tables.agent
_ADD = {
    name: dialect.insert(_note).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNote:
    """A note to keep; `key` is the writer's own id of it, so that a repeat is still one note."""

    key: str
    conversation_id: str
    agent_id: str
    text: str

    @property
    def id(self) -> str:
        """The row's id: the same for the same writer, conversation and key."""
        whole = f"{self.conversation_id}\0{self.agent_id}\0{self.key}"
        return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:28]


def add(connection: Connection, *, note: NewNote, audit_id: str, now: datetime) -> str | None:
    """Keep a note after the conversation's last message; its id, None without a conversation."""
    last_seq = connection.execute(
        select(_conversation.c.last_seq).where(_conversation.c.id == note.conversation_id)
    ).scalar_one_or_none()
    if last_seq is None:
        return None
    added = connection.execute(
        _ADD[connection.dialect.name],
        {
            "id": note.id,
            "conversation_id": note.conversation_id,
            "agent_id": note.agent_id,
            "text": note.text,
            "after_seq": last_seq,
            "created_at": now,
        },
    )
    if added.rowcount:
        who = (note.agent_id, "note", note.conversation_id)
        audit.note(connection, id_=audit_id, who=who, detail=None, now=now)
    return note.id


def between(
    connection: Connection, *, conversation_id: str, first: int, last: int | None = None
) -> list[dict[str, Any]]:
    """The notes written after the messages from `first` to `last`, with `agent_name`, in order."""
    query = (
        select(_note, _agent.c.name.label("agent_name"))
        .outerjoin(_agent, _agent.c.id == _note.c.agent_id)
        .where(_note.c.conversation_id == conversation_id, _note.c.after_seq >= first)
        .order_by(_note.c.after_seq, _note.c.created_at, _note.c.id)
    )
    if last is not None:
        query = query.where(_note.c.after_seq <= last)
    return [dict(row) for row in connection.execute(query).mappings()]
