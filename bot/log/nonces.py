"""Keys that are good for one request: a signed request that comes twice is a replay."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete
from sqlalchemy.dialects import postgresql, sqlite

from bot.errors import RequestError
from bot.log.tables import nonce

# Longer than any signed request stays valid.
KEPT = timedelta(minutes=15)

# The row count tells whether it was there before.
_ADD = {
    name: dialect.insert(nonce).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


def use(connection: Connection, *, channel: str, key: str, now: datetime) -> None:
    """Use up a key of a channel; raises RequestError (401) when it was used before."""
    added = connection.execute(
        _ADD[connection.dialect.name], {"key": f"{channel}:{key}", "expires_at": now + KEPT}
    )
    if not added.rowcount:
        raise RequestError(
            401,
            "signature",
            "this signed request was taken before",
            "sign every request anew, with its own time",
            audit="replay",
        )


def forget(connection: Connection, *, now: datetime) -> int:
    """Drop the keys that no request could use any more; returns how many."""
    return int(connection.execute(delete(nonce).where(nonce.c.expires_at < now)).rowcount)
