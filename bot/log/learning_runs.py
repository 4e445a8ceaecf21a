"""Runs of the learning loop in the log, the turns their versions saw, and when there was drift."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, literal, select, true, update

from bot.log import tables
from bot.log.tables import model_exposure as _exposure
from bot.log.training_runs import Row, open_run

_run = tables.training_run
_conversation = tables.conversation
_check = tables.drift_check

KIND = "learn"


def begin(connection: Connection, *, row: Mapping[str, Any]) -> bool:
    """Begin a run of the loop; False while it, or a training, is going on anywhere."""
    if open_run(connection) is not None:
        return False
    connection.execute(insert(_run), {**row, "kind": KIND, "state": "running", "slot": 1})
    return True


def latest(connection: Connection, *, limit: int = 1) -> list[Row]:
    """The newest runs of the loop, newest first; one that goes on is among them."""
    return _newest(connection, true(), limit)


def latest_made(connection: Connection, *, limit: int) -> list[Row]:
    """The newest runs that were to make a version, newest first: not those that prove again."""
    return _newest(connection, _run.c.options["again"].as_string().is_(None), limit)


def _newest(connection: Connection, which: ColumnElement[bool], limit: int) -> list[Row]:
    rows = connection.execute(
        select(_run)
        .where(_run.c.kind == KIND, which)
        .order_by(_run.c.created_at.desc())
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def versions_made(connection: Connection) -> set[str]:
    """The versions that runs of the loop have made."""
    rows = connection.execute(
        select(_run.c.version).where(_run.c.kind == KIND, _run.c.version.is_not(None))
    )
    return {str(version) for version in rows.scalars()}


def last_learned(connection: Connection) -> Row | None:
    """The newest run that came to a verdict on a version: what it learned from is not new."""
    learned = and_(
        _run.c.state == "succeeded", _run.c.version.is_not(None), _run.c.dataset.is_not(None)
    )
    return next(iter(_newest(connection, learned, 1)), None)


def proven(connection: Connection, *, version: str) -> Row | None:
    """The newest run that came to a verdict on a version."""
    judged = and_(
        _run.c.state == "succeeded", _run.c.version == version, _run.c.verdict.is_not(None)
    )
    return next(iter(_newest(connection, judged, 1)), None)


def last_of_drift(connection: Connection) -> datetime | None:
    """When the drift watch last called for a run."""
    found: datetime | None = connection.execute(
        select(func.max(_run.c.created_at)).where(
            _run.c.kind == KIND, _run.c.options["why"].as_string() == "drift"
        )
    ).scalar()
    return found


def expose(
    connection: Connection, *, model_version: str, turns: Mapping[str, int], now: datetime
) -> None:
    """Note on how many turns of these conversations a version was trained; again changes nothing.

    Conversations that are not in the log any more are passed over. Hand it few at a time: it
    holds up what else is written.
    """
    known = set(
        connection.execute(
            select(_exposure.c.conversation_id).where(
                _exposure.c.model_version == model_version,
                _exposure.c.conversation_id.in_(list(turns)),
            )
        ).scalars()
    )
    there = connection.execute(
        select(_conversation.c.id).where(_conversation.c.id.in_(list(turns)))
    ).scalars()
    for id_ in sorted(there):
        if id_ in known:
            connection.execute(
                update(_exposure)
                .where(
                    _exposure.c.model_version == model_version, _exposure.c.conversation_id == id_
                )
                .values(turns=turns[id_])
            )
        else:
            connection.execute(
                insert(_exposure).values(
                    model_version=model_version,
                    conversation_id=id_,
                    turns=turns[id_],
                    created_at=now,
                )
            )


def inherit(
    connection: Connection,
    *,
    model_version: str,
    parent: str,
    after: str,
    limit: int,
    now: datetime,
) -> str | None:
    """Note that a version began at another's weights: whose turns that saw, it saw too.

    Goes through the conversations in the order of their ids, `limit` of them after `after`;
    returns the last one, None when there are no more.
    """
    seen = _exposure.alias("seen")
    own = _exposure.alias("own")
    ids = list(
        connection.execute(
            select(seen.c.conversation_id)
            .where(seen.c.model_version == parent, seen.c.conversation_id > after)
            .order_by(seen.c.conversation_id)
            .limit(limit)
        ).scalars()
    )
    if not ids:
        return None
    new = select(
        literal(model_version),
        seen.c.conversation_id,
        seen.c.turns,
        literal(now, _exposure.c.created_at.type),
    ).where(
        seen.c.model_version == parent,
        seen.c.conversation_id.in_(ids),
        ~select(own.c.turns)
        .where(
            own.c.model_version == model_version,
            own.c.conversation_id == seen.c.conversation_id,
        )
        .exists(),
    )
    connection.execute(
        insert(_exposure).from_select(
            ["model_version", "conversation_id", "turns", "created_at"], new
        )
    )
    return str(ids[-1])


def note_drift(connection: Connection, *, row: Mapping[str, Any]) -> None:
    """Keep what the drift watch saw."""
    connection.execute(insert(_check), dict(row))


def drift_checks(connection: Connection, *, limit: int) -> list[Row]:
    """What the drift watch saw, newest first."""
    rows = connection.execute(select(_check).order_by(_check.c.created_at.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]
