"""The two sides of a trial in figures: conversations, and what happened in them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from bot.log.trial_turns import Lived, Window, lived, usual_ms
from nlu.trial import Trial

# Of each at most once a conversation: turns of one conversation are not independent.
HARMS = ("fallback", "handoff", "upset", "bad_rating", "slow", "error")
SAMPLE = 2_000  # turns before the trial that tell what is usual
LEAST_SLOW_MS = 100.0  # a customer notices no less


@dataclass(slots=True)
class Mean:
    """A mean with what its spread is told from."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.n += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float | None:
        """None without a value."""
        return self.total / self.n if self.n else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation; None for fewer than two values."""
        if self.n < 2:
            return None
        spread = self.squares - self.total * self.total / self.n
        return float(np.sqrt(max(spread, 0.0) / (self.n - 1)))


@dataclass(slots=True)
class Side:
    """The conversations that fell to one version."""

    conversations: int = 0
    served: int = 0  # answered by the version on trial at least once
    rated: int = 0
    events: Counter[str] = field(default_factory=Counter)
    rating: Mean = field(default_factory=Mean)
    understanding_ms: Mean = field(default_factory=Mean)

    def add(self, one: Lived) -> None:
        """One more conversation."""
        self.conversations += 1
        self.served += one.served
        self.rated += one.rated
        self.events.update(one.events)
        if one.rating is not None:
            self.rating.add(one.rating)
        if one.understanding_ms is not None:
            self.understanding_ms.add(one.understanding_ms)


@dataclass(slots=True)
class Sides:
    """Both sides of one trial."""

    active: Side = field(default_factory=Side)
    trial: Side = field(default_factory=Side)


def divided(trial: Trial, conversations: Iterable[Lived]) -> Sides:
    """The conversations on the side that each fell to.

    By the draw, not by which version answered: where the one on trial fails and the other answers,
    that is the trial's doing.
    """
    sides = Sides()
    for one in conversations:
        (sides.trial if trial.covers(one.conversation_id) else sides.active).add(one)
    return sides


def trial_of(row: dict[str, Any]) -> Trial:
    """The trial of a row of promotions, as the understanding service is told of it."""
    return Trial(version=row["version"], share=row["share"], salt=row["id"])


def count(connection: Connection, *, row: dict[str, Any], until: datetime) -> Sides:
    """Both sides of the trial of a row, up to a moment."""
    window = Window(
        since=row["created_at"],
        until=until,
        version=row["version"],
        slow_ms=float((row["report"] or {}).get("slow_ms", LEAST_SLOW_MS)),
    )
    return divided(trial_of(row), lived(connection, window=window))


def slow_ms(connection: Connection, *, version: str | None, now: datetime) -> float:
    """From when on understanding is slow: twice what 95 of 100 turns of the version take."""
    if version is None:
        return LEAST_SLOW_MS
    usual = usual_ms(connection, version=version, before=now, sample=SAMPLE)
    return max(LEAST_SLOW_MS, 2 * float(np.percentile(usual, 95))) if usual else LEAST_SLOW_MS
