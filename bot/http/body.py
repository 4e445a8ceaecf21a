"""Reads request bodies and texts strictly: what is wrong is named, with the remedy."""

import asyncio
import json
import re
import unicodedata
from typing import Any

from aiohttp import web

from bot.errors import RequestError

MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 32
BODY_TIMEOUT_S = 10.0
MAX_ID_CHARS = 128
_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
# Strings are skipped whole, also one that never ends: each byte is looked at once.
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[][{}]', re.DOTALL)


async def read_raw(
    request: web.Request, max_bytes: int, *, timeout_s: float = BODY_TIMEOUT_S
) -> bytes:
    """The body as it was sent: what a signature is checked on.

    Raises RequestError: 415 for a compressed body, 413 beyond `max_bytes` (at once where the length
    was announced), 408 when it has not arrived in time, 400 when it broke off.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RequestError(
            415, "Content-Encoding", "compressed bodies are not taken", "send the body as it is"
        )
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    raw = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                raw += chunk
                if len(raw) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise RequestError(
            408,
            "body",
            f"the body did not arrive within {timeout_s:g} seconds",
            "send it again, faster or smaller",
        ) from None
    except web.RequestPayloadError:
        raise RequestError(
            400, "body", "the body broke off", "send all that Content-Length announces"
        ) from None
    return bytes(raw)


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; raises RequestError (400, 408, 413, 415) when there is none."""
    return parse_object(await read_raw(request, MAX_BODY_BYTES))


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`; raises RequestError (400) when there is none."""
    _refuse_depth(raw)
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
    if not value or len(value) > MAX_ID_CHARS or not value.isprintable():
        raise RequestError(
            400,
            field,
            f"an id has 1 to {MAX_ID_CHARS} printable characters",
            "send an id such as a UUID",
        )
    return value


def read_ids(body: dict[str, Any], field: str, most: int) -> list[str]:
    """The ids in an array of the body, each once and at most `most`; absent is none."""
    value = body.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most:
        raise RequestError(
            400, field, f"it is no array of at most {most} ids", f'send "{field}" as an array'
        )
    return list(dict.fromkeys(read_id({field: one}, field) for one in value))


def read_text(body: dict[str, Any], field: str, max_chars: int) -> str:
    """A customer's text in the body: something to read, of bounded length, storable as UTF-8."""
    return check_text(_string(body, field), field, max_chars)


def check_text(text: str, field: str, max_chars: int) -> str:
    """The text itself, when it is what `read_text` wants; raises RequestError (400 or 413)."""
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


def read_locale(body: dict[str, Any], field: str) -> str | None:
    """A language tag in the body, such as `en` or `zh-Hans`; None when there is none."""
    if body.get(field) is None:
        return None
    value = _string(body, field)
    if not _LOCALE.fullmatch(value):
        raise RequestError(
            400, field, "it is no language tag", 'send one such as "en" or "zh-CN", or leave it out'
        )
    return value


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
            twice[:MAX_ID_CHARS].encode("utf-8", "replace").decode(),
            "the field is there more than once",
            "send each field once",
        )
    return value


def _refuse_depth(raw: bytes) -> None:
    """Raise RequestError (400) for deep nesting before a parser has to follow it."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(raw):
        if match[0] in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise RequestError(
                    400, "body", f"it is nested more than {MAX_DEPTH} deep", "send a flat object"
                )
        elif match[0] in b"]}":
            depth -= 1


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        413, "body", f"the body is larger than {max_bytes} bytes", "send a shorter message or file"
    )


def _refuse(constant: str) -> None:
    raise RequestError(400, "body", f"{constant} is not JSON", "send numbers only")
