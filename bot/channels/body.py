"""Reads request bodies and texts strictly: what is wrong is named, with the remedy."""

import json
import unicodedata
from typing import Any

from aiohttp import web

from bot.errors import RequestError

MAX_BODY_BYTES = 64 * 1024
_MAX_ID_CHARS = 128
_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; raises RequestError (400, 413 or 415) when there is none."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise RequestError(
            415, "Content-Encoding", "compressed bodies are not taken", "send the body as it is"
        )
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise RequestError(
            413,
            "body",
            f"the body is larger than {MAX_BODY_BYTES} bytes",
            "send a shorter message",
        ) from None
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except RequestError:
        raise
    except (ValueError, RecursionError):
        raise RequestError(
            400, "body", "the body is not JSON in UTF-8", 'send an object such as {"id", "text"}'
        ) from None
    if not isinstance(value, dict):
        raise RequestError(400, "body", f"the body is {_KINDS[type(value)]}", "send a JSON object")
    return value


def read_id(body: dict[str, Any], field: str) -> str:
    """An id in the body: 1 to 128 printable characters."""
    value = _string(body, field)
    if not value or len(value) > _MAX_ID_CHARS or not value.isprintable():
        raise RequestError(
            400,
            field,
            f"an id has 1 to {_MAX_ID_CHARS} printable characters",
            "send an id such as a UUID",
        )
    return value


def read_text(body: dict[str, Any], field: str, max_chars: int) -> str:
    """A customer's text in the body: something to read, of bounded length, storable as UTF-8."""
    text = _string(body, field)
    if len(text) > max_chars:
        raise RequestError(
            413,
            field,
            f"the text has {len(text)} characters, the limit is {max_chars}",
            "shorten it or send it in parts",
        )
    if "\0" in text:
        raise RequestError(400, field, "the text contains NUL", "remove the character U+0000")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RequestError(
                400,
                field,
                "the text contains half of a surrogate pair",
                "send complete characters, in UTF-8",
            ) from None
    if not any(map(_is_visible, text)):
        raise RequestError(
            400, field, "the text is empty", "send a text with at least one visible character"
        )
    return text


def read_whole_number(request: web.Request, field: str, default: int, most: int) -> int:
    """A whole number from the query, from 0 to `most`."""
    raw = request.query.get(field)
    if raw is None:
        return default
    # At most 19 digits: more would be no sequence number, only work to read.
    if not (raw.isascii() and raw.isdigit() and len(raw) < 20) or int(raw) > most:
        raise RequestError(
            400, field, f"it is not a whole number from 0 to {most}", "send digits, or leave it out"
        )
    return int(raw)


def read_flag(request: web.Request, field: str) -> bool:
    """A boolean from the query; absent is false."""
    raw = request.query.get(field, "false").lower()
    if raw not in ("true", "false", "1", "0"):
        raise RequestError(400, field, "it is neither true nor false", f"send {field}=true")
    return raw in ("true", "1")


def _string(body: dict[str, Any], field: str) -> str:
    if field not in body:
        raise RequestError(400, field, "the field is missing", f'send "{field}" as a string')
    value = body[field]
    if not isinstance(value, str):
        raise RequestError(
            400, field, f"it is {_KINDS[type(value)]}", f'send "{field}" as a string'
        )
    return value


def _is_visible(char: str) -> bool:
    # Separators, and of the "other" group all: control, format (zero-width, tags), unassigned.
    return not char.isspace() and unicodedata.category(char)[0] not in "CZ"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RequestError(
            400,
            twice[:_MAX_ID_CHARS].encode("utf-8", "replace").decode(),
            "the field is there more than once",
            "send each field once",
        )
    return value


def _refuse(constant: str) -> None:
    raise RequestError(400, "body", f"{constant} is not JSON", "send numbers only")
