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
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import audit, handoffs, inbox, nonces, tables, voice_changes
from bot.log.reader import finished
from bot.log.records import Accepted, Finish, Finished, Inbound, Opening, Speech, Status
from bot.log.speaking import TAKE_SEQ, TAKE_SEQ_OUTBOUND
from bot.log.speaking import say as say
from bot.log.turn_kinds import known

_conversation = tables.conversation
_message = tables.message
_turn = tables.turn

# Built once: SQLAlchemy then finds the compiled text in its cache.
_TAKE_SEQ_INBOUND = (
    TAKE_SEQ.where(
        # A message that is there already changes nothing, least of all a closed conversation.
        ~exists().where(
            _message.c.channel == bindparam("its_channel"),
            _message.c.account == bindparam("its_account"),
            _message.c.message_id == bindparam("its_id"),
        )
    )
    .values(
        # Who writes again opens a closed conversation again.
        status=case((_conversation.c.status == "closed", "bot"), else_=_conversation.c.status),
        last_inbound_at=bindparam("now"),
        unanswered_since=func.coalesce(_conversation.c.unanswered_since, bindparam("now")),
    )
    .returning(_conversation.c.last_seq, _conversation.c.status)
)
_HAND_OFF = (
    update(_conversation)
    .where(_conversation.c.id == bindparam("conversation"), _conversation.c.status == "bot")
    .values(status="waiting", handoff_reason=bindparam("reason"), waiting_since=bindparam("now"))
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
_ADD_TURN = insert(_turn)
_SETTLE = (
    update(_message)
    .where(_message.c.id == bindparam("row"), _message.c.state == "accepted")
    .values(
        state=bindparam("to"),
        text=bindparam("redacted"),
        turn_id=bindparam("turn"),
        metadata=bindparam("about"),
        attachments=bindparam("files"),
    )
)
_EARLIER = (
    select(
        _message.c.id,
        _message.c.seq,
        _message.c.state,
        _message.c.text_hash,
        _message.c.created_at,
        _conversation.c.status,
    )
    .join(_conversation, _conversation.c.id == _message.c.conversation_id)
    .where(
        _message.c.channel == bindparam("its_channel"),
        _message.c.account == bindparam("its_account"),
        _message.c.message_id == bindparam("its_id"),
    )
)


def open_conversation(connection: Connection, *, conversation: Opening, now: datetime) -> str:
    """The id of the conversation of its account on its channel, new or as it was."""
    added = connection.execute(
        _ADD_CONVERSATION[connection.dialect.name],
        {
            "id": conversation.id,
            "channel": conversation.channel,
            "account": conversation.account,
            "customer_id": conversation.customer_id,
            "locale": conversation.locale,
            "status": "bot",
            "last_seq": 0,
            "created_at": now,
            "updated_at": now,
        },
    )
    if added.rowcount:
        return conversation.id
    id_ = str(
        connection.execute(
            select(_conversation.c.id).where(
                _conversation.c.channel == conversation.channel,
                _conversation.c.account == conversation.account,
            )
        ).scalar_one()
    )
    if conversation.locale is not None:
        set_locale(connection, conversation_id=id_, locale=conversation.locale)
    return id_


def set_locale(connection: Connection, *, conversation_id: str, locale: str) -> bool:
    """The language of the system's own words from now on; whether there is such a conversation."""
    done = connection.execute(
        update(_conversation).where(_conversation.c.id == conversation_id).values(locale=locale)
    )
    return bool(done.rowcount)


def accept(
    connection: Connection, *, inbound: Inbound, id_: str, text_hash: str, now: datetime
) -> Accepted | None:
    """Keep an inbound message, once; None when there is no such conversation.

    Raises RequestError (401) when its nonce was used: nothing of the message is kept.
    """
    identity = {
        "its_channel": inbound.channel,
        "its_account": inbound.account,
        "its_id": inbound.message_id,
    }
    taken = connection.execute(
        _TAKE_SEQ_INBOUND,
        {"conversation": inbound.conversation_id, "count": 1, "now": now} | identity,
    ).one_or_none()
    earlier = None
    if taken is None:
        earlier = connection.execute(_EARLIER, identity).one_or_none()
        if earlier is None:
            # The nonce stays good: the same request finds the conversation that is opened now.
            return None
    if inbound.nonce is not None:
        nonces.use(connection, channel=inbound.channel, key=inbound.nonce, now=now)
    if taken is None:
        return _repeated(earlier, inbound, text_hash)
    seq, status = taken
    added = connection.execute(
        _ADD_MESSAGE[connection.dialect.name],
        {
            "id": id_,
            "conversation_id": inbound.conversation_id,
            "seq": seq,
            "direction": "in",
            "author": "customer",
            "channel": inbound.channel,
            "account": inbound.account,
            "message_id": inbound.message_id,
            "text": inbound.text,
            "text_hash": text_hash,
            "attachments": list(inbound.attachments) or None,
            "state": "accepted",
            "created_at": now,
        },
    )
    if added.rowcount:
        return Accepted(
            id=id_, inbound=inbound, seq=seq, status=status, state="accepted", created_at=now
        )
    # Another gateway took the same message in at the same moment.
    connection.execute(
        TAKE_SEQ_OUTBOUND, {"conversation": inbound.conversation_id, "count": -1, "now": now}
    )
    return _repeated(connection.execute(_EARLIER, identity).one(), inbound, text_hash)


def _repeated(row: Any, inbound: Inbound, text_hash: str) -> Accepted:
    return Accepted(
        id=row.id,
        inbound=inbound,
        seq=row.seq,
        status=row.status,
        state=row.state,
        created_at=row.created_at,
        duplicate=True,
        same_text=row.text_hash == text_hash,
    )


def finish(
    connection: Connection, *, work: Finish, sending: frozenset[str], now: datetime
) -> Finished | None:
    """Commit a turn, once: the turn's row, the replies' rows and the inbound message's state.

    Replies on a channel in `sending` also get a row in the outbox. A turn that had been committed
    before gives the earlier replies; None when the conversation was erased meanwhile.
    """
    accepted = work.accepted
    inbound = accepted.inbound
    turn = work.turn
    settled = connection.execute(
        _SETTLE,
        {
            "row": accepted.id,
            "to": work.state,
            "redacted": turn.text,
            "turn": turn.id,
            "about": None if work.title is None else {"title": work.title},
            "files": work.attachments or list(inbound.attachments) or None,
        },
    )
    if not settled.rowcount:
        return finished(connection, message_row=accepted.id)
    noted = inbox.note_turn(connection, accepted=accepted, turn=turn)
    connection.execute(
        _ADD_TURN,
        {
            "id": turn.id,
            "conversation_id": inbound.conversation_id,
            "inbound_id": accepted.id,
            "text": turn.text,
            "intent": turn.intent,
            "confidence": known(turn.confidence),
            "ranking": turn.ranking,
            "emotion": turn.emotion,
            "emotion_confidence": known(turn.emotion_confidence),
            "entities": turn.entities,
            "actions": turn.actions,
            "qa_pair_id": turn.qa_pair_id,
            "qa_score": known(turn.qa_score),
            "model_version": turn.model_version,
            "mode": turn.mode,
            "timings": turn.timings,
            "replies": turn.replies,
            "error": turn.error,
            "created_at": now,
            "kind_id": noted.kind_id,
        },
    )
    rows = say(
        connection,
        speech=Speech(
            conversation_id=inbound.conversation_id,
            replies=work.replies,
            turn_id=turn.id,
        ),
        sending=sending,
        now=now,
        turned=noted.changes,
    )
    if work.handoff_reason is not None:
        handed = connection.execute(
            _HAND_OFF,
            {
                "conversation": inbound.conversation_id,
                "reason": work.handoff_reason,
                "now": now,
            },
        )
        if handed.rowcount:
            handoffs.begin(
                connection,
                conversation_id=inbound.conversation_id,
                reason=work.handoff_reason,
                turn_id=turn.id,
                now=now,
            )
    return Finished(turn_id=turn.id, state=work.state, replies=rows or [])


def set_status(
    connection: Connection, *, conversation_id: str, status: Status, now: datetime
) -> bool:
    """Hand a conversation to `bot`, `agent` and so on; False when there is none."""
    values: dict[str, Any] = {"status": status, "updated_at": now}
    if status == "waiting":
        # The queue goes by it.
        values["waiting_since"] = now
    changed = connection.execute(
        update(_conversation).where(_conversation.c.id == conversation_id).values(values)
    )
    return bool(changed.rowcount)


def erase(
    connection: Connection, *, conversation_id: str, audit_id: str, actor: str, now: datetime
) -> int | None:
    """Remove a conversation and all that hangs on it, leaving a trace without its content.

    Returns how many messages went; None when there is no such conversation.
    """
    voice_changes.mark_conversation(connection, conversation_id=conversation_id)
    messages = connection.execute(
        delete(_message).where(_message.c.conversation_id == conversation_id)
    ).rowcount
    gone = connection.execute(delete(_conversation).where(_conversation.c.id == conversation_id))
    if not gone.rowcount:
        return None
    audit.note(
        connection,
        id_=audit_id,
        who=(actor, "erase", conversation_id),
        detail={"messages": messages},
        now=now,
    )
    return messages
