"""Who a customer is to the log: a proven id on all channels, or an account on one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, and_, func, or_, select

from bot.log import tables

Scope = Literal["customer", "conversation"]

_conversation = tables.conversation
_message = tables.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Conversations that are to be treated as one person's."""

    scope: Scope
    # What names the person: the proven id, or the one conversation.
    name: str
    conversations: tuple[str, ...]


def of_conversation(
    connection: Connection, *, conversation_id: str, scope: Scope
) -> Customer | None:
    """Whose conversation it is; of the scope `conversation` it alone. None when there is none."""
    row = connection.execute(
        select(_conversation.c.customer_id).where(_conversation.c.id == conversation_id)
    ).one_or_none()
    if row is None:
        return None
    if scope == "customer" and row.customer_id is not None:
        return of_id(connection, customer_id=row.customer_id)
    return Customer(scope="conversation", name=conversation_id, conversations=(conversation_id,))


def of_id(connection: Connection, *, customer_id: str) -> Customer | None:
    """All conversations, on all channels, under a proven id; None when there is none."""
    ids = connection.execute(
        select(_conversation.c.id)
        .where(_conversation.c.customer_id == customer_id)
        .order_by(_conversation.c.created_at, _conversation.c.id)
    ).scalars()
    found = tuple(ids)
    return Customer(scope="customer", name=customer_id, conversations=found) if found else None


def of_account(connection: Connection, *, channel: str, account: str) -> Customer | None:
    """Who has an account on a channel, with all else under the same proven id."""
    id_ = connection.execute(
        select(_conversation.c.id).where(
            _conversation.c.channel == channel, _conversation.c.account == account
        )
    ).scalar_one_or_none()
    if id_ is None:
        return None
    return of_conversation(connection, conversation_id=id_, scope="customer")


def find(connection: Connection, *, text: str, most: int) -> list[dict[str, Any]]:
    """Conversations whose id, account or customer's id is `text`, the last active first."""
    channels = _channels(connection)
    rows = connection.execute(
        select(
            _conversation.c.id,
            _conversation.c.channel,
            _conversation.c.account,
            _conversation.c.customer_id,
            _conversation.c.status,
            _conversation.c.created_at,
            _conversation.c.updated_at,
        )
        .where(
            or_(
                _conversation.c.id == text,
                _conversation.c.customer_id == text,
                # The index of accounts begins with the channel.
                and_(_conversation.c.channel.in_(channels), _conversation.c.account == text),
            )
        )
        .order_by(_conversation.c.updated_at.desc())
        .limit(most)
    )
    return [dict(row) for row in rows.mappings()]


def describe(connection: Connection, *, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The conversations, each with how many messages it has, the oldest first."""
    count = (
        select(func.count())
        .select_from(_message)
        .where(_message.c.conversation_id == _conversation.c.id)
        .scalar_subquery()
    )
    found: list[dict[str, Any]] = []
    for start in range(0, len(ids), 200):
        rows = connection.execute(
            select(
                _conversation.c.id,
                _conversation.c.channel,
                _conversation.c.account,
                _conversation.c.customer_id,
                _conversation.c.created_at,
                _conversation.c.updated_at,
                count.label("messages"),
            ).where(_conversation.c.id.in_(ids[start : start + 200]))
        )
        found += [dict(row) for row in rows.mappings()]
    return sorted(found, key=lambda row: (row["created_at"], row["id"]))


def _channels(connection: Connection) -> list[str]:
    """The channels there are, each found with one step through the index."""
    found: list[str] = []
    while True:
        query = select(func.min(_conversation.c.channel))
        if found:
            query = query.where(_conversation.c.channel > found[-1])
        channel = connection.execute(query).scalar()
        if channel is None:
            return found
        found.append(channel)
