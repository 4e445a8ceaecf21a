"""How far a platform's own list of messages has been read, and what is still to be read."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.log.tables import channel_cursor as _cursor

# Stands before the time of the first notice, in place of a cursor.
SINCE = "since:"

_NOTE = {
    name: insert(_cursor)
    .values(
        channel=bindparam("channel"),
        account=bindparam("account"),
        value=bindparam("value"),
        token=bindparam("token"),
        noted_at=bindparam("noted_at"),
    )
    .on_conflict_do_update(
        index_elements=["channel", "account"],
        set_={"token": bindparam("token"), "noted_at": bindparam("noted_at")},
    )
    for name, insert in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where reading goes on; `token` came with the notice at `noted_at`, which is still open."""

    account: str
    value: str
    token: str | None
    noted_at: datetime | None


def note(connection: Connection, *, channel: str, account: str, token: str, now: datetime) -> None:
    """Keep the notice that there is something to read.

    An account's first notice also keeps its time, for there is no cursor yet: `since:` and seconds.
    """
    connection.execute(
        _NOTE[connection.dialect.name],
        {
            "channel": channel,
            "account": account,
            "value": f"{SINCE}{int(now.timestamp())}",
            "token": token,
            "noted_at": now,
        },
    )


def load(connection: Connection, *, channel: str) -> list[Cursor]:
    """Where every list of a channel stands."""
    rows = connection.execute(
        select(_cursor.c.account, _cursor.c.value, _cursor.c.token, _cursor.c.noted_at).where(
            _cursor.c.channel == channel
        )
    )
    return [Cursor(**row) for row in rows.mappings()]


def advance(connection: Connection, *, channel: str, account: str, old: str, new: str) -> bool:
    """Go on from `old` to `new`; False when another gateway has gone on meanwhile."""
    changed = connection.execute(
        update(_cursor)
        .where(
            _cursor.c.channel == channel,
            _cursor.c.account == account,
            _cursor.c.value == old,
        )
        .values(value=new)
    )
    return bool(changed.rowcount)


def settle(
    connection: Connection, *, channel: str, account: str, noted_at: datetime | None
) -> bool:
    """Close the notice of `noted_at`; False when a newer one has come."""
    changed = connection.execute(
        update(_cursor)
        .where(
            _cursor.c.channel == channel,
            _cursor.c.account == account,
            _cursor.c.noted_at.is_(None) if noted_at is None else _cursor.c.noted_at == noted_at,
        )
        .values(token=None, noted_at=None)
    )
    return bool(changed.rowcount)
