"""Works out what lists show of conversations from all that is in the log of them.

For conversations that were there before the lists: the migration does it once. The statements name
columns that are older than the lists, because at that point of the history there are no others.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    MetaData,
    Table,
    Text,
    bindparam,
    select,
    update,
)

from bot.log.inbox import TREND_CHARS, agent_texts, trend_piece, turn_texts
from bot.log.search_docs import keep_words
from bot.log.tables.base import Json, UtcDateTime
from bot.log.turn_kinds import Kind, feature_bits, intent_bits, kind_of, known, row_of

logger = logging.getLogger(__name__)

AT_ONCE = 200
# While it goes on nothing else does: whoever waits is told that it does.
TOLD_EVERY_S = 5.0
Redact = Callable[[str], str]
_then = MetaData()
_conversation = Table(
    "conversation",
    _then,
    Column("id", Text, primary_key=True),
    Column("unanswered_since", UtcDateTime),
    *(Column(name, Text) for name in ("last_intent", "last_emotion", "emotion_trend")),
    Column("had_fallback", Boolean),
    Column("lowest_confidence", Float),
    *(Column(name, BigInteger) for name in ("intent_bits", "feature_bits")),
)
_message = Table(
    "message",
    _then,
    *(Column(name, Text) for name in ("id", "conversation_id", "author", "text")),
    Column("seq", BigInteger),
    Column("created_at", UtcDateTime),
)
_turn = Table(
    "turn",
    _then,
    *(Column(name, Text) for name in ("id", "conversation_id", "inbound_id", "text")),
    *(Column(name, Text) for name in ("intent", "emotion", "model_version")),
    Column("confidence", Float),
    Column("actions", Json),
    Column("replies", Json),
    Column("created_at", UtcDateTime),
    Column("kind_id", BigInteger),
)
_kind = Table(
    "turn_kind",
    _then,
    Column("id", BigInteger, primary_key=True),
    *(Column(name, Text) for name in ("intent", "emotion", "model_version")),
    Column("fallback", Boolean),
    Column("confidence_step", BigInteger),
)
_NAME_KIND = update(_turn).where(_turn.c.id == bindparam("turn")).values(kind_id=bindparam("kind"))


def rebuild(connection: Connection, conversation_ids: Sequence[str]) -> None:
    """Work out anew what follows from the messages and turns of some conversations.

    Words that a search already has of them are to be deleted before.
    """
    for start in range(0, len(conversation_ids), AT_ONCE):
        _rebuild_some(connection, conversation_ids[start : start + AT_ONCE])


def rebuild_all(connection: Connection, redact: Redact | None = None) -> None:
    """The same of every conversation there is, in the order they were opened."""
    after, done, told = "", 0, time.monotonic()
    while True:
        found = select(_conversation.c.id).where(_conversation.c.id > after)
        ids = list(connection.execute(found.order_by(_conversation.c.id).limit(AT_ONCE)).scalars())
        if not ids:
            return
        _rebuild_some(connection, ids, redact)
        after, done = ids[-1], done + len(ids)
        if time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            logger.info("conversations prepared for the inbox", extra={"done": done})


def _rebuild_some(connection: Connection, ids: Sequence[str], redact: Redact | None = None) -> None:
    said = defaultdict(list)
    for row in connection.execute(
        select(_message).where(_message.c.conversation_id.in_(ids)).order_by(_message.c.seq)
    ).mappings():
        said[row["conversation_id"]].append(row)
    kinds: dict[int, Kind] = {}
    turned = defaultdict(list)
    of_turns = []
    for row in connection.execute(
        select(_turn)
        .where(_turn.c.conversation_id.in_(ids))
        .order_by(_turn.c.created_at, _turn.c.id)
    ).mappings():
        kind = kind_of(
            intent=row["intent"],
            emotion=row["emotion"],
            model_version=row["model_version"],
            actions=row["actions"],
            confidence=row["confidence"],
        )
        kinds[kind.id] = kind
        of_turns.append({"turn": row["id"], "kind": kind.id})
        turned[row["conversation_id"]].append((row, kind))
    _add_kinds(connection, kinds)
    if of_turns:
        connection.execute(_NAME_KIND, of_turns)
    for id_ in ids:
        connection.execute(
            update(_conversation)
            .where(_conversation.c.id == id_)
            .values(unanswered_since=_unanswered(said[id_]), **_summary(turned[id_]))
        )
        turns = [row for row, _ in turned[id_]]
        agents = [row for row in said[id_] if row["author"] == "agent"]
        _keep_words(
            connection, id_, turns, [(row, agent_texts(row["text"], redact)) for row in agents]
        )


def _add_kinds(connection: Connection, kinds: dict[int, Kind]) -> None:
    known = set(connection.execute(select(_kind.c.id).where(_kind.c.id.in_(list(kinds)))).scalars())
    if new := [kind for id_, kind in kinds.items() if id_ not in known]:
        connection.execute(
            _kind.insert(),
            [row_of(kind) for kind in new],
        )


def _unanswered(messages: Sequence[Any]) -> datetime | None:
    since = None
    for row in messages:
        if row["author"] == "customer":
            since = since or row["created_at"]
        elif row["author"] in ("bot", "agent"):
            since = None
    return since


def _summary(turns: Sequence[tuple[Any, Kind]]) -> dict[str, Any]:
    of_intent = of_features = 0
    trend, intent, emotion, lowest = "", None, None, None
    for row, kind in turns:
        of_intent |= intent_bits(kind.intent)
        of_features |= feature_bits(kind)
        trend = (trend_piece(kind.emotion) + trend)[:TREND_CHARS]
        intent, emotion = kind.intent or intent, kind.emotion or emotion
        confidence = known(row["confidence"])
        if confidence is not None:
            lowest = confidence if lowest is None else min(lowest, confidence)
    return {
        "last_intent": intent,
        "last_emotion": emotion,
        "emotion_trend": trend or None,
        "had_fallback": any(kind.fallback for _, kind in turns),
        "lowest_confidence": lowest,
        "intent_bits": of_intent,
        "feature_bits": of_features,
    }


def _keep_words(
    connection: Connection,
    id_: str,
    turns: Sequence[Any],
    agents: Sequence[tuple[Any, list[str]]],
) -> None:
    spoken = [
        (row["created_at"], row["inbound_id"], turn_texts(row["text"], row["replies"]))
        for row in turns
    ]
    spoken += [(row["created_at"], row["id"], texts) for row, texts in agents]
    for _, message_id, texts in sorted(spoken, key=lambda one: one[0]):
        keep_words(connection, conversation_id=id_, message_id=message_id, texts=texts)
