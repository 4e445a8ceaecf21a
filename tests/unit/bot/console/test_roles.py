"""Every route tried as every role: a route that is not in the table fails."""

import re
from typing import Any

import pytest

from bot import agents
from bot.agents import Role
from bot.http.agent_api import PREFIX
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.route_table import AGENT_API, CONSOLE, ROLES
from tests.unit.bot.console.visitors import ROOT, Visitor, employ, sign_in

NOTHING = "nothing"


def served(running: Running, below: str) -> set[str]:
    """The routes below a path, as the table names them."""
    found = set()
    for route in running.client.server.app.router.routes():  # type: ignore[attr-defined]
        path = "" if route.resource is None else route.resource.canonical
        if (path == below or path.startswith(f"{below}/")) and route.method != "HEAD":
            found.add(f"{route.method} {path.removeprefix(below)}")
    return found


def address(path: str) -> str:
    """A path of nobody and nothing: only who may ask is in question."""
    return re.sub(r"\{[^}]*\}", NOTHING, path)


async def test_each_route_is_in_the_table(running: Running) -> None:
    assert served(running, ROOT) == set(CONSOLE)
    assert served(running, PREFIX) == set(AGENT_API)


@pytest.mark.parametrize("role", ROLES)
async def test_the_console_lets_each_role_where_the_table_says(
    running: Running, role: Role
) -> None:
    id_ = await employ(running, "Ada", role)
    wrong = []
    for name, cell in CONSOLE.items():
        method, path = name.split(" ")
        visitor = await sign_in(running, id_=id_)
        data = {"csrf": visitor.csrf} | cell.spoilt if method == "POST" else None
        response = await visitor.send(method, address(path), {}, data)
        forbidden = response.status == 403
        to_sign_in = "/sign-in" in response.headers.get("Location", "")
        unauthorised = response.status == 401 or (to_sign_in and path != "/sign-out")
        expected = role not in cell.roles
        public = path == "/sign-in"
        if forbidden != expected or (unauthorised and not public) or response.status == 500:
            wrong.append((name, response.status))
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
async def test_the_agents_api_lets_each_role_where_the_table_says(
    running: Running, role: Role
) -> None:
    id_ = await employ(running, "Ada", role)
    token = await running.gateway.journal.write(lambda c: agents.new_token(c, id_=id_))
    headers = {"Authorization": f"Bearer {token}"}
    wrong = []
    for name, cell in AGENT_API.items():
        method, path = name.split(" ")
        body: Any = {"json": {}} if method == "POST" else {}
        response = await running.client.request(
            method, PREFIX + address(path), headers=headers, **body
        )
        expected = role not in cell.roles
        if (response.status == 403) != expected or response.status in (401, 500):
            wrong.append((name, response.status))
    assert wrong == []


async def test_the_agents_api_is_shut_to_strangers_and_to_the_consoles_cookie(
    running: Running,
) -> None:
    ada = await sign_in(running, "Ada", "administrator")
    (value,) = ada.cookies.values()
    claims: list[dict[str, str]] = [
        {},
        {"Cookie": f"kefu_session={value}"},
        {"Authorization": f"Bearer {value}"},
    ]
    for name in AGENT_API:
        method, path = name.split(" ")
        for headers in claims:
            response = await running.client.request(method, PREFIX + address(path), headers=headers)
            assert response.status == 401, (name, headers)


async def test_the_navigation_shows_each_role_its_sections(running: Running) -> None:
    for role in ROLES:
        visitor: Visitor = await sign_in(running, f"Ada {role}", role)
        page = await visitor.text("/password")
        shown = set(re.findall(r'<li><a href="/console(/[^"]*)"', page))
        allowed = {
            path
            for name, cell in CONSOLE.items()
            if (path := name.removeprefix("GET ")) in shown and role in cell.roles
        }
        assert shown == allowed, role
        assert ("/people" in shown) == (role == "administrator")
