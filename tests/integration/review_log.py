"""A log with turns in it, for the tests of reviewing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from bot.log import tables

START = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


def add_conversation(connection: Connection, id_: str, **changes: Any) -> str:
    """A conversation that is the bot's."""
    row: dict[str, Any] = {
        "id": id_,
        "channel": "api",
        "account": id_,
        "status": "bot",
        "last_seq": 0,
        "created_at": START,
        "updated_at": START,
    }
    connection.execute(insert(tables.conversation), row | changes)
    return id_


def add_turn(
    connection: Connection,
    id_: str,
    text: str,
    *,
    conversation_id: str | None = None,
    ranking: Sequence[tuple[str, float]] = (("track_order", 0.95), ("cancel_order", 0.03)),
    minute: int = 0,
    **changes: Any,
) -> str:
    """A turn of a conversation; without one it has a conversation to itself."""
    if conversation_id is None:
        conversation_id = add_conversation(connection, f"of-{id_}")
    at = START + timedelta(minutes=minute)
    connection.execute(
        insert(tables.message),
        {
            "id": f"in-{id_}",
            "conversation_id": conversation_id,
            "seq": minute * 2 + 1,
            "direction": "in",
            "author": "customer",
            "channel": "api",
            "account": conversation_id,
            "message_id": id_,
            "text": text,
            "state": "answered",
            "turn_id": id_,
            "created_at": at,
        },
    )
    row: dict[str, Any] = {
        "id": id_,
        "conversation_id": conversation_id,
        "inbound_id": f"in-{id_}",
        "text": text,
        "intent": ranking[0][0] if ranking else None,
        "confidence": ranking[0][1] if ranking else None,
        "ranking": [{"name": name, "confidence": value} for name, value in ranking],
        "emotion": "neutral",
        "emotion_confidence": 0.9,
        "entities": [],
        "actions": [],
        "qa_pair_id": None,
        "model_version": "m1",
        "replies": [{"text": "an answer"}],
        "created_at": at,
    }
    connection.execute(insert(tables.turn), row | changes)
    return id_


def add_agents(connection: Connection, *names: str) -> None:
    """Reviewers whose ids are their names."""
    connection.execute(
        insert(tables.agent),
        [{"id": name, "name": name, "role": "reviewer", "created_at": START} for name in names],
    )
