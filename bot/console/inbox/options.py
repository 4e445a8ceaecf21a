"""What the inbox's filters offer: the labels, channels and languages that the log has."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from bot.log import tables
from bot.log.journal import Journal

FRESH_S = 120.0
# What nobody has used for so many conversations is not offered; it can be filtered by all the same.
NEWEST = 20_000

_kind = tables.turn_kind
_conversation = tables.conversation
_agent = tables.agent


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Values by the name of their field, in order; `agents` are (id, name)."""

    labels: dict[str, list[str]] = field(default_factory=dict)
    agents: list[tuple[str, str]] = field(default_factory=list)


class OptionsCache:
    """Reads the options now and then: they change seldom, and everyone gets the same."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._kept: tuple[float, Options] | None = None
        self._reading = asyncio.Lock()

    async def get(self) -> Options:
        """Options that are at most two minutes old."""
        async with self._reading:
            if self._kept is None or self._clock() - self._kept[0] > FRESH_S:
                self._kept = (self._clock(), await self._journal.browse(read_options))
            return self._kept[1]


def read_options(connection: Connection) -> Options:
    """What the log has."""
    labels: dict[str, set[str]] = {
        name: set() for name in ("intent", "emotion", "model", "channel", "language", "handoff")
    }
    kinds = select(_kind.c.intent, _kind.c.emotion, _kind.c.model_version).distinct()
    for kind in connection.execute(kinds):
        for name, value in zip(("intent", "emotion", "model"), kind, strict=True):
            labels[name].add(value)
    newest = (
        select(_conversation.c.channel, _conversation.c.locale, _conversation.c.handoff_reason)
        .order_by(_conversation.c.updated_at.desc(), _conversation.c.id.desc())
        .limit(NEWEST)
        .subquery()
    )
    for row in connection.execute(select(newest).distinct()):
        labels["channel"].add(row.channel)
        labels["language"].add((row.locale or "").split("-")[0])
        labels["handoff"].add(row.handoff_reason or "")
    agents = connection.execute(
        select(_agent.c.id, _agent.c.name)
        .where(_agent.c.disabled_at.is_(None), _agent.c.role != "reviewer")
        .order_by(_agent.c.name)
    )
    return Options(
        labels={name: sorted(values - {""}) for name, values in labels.items()},
        agents=[(row.id, row.name) for row in agents],
    )
