"""The inbox's address: which fields it has, and what they ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import get_args

from bot.errors import RequestError
from bot.log.inbox_filters import NOBODY, Filters
from bot.log.records import Status

# In the order in which the form and the chips show them.
FIELDS = (
    "status",
    "assignee",
    "unanswered",
    "handoff",
    "intent",
    "emotion",
    "below",
    "fallback",
    "model",
    "channel",
    "language",
    "rating",
    "reviewed",
    "from",
    "to",
)
SEARCH = "q"
MINE = "mine"
STEPS = tuple(f"{number / 100:.2f}" for number in range(30, 100, 5))
MAX_CHARS = 200

_LABELS = ("intent", "emotion", "model", "channel", "language", "handoff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an address asks for; `chosen` are its fields that narrow the list, as they were sent."""

    filters: Filters
    words: str
    chosen: Mapping[str, str]


def read_query(query: Mapping[str, str], *, agent_id: str) -> Asked:
    """The filters and the words of an address; fields that are not of the inbox are no matter.

    Raises RequestError (422) naming the field that cannot be.
    """
    chosen = {
        name: query[name].strip() for name in (*FIELDS, SEARCH) if query.get(name, "").strip()
    }
    for name, value in chosen.items():
        if len(value) > MAX_CHARS or not value.isprintable():
            raise RequestError(
                422,
                name,
                "the text is too long or not printable",
                f"send up to {MAX_CHARS} characters",
            )
    labels = {name: chosen.get(name) for name in _LABELS}
    assignee = chosen.get("assignee")
    filters = Filters(
        intent=labels["intent"],
        emotion=labels["emotion"],
        model_version=labels["model"],
        channel=labels["channel"],
        language=labels["language"],
        handoff=labels["handoff"],
        confidence_below=_step(chosen),
        fallback=_yes(chosen, "fallback"),
        unanswered=_yes(chosen, "unanswered"),
        reviewed=_yes(chosen, "reviewed"),
        rating_most=_rating(chosen),
        status=_status(chosen),
        agent=agent_id if assignee == MINE else NOBODY if assignee == NOBODY else assignee,
        since=_day(chosen, "from"),
        until=_day(chosen, "to", days=1),
    )
    return Asked(filters=filters, words=chosen.get(SEARCH, ""), chosen=chosen)


def _yes(chosen: Mapping[str, str], name: str) -> bool | None:
    value = chosen.get(name)
    if value not in (None, "yes", "no"):
        raise RequestError(422, name, f"{value!r} is neither yes nor no", "send yes or no")
    return None if value is None else value == "yes"


def _step(chosen: Mapping[str, str]) -> float | None:
    value = chosen.get("below")
    if value is None:
        return None
    try:
        step = round(float(value) * 20)
        known = 1 <= step <= 20 and abs(step / 20 - float(value)) < 1e-6
    except (ValueError, OverflowError):
        known = False
    if not known:
        raise RequestError(
            422, "below", f"{value!r} is no such confidence", "send 0.05, 0.10 and so on to 1"
        )
    return step / 20


def _rating(chosen: Mapping[str, str]) -> int | None:
    value = chosen.get("rating")
    if value is None:
        return None
    if value not in ("1", "2", "3", "4", "5"):
        raise RequestError(422, "rating", f"{value!r} is no rating", "send 1, 2, 3, 4 or 5")
    return int(value)


def _status(chosen: Mapping[str, str]) -> Status | None:
    value = chosen.get("status")
    for status in get_args(Status):
        if value == status:
            return status  # type: ignore[no-any-return]
    if value is not None:
        raise RequestError(
            422, "status", f"{value!r} is no status", "send bot, waiting, agent or closed"
        )
    return None


def _day(chosen: Mapping[str, str], name: str, *, days: int = 0) -> datetime | None:
    value = chosen.get(name)
    if value is None:
        return None
    try:
        day = date.fromisoformat(value) + timedelta(days=days)
    except (ValueError, OverflowError):
        raise RequestError(
            422, name, f"{value!r} is no day", "send a day such as 2026-11-22"
        ) from None
    return datetime.combine(day, time(), UTC)
