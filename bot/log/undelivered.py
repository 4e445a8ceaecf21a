"""The outbox as platforms see it from their side: refused after all, or welcome again."""

from datetime import datetime

from sqlalchemy import Connection, update

from bot.log.tables import outbox


def mark(connection: Connection, *, row: str, channel: str, error: str) -> bool:
    """Put a message that was reported as not delivered among the dead letters; False when it is
    not of this channel or is there already."""
    changed = connection.execute(
        # The report may come before our own note that it was sent: that finds nothing then.
        update(outbox)
        .where(outbox.c.id == row, outbox.c.channel == channel, outbox.c.state != "failed")
        .values(state="failed", error=error[:500], claimed_until=None)
    )
    return bool(changed.rowcount)


def hurry(connection: Connection, *, channel: str, account: str, now: datetime) -> bool:
    """Make what waits for a customer due now."""
    changed = connection.execute(
        update(outbox)
        .where(outbox.c.channel == channel, outbox.c.account == account, outbox.c.state == "queued")
        .values(next_at=now)
    )
    return bool(changed.rowcount)
