"""The description of the API says what there is, and what there is is described."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, get_args

import pytest

from bot.app import GATEWAY
from bot.channels.registry import CHANNELS
from bot.http import body
from bot.http.openapi import describe
from bot.identity import MAX_USER_ID_CHARS
from bot.log.records import Author, State, Status
from bot.settings import Settings
from tests.every_channel import EVERY_CHANNEL

# Everything that shows a page or is part of one; the rest is described.
PAGES = ("/kefu.js", "/widget", "/demo", "/console")
DESCRIPTION = describe(Settings(_env_file=None).max_text_chars)


def described() -> set[tuple[str, str]]:
    methods = {"get", "post", "put", "patch", "delete", "options", "head"}
    return {
        (method.upper(), path)
        for path, item in DESCRIPTION["paths"].items()
        for method in item
        if method in methods
    }


async def test_each_route_is_described_and_each_described_route_exists(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in EVERY_CHANNEL.items():
        monkeypatch.setenv(name, value)
    running = await start()
    app = running.client.server.app
    assert app[GATEWAY]
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    found = {route for route in routes if not route[1].startswith(PAGES)}
    assert found == described()
    assert {f"/webhooks/{name}" for name in CHANNELS} <= {path for _, path in found}


async def test_it_is_served_with_the_limits_of_the_settings(start: Callable[..., Any]) -> None:
    running = await start(max_text_chars=123)
    response = await running.client.get("/openapi.json")
    assert response.status == 200
    served = await response.json()
    assert served == describe(123)
    schemas = served["components"]["schemas"]
    assert schemas["NewMessage"]["properties"]["text"]["maxLength"] == 123


def test_the_documented_limits_are_those_of_the_code() -> None:
    schemas = DESCRIPTION["components"]["schemas"]
    assert schemas["Id"]["maxLength"] == body.MAX_ID_CHARS == MAX_USER_ID_CHARS
    assert schemas["ConversationStatus"]["enum"] == list(get_args(Status))
    assert schemas["Message"]["properties"]["author"]["enum"] == list(get_args(Author))
    assert set(schemas["State"]["enum"]) == set(get_args(State)) - {"sent"}
    about = DESCRIPTION["info"]["description"]
    assert f"{body.MAX_BODY_BYTES // 1024} KiB" in about
    assert f"{body.MAX_DEPTH} levels" in about
    assert DESCRIPTION["info"]["version"] == version("kefu")


def test_whatever_takes_a_body_says_how_it_may_be_refused() -> None:
    for path, item in DESCRIPTION["paths"].items():
        operation = item.get("post")
        if operation is None or path.startswith("/socket.io"):
            continue
        missing = {"400", "403", "408", "413", "415", "429", "503"} - operation["responses"].keys()
        assert not missing, path
        secured = "security" in operation or path.startswith("/webhooks/we")
        assert not secured or "401" in operation["responses"], path
