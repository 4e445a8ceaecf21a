"""Sessions by the clock: rotation, the idle limit, the absolute one, and what ends them at once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from bot import agents
from bot.console.passwords import Passwords
from bot.console.sessions import Found, Session, Sessions
from bot.errors import RequestError
from bot.log import tables
from bot.log.sessions import MOST_SESSIONS, pause_after
from bot.world import World, utc_now
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import PASSWORD, employ, sign_in

OFFICE = ip_address("203.0.113.7")
# What a hash costs is tested elsewhere.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
KEPT = CHEAP.hash(PASSWORD)
ELSEWHERE = ip_address("198.51.100.9")


@dataclass
class Clock:
    at: datetime = field(default_factory=lambda: datetime(2026, 3, 2, 9, 0, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def passes(self, **time: float) -> None:
        self.at += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(running: Running, clock: Clock) -> Sessions:
    gateway = running.gateway
    world = replace(World(), now=clock.now)
    sessions = Sessions.of(gateway.settings, gateway.journal, gateway.guard, world)
    sessions.passwords = Passwords(CHEAP)
    return sessions


@pytest.fixture
async def ada(running: Running) -> str:
    id_ = await employ(running, "Ada")
    await change(running, lambda c: c.execute(tables.agent.update().values(password_hash=KEPT)))
    return id_


async def opened(sessions: Sessions, agent_id: str) -> str:
    _, cookie = await sessions.open_for(agent_id, OFFICE, "Firefox")
    return cookie


async def found(sessions: Sessions, cookie: str | None) -> Found:
    result = await sessions.find(cookie)
    assert result is not None
    return result


async def change(running: Running, work: Callable[[Any], Any]) -> None:
    await running.gateway.journal.write(work)


async def test_the_cookie_opens_the_session_and_nothing_else_does(
    sessions: Sessions, ada: str, running: Running
) -> None:
    session, cookie = await sessions.open_for(ada, OFFICE, "Firefox")
    assert (await found(sessions, cookie)).session == session
    assert session.agent == agents.Agent(id=ada, name="Ada", role="agent")
    kept = await running.gateway.journal.read(
        lambda c: [dict(row) for row in c.execute(select(tables.session)).mappings()]
    )
    assert cookie not in str(kept), "only its hash is kept"
    assert (kept[0]["network"], kept[0]["user_agent"]) == ("203.0.113.0/24", "Firefox")
    for wrong in (None, "", cookie[:-1], cookie + "x", session.key_hash, "é" * 9, "x" * 9999):
        assert await sessions.find(wrong) is None


async def test_the_cookie_changes_every_quarter_of_an_hour(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    first = await opened(sessions, ada)
    clock.passes(minutes=14)
    before = await found(sessions, first)
    assert before.cookie is None
    clock.passes(minutes=1)
    second = (await found(sessions, first)).cookie
    assert second is not None
    assert second != first
    after = await found(sessions, second)
    assert after.cookie is None
    assert (after.session.id, after.session.csrf) == (before.session.id, before.session.csrf)


async def test_requests_on_their_way_pass_with_the_old_cookie_and_late_ones_do_not(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    first = await opened(sessions, ada)
    clock.passes(minutes=15)
    second = (await found(sessions, first)).cookie
    assert second is not None
    assert (await found(sessions, first)).cookie is None, "one of several at once changes it"
    await found(sessions, second)
    clock.passes(seconds=59)
    await found(sessions, first)
    clock.passes(seconds=2)
    assert await sessions.find(first) is None
    await found(sessions, second)


async def test_a_new_cookie_that_was_lost_on_the_way_signs_nobody_out(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    first = await opened(sessions, ada)
    clock.passes(minutes=15)
    lost = (await found(sessions, first)).cookie
    assert lost is not None
    clock.passes(minutes=20)
    again = (await found(sessions, first)).cookie
    assert again not in (None, first, lost)
    assert await sessions.find(lost) is None
    await found(sessions, again)


async def test_who_does_nothing_for_an_hour_is_signed_out(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    cookie = await opened(sessions, ada)
    for _ in range(3):
        clock.passes(minutes=14)
        await found(sessions, cookie)
    clock.passes(minutes=61)
    assert await sessions.find(cookie) is None


async def test_what_the_browser_does_by_itself_keeps_no_session_alive(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    cookie = await opened(sessions, ada)
    for _ in range(5):
        clock.passes(minutes=11)
        result = await sessions.find(cookie, active=False)
        assert result is not None
        assert result.cookie is None
    clock.passes(minutes=6)
    assert await sessions.find(cookie, active=False) is None


async def test_a_request_that_nobody_clicked_for_is_no_sign_of_life(running: Running) -> None:
    ada = await sign_in(running)
    long_ago = utc_now() - timedelta(minutes=20)

    async def seen_at(**headers: str) -> datetime:
        old = tables.session.update().values(seen_at=long_ago, rotated_at=long_ago)
        await change(running, lambda connection: connection.execute(old))
        cookies = dict(ada.cookies)
        assert (await ada.get("/inbox", **headers)).status == 200
        assert (ada.cookies == cookies) == bool(headers)
        read = select(tables.session.c.seen_at)
        return await running.gateway.journal.read(lambda connection: connection.scalar(read))

    assert await seen_at(**{"X-Kefu-Live": "1"}) == long_ago
    assert await seen_at() > long_ago


async def test_no_session_lasts_longer_than_half_a_day(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    cookie = await opened(sessions, ada)
    for _ in range(71):
        clock.passes(minutes=10)
        cookie = (await found(sessions, cookie)).cookie or cookie
    clock.passes(minutes=10)
    assert await sessions.find(cookie) is None


async def test_a_new_session_sweeps_out_what_is_over(
    sessions: Sessions, ada: str, clock: Clock, running: Running
) -> None:
    await opened(sessions, ada)
    clock.passes(hours=2)
    await opened(sessions, ada)
    kept = await running.gateway.journal.read(
        lambda c: list(c.execute(select(tables.session.c.id)).scalars())
    )
    assert len(kept) == 1


async def test_who_opens_very_many_loses_the_one_seen_longest_ago(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    cookies = []
    for _ in range(MOST_SESSIONS + 1):
        clock.passes(seconds=1)
        cookies.append(await opened(sessions, ada))
    assert await sessions.find(cookies[0]) is None
    await found(sessions, cookies[1])


async def test_another_role_holds_from_the_next_request_on(
    sessions: Sessions, ada: str, running: Running
) -> None:
    cookie = await opened(sessions, ada)
    await change(running, lambda c: agents.set_role(c, id_=ada, role="reviewer"))
    assert (await found(sessions, cookie)).session.agent.role == "reviewer"


async def test_who_is_removed_is_out_at_once_and_stays_out_when_they_come_back(
    sessions: Sessions, ada: str, running: Running, clock: Clock
) -> None:
    cookie = await opened(sessions, ada)
    await change(running, lambda c: agents.remove(c, name="Ada", now=clock.now()))
    assert await sessions.find(cookie) is None
    await employ(running, "Ada")
    assert await sessions.find(cookie) is None


async def test_a_new_password_ends_every_session(
    sessions: Sessions, ada: str, running: Running, clock: Clock
) -> None:
    cookie = await opened(sessions, ada)
    await change(
        running,
        lambda c: agents.set_password(
            c, id_=ada, password_hash="x", must_change=True, now=clock.now()
        ),
    )
    assert await sessions.find(cookie) is None


async def test_signing_out_ends_the_session_of_an_old_cookie_too(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    first = await opened(sessions, ada)
    clock.passes(minutes=15)
    second = (await found(sessions, first)).cookie
    await sessions.sign_out(first)
    assert await sessions.find(first) is None
    assert await sessions.find(second) is None
    await sessions.sign_out(first)
    await sessions.sign_out(None)


async def test_all_sessions_but_one_end(sessions: Sessions, ada: str) -> None:
    session, cookie = await sessions.open_for(ada, OFFICE, "Firefox")
    other = await opened(sessions, ada)
    assert await sessions.end_all(ada, but=session.id) == 1
    assert await sessions.find(other) is None
    await found(sessions, cookie)
    assert await sessions.end_all(ada) == 1


async def attempt(
    sessions: Sessions, password: str, client: Any, name: str = "Ada"
) -> int | Session:
    try:
        return (await sessions.sign_in(name, password, client, "Firefox"))[0]
    except RequestError as error:
        return {401: 0, 429: error.retry_after_s}[error.status] or 0


async def test_wrong_passwords_make_a_name_pause_ever_longer(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    assert [await attempt(sessions, "wrong", ELSEWHERE) for _ in range(6)] == [0] * 5 + [15]
    assert await attempt(sessions, PASSWORD, ELSEWHERE) == 15, "the right one waits as well"
    clock.passes(seconds=15)
    assert [await attempt(sessions, "wrong", ELSEWHERE) for _ in range(2)] == [0, 30]
    clock.passes(seconds=30)
    assert isinstance(await attempt(sessions, PASSWORD, ELSEWHERE), Session)
    assert await attempt(sessions, "wrong", ip_address("192.0.2.1")) == 0, "it starts anew"


def test_no_pause_is_longer_than_a_quarter_of_an_hour() -> None:
    pauses = [pause_after(failed) for failed in range(1, 2000)]
    assert pauses[:4] == [0.0] * 4
    assert pauses == sorted(pauses)
    assert max(pauses) == 900


async def test_guessing_from_elsewhere_does_not_lock_the_office_out(
    sessions: Sessions, ada: str
) -> None:
    assert isinstance(await attempt(sessions, PASSWORD, OFFICE), Session)
    for _ in range(8):
        await attempt(sessions, "wrong", ELSEWHERE)
    assert await attempt(sessions, PASSWORD, ELSEWHERE) == 15
    assert isinstance(await attempt(sessions, PASSWORD, OFFICE), Session)


async def test_the_pause_is_the_same_for_names_that_nobody_has(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    for name in ("Ada", "Nobody"):
        answers = [await attempt(sessions, "wrong", ELSEWHERE, name) for _ in range(6)]
        assert answers == [0] * 5 + [15], name
    clock.passes(seconds=15)
    for name in ("Ada", "Nobody"):
        answers = [await attempt(sessions, "wrong", ELSEWHERE, name) for _ in range(2)]
        assert answers == [0, 30], name


async def test_a_pause_holds_in_every_gateway(
    running: Running, sessions: Sessions, ada: str, clock: Clock
) -> None:
    for _ in range(5):
        await attempt(sessions, "wrong", ELSEWHERE)
    gateway = running.gateway
    other = Sessions(
        gateway.journal, gateway.guard, sessions.terms, replace(World(), now=clock.now)
    )
    other.passwords = Passwords(CHEAP)
    assert await attempt(other, PASSWORD, ELSEWHERE) == 15


async def test_a_new_password_ends_the_pause(
    sessions: Sessions, ada: str, running: Running, clock: Clock
) -> None:
    for _ in range(5):
        await attempt(sessions, "wrong", ELSEWHERE)
    hashed = await sessions.passwords.hash("another password for Ada")
    await change(
        running,
        lambda c: agents.set_password(
            c, id_=ada, password_hash=hashed, must_change=True, now=clock.now()
        ),
    )
    session = await attempt(sessions, "another password for Ada", ELSEWHERE)
    assert isinstance(session, Session)
    assert session.must_change_password


async def test_a_password_for_once_is_good_for_a_week(
    sessions: Sessions, ada: str, running: Running, clock: Clock
) -> None:
    for days, works in ((6, True), (8, False)):
        await change(
            running,
            lambda c: agents.set_password(
                c, id_=ada, password_hash=KEPT, must_change=True, now=clock.now()
            ),
        )
        clock.passes(days=days)
        assert isinstance(await attempt(sessions, PASSWORD, OFFICE), Session) == works


async def test_a_day_without_a_wrong_password_forgives_the_earlier_ones(
    sessions: Sessions, ada: str, clock: Clock
) -> None:
    for _ in range(4):
        await attempt(sessions, "wrong", ELSEWHERE)
    clock.passes(hours=25)
    assert [await attempt(sessions, "wrong", ELSEWHERE) for _ in range(6)] == [0] * 5 + [15]


async def test_a_hash_of_yesterday_is_renewed_at_sign_in(
    sessions: Sessions, ada: str, running: Running
) -> None:
    sessions.passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert isinstance(await attempt(sessions, PASSWORD, OFFICE), Session)
    kept = await running.gateway.journal.read(
        lambda c: c.execute(select(tables.agent.c.password_hash)).scalar_one()
    )
    assert kept != KEPT
    assert not sessions.passwords.is_outdated(kept)
    assert isinstance(await attempt(sessions, PASSWORD, OFFICE), Session)


async def test_who_has_only_a_token_signs_in_with_no_password(
    sessions: Sessions, running: Running, clock: Clock
) -> None:
    await change(
        running,
        lambda c: agents.add(c, id_="robot", name="Robot", role="agent", now=clock.now()),
    )
    for password in ("", "None", "null"):
        assert await attempt(sessions, password, OFFICE, "Robot") == 0
