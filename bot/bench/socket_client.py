"""A simulated page: one socket in plain Engine.IO, light enough to run a thousand of."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

PING, PONG = "2", "3"
CONNECT, EVENT = "40/kefu,", "42/kefu,"
_RETRY_S = 0.5


@dataclass(slots=True, kw_only=True)
class Customer:
    """Opens a conversation and a socket, writes at its pace, and notes when answers come."""

    session: aiohttp.ClientSession
    url: str
    draw: random.Random
    conversation_id: str = ""
    token: str = ""
    sent: int = 0
    # Times at which the answer before was still to come.
    skipped: int = 0
    refused: int = 0
    dropped: int = 0
    gaps: int = 0
    doubled: int = 0
    latencies_s: list[float] = field(default_factory=list)
    waiting_since_s: float | None = None
    last_seq: int = 0
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _reader: asyncio.Task[None] | None = None
    _closing: bool = False

    @property
    def waits(self) -> bool:
        """Whether an answer is still to come."""
        return self.waiting_since_s is not None and not self.dropped

    async def open(self) -> None:
        """Start a conversation."""
        async with self.session.post(f"{self.url}/api/v1/conversations") as response:
            response.raise_for_status()
            opened = await response.json()
        self.conversation_id, self.token = opened["conversation_id"], opened["token"]

    async def connect(self) -> None:
        """Open the socket and wait until it is caught up."""
        address = f"{self.url.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
        self._socket = await self.session.ws_connect(
            address, origin=self.url, compress=0, autoping=True, max_msg_size=1_000_000
        )
        await self._socket.receive_str()
        auth = {"conversation_id": self.conversation_id, "token": self.token, "after": 0}
        await self._socket.send_str(CONNECT + json.dumps(auth))
        for _ in range(2):
            answer = await self._socket.receive_str()
            if not answer.startswith((CONNECT, EVENT)):
                raise RuntimeError(f"the gateway answered {answer[:200]}")
        self._reader = asyncio.create_task(self._read(self._socket))

    async def converse(self, texts: Sequence[str], every_s: float, duration_s: float) -> None:
        """Write a text every `every_s` seconds, from a moment of its own on."""
        until_s = time.monotonic() + duration_s
        at_s = time.monotonic() + self.draw.uniform(0, every_s)
        while at_s < until_s:
            await asyncio.sleep(max(0.0, at_s - time.monotonic()))
            if self.waiting_since_s is None:
                await self._say(self.draw.choice(texts))
            else:
                self.skipped += 1
            at_s += every_s

    async def close(self) -> None:
        """Close the socket."""
        self._closing = True
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader

    async def _say(self, text: str) -> None:
        self.waiting_since_s = time.monotonic()
        self.sent += 1
        body = {"id": f"m{self.sent}", "text": text}
        headers = {"Authorization": f"Bearer {self.token}"}
        address = f"{self.url}/api/v1/conversations/{self.conversation_id}/messages"
        while True:
            async with self.session.post(address, json=body, headers=headers) as response:
                if response.status < 400:
                    return
            self.refused += 1
            await asyncio.sleep(_RETRY_S)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.data == PING:
                await socket.send_str(PONG)
            elif isinstance(message.data, str) and message.data.startswith(EVENT):
                event, data = json.loads(message.data.removeprefix(EVENT))
                if event == "messages":
                    self._take(data["messages"])
        self.dropped += not self._closing

    def _take(self, messages: Sequence[dict[str, Any]]) -> None:
        for message in messages:
            step = message["seq"] - self.last_seq
            self.gaps += step > 1
            self.doubled += step < 1
            self.last_seq = max(self.last_seq, message["seq"])
            if message["author"] != "customer" and self.waiting_since_s is not None:
                self.latencies_s.append(time.monotonic() - self.waiting_since_s)
                self.waiting_since_s = None
