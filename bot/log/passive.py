"""Takes what waits for a customer out of the outbox, into the answer to a request of theirs."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from bot.log.tables import message, outbox


def take(
    connection: Connection,
    *,
    conversation_id: str,
    choose: Callable[[Sequence[dict[str, Any]]], int],
) -> list[dict[str, Any]]:
    """The messages that `choose` says fit, oldest first, now sent; `choose` is given all that wait.

    Taken once, also by two gateways at the same time.
    """
    waiting = [
        dict(row)
        for row in connection.execute(
            select(message)
            .join(outbox, outbox.c.id == message.c.id)
            .where(outbox.c.conversation_id == conversation_id, outbox.c.state == "queued")
            .order_by(outbox.c.seq)
        ).mappings()
    ]
    chosen = waiting[: choose(waiting)] if waiting else []
    if not chosen:
        return []
    taken = set(
        connection.execute(
            update(outbox)
            .where(outbox.c.id.in_([row["id"] for row in chosen]), outbox.c.state == "queued")
            .values(state="sent", error=None, claimed_until=None)
            .returning(outbox.c.id)
        ).scalars()
    )
    return [row for row in chosen if row["id"] in taken]
