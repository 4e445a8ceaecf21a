"""A gateway on a database of its own, and a dialogue process that does what it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from bot.app import GATEWAY, Gateway, Overrides, build_app
from bot.settings import Settings
from bot.world import World


def parse_of(text: str, **changes: Any) -> dict[str, Any]:
    """What the understanding service would say."""
    return {
        "text": text,
        "intent": {"name": "track_order", "confidence": 0.97},
        "intent_ranking": [
            {"name": "track_order", "confidence": 0.97},
            {"name": "ask_delivery_time", "confidence": 0.02},
        ],
        "entities": [
            {
                "entity": "emotion",
                "start": 0,
                "end": len(text),
                "value": "angry",
                "confidence_entity": 0.9,
                "extractor": "kefu-emotion",
            }
        ],
        "emotion": {"name": "angry", "confidence": 0.9, "ranking": []},
        "model_version": "20260101-1",
        "mode": "cpu-int8",
        "timing_ms": {"queue": 0.1, "tokenize": 0.2, "model": 3.0},
    } | changes


@dataclass
class FakeDialogue:
    """Speaks the turn channel's contract: idempotent by message id, and down when told so."""

    turns: list[dict[str, Any]] = field(default_factory=list)
    hand_backs: list[dict[str, Any]] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    answers: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    reply: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    failures: list[int] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def turn(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.turns.append(body)
        await self.open.wait()
        if self.failures:
            return web.json_response({"error": "down"}, status=self.failures.pop(0))
        key = (body["conversation_id"], body["message_id"])
        duplicate = key in self.answers
        if not duplicate:
            self.answers[key] = self.answer(body)
        return web.json_response(self.answers[key] | {"duplicate": duplicate})

    async def erase(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.failures:
            return web.json_response({"error": "down"}, status=self.failures.pop(0))
        self.erased += body["conversation_ids"]
        return web.json_response({"conversations": len(body["conversation_ids"]), "turns": 1})

    async def hand_back(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.hand_backs.append(body)
        if self.failures:
            return web.json_response({"error": "down"}, status=self.failures.pop(0))
        return web.json_response({"event_id": body["event_id"], "duplicate": False})

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = {
            "message_id": body["message_id"],
            "replies": [{"text": f"echo {body['text']}", "metadata": {}}],
            "parse": parse_of(body["text"]),
            "events": [
                {"event": "user", "text": body["text"]},
                {"event": "action", "name": "utter_echo"},
                {"event": "action", "name": "action_listen"},
            ],
            "timing_ms": {"nlu": 3.0, "dialogue": 2.0, "total": 5.0},
        }
        return answer | (self.reply(body) if self.reply else {})

    @property
    def texts(self) -> list[str]:
        return [turn["text"] for turn in self.turns]

    async def seen(self, count: int) -> None:
        """Wait until so many turns have arrived."""
        async with asyncio.timeout(10):
            while len(self.turns) < count:
                await asyncio.sleep(0)


async def no_rest(delay_s: float) -> None:
    """A sleep that takes no time."""
    await asyncio.sleep(0)


@dataclass
class Running:
    """A gateway under test and a client of it."""

    client: TestClient[web.Request, web.Application]

    @property
    def gateway(self) -> Gateway:
        return self.client.server.app[GATEWAY]  # type: ignore[attr-defined]

    @property
    def own_page(self) -> dict[str, str]:
        """The headers of a page of the gateway's own."""
        return {"Origin": str(self.client.make_url("/")).rstrip("/")}

    async def converse(self) -> "Conversation":
        response = await self.client.post("/api/v1/conversations")
        assert response.status == 201
        opened = await response.json()
        return Conversation(self.client, opened["conversation_id"], opened["token"])


@dataclass
class Conversation:
    """A conversation as a customer's client sees it."""

    client: TestClient[web.Request, web.Application]
    id: str
    token: str

    @property
    def url(self) -> str:
        return f"/api/v1/conversations/{self.id}/messages"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def auth(self, **changes: Any) -> dict[str, Any]:
        """What a socket of the customer connects with."""
        return {"conversation_id": self.id, "token": self.token, "after": 0} | changes

    async def say(self, id_: str, text: str, query: str = "?wait=true") -> tuple[int, Any]:
        response = await self.client.post(
            self.url + query, json={"id": id_, "text": text}, headers=self.headers
        )
        return response.status, await response.json()

    async def messages(self, query: str = "") -> Any:
        response = await self.client.get(self.url + query, headers=self.headers)
        assert response.status == 200
        return await response.json()


@pytest.fixture
async def dialogue() -> AsyncIterator[FakeDialogue]:
    fake = FakeDialogue()
    fake.open.set()
    return fake


@pytest.fixture
async def dialogue_url(dialogue: FakeDialogue) -> AsyncIterator[str]:
    async def ready(request: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    async def classify(request: web.Request) -> web.Response:
        body = await request.json()
        return web.json_response({"results": [parse_of(text) for text in body["texts"]]})

    app = web.Application()
    app.router.add_post("/webhooks/turn/turn", dialogue.turn)
    app.router.add_post("/webhooks/turn/hand-back", dialogue.hand_back)

    async def forget(request: web.Request) -> web.Response:
        return web.json_response({"forgotten": 2})

    app.router.add_post("/webhooks/turn/erase", dialogue.erase)
    app.router.add_post("/v1/classify", classify)
    app.router.add_post("/v1/forget", forget)
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
        # No such file: people are always in, whatever the hour that the tests run at.
        hours_file=tmp_path / "no-hours.yml",
        token_secret="a secret of the tests",
        wait_timeout_s=10,
        drain_timeout_s=5,
    )


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """Starts a gateway; called twice it is a second process on the same database."""
    async with AsyncExitStack() as stack:

        async def start(**changes: Any) -> Running:
            changed = settings.model_copy(update=changes)
            overrides = Overrides(world=replace(World(), sleep=no_rest))
            app = await build_app(changed, overrides=overrides)
            # Browsers of several people share the client: each keeps its cookies itself.
            client = TestClient(TestServer(app), cookie_jar=DummyCookieJar())
            return Running(await stack.enter_async_context(client))

        yield start


@pytest.fixture
async def running(start: Callable[..., Awaitable[Running]]) -> Running:
    return await start()
