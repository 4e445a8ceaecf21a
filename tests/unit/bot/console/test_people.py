"""Colleagues as administrators manage them, and what everyone manages for themselves."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select

from bot.agents import hash_token
from bot.http.agent_api import PREFIX
from bot.log import tables
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import PASSWORD, Visitor, employ, sign_in

SECRET = re.compile(r'id="secret">([^<]+)<')


@pytest.fixture
async def ada(running: Running) -> Visitor:
    return await sign_in(running, "Ada", "administrator")


async def secret(response: Any) -> str:
    found = SECRET.search(await response.text())
    assert found is not None
    return found[1]


async def id_of(running: Running, name: str) -> str:
    return str(
        await running.gateway.journal.read(
            lambda c: c.execute(
                select(tables.agent.c.id).where(tables.agent.c.name == name)
            ).scalar_one()
        )
    )


async def opens(running: Running, name: str, password: str) -> bool:
    browser = Visitor(client=running.client)
    response = await browser.post("/sign-in", name=name, password=password)
    return response.status == 303


async def test_a_new_colleague_signs_in_with_the_password_that_was_shown_once(
    running: Running, ada: Visitor
) -> None:
    response = await ada.post("/people", name="  Ben   Okri ", role="reviewer")
    word = await secret(response)
    assert response.headers["Cache-Control"] == "no-store"
    assert await opens(running, "Ben Okri", word)
    listed = await ada.text("/people")
    assert "Ben Okri" in listed
    assert "first password unused" in listed
    assert word not in listed
    page = await ada.text(f"/people/{await id_of(running, 'Ben Okri')}")
    assert word not in page
    assert 'value="reviewer" checked' in page


@pytest.mark.parametrize(
    ("name", "role", "status"),
    [("", "agent", 400), ("x" * 81, "agent", 400), ("Ada", "agent", 409), ("Ben", "owner", 400)],
)
async def test_who_cannot_be_added_is_said(ada: Visitor, name: str, role: str, status: int) -> None:
    response = await ada.post("/people", name=name, role=role)
    assert response.status == status
    assert 'role="alert"' in await response.text()


async def test_names_are_shown_as_text(running: Running, ada: Visitor) -> None:
    await ada.post("/people", name="<script>alert(1)</script>", role="agent")
    for page in (await ada.text("/people"), await ada.text("/audit")):
        assert "<script>alert(1)" not in page
        assert "&lt;script&gt;alert(1)" in page


async def test_a_role_is_changed_at_once(running: Running, ada: Visitor) -> None:
    ben = await sign_in(running, "Ben", "agent")
    assert (await ben.get("/people")).status == 403
    response = await ada.post(f"/people/{ben.id}/role", role="administrator")
    assert response.status == 303
    assert (await ben.get("/people")).status == 200


async def test_the_last_administrator_stays(running: Running, ada: Visitor) -> None:
    for path, fields in (("role", {"role": "agent"}), ("remove", {})):
        response = await ada.post(f"/people/{ada.id}/{path}", **fields)
        assert response.status == 409
        assert "last administrator" in await response.text()
    ben = await sign_in(running, "Ben", "administrator")
    assert (await ada.post(f"/people/{ada.id}/role", role="agent")).status == 303
    assert (await ada.get("/people")).status == 403
    response = await ben.post(f"/people/{ben.id}/remove")
    assert response.status == 409


async def test_a_reset_password_ends_the_old_one_and_all_sessions(
    running: Running, ada: Visitor
) -> None:
    ben = await sign_in(running, "Ben")
    word = await secret(await ada.post(f"/people/{ben.id}/password"))
    assert (await ben.get("/password")).status == 303
    assert not await opens(running, "Ben", PASSWORD)
    assert await opens(running, "Ben", word)
    assert (await ada.post(f"/people/{ada.id}/password")).status == 409


async def test_a_token_is_shown_once_and_ends_when_it_is_revoked(
    running: Running, ada: Visitor
) -> None:
    ben = await employ(running, "Ben")

    async def api(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await running.client.get(f"{PREFIX}/me", headers=headers)).status

    first = await secret(await ada.post(f"/people/{ben}/token"))
    assert await api(first) == 200
    assert hash_token(first) not in await ada.text(f"/people/{ben}")
    second = await secret(await ada.post(f"/people/{ben}/token"))
    assert [await api(first), await api(second)] == [401, 200]
    assert (await ada.post(f"/people/{ben}/token/revoke")).status == 303
    assert await api(second) == 401


async def test_who_is_removed_is_out_at_once(running: Running, ada: Visitor) -> None:
    ben = await sign_in(running, "Ben")
    token = await secret(await ada.post(f"/people/{ben.id}/token"))
    await ada.post(f"/people/{ben.id}/remove")
    assert (await ben.get("/password")).status == 303
    assert not await opens(running, "Ben", PASSWORD)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await running.client.get(f"{PREFIX}/me", headers=headers)).status == 401
    assert "Ben" not in await ada.text("/people")
    assert (await ada.get(f"/people/{ben.id}")).status == 404
    assert (await ada.post("/people", name="Ben", role="agent")).status == 200, "and comes back"


async def test_an_administrator_ends_the_sessions_of_others_and_keeps_the_own(
    running: Running, ada: Visitor
) -> None:
    ben = await sign_in(running, "Ben")
    elsewhere = await sign_in(running, id_=ada.id)
    await ada.post(f"/people/{ben.id}/sessions/end")
    assert (await ben.get("/password")).status == 303
    await ada.post(f"/people/{ada.id}/sessions/end")
    assert (await elsewhere.get("/password")).status == 303
    assert (await ada.get("/password")).status == 200


async def test_a_changed_password_ends_every_other_session(running: Running) -> None:
    ben = await sign_in(running, "Ben")
    phone = await sign_in(running, id_=ben.id)
    before = dict(ben.cookies)
    new = "nine lanterns at the harbour"
    response = await ben.post("/password", current=PASSWORD, new=new, again=new)
    assert response.status == 303
    assert ben.cookies != before
    assert "The password was changed." in await ben.text("/password?notice=people.password_changed")
    assert (await phone.get("/password")).status == 303
    stolen = Visitor(client=running.client, cookies=before)
    assert (await stolen.get("/password")).status == 303
    assert await opens(running, "Ben", new)
    assert not await opens(running, "Ben", PASSWORD)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"current": "wrong"}, "current password is not right"),
        ({"again": "something else again"}, "new passwords differ"),
        ({"new": "short", "again": "short"}, "too short"),
        ({"new": PASSWORD, "again": PASSWORD}, "is the one you have"),
        ({"new": "Ben 123456789", "again": "Ben 123456789"}, "your own name"),
        ({}, None),
    ],
)
async def test_a_password_is_only_changed_with_the_old_and_a_good_new_one(
    running: Running, fields: dict[str, str], says: str | None
) -> None:
    ben = await sign_in(running, "Ben")
    new = "nine lanterns at the harbour"
    sent = {"current": PASSWORD, "new": new, "again": new} | fields
    response = await ben.post("/password", **sent)
    if says is None:
        assert response.status == 303
        return
    assert response.status == 400
    assert says in await response.text()
    assert await opens(running, "Ben", PASSWORD)


async def test_guessing_the_old_password_in_an_open_session_is_slowed_down(
    start: Callable[..., Awaitable[Running]],
) -> None:
    running = await start(rate_sign_in_per_min=2)
    ben = await sign_in(running, "Ben")
    new = "nine lanterns at the harbour"
    statuses = [
        (await ben.post("/password", current=f"guess {n}", new=new, again=new)).status
        for n in range(3)
    ]
    assert statuses == [400, 400, 429]


async def test_one_sees_and_ends_ones_own_sessions(running: Running) -> None:
    ben = await sign_in(running, "Ben")
    phone = await sign_in(running, id_=ben.id)
    tablet = await sign_in(running, id_=ben.id)
    page = await ben.text("/password")
    ids = re.findall(r"/password/sessions/(\w+)/end", page)
    assert len(ids) == 2, "this browser's own has no button"
    assert "this browser" in page
    assert (await ben.post(f"/password/sessions/{ids[0]}/end")).status == 303
    open_ones = [(await one.get("/password")).status for one in (phone, tablet)]
    assert sorted(open_ones) == [200, 303]
    assert (await ben.post("/password/sessions/end")).status == 303
    assert [(await one.get("/password")).status for one in (phone, tablet)] == [303, 303]
    assert (await ben.get("/password")).status == 200


async def test_language_and_colours_are_kept(running: Running) -> None:
    ben = await sign_in(running, "Ben")
    await ben.post("/preferences", locale="zh", theme="dark")
    page = await ben.text("/password")
    assert '<html lang="zh-Hans" data-theme="dark"' in page
    assert "更改密码" in page
    await ben.post("/preferences", locale="", theme="")
    assert '<html lang="en">' in await ben.text("/password")
    for fields in ({"locale": "fr"}, {"theme": "pink"}):
        assert (await ben.post("/preferences", **fields)).status == 400
