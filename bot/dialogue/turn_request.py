"""Reads the body of a turn; what is wrong with it is said by field."""

import json
from dataclasses import dataclass
from typing import Any

from bot.dialogue.errors import BadTurn

LONGEST_BODY = 256 * 1024
LONGEST_TEXT = 8_000
LONGEST_ID = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """A customer's message, as the gateway hands it over."""

    conversation_id: str
    message_id: str
    text: str
    literal: bool
    metadata: dict[str, Any]


def read_turn(body: bytes) -> TurnRequest:
    """Parse and check a request body. Raises BadTurn naming the field."""
    fields = read_fields(body)
    metadata = fields.get("metadata", {})
    if not isinstance(metadata, dict):
        raise BadTurn("metadata", "must be an object")
    for name in ("literal", "waiting"):
        if not isinstance(metadata.get(name, False), bool):
            raise BadTurn(f"metadata.{name}", "must be true or false")
    if not isinstance(metadata.get("channel", ""), str):
        raise BadTurn("metadata.channel", "must be a string")
    return TurnRequest(
        conversation_id=read_text(fields, "conversation_id", LONGEST_ID),
        message_id=read_text(fields, "message_id", LONGEST_ID),
        text=read_text(fields, "text", LONGEST_TEXT),
        literal=metadata.get("literal", False),
        metadata=metadata,
    )


def read_fields(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body. Raises BadTurn."""
    if len(body) > LONGEST_BODY:
        raise BadTurn("body", f"is longer than {LONGEST_BODY} bytes", status=413)
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise BadTurn("body", "is not JSON") from None
    if not isinstance(fields, dict):
        raise BadTurn("body", "must be a JSON object")
    return fields


def read_text(fields: dict[str, Any], name: str, longest: int) -> str:
    """A field that must be a text with something in it. Raises BadTurn."""
    if name not in fields:
        raise BadTurn(name, "is missing")
    value = fields[name]
    if not isinstance(value, str):
        raise BadTurn(name, "must be a string")
    if not value.strip():
        raise BadTurn(name, "must not be empty")
    if len(value) > longest:
        raise BadTurn(name, f"is longer than {longest} characters", status=413)
    if "\x00" in value:
        raise BadTurn(name, "must not contain NUL")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadTurn(name, "must not contain a lone surrogate") from None
    return value
