"""A real gateway on SQLite, a dialogue process that echoes, and a clock that tests set."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.app import GATEWAY, Gateway, Overrides, build_app
from bot.channels.channel import Outgoing
from bot.settings import Settings
from bot.world import World

# What a customer's message leaves behind; the audit is for those who were refused.
TABLES = ("conversation", "message", "outbox", "nonce", "file")


async def eventually(happened: Callable[[], Any]) -> Any:
    """Wait until `happened` gives something true, and return it."""
    async with asyncio.timeout(20):
        while not (found := happened()):
            await asyncio.sleep(0.005)
        return found


async def no_rest(delay_s: float) -> None:
    """A sleep that takes no time."""
    await asyncio.sleep(0)


def flipped(raw: bytes) -> Iterator[bytes]:
    """The bytes with one bit changed, for every bit of them."""
    for index in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[index // 8] ^= 1 << index % 8
        yield bytes(changed)


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], Any]], Awaitable[Any]]:
    return eventually


@pytest.fixture(scope="session")
def every_bit() -> Callable[[bytes], Iterator[bytes]]:
    return flipped


@dataclass
class Clock:
    """The gateway's clock: this moment, moved as a test wants."""

    moved: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.moved

    def seconds(self) -> int:
        return int(self.now().timestamp())

    def forward(self, seconds: float) -> None:
        self.moved += timedelta(seconds=seconds)


@dataclass
class FakeDialogue:
    """Answers each turn once; `reply` says with what, `open` whether it is up."""

    turns: list[dict[str, Any]] = field(default_factory=list)
    answered: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    reply: Callable[[str], list[dict[str, Any]]] | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def turn(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.turns.append(body)
        await self.open.wait()
        key = (body["conversation_id"], body["message_id"])
        duplicate = key in self.answered
        if not duplicate:
            self.answered[key] = self._answer(body["text"]) | {"message_id": body["message_id"]}
        return web.json_response(self.answered[key] | {"duplicate": duplicate})

    def _answer(self, text: str) -> dict[str, Any]:
        replies = self.reply(text) if self.reply else [{"text": f"echo {text}"}]
        return {
            "replies": [{"metadata": {}} | reply for reply in replies],
            "parse": _parse(text),
            "events": [],
            "timing_ms": {},
        }

    @property
    def texts(self) -> list[str]:
        return [turn["text"] for turn in self.turns]


def _parse(text: str) -> dict[str, Any]:
    return {
        "text": text,
        "intent": {"name": "greet", "confidence": 0.9},
        "intent_ranking": [],
        "entities": [],
        "emotion": {"name": "neutral", "confidence": 0.9, "ranking": []},
        "model_version": "1",
        "mode": "test",
        "timing_ms": {},
    }


@dataclass
class Running:
    """A gateway under test, its client and its database."""

    client: TestClient[web.Request, web.Application]
    path: Path
    clock: Clock

    @property
    def gateway(self) -> Gateway:
        return self.client.server.app[GATEWAY]  # type: ignore[attr-defined]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What a table holds, in the order it came in."""
        assert table in (*TABLES, "audit")
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
        return [dict(row) for row in found]

    def nothing_kept(self) -> bool:
        """Whether no customer's request has left a row."""
        return not any(self.rows(table) for table in TABLES)

    def inbound(self) -> list[str]:
        """The customers' messages on record."""
        return [row["text"] for row in self.rows("message") if row["direction"] == "in"]

    async def posted(self, count: int = 1, state: str = "sent") -> list[dict[str, Any]]:
        """Wait until so many messages of the outbox are in a state; returns their rows."""

        def there() -> list[dict[str, Any]]:
            rows = [row for row in self.rows("outbox") if row["state"] == state]
            return rows if len(rows) >= count else []

        found: list[dict[str, Any]] = await eventually(there)
        return found

    async def post_bytes(self, path: str, headers: dict[str, bytes], body: bytes) -> int:
        """The status of a request as it is on the wire: no client mends or refuses any of it."""
        host, port = self.client.server.host, self.client.server.port
        reader, writer = await asyncio.open_connection(host, port)
        try:
            head = [b"POST %s HTTP/1.1" % path.encode(), b"Host: localhost", b"Connection: close"]
            head += [name.encode() + b": " + value for name, value in headers.items()]
            head.append(b"Content-Length: %d" % len(body))
            writer.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
            async with asyncio.timeout(10):
                return int((await reader.readline()).split()[1])
        finally:
            writer.close()
            await writer.wait_closed()

    async def tried(self) -> dict[str, Any]:
        """Wait until a message was tried in vain and is queued again; returns its row."""

        def there() -> dict[str, Any] | None:
            rows = [row for row in self.rows("outbox") if row["state"] == "queued"]
            return rows[0] if rows and rows[0]["error"] is not None else None

        found: dict[str, Any] = await eventually(there)
        return found

    def break_storage(self) -> Callable[[], None]:
        """Make every message fail to be stored; returns what mends it."""
        self._alter("ALTER TABLE message RENAME TO message_away")
        return lambda: self._alter("ALTER TABLE message_away RENAME TO message")

    def _alter(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA legacy_alter_table=ON")
            connection.execute(statement)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    return World(now=clock.now, sleep=no_rest)


@pytest.fixture
async def dialogue() -> FakeDialogue:
    fake = FakeDialogue()
    fake.open.set()
    return fake


@pytest.fixture
async def dialogue_url(dialogue: FakeDialogue) -> AsyncIterator[str]:
    async def ready(request: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    async def classify(request: web.Request) -> web.Response:
        body = await request.json()
        return web.json_response({"results": [_parse(text) for text in body["texts"]]})

    app = web.Application()
    app.router.add_post("/webhooks/turn/turn", dialogue.turn)
    app.router.add_post("/v1/classify", classify)
    app.router.add_get("/readyz", ready)
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")
        dialogue.open.set()


@pytest.fixture
def settings(tmp_path: Path, dialogue_url: str) -> Settings:
    return Settings(
        _env_file=None,
        state_dir=tmp_path,
        database_url=f"sqlite:///{tmp_path / 'kefu.db'}",
        dialogue_url=dialogue_url,
        nlu_url=dialogue_url,
        token_secret="a secret of the tests",
        drain_timeout_s=5,
    )


@pytest.fixture
async def start(
    settings: Settings, world: World, clock: Clock, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """Starts a gateway with the channels that the environment sets up."""
    async with AsyncExitStack() as stack:

        async def start(**changes: Any) -> Running:
            app = await build_app(
                settings.model_copy(update=changes), overrides=Overrides(world=world)
            )
            client = await stack.enter_async_context(TestClient(TestServer(app)))
            return Running(client, tmp_path / "kefu.db", clock)

        yield start


@pytest.fixture
def outgoing() -> Callable[..., Outgoing]:
    """Makes a message to be sent, of what a test names."""

    def outgoing(**values: Any) -> Outgoing:
        given = {
            "id": "0123456789abcdef",
            "conversation_id": "c",
            "account": "a",
            "seq": 2,
            "created_at": datetime(2026, 1, 2, tzinfo=UTC),
        }
        return Outgoing(**given | values)

    return outgoing
