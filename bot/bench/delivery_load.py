"""The customers of the delivery benchmark: they repeat, reorder and never give up."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

ANSWER_TIMEOUT_S = 600.0
REQUEST_TIMEOUT_S = 30.0
RETRY_S = 0.2
DUPLICATE_SHARE = 0.05
REORDER_SHARE = 0.05


@dataclass(slots=True, kw_only=True)
class Client:
    """One customer: the conversation, and the sequence numbers that its messages were given.

    A step is what the client sent at once; a step begins when the one before was acknowledged.
    """

    conversation_id: str
    token: str
    steps: list[list[str]] = field(default_factory=list)
    seqs: dict[str, int] = field(default_factory=dict)
    # Messages that were acknowledged again under another sequence number.
    renumbered: int = 0


@dataclass(slots=True, kw_only=True)
class Tally:
    """How far the load is, for who kills processes meanwhile."""

    total: int
    acknowledged: int = 0
    repeated: int = 0
    swapped: int = 0


class Customers:
    """All of them, against one or more gateways as behind a load balancer."""

    def __init__(self, urls: Sequence[str], texts: Sequence[str], tally: Tally) -> None:
        self._urls = list(urls)
        self._texts = texts
        self._tally = tally
        self._turn = 0

    async def talk(
        self, session: aiohttp.ClientSession, messages: int, draw: random.Random
    ) -> Client:
        """Open a conversation and send so many messages until each is acknowledged."""
        opened = await self._until_taken(session, "/api/v1/conversations", {}, {})
        client = Client(conversation_id=opened["conversation_id"], token=opened["token"])
        client.steps = _steps(messages, draw, self._tally)
        late: str | None = None
        for step in client.steps:
            bodies = [{"id": id_, "text": self._text_of(id_)} for id_ in step]
            await asyncio.gather(*(self._send(session, client, body) for body in bodies))
            if late is not None:
                await self._repeat(session, client, late)
                late = None
            chance = draw.random()
            if chance < DUPLICATE_SHARE / 2:
                await self._repeat(session, client, step[-1])
            elif chance < DUPLICATE_SHARE:
                late = step[-1]
        return client

    def _text_of(self, message_id: str) -> str:
        # The same id is the same text, whenever it is sent again.
        return random.Random(message_id).choice(self._texts)

    async def _repeat(
        self, session: aiohttp.ClientSession, client: Client, message_id: str
    ) -> None:
        self._tally.repeated += 1
        body = {"id": message_id, "text": self._text_of(message_id)}
        await self._send(session, client, body)

    async def _send(
        self, session: aiohttp.ClientSession, client: Client, body: dict[str, str]
    ) -> None:
        answer = await self._until_taken(
            session,
            f"/api/v1/conversations/{client.conversation_id}/messages",
            {"Authorization": f"Bearer {client.token}"},
            body,
        )
        seq = int(answer["message"]["seq"])
        known = client.seqs.setdefault(body["id"], seq)
        if known != seq:
            client.renumbered += 1
        self._tally.acknowledged = self._tally.acknowledged + 1

    async def _until_taken(
        self,
        session: aiohttp.ClientSession,
        path: str,
        headers: dict[str, str],
        body: dict[str, str],
    ) -> dict[str, Any]:
        """As a client that lost its connection does: the same request again until it is taken."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            self._turn += 1
            url = self._urls[self._turn % len(self._urls)]
            pause_s = RETRY_S
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with session.post(url + path, headers=headers, json=body) as response:
                    if response.status < 400:
                        found = await response.json()
                        assert isinstance(found, dict)
                        return found
                    if response.status < 500 and response.status != 429:
                        raise RuntimeError(f"{path}: {await response.text()}")
                    pause_s = float(response.headers.get("Retry-After", pause_s))
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} was not taken")
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))


def _steps(messages: int, draw: random.Random, tally: Tally) -> list[list[str]]:
    """Message ids in the order of sending: some swapped, some sent at once with their neighbour."""
    prefix = f"{draw.getrandbits(32):08x}"
    ids = [f"{prefix}-{number}" for number in range(messages)]
    steps: list[list[str]] = []
    while ids:
        chance = draw.random()
        if len(ids) > 1 and chance < REORDER_SHARE:
            tally.swapped += 1
            first, second = ids[:2]
            steps += [[second], [first]] if chance < REORDER_SHARE / 2 else [[first, second]]
            del ids[:2]
        else:
            steps.append([ids.pop(0)])
    return steps
