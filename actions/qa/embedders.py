"""Which embedders the store has whole sets of vectors for, and how each is calibrated."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from actions.qa.index import SCORING
from actions.qa.vectors import dialect_of, texts_to_embed
from actions.tables import QaScale, QaState, QaVector

# The one in use, the one before it for a roll-back, and one that is being made ready.
KEPT = 3


def read_calibration(connection: Connection, embedder: str) -> Mapping[str, Any] | None:
    """The calibration of an embedder's set of vectors, or None when it cannot be searched by.

    It can when every text has its vector and the thresholds are of today's way of scoring.
    """
    query = select(QaScale.calibration).where(QaScale.embedder == embedder)
    calibration: dict[str, Any] | None = connection.execute(query).scalar()
    if calibration is None or calibration.get("scoring") != SCORING:
        return None
    return None if texts_to_embed(connection, embedder) else calibration


def keep_calibration(
    connection: Connection, embedder: str, calibration: Mapping[str, Any], now: datetime
) -> None:
    """Stores the calibration of a set that is whole; the sets used longest ago give way."""
    values = {"calibration": dict(calibration), "used_at": now}
    new = dialect_of(connection).insert(QaScale).values(embedder=embedder, **values)
    connection.execute(new.on_conflict_do_update(index_elements=["embedder"], set_=values))
    _forget_all_but(connection, _kept(connection, embedder))


def note_use(connection: Connection, embedder: str, now: datetime) -> None:
    """Notes that an embedder is in use again: its set is the last to give way."""
    connection.execute(update(QaScale).where(QaScale.embedder == embedder).values(used_at=now))


def _kept(connection: Connection, embedder: str) -> list[str]:
    """The embedder, the one that is searched by, and the latest of the others."""
    in_use = connection.execute(select(QaState.embedder)).scalars()
    by_age = connection.execute(
        select(QaScale.embedder).order_by(QaScale.used_at.desc(), QaScale.embedder)
    ).scalars()
    return list(dict.fromkeys([embedder, *in_use, *by_age]))[:KEPT]


def _forget_all_but(connection: Connection, kept: Collection[str]) -> None:
    for table in (QaVector, QaScale):
        connection.execute(delete(table).where(table.embedder.not_in(kept)))
