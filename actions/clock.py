"""The time as the shop sees it: its calendar day and its working days."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]  # the present moment, with a zone

SHOP_ZONE = "Europe/London"


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def shop_time(moment: datetime) -> datetime:
    """The moment on the shop's wall clock."""
    return moment.astimezone(ZoneInfo(SHOP_ZONE))


def working_days_after(start: date, end: date) -> int:
    """How many working days (Mon-Fri) lie after `start`, up to and with `end`."""
    whole_weeks, rest = divmod(max((end - start).days, 0), 7)
    extra = sum((start + timedelta(days=i)).weekday() < 5 for i in range(1, rest + 1))
    return whole_weeks * 5 + extra


def spoken_date(day: date) -> str:
    """Friday 27 November."""
    return f"{day:%A} {day.day} {day:%B}"
