"""Conversations are erased: `POST /webhooks/turn/erase {"conversation_ids": [...]}`.

The live trackers go, then the rows, then their bytes in the database's files. It may be asked again
at any time: what is gone counts as nothing. The cache of predictions stays: its keys and values are
places in rules, names of actions and intents, none of them a text (`tests/dialogue` looks).
"""

from typing import Any

from bot.dialogue.errors import BadTurn
from bot.dialogue.turn_processor import TurnAgent
from bot.dialogue.turn_request import LONGEST_ID, read_fields, read_text

MOST = 500


def read_erasure(body: bytes) -> list[str]:
    """Parse and check a request body. Raises BadTurn naming the field."""
    fields = read_fields(body)
    ids = fields.get("conversation_ids")
    if not isinstance(ids, list) or not ids:
        raise BadTurn("conversation_ids", "must be a list with something in it")
    if len(ids) > MOST:
        raise BadTurn("conversation_ids", f"has more than {MOST} ids", status=413)
    return sorted(
        {read_text({"conversation_ids": one}, "conversation_ids", LONGEST_ID) for one in ids}
    )


async def take_erasure(ids: list[str], agent: TurnAgent) -> dict[str, Any]:
    """Erase conversations; turns under way end first. Raises DialogueError."""
    store = agent.tracker_store
    store.bury(ids)
    for id_ in ids:
        async with agent.lock_store.lock(id_):
            store.forget(id_)
    return {"conversations": len(ids), "turns": await store.erase(ids)}
