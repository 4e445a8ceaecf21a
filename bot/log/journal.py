"""The log as the gateway uses it: what to keep, what to look up."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from bot.log import audit, database, reader, store
from bot.log.reader import Reader
from bot.log.records import Accepted, Finish, Finished, Inbound, Opening, Reply, Speech, Status
from bot.log.writer import Writer
from bot.push import AGENTS, MESSAGES, QUEUE, STATUS, Event, Hub
from bot.world import World

T = TypeVar("T")

CHECK_TIMEOUT_S = 5


class Journal:
    """Writes through the one writer, reads beside it; raises StorageError when neither goes."""

    def __init__(
        self, *, write_engine: Engine, read_engine: Engine, world: World, hub: Hub | None = None
    ) -> None:
        self._write_engine = write_engine
        self._read_engine = read_engine
        self._writer = Writer(write_engine)
        self._reader = Reader(read_engine)
        # Few: what they read together leaves the disk and the processor to the turns.
        self._browser = Reader(read_engine, name="browse", threads=3)
        self._world = world
        self.hub = hub or Hub()
        # Several gateways may share the database: what one commits, the others are told.
        self.shared = write_engine.dialect.name == "postgresql"
        if self.shared:
            self.hub.relay_by(self._relay)
        # The channels whose replies go through the outbox.
        self.sending: frozenset[str] = frozenset()
        # Called after each commit that may have put something into the outbox.
        self.on_outbox: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Take writes from now on."""
        self._writer.start()

    async def close(self) -> None:
        """Write what is queued, then let go of the database."""
        await self._writer.close()
        await self._reader.close()
        await self._browser.close()
        self._write_engine.dispose()
        self._read_engine.dispose()

    @property
    def alive(self) -> bool:
        """Whether writes are being taken."""
        return self._writer.alive

    def write(
        self,
        unit: Callable[[Connection], T],
        publish: Sequence[tuple[str, Event]] = (),
        then: Callable[[T], None] | None = None,
    ) -> asyncio.Future[T]:
        """Run `unit` in a transaction; on commit tell the hub, then `then`, then the future.

        A unit may run twice (see Writer). It is told to nobody when it returns None or False: then
        nothing was found to change.
        """

        def run(connection: Connection) -> T:
            result = unit(connection)
            if publish and self.shared and result is not None and result is not False:
                self.hub.announce(connection, publish)
            return result

        def committed(result: T) -> None:
            if result is not None and result is not False:
                for topic, event in publish:
                    self.hub.deliver(topic, event)
            if then is not None:
                then(result)

        return self._writer.submit(run, committed)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` on a connection of its own; raises StorageError or TimeoutError."""
        return await self._reader.run(query)

    async def browse(self, query: Callable[[Connection], T]) -> T:
        """The same for the console and the jobs, whose long queries no turn is to wait for."""
        return await self._browser.run(query)

    async def open_conversation(
        self,
        channel: str,
        account: str | None = None,
        *,
        customer_id: str | None = None,
        locale: str | None = None,
    ) -> str:
        """The conversation of an account; without one, a new conversation that is its own."""
        id_ = self._world.new_id()
        opening = Opening(
            id=id_,
            channel=channel,
            account=id_ if account is None else account,
            customer_id=customer_id,
            locale=locale,
        )
        return await self.write(
            partial(store.open_conversation, conversation=opening, now=self._world.now())
        )

    def accept(
        self, inbound: Inbound, text_hash: str, then: Callable[[Accepted | None], None]
    ) -> asyncio.Future[Accepted | None]:
        """Keep a message; `then` runs on the loop once it is on disk, in the order of `seq`."""
        return self.write(
            partial(
                store.accept,
                inbound=inbound,
                id_=self._world.new_id(),
                text_hash=text_hash,
                now=self._world.now(),
            ),
            [(inbound.conversation_id, MESSAGES)],
            then,
        )

    async def finish(self, work: Finish) -> Finished | None:
        """Commit a turn, once; None when its conversation is gone."""
        conversation_id = work.accepted.inbound.conversation_id
        events = [(conversation_id, MESSAGES)]
        if work.handoff_reason is not None:
            events += [(conversation_id, STATUS), (AGENTS, QUEUE)]
        finished = await self.write(
            partial(store.finish, work=work, sending=self.sending, now=self._world.now()), events
        )
        if work.replies and work.accepted.inbound.channel in self.sending:
            self.on_outbox()
        return finished

    async def say(
        self, conversation_id: str, replies: list[Reply], *, repeatable: bool = False
    ) -> list[dict[str, Any]] | None:
        """Say something to a customer outside of a turn; None when there is no such conversation.

        With `repeatable`, replies under ids that were used are not said again. Returns their rows.
        """
        speech = Speech(conversation_id=conversation_id, replies=replies, repeatable=repeatable)
        rows = await self.write(
            partial(store.say, speech=speech, sending=self.sending, now=self._world.now()),
            [(conversation_id, MESSAGES)],
        )
        if self.sending:
            self.on_outbox()
        return rows

    async def set_status(self, conversation_id: str, status: Status) -> bool:
        """Give a conversation to the bot, an agent and so on; False when there is none."""
        return await self.write(
            partial(
                store.set_status,
                conversation_id=conversation_id,
                status=status,
                now=self._world.now(),
            ),
            [(conversation_id, STATUS), (AGENTS, QUEUE)],
        )

    async def audit(
        self, actor: str, action: str, target: str, detail: dict[str, Any] | None = None
    ) -> None:
        """Keep who did what to what; `detail` holds no customer's text."""
        await self.write(
            partial(
                audit.note,
                id_=self._world.new_id(),
                who=(actor, action, target),
                detail=detail,
                now=self._world.now(),
            )
        )

    async def conversation(self, conversation_id: str) -> dict[str, Any] | None:
        """A conversation's row; None when there is none."""
        return await self.read(partial(reader.conversation, conversation_id=conversation_id))

    async def messages(
        self, conversation_id: str, *, after: int, limit: int
    ) -> tuple[str, list[dict[str, Any]]] | None:
        """A conversation's status and its messages after `after`; None when there is none."""
        return await self.read(
            partial(
                reader.messages_after, conversation_id=conversation_id, after=after, limit=limit
            )
        )

    async def unanswered(self, *, before: datetime | None = None) -> list[Accepted]:
        """What was promised an answer (before a moment) and has none yet."""
        return await self.read(partial(reader.accepted_unanswered, before=before))

    async def unanswered_in(self, conversation_id: str, *, through: int) -> list[Accepted]:
        """The same of one conversation, up to a sequence number."""
        return await self.read(
            partial(reader.accepted_unanswered, conversation_id=conversation_id, through=through)
        )

    async def finished(self, message_row: str) -> Finished | None:
        """The committed turn of a message; None while it has none."""
        return await self.read(partial(reader.finished, message_row=message_row))

    async def offered_buttons(self, conversation_id: str) -> list[dict[str, Any]]:
        """The buttons under the bot's last words."""
        return await self.read(partial(reader.offered_buttons, conversation_id=conversation_id))

    async def check(self) -> None:
        """Answer when the database does; raises StorageError or TimeoutError."""
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await asyncio.to_thread(database.check, self._read_engine)

    def _relay(self, events: Sequence[tuple[str, Event]]) -> None:
        """Tell the other gateways of events that no transaction goes with."""
        future = self._writer.submit(partial(self.hub.announce, events=events))
        # Nobody waits for it: an event that is lost was kept nowhere either.
        future.add_done_callback(lambda done: done.exception())
