"""Where a page of the inbox begins or ends, as addresses carry it."""

import base64
import json
from datetime import datetime
from typing import Any

from bot.errors import RequestError
from bot.log.inbox_pages import OTHERS, WAITING, Place


def write_place(place: Place) -> str:
    """A place of the list as text for an address."""
    return _pack([place.part, place.rank, place.moment.isoformat(), place.id])


def read_place(name: str, text: str) -> Place:
    """The place that a client sent back under a name; raises RequestError (422)."""
    try:
        part, rank, moment, id_ = json.loads(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        )
        at = datetime.fromisoformat(moment)
        good = part in (WAITING, OTHERS) and type(rank) is int and 0 <= rank < 10
        good = good and isinstance(id_, str) and "\0" not in id_ and at.tzinfo is not None
    except (ValueError, TypeError, RecursionError):
        good = False
    if not good:
        raise RequestError(
            422, name, "this is no place in the list", "go on from the links of a page"
        )
    return Place(part=part, rank=rank, moment=at, id=id_)


def _pack(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
