"""What the gateway answers is what its description says, whatever is sent to it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bot import agents
from bot.app import build_app
from bot.http.guard import SERVER_LIMITS
from bot.http.openapi import describe
from bot.log import database
from bot.settings import Settings
from bot.world import utc_now
from tests.every_channel import EVERY_CHANNEL

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(
    describe(4000),
    config=SchemathesisConfig(
        projects=ProjectsConfig(
            default=ProjectConfig(
                generation=GenerationConfig(deterministic=True, with_security_parameters=False)
            )
        )
    ),
)
BOUNDED = hypothesis_settings(
    max_examples=12,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A gateway, and what opens it."""

    url: str
    conversation_id: str
    token: str
    agent_token: str
    file_id: str
    file_query: dict[str, str]


async def _answer_turn(request: web.Request) -> web.Response:
    turn = await request.json()
    answer = {
        "message_id": turn["message_id"],
        "duplicate": False,
        "replies": [{"text": "echo", "metadata": {}, "buttons": [{"title": "a", "payload": "b"}]}],
        "parse": {"intent": {"name": "inform", "confidence": 0.9}},
        "events": [],
        "timing_ms": {},
    }
    return web.json_response(answer)


async def _ready(request: web.Request) -> web.Response:
    return web.json_response({"status": "ready"})


async def _behind() -> web.Application:
    app = web.Application()
    app.router.add_post("/webhooks/turn/turn", _answer_turn)
    app.router.add_get("/readyz", _ready)
    return app


@contextmanager
def _served(make: Callable[[], Awaitable[web.Application]]) -> Iterator[str]:
    """An application on a loop and in a thread of its own; its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(await make(), access_log=None, **SERVER_LIMITS)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_stop(runner), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One gateway for all examples, with every channel set up."""
    with pytest.MonkeyPatch.context() as patch, _served(_behind) as dialogue_url:
        for name, value in EVERY_CHANNEL.items():
            patch.setenv(name, value)
        settings = Settings(
            _env_file=None,
            state_dir=tmp_path_factory.mktemp("gateway"),
            dialogue_url=dialogue_url,
            nlu_url=dialogue_url,
            token_secret="a secret of the tests",
            wait_timeout_s=5,
            drain_timeout_s=5,
        )
        with _served(lambda: build_app(settings)) as url:
            yield _opened(url, settings)


def _opened(url: str, settings: Settings) -> Served:
    opened = requests.post(f"{url}/api/v1/conversations", timeout=10).json()
    headers = {"Authorization": f"Bearer {opened['token']}"}
    conversation = f"{url}/api/v1/conversations/{opened['conversation_id']}"
    file = requests.post(f"{conversation}/files", data=b"a text", headers=headers, timeout=10)
    engine = database.open_engine(settings.database_url, writer=True)
    with engine.begin() as connection:
        added = agents.add(connection, id_="agent-1", name="Kim", role="agent", now=utc_now())
    engine.dispose()
    assert added is not None
    return Served(
        url=url,
        conversation_id=opened["conversation_id"],
        token=opened["token"],
        agent_token=added[1],
        file_query=dict(parse_qsl(urlsplit(file.json()["url"]).query)),
        file_id=file.json()["id"],
    )


@SCHEMA.parametrize()
@BOUNDED
def test_without_a_token_nothing_undocumented_is_answered(case: Any, served: Served) -> None:
    case.call_and_validate(base_url=served.url, checks=CHECKS, timeout=20)


@SCHEMA.include(path_regex="^/(api|socket)").parametrize()
@BOUNDED
def test_with_a_token_nothing_undocumented_is_answered(case: Any, served: Served) -> None:
    headers = {"Origin": served.url, "Authorization": f"Bearer {served.token}"}
    if case.path.startswith("/api/v1/agent"):
        headers["Authorization"] = f"Bearer {served.agent_token}"
        _hand_over(served, taken=not case.path.endswith("/take"))
    if "conversation_id" in case.path_parameters:
        case.path_parameters["conversation_id"] = served.conversation_id
    if "file_id" in case.path_parameters:
        case.path_parameters["file_id"] = served.file_id
        case.query = served.file_query
    if isinstance(case.body, dict) and isinstance(case.body.get("attachments"), list):
        case.body["attachments"] = [served.file_id for _ in case.body["attachments"]]
    case.call_and_validate(base_url=served.url, headers=headers, checks=CHECKS, timeout=20)


def _hand_over(served: Served, *, taken: bool) -> None:
    """Have the conversation wait for an agent, or be taken by ours."""
    asked = requests.post(
        f"{served.url}/api/v1/conversations/{served.conversation_id}/handoff",
        headers={"Authorization": f"Bearer {served.token}"},
        timeout=10,
    )
    assert asked.status_code == 200
    if taken:
        requests.post(
            f"{served.url}/api/v1/agent/conversations/{served.conversation_id}/take",
            headers={"Authorization": f"Bearer {served.agent_token}"},
            timeout=10,
        )
