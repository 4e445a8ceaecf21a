"""When the learning loop runs: every so often since its last run, and early when there is drift."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.learning.errors import BadPeriod

OFF = "off"
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_PERIOD = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)\s*([hdw])")
LEAST = timedelta(hours=1)
MOST = timedelta(weeks=520)
# A run that failed, or that an erasure or a person stopped, is tried again sooner than its period.
AGAIN_AFTER = timedelta(hours=6)
EARLY_AGAIN = timedelta(days=1)  # between runs that the drift watch calls for


def read_period(said: str) -> timedelta | None:
    """The period that `7d`, `12h` or `2w` says; None for `off`. Raises BadPeriod."""
    text = said.strip().lower()
    if text == OFF:
        return None
    found = _PERIOD.fullmatch(text)
    if found is None:
        raise BadPeriod(said)
    period = float(found[1]) * _UNITS[found[2]]
    if not LEAST <= period <= MOST:
        raise BadPeriod(said)
    return period


def next_run(
    runs: Sequence[Mapping[str, Any]],
    period: timedelta,
    now: datetime,
    *,
    first_turn: datetime | None,
) -> datetime:
    """When the loop is to run next, by its newest runs (newest first); `now` when it is late.

    The first time it is a period after the first turn there is. However many were missed, one run
    catches up: it harvests all there is.
    """
    succeeded = next((run for run in runs if run["state"] == "succeeded"), None)
    last = first_turn if succeeded is None else succeeded["created_at"]
    due = (last or now) + period
    newest = runs[0] if runs else None
    if newest is not None and newest["state"] in ("failed", "cancelled"):
        due = max(due, (newest["finished_at"] or now) + min(period, AGAIN_AFTER))
    return max(due, now)


def may_run_early(last_early: datetime | None, now: datetime) -> bool:
    """Whether the drift watch may call for a run: at most one in a day."""
    return last_early is None or now - last_early >= EARLY_AGAIN
