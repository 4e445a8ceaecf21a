"""The audit log: who did what to what, with no text of a customer's."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from bot.log.tables import audit as _audit


def note(
    connection: Connection,
    *,
    id_: str,
    who: tuple[str, str, str],
    detail: dict[str, Any] | None,
    now: datetime,
) -> None:
    """Keep `who` = (actor, action, target) for good."""
    actor, action, target = who
    connection.execute(
        insert(_audit),
        {
            "id": id_,
            "actor": actor,
            "action": action,
            "target": target,
            "detail": detail,
            "created_at": now,
        },
    )
