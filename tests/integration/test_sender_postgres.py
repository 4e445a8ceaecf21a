"""Two gateways share an outbox: each message goes out once, in its order."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from bot.channels.channel import Outgoing, SendLater, SendRefused, Upload
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.records import Reply
from bot.log.tables import outbox as table
from bot.sender import Postage, Sender
from bot.world import World, sortable_id


@dataclass
class Platform:
    """Notes what it is given; every fifth it takes only the second time."""

    name: str = "fake"
    numbered: bool = False
    under_way: set[str] = field(default_factory=set)
    taken: dict[str, list[str | None]] = field(default_factory=dict)
    tries: int = 0
    postponed: set[str] = field(default_factory=set)

    def add_routes(self, router: Any) -> None:
        """It has none."""

    async def send(self, outgoing: Outgoing) -> None:
        self.tries += 1
        assert outgoing.id not in self.under_way
        self.under_way.add(outgoing.id)
        # Long enough for the other gateway to look at the outbox meanwhile.
        await asyncio.sleep(0.002)
        self.under_way.discard(outgoing.id)
        if self.tries % 5 == 0 and outgoing.id not in self.postponed:
            self.postponed.add(outgoing.id)
            raise SendLater("busy")
        self.taken.setdefault(outgoing.conversation_id, []).append(outgoing.text)

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        raise SendRefused("it has none")


@pytest.fixture
async def journals(database_url: str) -> AsyncIterator[list[Journal]]:
    upgrade(database_url)
    pair = [
        Journal(
            write_engine=open_engine(database_url, writer=True),
            read_engine=open_engine(database_url),
            world=World(),
        )
        for _ in range(2)
    ]
    for journal in pair:
        journal.start()
    yield pair
    for journal in pair:
        await journal.close()


async def test_two_senders_never_send_the_same_at_once(journals: list[Journal]) -> None:
    platform = Platform()
    postage = Postage(first_delay_s=0.01, max_delay_s=0.02)
    senders = [Sender(journal, {"fake": platform}, str, postage, World()) for journal in journals]
    for sender in senders:
        sender.start()
    texts = [f"text {number}" for number in range(5)]
    conversations = [await journals[0].open_conversation("fake", str(n)) for n in range(20)]
    for position, text in enumerate(texts):
        await asyncio.gather(
            *(
                journals[(position + number) % 2].say(id_, [Reply(id=sortable_id(), text=text)])
                for number, id_ in enumerate(conversations)
            )
        )

    def left(connection: Any) -> int:
        query = select(table.c.id).where(table.c.state != "sent")
        return len(connection.execute(query).all())

    async with asyncio.timeout(60):
        while await journals[0].read(left):
            for sender in senders:
                sender.wake()
            await asyncio.sleep(0.01)
    for sender in senders:
        await sender.close(5)
    assert platform.taken == dict.fromkeys(conversations, texts)
    assert platform.postponed
