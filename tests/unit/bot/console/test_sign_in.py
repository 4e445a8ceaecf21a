"""Signing in at the door: the form, the cookie, what is refused, and what is on record of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select

from bot import agents
from bot.log import tables
from bot.world import utc_now
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import PASSWORD, Visitor, employ, password_hash, sign_in

COOKIE = "kefu_session"


@pytest.fixture
async def ada(running: Running) -> str:
    return await employ(running, "Ada")


@pytest.fixture
def stranger(running: Running) -> Visitor:
    """A browser that nobody has signed in with."""
    return Visitor(client=running.client)


async def rows(running: Running, *actions: str) -> list[tuple[str, str, str, Any]]:
    audit = tables.audit

    def query(connection: Any) -> list[tuple[str, str, str, Any]]:
        found = connection.execute(
            select(audit.c.actor, audit.c.action, audit.c.target, audit.c.detail)
            .where(audit.c.action.in_(actions))
            .order_by(audit.c.created_at, audit.c.id)
        )
        return [tuple(row) for row in found]

    return await running.gateway.journal.read(query)


async def test_name_and_password_open_the_console(
    running: Running, ada: str, stranger: Visitor
) -> None:
    page = await stranger.text("/sign-in")
    assert 'autocomplete="current-password"' in page
    response = await stranger.post("/sign-in", name=" Ada ", password=PASSWORD)
    assert (response.status, response.headers["Location"]) == (303, "/console/inbox")
    cookie = response.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert cookie["max-age"] == str(12 * 3600)
    assert "Ada" in await stranger.text("/password")
    assert (await rows(running, "sign_in"))[0][:3] == (ada, "sign_in", ada)


async def test_behind_https_the_cookie_is_bound_to_the_host(
    start: Callable[..., Awaitable[Running]],
) -> None:
    running = await start(public_url="https://chat.shop.example")
    await employ(running, "Ada")
    response = await Visitor(client=running.client).post("/sign-in", name="Ada", password=PASSWORD)
    cookie = response.cookies[f"__Host-{COOKIE}"]
    assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("Ada", "wrong"),
        ("Ada", ""),
        ("ada", PASSWORD),
        ("Nobody", PASSWORD),
        ("", PASSWORD),
        ("A\0da", PASSWORD),
        ("x" * 5000, "x" * 50_000),
    ],
)
async def test_anything_else_is_told_the_same(
    running: Running, ada: str, stranger: Visitor, name: str, password: str
) -> None:
    response = await stranger.post("/sign-in", name=name, password=password)
    page = await response.text()
    assert response.status == 401
    assert "Name and password do not belong together." in page
    assert COOKIE not in response.cookies
    assert (await stranger.get("/password")).status == 303


async def test_a_refusal_is_on_record_without_name_or_password(
    running: Running, ada: str, stranger: Visitor
) -> None:
    await stranger.post("/sign-in", name="my-secret-as-a-name", password="wrong-password")
    await running.gateway.guard.refusals.close()
    ((actor, _, target, detail),) = await rows(running, "sign_in_refused")
    assert actor == "127.0.0.0/24"
    kept = f"{target} {detail}"
    assert "secret" not in kept
    assert "wrong-password" not in kept


async def test_the_words_are_the_browsers(running: Running, stranger: Visitor) -> None:
    response = await stranger.send(
        "POST", "/sign-in", {"Accept-Language": "zh-CN,zh;q=0.9"}, {"name": "A", "password": "b"}
    )
    page = await response.text()
    assert '<html lang="zh-Hans"' in page
    assert "姓名或密码不正确" in page


@pytest.mark.parametrize(
    ("wanted", "goes_to"),
    [
        ("/people?x=1", "/console/people?x=1"),
        ("//evil.example", "/console/inbox"),
        ("https://evil.example", "/console/inbox"),
        ("/\\evil.example", "/console/inbox"),
        ("javascript:alert(1)", "/console/inbox"),
        ("/x\r\nSet-Cookie: a=b", "/console/inbox"),
        ("", "/console/inbox"),
    ],
)
async def test_after_it_one_goes_where_one_wanted_and_to_no_other_site(
    ada: str, stranger: Visitor, wanted: str, goes_to: str
) -> None:
    response = await stranger.post("/sign-in", name="Ada", password=PASSWORD, next=wanted)
    assert response.headers["Location"] == goes_to


async def test_a_cookie_planted_before_is_never_a_session(
    running: Running, ada: str, stranger: Visitor
) -> None:
    planted = "planted-by-somebody-else-000000000000000000"
    stranger.cookies[COOKIE] = planted
    await stranger.get("/sign-in")
    assert stranger.cookies[COOKIE] == planted, "a visit alone gives no session"
    await stranger.post("/sign-in", name="Ada", password=PASSWORD)
    assert stranger.cookies[COOKIE] != planted
    attacker = Visitor(client=running.client, cookies={COOKIE: planted})
    assert (await attacker.get("/password")).status == 303


async def test_a_session_of_the_attackers_is_not_carried_over_and_ends(
    running: Running, ada: str
) -> None:
    mallory = await sign_in(running, "Mallory")
    victim = Visitor(client=running.client, cookies=dict(mallory.cookies))
    await victim.post("/sign-in", name="Ada", password=PASSWORD)
    assert victim.cookies != mallory.cookies
    assert "Ada" in await victim.text("/password")
    assert (await mallory.get("/password")).status == 303


async def test_signing_out_ends_the_session_and_takes_the_cookie(running: Running) -> None:
    ada = await sign_in(running)
    kept = dict(ada.cookies)
    response = await ada.post("/sign-out")
    assert (response.status, response.headers["Location"]) == (303, "/console/sign-in")
    assert ada.cookies == {}
    ada.cookies = kept
    assert (await ada.get("/password")).status == 303
    assert [row[:3] for row in await rows(running, "sign_out")] == [(ada.id, "sign_out", ada.id)]


async def test_an_address_with_many_wrong_passwords_has_to_wait(
    start: Callable[..., Awaitable[Running]],
) -> None:
    running = await start(rate_sign_in_per_min=3)
    await employ(running, "Ada")
    stranger = Visitor(client=running.client)
    for _ in range(5):
        response = await stranger.post("/sign-in", name="Ada", password=PASSWORD)
        assert response.status == 303, "right ones are not counted"
    for n in range(3):
        assert (await stranger.post("/sign-in", name=f"N{n}", password="x")).status == 401
    response = await stranger.post("/sign-in", name="Ada", password=PASSWORD)
    assert response.status == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 20
    assert "Try again in" in await response.text()


async def test_a_password_for_once_leads_nowhere_but_to_a_new_one(
    running: Running, ada: str, stranger: Visitor
) -> None:
    await running.gateway.journal.write(
        lambda c: agents.set_password(
            c, id_=ada, password_hash=password_hash(), must_change=True, now=utc_now()
        )
    )
    response = await stranger.post("/sign-in", name="Ada", password=PASSWORD, next="/inbox")
    assert response.headers["Location"] == "/console/password"
    page = await stranger.text("/password")
    stranger.csrf = page.split('name="csrf" value="')[1].split('"')[0]
    assert 'name="current"' not in page
    before = dict(stranger.cookies)
    response = await stranger.post("/password", new=PASSWORD, again=PASSWORD)
    assert response.status == 400
    assert "is the one you have" in await response.text()
    new = "nine lanterns at the harbour"
    response = await stranger.post("/password", new=new, again=new)
    assert (response.status, response.headers["Location"].split("?")[0]) == (303, "/console/inbox")
    assert stranger.cookies != before
    assert 'name="current"' in await stranger.text("/password")
    assert (await stranger.post("/sign-in", name="Ada", password=PASSWORD)).status == 401
    assert (await stranger.post("/sign-in", name="Ada", password=new)).status == 303
    assert (await rows(running, "password_changed"))[0][:3] == (ada, "password_changed", ada)
