"""Keeps what lists of conversations show and filter by, in the transaction of each write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Float,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables
from bot.log.known_kinds import KnownKinds
from bot.log.records import Accepted, Speech, TurnRecord
from bot.log.search_docs import keep_words
from bot.log.turn_kinds import feature_bits, intent_bits, kind_of, known
from bot.redaction import Redactor

_conversation = tables.conversation
_turn = tables.turn
_read = tables.inbox_read
_annotation = tables.annotation
_feedback = tables.feedback

TREND = 5
# Longer than five names: what is cut off is not looked at.
TREND_CHARS = 200

_confidence = bindparam("confidence", type_=Float)
# Built once: SQLAlchemy then finds the compiled text in its cache.
TURNED_VALUES: dict[str, Any] = {
    "last_intent": func.coalesce(bindparam("intent"), _conversation.c.last_intent),
    "last_emotion": func.coalesce(bindparam("emotion"), _conversation.c.last_emotion),
    "emotion_trend": func.nullif(
        func.substr(
            bindparam("felt").concat(func.coalesce(_conversation.c.emotion_trend, "")),
            1,
            TREND_CHARS,
        ),
        "",
    ),
    "had_fallback": or_(_conversation.c.had_fallback, bindparam("fallback", type_=Boolean)),
    "lowest_confidence": case(
        (
            or_(
                _conversation.c.lowest_confidence.is_(None),
                _conversation.c.lowest_confidence > _confidence,
            ),
            _confidence,
        ),
        else_=_conversation.c.lowest_confidence,
    ),
    "intent_bits": _conversation.c.intent_bits.op("|")(bindparam("of_intent", type_=BigInteger)),
    "feature_bits": _conversation.c.feature_bits.op("|")(
        bindparam("of_features", type_=BigInteger)
    ),
}
TURNED = (
    update(_conversation)
    .where(_conversation.c.id == bindparam("conversation"))
    .values(TURNED_VALUES)
)
_revoke = _annotation.alias("revoke")
_JUDGED = exists(
    select(_annotation.c.id)
    .join(_turn, _turn.c.id == _annotation.c.turn_id)
    .where(
        _turn.c.conversation_id == _conversation.c.id,
        _annotation.c.kind != "revoke",
        ~exists(select(_revoke.c.id).where(_revoke.c.revokes == _annotation.c.id)),
    )
)
_REFRESH = (
    update(_conversation)
    .where(_conversation.c.id == bindparam("conversation"))
    .values(
        reviewed=_JUDGED,
        rating=select(_feedback.c.score)
        .where(_feedback.c.conversation_id == _conversation.c.id, _feedback.c.kind == "rating")
        .limit(1)
        .scalar_subquery(),
    )
)

_known = KnownKinds()


def _keep_mark(dialect: Any) -> Any:
    new = dialect.insert(_read)
    return new.on_conflict_do_update(
        index_elements=["agent_id", "conversation_id"],
        set_={"seq": new.excluded.seq},
        # A page that was loaded earlier may say so later.
        where=_read.c.seq < new.excluded.seq,
    )


_MARK_READ = {"sqlite": _keep_mark(sqlite), "postgresql": _keep_mark(postgresql)}


@dataclass(frozen=True, slots=True)
class Noted:
    """The kind of a turn, and what the turn changes in its conversation's row."""

    kind_id: int
    changes: dict[str, Any]


def note_turn(connection: Connection, *, accepted: Accepted, turn: TurnRecord) -> Noted:
    """Keep a new turn's kind and words; the conversation's row is the caller's to change."""
    kind = kind_of(
        intent=turn.intent,
        emotion=turn.emotion,
        model_version=turn.model_version,
        actions=turn.actions,
        confidence=turn.confidence,
    )
    kind_id = _known.keep(connection, kind)
    keep_words(
        connection,
        conversation_id=accepted.inbound.conversation_id,
        message_id=accepted.id,
        texts=turn_texts(turn.text, turn.replies),
    )
    changes = {
        "intent": kind.intent or None,
        "emotion": kind.emotion or None,
        "felt": trend_piece(kind.emotion),
        "fallback": kind.fallback,
        "confidence": known(turn.confidence),
        "of_intent": intent_bits(kind.intent),
        "of_features": feature_bits(kind),
    }
    return Noted(kind_id, changes)


def note_agents_words(connection: Connection, *, speech: Speech) -> None:
    """Let a search find what an agent has written."""
    for reply in speech.replies:
        if reply.author == "agent":
            keep_words(
                connection,
                conversation_id=speech.conversation_id,
                message_id=reply.id,
                texts=agent_texts(reply.text, speech.redact),
            )


def turn_texts(text: str, replies: Sequence[dict[str, Any]] | None) -> list[str]:
    """What a search compares of a turn: the customer's words and the bot's, both redacted.

    A pressed button's payload is nobody's words.
    """
    said = [] if text.lstrip().startswith("/") else [text]
    return said + [reply["text"] for reply in replies or () if reply.get("text")]


def agent_texts(text: str | None, redact: Callable[[str], str] | None = None) -> list[str]:
    """The same of an agent's message, which the log keeps as it was sent."""
    if not text:
        return []
    return [_redactor().redact(text).text if redact is None else redact(text)]


@cache
def _redactor() -> Redactor:
    return Redactor()


def refresh(connection: Connection, conversation_id: str) -> None:
    """Bring a conversation's rating and whether it was reviewed up to date.

    Called after each write of feedback or annotations, in the same transaction. All else follows
    from the writes of the log itself.
    """
    connection.execute(_REFRESH, {"conversation": conversation_id})


def mark_read(connection: Connection, *, agent_id: str, conversation_id: str, seq: int) -> bool:
    """An agent has read a conversation up to a message; False when it is gone."""
    there = connection.execute(
        select(_conversation.c.id).where(_conversation.c.id == conversation_id).with_for_update()
    ).one_or_none()
    if there is None:
        return False
    connection.execute(
        _MARK_READ[connection.dialect.name],
        {"agent_id": agent_id, "conversation_id": conversation_id, "seq": seq},
    )
    return True


def trend_piece(emotion: str) -> str:
    """An emotion as the trend keeps it: with a comma behind it, and none inside."""
    return emotion.replace(",", " ") + "," if emotion else ""


def trend_of(kept: str | None) -> tuple[str, ...]:
    """The last emotions of a kept trend, the oldest of them first."""
    return tuple(reversed((kept or "").split(",")[:-1][:TREND]))
