"""Addresses typed by hand: nothing without a session, nothing half-way in, nothing of others."""

from urllib.parse import parse_qs, urlsplit

import pytest

from bot import agents
from bot.world import utc_now
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.route_table import CONSOLE
from tests.unit.bot.console.test_roles import address
from tests.unit.bot.console.visitors import ROOT, Visitor, password_hash, sign_in

GUARDED = [name.split(" ") for name, cell in CONSOLE.items() if None not in cell.roles]
BEFORE_PASSWORD = {"/password", "/sign-out", "/preferences"}


@pytest.mark.parametrize("cookies", [{}, {"kefu_session": "made-up"}])
async def test_without_a_session_each_page_leads_to_the_sign_in(
    running: Running, cookies: dict[str, str]
) -> None:
    stranger = Visitor(client=running.client, cookies=cookies)
    wrong = []
    for method, path in GUARDED:
        here = address(path)
        response = await stranger.send(method, f"{here}?x=1", {})
        target = urlsplit(response.headers.get("Location", ""))
        wanted = parse_qs(target.query).get("next", [])
        expected = [f"{here}?x=1"] if method == "GET" else []
        if (response.status, target.path, wanted) != (303, f"{ROOT}/sign-in", expected):
            wrong.append((method, path, response.status, wanted))
        assert await response.read() == b"", path
    assert wrong == []


async def test_without_a_session_fragments_and_data_are_refused(running: Running) -> None:
    stranger = Visitor(client=running.client)
    wrong = []
    for method, path in GUARDED:
        for headers in ({"HX-Request": "true"}, {"Accept": "application/json"}):
            response = await stranger.send(method, address(path), headers)
            if response.status != 401:
                wrong.append((method, path, headers, response.status))
    assert wrong == []


async def test_before_a_password_was_chosen_everything_leads_there(running: Running) -> None:
    ada = await sign_in(running, "Ada", "administrator")
    await running.gateway.journal.write(
        lambda c: agents.set_password(
            c, id_=ada.id, password_hash=password_hash(), must_change=True, now=utc_now()
        )
    )
    ada = await sign_in(running, id_=ada.id)
    wrong = []
    for method, path in GUARDED:
        if path in BEFORE_PASSWORD:
            continue
        data = {"csrf": ada.csrf} if method == "POST" else None
        response = await ada.send(method, address(path), {}, data)
        if (response.status, response.headers.get("Location")) != (303, f"{ROOT}/password"):
            wrong.append((method, path, response.status))
    assert wrong == []
    assert "Choose a password" in await ada.text("/password")


async def test_nobody_ends_the_sessions_of_others(running: Running) -> None:
    ada = await sign_in(running, "Ada")
    ben = await sign_in(running, "Ben")
    found = await running.gateway.sessions.find(ben.cookies["kefu_session"])
    assert found is not None
    response = await ada.post(f"/password/sessions/{found.session.id}/end")
    assert response.status == 404
    assert "Ben" in await ben.text("/password")


async def test_who_is_not_there_is_not_found(running: Running) -> None:
    ada = await sign_in(running, "Ada", "administrator")
    for id_ in ("nobody", "%00", "..%2f..%2fetc", "x" * 4000):
        assert (await ada.get(f"/people/{id_}")).status == 404, id_
        assert (await ada.post(f"/people/{id_}/remove")).status == 404, id_
        assert (await ada.post(f"/password/sessions/{id_}/end")).status == 404, id_


async def test_nothing_else_is_below_the_console(running: Running) -> None:
    ada = await sign_in(running, "Ada", "administrator")
    for path in ("/nothing", "/assets/..%2f..%2fsettings.py", "/people/x/y/z", "/sign-in/x"):
        assert (await ada.get(path)).status == 404, path
