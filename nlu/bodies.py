"""Checks the JSON bodies of requests; every complaint names the field and the remedy."""

import json
from typing import Any

from nlu.errors import BadRequest

MOST_TEXTS = 512
MOST_NAME_CHARS = 300


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object of a body."""
    try:
        body = json.loads(raw)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise BadRequest("body", "not JSON; send a JSON object in UTF-8") from None
    if not isinstance(body, dict):
        raise BadRequest("body", "not an object; send {...}")
    return body


def read_text(body: dict[str, Any], max_chars: int) -> str:
    """The field `text`."""
    if "text" not in body:
        raise BadRequest("text", "missing; send the customer's words as a string")
    return _checked(body["text"], "text", max_chars)


def read_texts(body: dict[str, Any], max_chars: int) -> list[str]:
    """The field `texts`: 1 to 512 of them."""
    texts = body.get("texts")
    if not isinstance(texts, list) or not texts:
        raise BadRequest("texts", "missing or empty; send a list of strings")
    if len(texts) > MOST_TEXTS:
        problem = f"{len(texts)} are too many; send at most {MOST_TEXTS} at once"
        raise BadRequest("texts", problem, status=413)
    return [_checked(text, f"texts[{index}]", max_chars) for index, text in enumerate(texts)]


def read_flag(body: dict[str, Any], name: str) -> bool:
    """An optional true or false."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(name, "must be true or false")
    return value


def read_name(body: dict[str, Any], name: str) -> str | None:
    """An optional name: of a conversation, of a version."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MOST_NAME_CHARS:
        raise BadRequest(name, f"must be a text of 1 to {MOST_NAME_CHARS} characters")
    return value


def _checked(text: object, field: str, max_chars: int) -> str:
    if not isinstance(text, str):
        raise BadRequest(field, "must be a string")
    if not text.strip():
        raise BadRequest(field, "empty; send at least one visible character")
    if len(text) > max_chars:
        problem = f"{len(text)} characters are too many; send at most {max_chars}"
        raise BadRequest(field, problem, status=413)
    if "\0" in text:
        raise BadRequest(field, "contains a NUL character; remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequest(field, "contains half a surrogate pair; send valid Unicode") from None
    return text
