"""Entity spans that a person marked, checked against the text they are in."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from bot.errors import RequestError

MAX_SPANS = 50
MAX_VALUE = 300
_NAME = re.compile(r"[A-Za-z_][\w-]{0,59}")


def checked(text: str, spans: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The spans as they are kept, in the order of the text.

    Each has `entity`, `start` and `end` (in code points, `end` exclusive), `text` as the marker saw
    it, and perhaps `value`, `role`, `group`. Raises RequestError (422) for one that does not fit:
    offsets counted in another way would otherwise be wrong labels that nobody notices.
    """
    if len(spans) > MAX_SPANS:
        raise _refusal(f"there are {len(spans)} spans", f"mark at most {MAX_SPANS}")
    kept = sorted((_span(text, span) for span in spans), key=lambda span: span["start"])
    for before, after in pairwise(kept):
        if after["start"] < before["end"]:
            raise _refusal("two spans overlap", "mark each word once")
    return kept


def _span(text: str, span: Mapping[str, Any]) -> dict[str, Any]:
    name, start, end = span.get("entity"), span.get("start"), span.get("end")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "emotion":
        raise _refusal(f"{name!r} is no name of an entity", "use letters, digits and _")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise _refusal(f"{start!r} to {end!r} is not within the text", "mark the words again")
    if span.get("text") != text[start:end]:
        raise _refusal(
            f"the text from {start} to {end} is not what was marked",
            "count in code points of the text as it is shown, and send the marked `text`",
        )
    kept: dict[str, Any] = {"entity": name, "start": start, "end": end}
    value = span.get("value")
    if value is None or value == "":
        value = text[start:end]
    if not isinstance(value, str) or len(value) > MAX_VALUE:
        raise _refusal("a value is no short text", f"use up to {MAX_VALUE} characters")
    kept["value"] = value
    for key in ("role", "group"):
        given = span.get(key)
        if given:
            if not isinstance(given, str) or not _NAME.fullmatch(given):
                raise _refusal(f"{given!r} is no {key}", "use letters, digits and _")
            kept[key] = given
    return kept


def as_set(spans: Sequence[Mapping[str, Any]]) -> frozenset[tuple[Any, ...]]:
    """What two people have to agree on: where each entity is and which it is."""
    return frozenset(
        (span.get("start"), span.get("end"), span["entity"], span.get("role"), span.get("group"))
        for span in spans
    )


def _refusal(message: str, remedy: str) -> RequestError:
    return RequestError(422, "entities", message, remedy)
