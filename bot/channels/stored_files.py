"""Reads a file out of the log that is to be given to a platform."""

from functools import partial
from typing import Any

from bot.channels.channel import Upload
from bot.log import files
from bot.log.journal import Journal


async def stored_file(journal: Journal, attachment: dict[str, Any]) -> Upload | None:
    """The stored bytes of an attachment; None when it is none of ours or was erased.

    Raises StorageError when it cannot be read now.
    """
    if not attachment.get("id"):
        return None
    found = await journal.read(partial(files.content, id_=str(attachment["id"])))
    if found is None:
        return None
    return Upload(name=found["name"], content_type=found["content_type"], data=found["data"])
