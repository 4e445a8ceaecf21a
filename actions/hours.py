"""When people are in the chat: opening hours by weekday, exceptions by date, in one time zone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from actions.errors import DataFileError

FILE = "hours.yml"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FARTHEST_DAYS = 60  # how far ahead an opening is looked for

_DAY = timedelta(days=1)
_MIDNIGHT = 24 * 60
_ALL_DAY = ((0, _MIDNIGHT),)
_SPAN = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)")

Spans = tuple[tuple[int, int], ...]  # minutes after midnight on the wall clock, in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Opening hours. Without a file people are always in."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    zone_name: str = "UTC"  # as customers call it
    week: tuple[Spans, ...] = (_ALL_DAY,) * 7  # from Monday
    days: Mapping[date, Spans] = field(default_factory=dict)  # dates with hours of their own

    def is_open(self, moment: datetime) -> bool:
        """Whether people are in at this moment."""
        day = moment.astimezone(self.zone).date()
        return any(opens <= moment < closes for opens, closes in self._openings(day))

    def next_opening(self, moment: datetime) -> datetime | None:
        """The moment itself when people are in, else when they come back, on the wall clock.

        None when they do not within two months.
        """
        day = moment.astimezone(self.zone).date()
        for ahead in range(FARTHEST_DAYS + 1):
            for opens, closes in self._openings(day + ahead * _DAY):
                if moment < closes:
                    return max(opens, moment).astimezone(self.zone)
        return None

    def open_s(self, start: datetime, end: datetime) -> float:
        """How many seconds between two moments people were in."""
        day, last = (moment.astimezone(self.zone).date() for moment in (start, end))
        total_s = 0.0
        while day <= last:
            for opens, closes in self._openings(day):
                total_s += max((min(closes, end) - max(opens, start)).total_seconds(), 0.0)
            day += _DAY
        return total_s

    def spoken_return(self, moment: datetime) -> str | None:
        """When people are back, for a sentence: "on Monday at 8:00 (UK time)"; None for never."""
        opening = self.next_opening(moment)
        if opening is None:
            return None
        ahead = (opening.date() - moment.astimezone(self.zone).date()).days
        if ahead == 0:
            day = "today"
        elif ahead == 1:
            day = "tomorrow"
        elif ahead < 7:
            day = f"on {opening:%A}"
        else:
            day = f"on {opening:%A} {opening.day} {opening:%B}"
        return f"{day} at {opening.hour}:{opening:%M} ({self.zone_name})"

    def _openings(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        for start, end in self.days.get(day, self.week[day.weekday()]):
            yield self._moment(day, start), self._moment(day, end)

    def _moment(self, day: date, minutes: int) -> datetime:
        if minutes == _MIDNIGHT:
            day, minutes = day + _DAY, 0
        wall = datetime.combine(day, time(*divmod(minutes, 60)), self.zone)
        # Compared and subtracted in UTC: within one zone Python would go by the wall clock,
        # which is an hour off twice a year.
        return wall.astimezone(UTC)


def read_hours(path: Path) -> Hours:
    """The hours in a file; always open when there is none. Raises DataFileError."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Hours()
    except yaml.YAMLError as error:
        raise DataFileError(path, f"not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(loaded, dict):
        raise DataFileError(path, "must be a mapping with time_zone and week")
    zone_key = str(loaded.get("time_zone", "UTC"))
    try:
        zone = ZoneInfo(zone_key)
    except (ZoneInfoNotFoundError, ValueError):
        raise DataFileError(
            path, f"time_zone: {zone_key} is no time zone; write one such as Europe/London"
        ) from None
    week = _mapping(path, loaded, "week")
    if unknown := set(week) - set(WEEKDAYS):
        raise DataFileError(path, f"week: {min(map(str, unknown))} is no weekday; write monday")
    return Hours(
        zone=zone,
        zone_name=str(loaded.get("zone_name", zone_key)),
        week=tuple(_spans(path, f"week.{name}", week.get(name)) for name in WEEKDAYS),
        days={
            _date(path, day): _spans(path, f"days.{day}", spans)
            for day, spans in _mapping(path, loaded, "days").items()
        },
    )


def _mapping(path: Path, loaded: dict[str, Any], name: str) -> dict[Any, Any]:
    value = loaded.get(name) or {}
    if not isinstance(value, dict):
        raise DataFileError(path, f"{name}: must be a mapping")
    return value


def _date(path: Path, value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise DataFileError(path, f"days: {value} is no date; write 2026-12-25") from None


def _spans(path: Path, name: str, value: object) -> Spans:
    """Spans such as ["08:00-12:30", "13:00-20:00"]; nothing is a closed day."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise DataFileError(path, f'{name}: must be a list such as ["08:00-20:00"]')
    spans: list[tuple[int, int]] = []
    for item in value:
        found = _SPAN.fullmatch(str(item).strip())
        start, end = _minutes(found) if found else (0, 0)
        if start >= end or end > _MIDNIGHT or (spans and start < spans[-1][1]):
            raise DataFileError(
                path,
                f'{name}: "{item}" is no span after the one before; write "08:00-20:00" '
                "(up to 24:00; a night is two spans)",
            )
        spans.append((start, end))
    return tuple(spans)


def _minutes(found: re.Match[str]) -> tuple[int, int]:
    hour, minute, end_hour, end_minute = map(int, found.groups())
    return hour * 60 + minute, end_hour * 60 + end_minute
