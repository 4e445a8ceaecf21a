"""What the webhook is still to be told of alerts: due, claimed, told or given up."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from bot.log import tables

_alert = tables.alert
_notice = tables.alert_notice

Row = dict[str, Any]


def due(connection: Connection, *, now: datetime) -> list[Row]:
    """Notices to send now, each with its alert, oldest first."""
    query = (
        select(_notice.c.id.label("notice_id"), _notice.c.event, _notice.c.attempts, _alert)
        .join(_alert, _alert.c.id == _notice.c.alert_id)
        .where(_notice.c.state == "queued", _notice.c.next_at <= now)
        .order_by(_notice.c.next_at, _notice.c.id)
        .limit(50)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def claim(connection: Connection, *, notice: Row, now: datetime, lease: timedelta) -> bool:
    """Take a notice to send it; False when another gateway has."""
    taken = connection.execute(
        update(_notice)
        .where(
            _notice.c.id == notice["notice_id"],
            _notice.c.state == "queued",
            _notice.c.attempts == notice["attempts"],
        )
        .values(attempts=_notice.c.attempts + 1, next_at=now + lease)
    )
    return bool(taken.rowcount)


def settle(
    connection: Connection,
    *,
    notice_id: str,
    state: str,
    next_at: datetime,
    error: str | None = None,
) -> bool:
    """Sent, failed for good, or queued again for `next_at`."""
    done = connection.execute(
        update(_notice)
        .where(_notice.c.id == notice_id)
        .values(state=state, next_at=next_at, error=error)
    )
    return bool(done.rowcount)
