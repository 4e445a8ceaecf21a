"""Forms of other sites and of other sessions change nothing: tried on every route that changes."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from bot.log import tables
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.route_table import CONSOLE
from tests.unit.bot.console.test_roles import address
from tests.unit.bot.console.visitors import Visitor, sign_in

SHOP = "https://shop.example"
CHANGES = [name.removeprefix("POST ") for name in CONSOLE if name.startswith("POST ")]
BEHIND_SIGN_IN = [path for path in CHANGES if path != "/sign-in"]


@pytest.fixture
async def running(start: Callable[..., Awaitable[Running]]) -> Running:
    """A gateway whose chat may be used by the pages of a shop."""
    return await start(allowed_origins=[SHOP])


@pytest.fixture
async def ada(running: Running) -> Visitor:
    return await sign_in(running, "Ada", "administrator")


async def count(running: Running) -> dict[str, int]:
    """How many rows there are, of all that is no audit row."""

    def query(connection: Any) -> dict[str, int]:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables.metadata.sorted_tables
            if table.name != "audit"
        }

    return await running.gateway.journal.read(query)


async def test_a_form_without_the_sessions_own_token_changes_nothing(
    running: Running, ada: Visitor
) -> None:
    ben = await sign_in(running, "Ben", "administrator")
    before = await count(running)
    forms: list[dict[str, Any]] = [
        {},
        {"csrf": ""},
        {"csrf": "x" * 43},
        {"csrf": ada.csrf[:-1]},
        {"csrf": ben.csrf},
    ]
    passed = []
    for path in BEHIND_SIGN_IN:
        for form in forms:
            response = await ada.send("POST", address(path), {}, form)
            if response.status != 403:
                passed.append((path, form, response.status))
        for header in ("", ben.csrf):
            response = await ada.send("POST", address(path), {"X-CSRF-Token": header}, {})
            if response.status != 403:
                passed.append((path, header, response.status))
    assert passed == []
    assert await count(running) == before


async def test_a_body_of_another_kind_carries_no_token(ada: Visitor) -> None:
    body = f'{{"csrf": "{ada.csrf}", "locale": "zh"}}'
    for kind in ("application/json", "text/plain", "application/octet-stream"):
        response = await ada.send("POST", "/preferences", {"Content-Type": kind}, body)
        assert response.status == 403


@pytest.mark.parametrize("origin", [SHOP, "https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_form_of_another_site_changes_nothing_even_with_the_token(
    running: Running, ada: Visitor, origin: str
) -> None:
    before = await count(running)
    passed = []
    for path in CHANGES:
        form = {"csrf": ada.csrf, "name": "Ada", "password": "x"}
        response = await ada.send("POST", address(path), {"Origin": origin}, form)
        if response.status != 403:
            passed.append((path, response.status))
        assert not response.cookies, path
    assert passed == []
    assert await count(running) == before


async def test_the_consoles_own_form_passes(running: Running, ada: Visitor) -> None:
    form = {"csrf": ada.csrf, "locale": "zh", "theme": "dark"}
    response = await ada.send("POST", "/preferences", running.own_page, form)
    assert response.status == 303
    response = await ada.send(
        "POST", "/preferences", running.own_page | {"X-CSRF-Token": ada.csrf}, {"locale": "en"}
    )
    assert response.status == 303


async def test_the_console_gives_other_sites_nothing(running: Running, ada: Visitor) -> None:
    for path in ("/password", "/people", "/audit.csv"):
        response = await ada.get(path, Origin=SHOP)
        headers = response.headers
        assert "Access-Control-Allow-Origin" not in headers, path
        assert "Access-Control-Allow-Credentials" not in headers, path
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
