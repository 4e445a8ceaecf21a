"""What tells a customer's rows from others: ids of ours, names of theirs, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, func, or_, select

from actions.tables import OrderOperation
from bot.log import tables

_conversation = tables.conversation
_message = tables.message
_turn = tables.turn
_operation = OrderOperation.__table__
_BATCH = 100


@dataclass(slots=True, kw_only=True)
class Origins:
    """All that names some conversations, or was said in them."""

    turns: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    # Accounts and customers' ids.
    names: list[str] = field(default_factory=list)
    # As the customer wrote them and as they were kept.
    texts: list[str] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=dict)

    @property
    def ids(self) -> frozenset[str]:
        """The ids that no other row has."""
        return frozenset((*self.turns, *self.messages))


def read(connection: Connection, *, ids: Sequence[str]) -> Origins:
    """The origins of conversations."""
    found = Origins()
    names: set[str] = set()
    texts: set[str] = set()
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        rows = connection.execute(
            select(
                _conversation.c.id,
                _conversation.c.channel,
                _conversation.c.account,
                _conversation.c.customer_id,
            ).where(_conversation.c.id.in_(batch))
        )
        for row in rows:
            found.channels[row.channel] = found.channels.get(row.channel, 0) + 1
            names |= {row.account, row.customer_id} - {row.id, None}
        for turn in connection.execute(
            select(_turn.c.id, _turn.c.text).where(_turn.c.conversation_id.in_(batch))
        ):
            found.turns.append(turn.id)
            texts.add(turn.text)
        for message in connection.execute(
            select(_message.c.id, _message.c.text, _message.c.direction).where(
                _message.c.conversation_id.in_(batch)
            )
        ):
            found.messages.append(message.id)
            if message.direction == "in" and message.text:
                texts.add(message.text)
    found.names = sorted(names)
    found.texts = sorted(texts - {""})
    return found


def forget_operations(connection: Connection, *, ids: Sequence[str]) -> int:
    """Drop what retries of these conversations' messages would have found; returns how many.

    The orders themselves are the shop's books, not the conversation's.
    """
    removed = 0
    for start in range(0, len(ids), _BATCH):
        of_them = [
            # "ORDER CONVERSATION:MESSAGE", see actions/turn.py.
            _operation.c.key.contains(f" {id_}:", autoescape=True)
            for id_ in ids[start : start + _BATCH]
        ]
        removed += connection.execute(delete(OrderOperation).where(or_(*of_them))).rowcount
    return removed


def operations(connection: Connection, *, ids: Sequence[str]) -> int:
    """How many of them there are."""
    return sum(
        connection.execute(
            select(func.count())
            .select_from(OrderOperation)
            .where(_operation.c.key.contains(f" {id_}:", autoescape=True))
        ).scalar_one()
        for id_ in ids
    )
