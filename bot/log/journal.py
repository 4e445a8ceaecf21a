"""The log as the gateway uses it: what to keep, what to look up."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Engine

from bot.log import database, reader, store
from bot.log.reader import Reader
from bot.log.records import Accepted, Finish, Finished, Inbound, Status
from bot.log.writer import Writer
from bot.world import World

CHECK_TIMEOUT_S = 5


class Journal:
    """Writes through the one writer, reads beside it; raises StorageError when neither goes."""

    def __init__(self, *, write_engine: Engine, read_engine: Engine, world: World) -> None:
        self._write_engine = write_engine
        self._read_engine = read_engine
        self._writer = Writer(write_engine)
        self._reader = Reader(read_engine)
        self._world = world

    def start(self) -> None:
        """Take writes from now on."""
        self._writer.start()

    async def close(self) -> None:
        """Write what is queued, then let go of the database."""
        await self._writer.close()
        self._write_engine.dispose()
        self._read_engine.dispose()

    @property
    def alive(self) -> bool:
        """Whether writes are being taken."""
        return self._writer.alive

    async def open_conversation(self, channel: str, account: str | None = None) -> str:
        """The conversation of an account; without one, a new conversation that is its own."""
        id_ = self._world.new_id()
        return await self._writer.submit(
            partial(
                store.open_conversation,
                id_=id_,
                channel=channel,
                account=id_ if account is None else account,
                now=self._world.now(),
            )
        )

    def accept(
        self, inbound: Inbound, text_hash: str, then: Callable[[Accepted | None], None]
    ) -> asyncio.Future[Accepted | None]:
        """Keep a message; `then` runs on the loop once it is on disk, in the order of `seq`."""
        return self._writer.submit(
            partial(
                store.accept,
                inbound=inbound,
                id_=self._world.new_id(),
                text_hash=text_hash,
                now=self._world.now(),
            ),
            then,
        )

    async def finish(self, work: Finish) -> Finished | None:
        """Commit a turn, once; None when its conversation is gone."""
        return await self._writer.submit(partial(store.finish, work=work, now=self._world.now()))

    async def set_status(self, conversation_id: str, status: Status) -> bool:
        """Give a conversation to the bot, an agent and so on; False when there is none."""
        return await self._writer.submit(
            partial(
                store.set_status,
                conversation_id=conversation_id,
                status=status,
                now=self._world.now(),
            )
        )

    async def messages(
        self, conversation_id: str, *, after: int, limit: int
    ) -> tuple[str, list[dict[str, Any]]] | None:
        """A conversation's status and its messages after `after`; None when there is none."""
        return await self._reader.run(
            partial(
                reader.messages_after, conversation_id=conversation_id, after=after, limit=limit
            )
        )

    async def unanswered(self) -> list[Accepted]:
        """What was promised an answer and has none yet."""
        return await self._reader.run(reader.accepted_unanswered)

    async def finished(self, message_row: str) -> Finished | None:
        """The committed turn of a message; None while it has none."""
        return await self._reader.run(partial(reader.finished, message_row=message_row))

    async def offered_payloads(self, conversation_id: str) -> set[str]:
        """The payloads of the buttons under the bot's last words."""
        return await self._reader.run(
            partial(reader.offered_payloads, conversation_id=conversation_id)
        )

    async def check(self) -> None:
        """Answer when the database does; raises StorageError or TimeoutError."""
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await asyncio.to_thread(database.check, self._read_engine)
