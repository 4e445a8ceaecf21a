"""What the drift watch reads of the log: days of turns, a few of each hour, in bounded time."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from bot.log import tables
from bot.log.review_scores import is_reviewable
from bot.log.turn_kinds import known

_turn = tables.turn
_kind = tables.turn_kind

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PER_HOUR = 30  # turns read of an hour; so a day has 720 at most, whatever its traffic


@dataclass(slots=True, kw_only=True)
class Block:
    """A day of turns, counted."""

    turns: int = 0
    intents: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    fallbacks: int = 0
    confidences: list[float] = field(default_factory=list)

    @property
    def version(self) -> str | None:
        """The model that answered most of it."""
        return self.versions.most_common(1)[0][0] if self.versions else None


def day(connection: Connection, *, until: datetime) -> Block:
    """The day before a moment."""
    block = Block()
    for start in _hours(until):
        rows = connection.execute(
            select(_turn.c.intent, _turn.c.confidence, _turn.c.model_version, _kind.c.fallback)
            .join(_kind, _kind.c.id == _turn.c.kind_id, isouter=True)
            .where(_turn.c.created_at >= start, _turn.c.created_at < start + HOUR)
            .order_by(_turn.c.created_at)
            .limit(PER_HOUR)
        )
        for intent, confidence, version, fallback in rows:
            if intent is None:
                continue
            block.turns += 1
            block.intents[intent] += 1
            block.fallbacks += bool(fallback)
            if version is not None:
                block.versions[version] += 1
            sure = known(confidence)
            if sure is not None:
                block.confidences.append(sure)
    return block


def texts(connection: Connection, *, until: datetime, per_hour: int) -> list[str]:
    """Some redacted messages of the day before a moment, from all its hours."""
    found: list[str] = []
    for start in _hours(until):
        rows = connection.execute(
            select(_turn.c.text)
            .where(_turn.c.created_at >= start, _turn.c.created_at < start + HOUR)
            .order_by(_turn.c.created_at)
            .limit(2 * per_hour)
        ).scalars()
        found += [text for text in rows if is_reviewable(text)][:per_hour]
    return found


def _hours(until: datetime) -> Iterator[datetime]:
    for number in range(24):
        yield until - DAY + number * HOUR
