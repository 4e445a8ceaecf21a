"""What each trained version answered, as far as the log has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, case, func, or_, select

from bot.log import tables

_turn = tables.turn

SAMPLE = 2_000  # turns of a version that shares and means are taken from: a bounded look


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """Of one version: how much it answered; the rest is of its newest `sampled` turns."""

    turns: int
    last_at: datetime | None
    sampled: int
    fallback_share: float | None
    confidence: float | None  # mean, of the intents it gave


def usage_of(
    connection: Connection, version: str, *, since: datetime, sample: int = SAMPLE
) -> ModelUsage:
    """How a version has done since a moment."""
    its_own = and_(_turn.c.model_version == version, _turn.c.created_at >= since)
    turns = connection.execute(select(func.count()).select_from(_turn).where(its_own)).scalar() or 0
    # All of these are in one index, so that no turn itself is looked at.
    newest = (
        select(_turn.c.intent, _turn.c.confidence, _turn.c.created_at)
        .where(its_own)
        .order_by(_turn.c.created_at.desc())
        .limit(sample)
        .subquery()
    )
    fallback = or_(newest.c.intent.is_(None), newest.c.intent == "nlu_fallback")
    row = connection.execute(
        select(
            func.count(),
            func.sum(case((fallback, 1), else_=0)),
            func.avg(newest.c.confidence),
            func.max(newest.c.created_at),
        )
    ).one()
    sampled = int(row[0])
    return ModelUsage(
        turns=turns,
        last_at=row[3],
        sampled=sampled,
        fallback_share=int(row[1]) / sampled if sampled else None,
        confidence=None if row[2] is None else float(row[2]),
    )


def usage_by_version(
    connection: Connection, versions: Sequence[str], *, since: datetime
) -> dict[str, ModelUsage]:
    """The same of several."""
    return {version: usage_of(connection, version, since=since) for version in versions}
