"""Looks up the buttons of a message that was sent to a customer."""

from typing import Any

from sqlalchemy import Connection, select

from bot.cards import buttons_under
from bot.log.tables import conversation, message


def offered(
    connection: Connection, *, message_row: str, channel: str, account: str
) -> list[dict[str, Any]]:
    """The buttons under an outgoing message; none when it was not for this account."""
    found = connection.execute(
        select(message.c.buttons, message.c.extra)
        .join(conversation, conversation.c.id == message.c.conversation_id)
        .where(
            message.c.id == message_row,
            message.c.direction == "out",
            conversation.c.channel == channel,
            conversation.c.account == account,
        )
    ).one_or_none()
    return [] if found is None else buttons_under(found.buttons, found.extra)
