"""One turn at a time per conversation, with asyncio's locks.

Rasa's ticket lock polls once a second while it waits. This process is the only one that holds its
conversations (the gateway sends each to one replica), so a lock in memory is enough.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from rasa.core.lock_store import LockStore


class ConversationLocks(LockStore):
    """Rasa's lock store interface; a lock lives as long as somebody holds or awaits it."""

    def __init__(self, endpoint_config: Any = None) -> None:
        super().__init__()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def lock(
        self, conversation_id: str, lock_lifetime: float = 0.0, wait_time_in_seconds: float = 0.0
    ) -> AsyncGenerator[None, None]:
        """Hold the conversation; waiters are served in the order in which they came."""
        lock = self._locks.get(conversation_id)
        if lock is None:
            lock = self._locks[conversation_id] = asyncio.Lock()
        async with lock:
            yield
