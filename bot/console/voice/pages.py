"""The page of figures, and its files for spreadsheets."""

from datetime import date
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from bot.console import csv_file
from bot.console.visit import Visit
from bot.console.voice import shown
from bot.console.voice.report import make_report
from bot.console.voice.wanted import CUSTOM, PRESETS, UNKNOWN, Wanted, read_wanted
from bot.gateway import Gateway
from bot.log import voice_figures
from bot.log.voice_count import SCALARS
from bot.log.voice_labels import ALL

_TOPIC_LABELS = ("intent", "emotion", "model_version", "channel", "language")


class Figures:
    """/voice: figures with the change to the period before."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def show(self, visit: Visit) -> web.StreamResponse:
        """The page."""
        wanted = self._wanted(visit)
        report = await self._gateway.journal.browse(partial(make_report, wanted=wanted))
        return visit.page(
            "voice/page.html",
            report=report,
            wanted=wanted,
            before=wanted.period.before(),
            presets=PRESETS,
            custom=CUSTOM,
            unknown=UNKNOWN,
            zone=self._gateway.voice.counting.zone.key,
            figure=shown.figure,
            difference=shown.difference,
        )

    async def days(self, visit: Visit) -> web.StreamResponse:
        """The counts of each day, channel and language."""
        wanted = self._wanted(visit)
        rows = await self._gateway.journal.browse(partial(_days, wanted=wanted))
        header = ("day", "channel", "language", *SCALARS, "ratings", "rating_sum")
        return csv_file.attachment(_name("days", wanted), header, rows)

    async def topics(self, visit: Visit) -> web.StreamResponse:
        """Turns by what was understood, over the period."""
        wanted = self._wanted(visit)
        rows = await self._gateway.journal.browse(
            partial(voice_figures.topics, period=wanted.period, labels=_TOPIC_LABELS)
        )
        header = (*_TOPIC_LABELS, *voice_figures.TOPIC_COUNTS)
        ordered = sorted(rows, key=lambda row: (-row["turns"], row["intent"], row["emotion"]))
        return csv_file.attachment(
            _name("topics", wanted), header, ([row[name] for name in header] for row in ordered)
        )

    def _wanted(self, visit: Visit) -> Wanted:
        return read_wanted(visit.query, self._today())

    def _today(self) -> date:
        zone = self._gateway.voice.counting.zone
        return self._gateway.world.now().astimezone(zone).date()


def _days(connection: Connection, wanted: Wanted) -> list[list[Any]]:
    found = []
    for row in voice_figures.day_rows(connection, wanted.period):
        if ALL in (row["channel"], row["language"]):
            continue
        ratings = row["spread"].get("rating", {})
        found.append(
            [row["day"].isoformat(), row["channel"], row["language"]]
            + [row[name] for name in SCALARS]
            + [sum(ratings.values()), sum(int(one) * n for one, n in ratings.items())]
        )
    return found


def _name(kind: str, wanted: Wanted) -> str:
    return f"voice-{kind}-{wanted.period.first}-{wanted.period.last}.csv"
