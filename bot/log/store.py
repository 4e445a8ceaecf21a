"""What is written to the log: each function is one unit of work for the writer."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Executable,
    Table,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables
from bot.log.reader import finished
from bot.log.records import Accepted, Finish, Finished, Inbound, Status

_conversation = tables.conversation
_message = tables.message
_turn = tables.turn

# Built once: SQLAlchemy then finds the compiled text in its cache.
_TAKE_SEQ = (
    update(_conversation)
    .where(_conversation.c.id == bindparam("conversation"))
    .values(
        last_seq=_conversation.c.last_seq + bindparam("count"),
        updated_at=bindparam("now"),
    )
)
_TAKE_SEQ_INBOUND = _TAKE_SEQ.values(
    # Who writes again opens a closed conversation again.
    status=case((_conversation.c.status == "closed", "bot"), else_=_conversation.c.status)
).returning(_conversation.c.last_seq, _conversation.c.status)
_TAKE_SEQ_OUTBOUND = _TAKE_SEQ.returning(_conversation.c.last_seq)
_HAND_OFF = (
    update(_conversation)
    .where(_conversation.c.id == bindparam("conversation"), _conversation.c.status == "bot")
    .values(status="waiting", handoff_reason=bindparam("reason"))
)


def _insert_new(table: Table) -> dict[str, Executable]:
    """By dialect: an insert that leaves an existing row alone and tells so by its row count."""
    return {
        name: dialect.insert(table)
        .on_conflict_do_nothing()
        .execution_options(preserve_rowcount=True)
        for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
    }


_ADD_MESSAGE = _insert_new(_message)
_ADD_CONVERSATION = _insert_new(_conversation)
_ADD_REPLIES = insert(_message)
_ADD_TURN = insert(_turn)
_SETTLE = (
    update(_message)
    .where(_message.c.id == bindparam("row"), _message.c.state == "accepted")
    .values(state=bindparam("to"), text=bindparam("redacted"), turn_id=bindparam("turn"))
)
_EARLIER = select(
    _message.c.id,
    _message.c.conversation_id,
    _message.c.seq,
    _message.c.state,
    _message.c.text_hash,
    _message.c.created_at,
).where(
    _message.c.channel == bindparam("channel"),
    _message.c.account == bindparam("account"),
    _message.c.message_id == bindparam("message_id"),
)


def open_conversation(
    connection: Connection, *, id_: str, channel: str, account: str, now: datetime
) -> str:
    """The id of the conversation of `account` on `channel`, new or as it was."""
    added = connection.execute(
        _ADD_CONVERSATION[connection.dialect.name],
        {
            "id": id_,
            "channel": channel,
            "account": account,
            "status": "bot",
            "last_seq": 0,
            "created_at": now,
            "updated_at": now,
        },
    )
    if added.rowcount:
        return id_
    return str(
        connection.execute(
            select(_conversation.c.id).where(
                _conversation.c.channel == channel, _conversation.c.account == account
            )
        ).scalar_one()
    )


def accept(
    connection: Connection, *, inbound: Inbound, id_: str, text_hash: str, now: datetime
) -> Accepted | None:
    """Keep an inbound message, once; None when there is no such conversation."""
    taken = connection.execute(
        _TAKE_SEQ_INBOUND, {"conversation": inbound.conversation_id, "count": 1, "now": now}
    ).one_or_none()
    if taken is None:
        return None
    seq, status = taken
    added = connection.execute(
        _ADD_MESSAGE[connection.dialect.name],
        {
            "id": id_,
            "conversation_id": inbound.conversation_id,
            "seq": seq,
            "direction": "in",
            "channel": inbound.channel,
            "account": inbound.account,
            "message_id": inbound.message_id,
            "text": inbound.text,
            "text_hash": text_hash,
            "state": "accepted",
            "created_at": now,
        },
    )
    if added.rowcount:
        return Accepted(
            id=id_, inbound=inbound, seq=seq, status=status, state="accepted", created_at=now
        )
    connection.execute(
        _TAKE_SEQ_OUTBOUND, {"conversation": inbound.conversation_id, "count": -1, "now": now}
    )
    row = connection.execute(
        _EARLIER,
        {
            "channel": inbound.channel,
            "account": inbound.account,
            "message_id": inbound.message_id,
        },
    ).one()
    return Accepted(
        id=row.id,
        inbound=inbound,
        seq=row.seq,
        status=status,
        state=row.state,
        created_at=row.created_at,
        duplicate=True,
        same_text=row.text_hash == text_hash,
    )


def finish(connection: Connection, *, work: Finish, now: datetime) -> Finished | None:
    """Commit a turn, once: the turn's row, the replies' rows and the inbound message's state.

    A turn that had been committed before gives the earlier replies; None when the conversation was
    erased meanwhile.
    """
    accepted = work.accepted
    inbound = accepted.inbound
    settled = connection.execute(
        _SETTLE,
        {
            "row": accepted.id,
            "to": work.state,
            "redacted": work.turn.text,
            "turn": work.turn.id,
        },
    )
    if not settled.rowcount:
        return finished(connection, message_row=accepted.id)
    turn = work.turn
    connection.execute(
        _ADD_TURN,
        {
            "id": turn.id,
            "conversation_id": inbound.conversation_id,
            "inbound_id": accepted.id,
            "text": turn.text,
            "intent": turn.intent,
            "confidence": turn.confidence,
            "ranking": turn.ranking,
            "emotion": turn.emotion,
            "emotion_confidence": turn.emotion_confidence,
            "entities": turn.entities,
            "actions": turn.actions,
            "qa_pair_id": turn.qa_pair_id,
            "qa_score": turn.qa_score,
            "model_version": turn.model_version,
            "mode": turn.mode,
            "timings": turn.timings,
            "replies": turn.replies,
            "error": turn.error,
            "created_at": now,
        },
    )
    rows: list[dict[str, Any]] = []
    if work.replies:
        last_seq = connection.execute(
            _TAKE_SEQ_OUTBOUND,
            {
                "conversation": inbound.conversation_id,
                "count": len(work.replies),
                "now": now,
            },
        ).scalar_one()
        first_seq = last_seq - len(work.replies) + 1
        rows = [
            {
                "id": reply.id,
                "conversation_id": inbound.conversation_id,
                "seq": first_seq + position,
                "direction": "out",
                "channel": inbound.channel,
                "account": inbound.account,
                "message_id": None,
                "text": reply.text,
                "buttons": reply.buttons,
                "extra": reply.extra,
                "metadata": reply.metadata,
                "state": "sent",
                "turn_id": turn.id,
                "created_at": now,
            }
            for position, reply in enumerate(work.replies)
        ]
        connection.execute(_ADD_REPLIES, rows)
    if work.handoff_reason is not None:
        connection.execute(
            _HAND_OFF, {"conversation": inbound.conversation_id, "reason": work.handoff_reason}
        )
    return Finished(turn_id=turn.id, state=work.state, replies=rows)


def set_status(
    connection: Connection, *, conversation_id: str, status: Status, now: datetime
) -> bool:
    """Hand a conversation to `bot`, `agent` and so on; False when there is none."""
    changed = connection.execute(
        update(_conversation)
        .where(_conversation.c.id == conversation_id)
        .values(status=status, updated_at=now)
    )
    return bool(changed.rowcount)


def erase(
    connection: Connection, *, conversation_id: str, audit_id: str, actor: str, now: datetime
) -> int | None:
    """Remove a conversation and all that hangs on it, leaving a trace without its content.

    Returns how many messages went; None when there is no such conversation.
    """
    messages = connection.execute(
        delete(_message).where(_message.c.conversation_id == conversation_id)
    ).rowcount
    gone = connection.execute(delete(_conversation).where(_conversation.c.id == conversation_id))
    if not gone.rowcount:
        return None
    connection.execute(
        insert(tables.audit),
        {
            "id": audit_id,
            "actor": actor,
            "action": "erase",
            "target": conversation_id,
            "detail": {"messages": messages},
            "created_at": now,
        },
    )
    return messages
