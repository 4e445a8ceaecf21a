"""Which gateway may do a conversation's turns: one at a time."""

import asyncio
import hashlib
import logging
import queue
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from bot.errors import StorageError
from bot.log import database

logger = logging.getLogger(__name__)

_TRY = "SELECT key, pg_try_advisory_lock(key) FROM unnest(%s::bigint[]) AS key"
_UNLOCK = "SELECT pg_advisory_unlock(key) FROM unnest(%s::bigint[]) AS key"
_MOST = 256


class ConversationLocks(Protocol):
    """Held by the one gateway that does the conversation's turns."""

    # Whether another gateway may hold one.
    shared: bool

    def start(self) -> None:
        """Be ready to take them."""
        ...

    async def close(self) -> None:
        """Let go of all of them."""
        ...

    async def take(self, conversation_id: str) -> bool:
        """Take it if it is free; raises StorageError when that cannot be told."""
        ...

    def give(self, conversation_id: str) -> None:
        """Give it back."""
        ...


class NoLocks:
    """For the one gateway of a SQLite database."""

    shared = False

    def start(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def take(self, conversation_id: str) -> bool:
        """It is always free."""
        return True

    def give(self, conversation_id: str) -> None:
        """Nothing to give back."""


@dataclass(slots=True, kw_only=True)
class _Wish:
    key: int
    # None: the lock is given back.
    taken: asyncio.Future[bool] | None


class AdvisoryLocks:
    """PostgreSQL's advisory locks, all on one connection: it ends with the process, however that
    ends, and the server lets go of what it held."""

    shared = True

    def __init__(self, url: str) -> None:
        self._conninfo = database.libpq_address(url)
        self._wishes: queue.SimpleQueue[_Wish | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Connect; answers come back on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="conversation-locks", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Let go of all of them."""
        self._wishes.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def take(self, conversation_id: str) -> bool:
        """Take it if it is free; raises StorageError when the server does not answer."""
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._wishes.put(_Wish(key=_key(conversation_id), taken=taken))
        return await taken

    def give(self, conversation_id: str) -> None:
        """Give it back."""
        self._wishes.put(_Wish(key=_key(conversation_id), taken=None))

    def _run(self) -> None:
        import psycopg

        server: Any = None
        open_ = True
        while open_:
            wishes, open_ = self._gather()
            try:
                if server is None:
                    # A lock of a connection that broke is gone; giving it back is no error.
                    server = psycopg.connect(self._conninfo, autocommit=True, **database.PATIENCE)
                outcomes = _grant(server, wishes)
            except Exception as error:
                # Whatever it is: who waits must hear of it, and the thread must go on.
                logger.warning("lock connection lost", extra={"error": str(error)})
                if server is not None:
                    server.close()
                server = None
                reason = StorageError(str(error).splitlines()[0] if str(error) else "no answer")
                outcomes = {wish.key: reason for wish in wishes}
            self._answer(wishes, outcomes)
        if server is not None:
            server.close()

    def _gather(self) -> tuple[list[_Wish], bool]:
        wishes: list[_Wish] = []
        item = self._wishes.get()
        while item is not None:
            wishes.append(item)
            if len(wishes) == _MOST or self._wishes.empty():
                return wishes, True
            item = self._wishes.get()
        return wishes, False

    def _answer(self, wishes: list[_Wish], outcomes: dict[int, bool | StorageError]) -> None:
        assert self._loop is not None
        waiting = [(wish.taken, outcomes[wish.key]) for wish in wishes if wish.taken is not None]
        if waiting and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_resolve, waiting)


def _grant(server: Any, wishes: list[_Wish]) -> dict[int, bool | StorageError]:
    given = [wish.key for wish in wishes if wish.taken is None]
    if given:
        server.execute(_UNLOCK, (given,))
    wanted = [wish.key for wish in wishes if wish.taken is not None]
    return dict(server.execute(_TRY, (wanted,)).fetchall()) if wanted else {}


def _resolve(waiting: list[tuple[asyncio.Future[bool], bool | StorageError]]) -> None:
    for future, outcome in waiting:
        if future.done():
            continue
        if isinstance(outcome, StorageError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _key(conversation_id: str) -> int:
    """A signed 64-bit number, as PostgreSQL wants it."""
    digest = hashlib.blake2b(conversation_id.encode(), digest_size=8, person=b"kefu.turn").digest()
    return int.from_bytes(digest, "big", signed=True)
