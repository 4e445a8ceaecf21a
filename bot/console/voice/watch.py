"""The emotion watch: looks at the last full hours once, and keeps what it finds."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from bot.log import voice_alerts, voice_state
from bot.log.journal import Journal
from bot.log.voice_alerts import Finding, Findings, Series
from bot.log.voice_count import hour_of
from bot.push import AGENTS, Event
from bot.world import World

if TYPE_CHECKING:
    from bot.console.voice.detect import Look

ALERTS: Event = {"type": "alerts"}
# A topic that was quiet again only a while ago gives no new alert.
COOLDOWN = timedelta(days=1)
# The turns of an hour may be committed a little after it.
_GRACE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the log shows when the watch looks."""

    windows: list[tuple[Series, int, int, int]]
    open: set[Series]
    quiet: set[Series]


class Watch:
    """Looks once an hour, whichever gateway comes first."""

    def __init__(
        self, journal: Journal, world: World, *, false_alarms: float, notify: bool
    ) -> None:
        self._journal = journal
        self._world = world
        # How many are accepted in 30 days; none at all: the watch is off.
        self._false_alarms = false_alarms
        self._notify = notify

    async def once(self) -> Findings | None:
        """Look, unless this hour was looked at; None then. Raises StorageError or TimeoutError."""
        now = self._world.now()
        hour = hour_of(now - _GRACE)
        if self._false_alarms <= 0:
            return None
        state = await self._journal.browse(voice_state.state)
        if state.looked_hour is not None and state.looked_hour >= hour:
            return None
        seen = await self._journal.browse(partial(_see, hour=hour, now=now))
        findings = await asyncio.to_thread(self._judge, seen, hour)
        kept = await self._journal.write(
            partial(voice_alerts.keep_findings, findings=findings, now=now, notify=self._notify),
            [(AGENTS, ALERTS)] if findings.opened or findings.over else (),
        )
        return findings if kept else None

    async def replay(self, hours: int) -> list[tuple[int, Finding]]:
        """What it would have opened in the last so many hours: (hour, finding). Keeps nothing."""
        last = hour_of(self._world.now() - _GRACE)
        cooldown_h = COOLDOWN.total_seconds() / 3600
        opened: list[tuple[int, Finding]] = []
        is_open: set[Series] = set()
        closed_at: dict[Series, int] = {}
        for hour in range(last - hours + 1, last + 1):
            windows = await self._journal.browse(partial(voice_alerts.windows, before_hour=hour))
            quiet = {series for series, at in closed_at.items() if hour - at < cooldown_h}
            seen = _Seen(windows=windows, open=set(is_open), quiet=quiet)
            found = await asyncio.to_thread(self._judge, seen, hour)
            opened += [(hour, one) for one in found.opened]
            is_open |= {one.series for one in found.opened}
            is_open -= set(found.over)
            closed_at |= dict.fromkeys(found.over, hour)
        return opened

    def _judge(self, seen: _Seen, hour: int) -> Findings:
        names = sorted({series for series, *_ in seen.windows} | seen.open)
        if not names:
            return Findings(hour=hour, opened=(), seen=(), over=())
        # NumPy and SciPy take a third of a second to import: in this thread, and only once.
        import numpy as np

        from bot.console.voice import detect

        rows = {series: row for row, series in enumerate(names)}
        cases = np.zeros((len(names), voice_alerts.WINDOWS))
        upset = np.zeros((len(names), voice_alerts.WINDOWS))
        for series, window, count, bad in seen.windows:
            cases[rows[series], window] = count
            upset[rows[series], window] = bad
        found = detect.look(cases, upset, false_alarms=self._false_alarms)
        raised = [series for series in names if found.raised[rows[series]]]
        return Findings(
            hour=hour,
            opened=[
                self._finding(series, found, rows[series])
                for series in raised
                if series not in seen.open and series not in seen.quiet
            ],
            seen=[
                self._finding(series, found, rows[series])
                for series in sorted(seen.open)
                if not found.over[rows[series]]
            ],
            over=[series for series in sorted(seen.open) if found.over[rows[series]]],
        )

    def _finding(self, series: Series, found: "Look", row: int) -> Finding:
        return Finding(
            id=self._world.new_id(),
            series=series,
            cases=int(found.cases[row]),
            upset=int(found.upset[row]),
            expected=float(found.expected[row]),
            p_value=float(found.p_values[row]),
        )


def _see(connection: Connection, *, hour: int, now: datetime) -> _Seen:
    return _Seen(
        windows=voice_alerts.windows(connection, before_hour=hour),
        open=voice_alerts.open_series(connection),
        quiet=voice_alerts.quiet(connection, now=now, cooldown=COOLDOWN),
    )
