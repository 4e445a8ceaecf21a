"""People at the console, as its tests need them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from bot import agents
from bot.agents import Role
from bot.console.cookies import cookie_name
from bot.console.passwords import Passwords
from bot.world import sortable_id, utc_now
from tests.unit.bot.conftest import Running

PASSWORD = "seven candles on a shelf"
ROOT = "/console"


@dataclass
class Visitor:
    """Somebody with a browser of their own: its cookies, and the token of the session."""

    client: TestClient[Any, Any]
    id: str = ""
    name: str = ""
    csrf: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> ClientResponse:
        """A page or what else is there; redirects are not followed."""
        return await self.send("GET", path, headers)

    async def text(self, path: str) -> str:
        """A page that must be there."""
        response = await self.get(path)
        text = await response.text()
        assert response.status == 200, (response.status, response.headers.get("Location"), text)
        return text

    async def post(self, path: str, *, json: bool = False, **fields: Any) -> ClientResponse:
        """A form of this session."""
        headers = {"Accept": "application/json"} if json else {}
        return await self.send("POST", path, headers, {"csrf": self.csrf} | fields)

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], data: Any = None
    ) -> ClientResponse:
        """Any request with the browser's cookies, which the answer may change."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        response = await self.client.request(
            method, ROOT + path, headers=sent | headers, data=data, allow_redirects=False
        )
        for name, morsel in response.cookies.items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        return response


@cache
def password_hash() -> str:
    """Of PASSWORD; made once, for it takes its time."""
    return Passwords().hash_now(PASSWORD)


async def employ(running: Running, name: str, role: Role = "agent") -> str:
    """Somebody who may sign in with PASSWORD; returns the id."""
    hashed, now = password_hash(), utc_now()

    def unit(connection: Any) -> str:
        added = agents.add(connection, id_=sortable_id(), name=name, role=role, now=now)
        assert added is not None
        agents.set_password(
            connection, id_=added[0].id, password_hash=hashed, must_change=False, now=now
        )
        return added[0].id

    return str(await running.gateway.journal.write(unit))


async def sign_in(
    running: Running, name: str = "Ada", role: Role = "agent", *, id_: str | None = None
) -> Visitor:
    """Employ somebody and give them a browser of their own with an open session.

    With `id_`, somebody who is there gets another browser.
    """
    id_ = await employ(running, name, role) if id_ is None else id_
    session, cookie = await running.gateway.sessions.open_for(id_, None, "a test's browser")
    return Visitor(
        client=running.client,
        id=id_,
        name=name,
        csrf=session.csrf,
        cookies={cookie_name(https=False): cookie},
    )
