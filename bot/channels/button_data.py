"""What a platform's button carries: the payload, or where it is too long a reference to it."""

import re
from functools import partial

from bot.channels.channel import Outgoing
from bot.log import buttons
from bot.log.journal import Journal

_REFERENCE = re.compile(r"kefu:([0-9a-z]{1,64}):([0-9]{1,3})")


def data_of(outgoing: Outgoing, index: int, max_bytes: int) -> str:
    """The data for button `index`: what `payload_of` turns into its payload when it is pressed."""
    button = outgoing.buttons[index]
    payload = str(button.get("payload") or button.get("title") or "")
    # What looks like a reference is referred to as well: it must not lead to another button.
    if payload and len(payload.encode()) <= max_bytes and not payload.startswith("kefu:"):
        return payload
    return f"kefu:{outgoing.id}:{index}"


async def payload_of(journal: Journal, data: str, *, channel: str, account: str) -> str | None:
    """The payload of a pressed button; None for a reference to nothing that this account was sent.

    Raises StorageError when it cannot be looked up now.
    """
    reference = _REFERENCE.fullmatch(data)
    if reference is None:
        return data
    offered = await journal.read(
        partial(buttons.offered, message_row=reference[1], channel=channel, account=account)
    )
    index = int(reference[2])
    if index >= len(offered):
        return None
    button = offered[index]
    return str(button.get("payload") or button.get("title") or "") or None
