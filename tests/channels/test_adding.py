"""The example of docs/channels/adding.md, run as it stands there."""

import ast
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.channels import registry

PAGE = Path(__file__).parents[2] / "docs" / "channels" / "adding.md"
TOKEN = "a-token-of-the-tests"


@dataclass
class Provider:
    """Takes text messages; `statuses` are answered before anything succeeds."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        assert request.headers["X-Token"] == TOKEN
        self.sent.append(await request.json())
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    module_code, line = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (name, path), *others = ast.literal_eval("{" + line.strip() + "}").items()
    assert others == []
    module = ModuleType(path)
    exec(compile(module_code, str(PAGE), "exec"), vars(module))
    monkeypatch.setitem(sys.modules, path, module)
    monkeypatch.setattr(registry, "CHANNELS", {name: path})
    fake = Provider()
    app = web.Application()
    app.router.add_post("/send", fake.take)
    async with TestServer(app) as server:
        monkeypatch.setenv("KEFU_SMS_TOKEN", TOKEN)
        monkeypatch.setenv("KEFU_SMS_API_URL", str(server.make_url("/send")))
        yield fake


@pytest.fixture
async def running(provider: Provider, start: Callable[..., Awaitable[Any]]) -> Any:
    return await start()


async def post(running: Any, id_: str, text: str, token: str = TOKEN) -> int:
    response = await running.client.post(
        "/webhooks/sms",
        json={"id": id_, "from": "+4712345678", "text": text},
        headers={"X-Token": token},
    )
    return int(response.status)


async def test_a_message_comes_in_and_its_answer_goes_out(
    running: Any, provider: Provider, dialogue: Any
) -> None:
    assert [await post(running, "1", "hello") for _ in range(3)] == [200] * 3
    await running.posted()
    assert provider.sent == [{"to": "+4712345678", "text": "echo hello"}]
    assert dialogue.texts == ["hello"]


async def test_a_number_is_the_button_with_that_number(
    running: Any, provider: Provider, dialogue: Any
) -> None:
    buttons = [{"title": "Yes", "payload": "/affirm"}, {"title": "No", "payload": "/deny"}]
    dialogue.reply = lambda text: [{"text": "Sure?", "buttons": buttons}]
    await post(running, "1", "cancel it")
    await running.posted()
    assert provider.sent[0]["text"] == "Sure?\n\n1. Yes\n2. No"
    await post(running, "2", "2")
    await running.posted(2)
    assert dialogue.texts == ["cancel it", "/deny"]


async def test_nobody_else_may_speak(running: Any) -> None:
    assert await post(running, "1", "hello", token="forged") == 401
    assert running.nothing_kept()


async def test_what_the_provider_says_is_kept_to(running: Any, provider: Provider) -> None:
    provider.statuses = [500, 404]
    await post(running, "1", "hello")
    await running.tried()
    running.clock.forward(60)
    running.gateway.sender.wake()
    (row,) = await running.posted(state="failed")
    assert "no such number" in row["error"]


async def test_its_settings_are_on_the_page(provider: Provider) -> None:
    from bot.settings_page import settings_page

    assert "| `KEFU_SMS_TOKEN` |  | SMS: token of the provider" in settings_page()
