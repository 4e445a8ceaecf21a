"""Looks up the buttons of a message that was sent to a customer."""

from typing import Any

from sqlalchemy import Connection, select

from bot.log.tables import conversation, message


def offered(
    connection: Connection, *, message_row: str, channel: str, account: str
) -> list[dict[str, Any]]:
    """The buttons under an outgoing message; none when it was not for this account."""
    found = connection.execute(
        select(message.c.buttons)
        .join(conversation, conversation.c.id == message.c.conversation_id)
        .where(
            message.c.id == message_row,
            message.c.direction == "out",
            conversation.c.channel == channel,
            conversation.c.account == account,
        )
    ).scalar_one_or_none()
    return list(found or ())
