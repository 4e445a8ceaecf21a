"""Messages that were heard and understood, put into a log without a dialogue in between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from bot.log import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A customer's only message; `parse` is the understanding service's, with its version."""

    id: str  # of the turn
    text: str
    parse: Mapping[str, Any]
    at: datetime


def put(connection: Connection, heard: Sequence[Heard]) -> bool:
    """Add each as a conversation of its own."""
    if heard:
        connection.execute(insert(tables.conversation), [_conversation(one) for one in heard])
        connection.execute(insert(tables.message), [_message(one) for one in heard])
        connection.execute(insert(tables.turn), [_turn(one) for one in heard])
    return bool(heard)


def _conversation(one: Heard) -> dict[str, Any]:
    return {
        "id": f"c-{one.id}",
        "channel": "api",
        "account": f"c-{one.id}",
        "status": "bot",
        "last_seq": 1,
        "created_at": one.at,
        "updated_at": one.at,
    }


def _message(one: Heard) -> dict[str, Any]:
    return {
        "id": f"in-{one.id}",
        "conversation_id": f"c-{one.id}",
        "seq": 1,
        "direction": "in",
        "author": "customer",
        "channel": "api",
        "account": f"c-{one.id}",
        "message_id": one.id,
        "text": one.text,
        "state": "answered",
        "turn_id": one.id,
        "created_at": one.at,
    }


def _turn(one: Heard) -> dict[str, Any]:
    parse = one.parse
    return {
        "id": one.id,
        "conversation_id": f"c-{one.id}",
        "inbound_id": f"in-{one.id}",
        "text": one.text,
        "intent": parse["intent"]["name"],
        "confidence": parse["intent"]["confidence"],
        "ranking": parse["intent_ranking"],
        "emotion": parse["emotion"]["name"],
        "emotion_confidence": parse["emotion"]["confidence"],
        "entities": [],
        "actions": [],
        "model_version": parse["model_version"],
        "mode": parse["mode"],
        "replies": [],
        "created_at": one.at,
    }
