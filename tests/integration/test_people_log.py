"""People on both databases: what several gateways do at once to tries, cookies and roles."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from bot import agents
from bot.agents import Role
from bot.console.passwords import Passwords
from bot.console.sessions import Session, Sessions
from bot.errors import RequestError
from bot.http.guard import Guard
from bot.log import audit, audit_trail, database, staff
from bot.log.audit_trail import Wanted
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World, sortable_id

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
GATEWAYS = 3
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Office:
    """Several gateways on one database, and a clock that all of them go by."""

    def __init__(self, settings: Settings, journals: list[Journal]) -> None:
        self.at = START
        self.journals = journals
        self.sessions = []
        for journal in journals:
            world = replace(World(), now=lambda: self.at)
            one = Sessions.of(settings, journal, Guard.of(settings, journal), world)
            one.passwords = Passwords(CHEAP)
            self.sessions.append(one)

    async def employ(self, name: str, role: Role = "agent") -> str:
        added = await self.journals[0].write(
            partial(
                agents.add,
                id_=sortable_id(),
                name=name,
                role=role,
                now=self.at,
                password_hash=CHEAP.hash("seven candles on a shelf"),
            )
        )
        assert added is not None
        return added[0].id

    async def sign_in(self, gateway: int, password: str, address: str) -> int | Session:
        try:
            client = ip_address(address)
            return (await self.sessions[gateway].sign_in("Ada", password, client, "x"))[0]
        except RequestError as error:
            return error.status


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    database.upgrade(database_url)
    settings = Settings(
        _env_file=None,
        state_dir=tmp_path,
        database_url=database_url,
        token_secret="a secret of the tests",
    )
    journals = [
        Journal(
            write_engine=database.open_engine(database_url, writer=True),
            read_engine=database.open_engine(database_url),
            world=World(),
        )
        for _ in range(GATEWAYS)
    ]
    for journal in journals:
        journal.start()
    office = Office(settings, journals)
    yield office
    for sessions in office.sessions:
        await sessions._guard.refusals.close()
        sessions.close()
    for journal in journals:
        await journal.close()


async def test_of_many_guesses_at_once_in_all_gateways_five_are_looked_at(office: Office) -> None:
    await office.employ("Ada")
    tries = [office.sign_in(n % GATEWAYS, f"guess {n}", f"198.51.100.{n}") for n in range(24)]
    answers = await asyncio.gather(*tries)
    assert sorted(answers) == [401] * 5 + [429] * 19  # type: ignore[type-var]
    office.at += timedelta(seconds=16)
    right = await office.sign_in(1, "seven candles on a shelf", "198.51.100.200")
    assert isinstance(right, Session)


async def test_of_requests_at_once_in_all_gateways_one_changes_the_cookie(office: Office) -> None:
    ada = await office.employ("Ada")
    _, cookie = await office.sessions[0].open_for(ada, None, "x")
    office.at += timedelta(minutes=16)
    found = await asyncio.gather(*(office.sessions[n % GATEWAYS].find(cookie) for n in range(12)))
    assert None not in found, "nobody is signed out by it"
    fresh = [one.cookie for one in found if one is not None and one.cookie is not None]
    assert len(fresh) == 1
    assert await office.sessions[2].find(fresh[0]) is not None


async def test_two_administrators_cannot_demote_each_other_at_once(office: Office) -> None:
    ids = [await office.employ(name, "administrator") for name in ("Ada", "Ben")]

    def demote(connection: Any, id_: str) -> bool:
        if agents.is_last_administrator(connection, id_=id_):
            return False
        agents.set_role(connection, id_=id_, role="agent")
        return True

    done = await asyncio.gather(
        *(office.journals[n].write(partial(demote, id_=id_)) for n, id_ in enumerate(ids))
    )
    assert sorted(done) == [False, True]


async def test_who_has_access_is_listed_with_their_ways_in(office: Office) -> None:
    ada = await office.employ("Ada", "administrator")
    gone = await office.employ("Gone")
    await office.sessions[0].open_for(ada, ip_address("2001:db8::1"), "x" * 500)
    await office.journals[0].write(partial(agents.remove, name="Gone", now=office.at))
    (row,) = await office.journals[1].read(
        partial(staff.everyone, now=office.at, terms=office.sessions[0].terms)
    )
    assert (row["id"], row["sessions"], row["seen_at"]) == (ada, 1, office.at)
    assert (row["has_password"], row["must_change_password"]) == (True, True)
    assert (
        await office.journals[1].read(
            partial(staff.one, id_=gone, now=office.at, terms=office.sessions[0].terms)
        )
        is None
    )


async def test_the_audit_log_is_read_page_by_page(office: Office) -> None:
    ada = await office.employ("Ada")

    def fill(connection: Any) -> None:
        for n in range(50):
            audit.note(
                connection,
                id_=f"row-{n:03}",
                who=(ada if n % 2 else "cli", f"action-{n % 5}", f"target-{n}"),
                detail={"n": n},
                now=START + timedelta(seconds=n // 4),
            )

    await office.journals[0].write(fill)
    seen: list[str] = []
    wanted = Wanted(actor="Ada", since=START, limit=7)
    while True:
        rows, end = await office.journals[0].read(partial(audit_trail.page, wanted=wanted))
        seen += [row["id"] for row in rows]
        if end is None:
            break
        cursor = audit_trail.read_cursor(audit_trail.write_cursor(end))
        assert cursor == end
        wanted = audit_trail.following(wanted, cursor)
    assert seen == [f"row-{n:03}" for n in reversed(range(50)) if n % 2]
    assert await office.journals[0].read(audit_trail.actions) == [f"action-{n}" for n in range(5)]
