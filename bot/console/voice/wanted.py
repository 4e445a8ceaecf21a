"""Which figures a page is asked for: the period and the filters, as its address says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from bot.errors import RequestError
from bot.log.voice_figures import Period

PRESETS = ("7", "28", "90", "365")
CUSTOM = "custom"
_DEFAULT = "28"
_MOST_DAYS = 3 * 366
# In the address, for the language that is "" in the figures.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A period, and how the form shows it."""

    period: Period
    preset: str

    @property
    def bucket_days(self) -> int:
        """How many days a point of the charts stands for."""
        days = self.period.days
        return 1 if days <= 92 else 7 if days <= 2 * 366 else 28

    @property
    def fields(self) -> dict[str, str]:
        """The same as the fields of an address."""
        dates = {"from": str(self.period.first), "to": str(self.period.last)}
        return (
            ({"period": self.preset} if self.preset != CUSTOM else {"period": CUSTOM, **dates})
            | ({"channel": self.period.channel} if self.period.channel else {})
            | (
                {}
                if self.period.language is None
                else {"language": self.period.language or UNKNOWN}
            )
        )

    @property
    def in_inbox(self) -> dict[str, str]:
        """The filters of the inbox for the same conversations."""
        found = {"from": str(self.period.first), "to": str(self.period.last)}
        if self.period.channel:
            found["channel"] = self.period.channel
        if self.period.language:
            found["language"] = self.period.language
        return found


def read_wanted(query: Mapping[str, str], today: date) -> Wanted:
    """Read an address; raises RequestError (400)."""
    preset = query.get("period", _DEFAULT)
    if preset in PRESETS:
        # Dates that stand beside a preset are those of the form before it was changed.
        first, last = today - timedelta(days=int(preset) - 1), today
    elif preset == CUSTOM:
        last = _date(query, "to", today)
        first = _date(query, "from", last - timedelta(days=int(_DEFAULT) - 1))
    else:
        raise RequestError(
            400, "period", "it is unknown", f"choose one of {', '.join((*PRESETS, CUSTOM))}"
        )
    if first > last:
        raise RequestError(400, "from", "it is after `to`", "begin before the end")
    if (last - first).days >= _MOST_DAYS:
        raise RequestError(400, "from", "the period is longer than three years", "shorten it")
    language = query.get("language")
    period = Period(
        first=first,
        last=last,
        channel=_label(query.get("channel"), "channel"),
        language="" if language == UNKNOWN else _label(language, "language"),
    )
    return Wanted(period=period, preset=preset)


def _date(query: Mapping[str, str], name: str, default: date) -> date:
    text = query.get(name)
    if not text:
        return default
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if not 2000 <= found.year <= 2200:
        raise RequestError(400, name, "it is no date", "write it as 2026-11-22")
    return found


def _label(text: str | None, name: str) -> str | None:
    if not text:
        return None
    if len(text) > 100 or not text.isprintable():
        raise RequestError(400, name, "it is no such name", "choose one of the list")
    return text
