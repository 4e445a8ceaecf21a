"""The webhook hears of alerts: signed, once, again after a failure, and never with texts."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import select

from bot.channels.signatures import check_kefu_signature
from bot.console.voice.bell import MOST_ATTEMPTS, Address, Bell
from bot.errors import SettingError
from bot.log import database, tables
from bot.log.journal import Journal
from bot.log.voice_alerts import Finding, Findings, keep_findings
from bot.settings import Settings
from bot.world import World

NOON = datetime(2026, 6, 17, 12, tzinfo=UTC)
SECRET = "a secret that both sides know, 0123456789"


class Receiver:
    """A webhook of somebody's, with a bell that rings it and a clock."""

    def __init__(self) -> None:
        self.now = NOON
        self.heard: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.answers: list[int] = []
        # How long a call takes.
        self.takes = timedelta()
        self.bell: Bell
        self.journal: Journal

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        check_kefu_signature(
            raw,
            request.headers["Kefu-Signature"],
            request.headers["Kefu-Timestamp"],
            secrets=[SECRET],
            now=self.now,
        )
        self.headers.append(request.headers)
        self.heard.append(json.loads(raw))
        self.now += self.takes
        return web.Response(status=self.answers.pop(0) if self.answers else 204)

    async def look(self, hour: int, **changes: Any) -> None:
        nothing: dict[str, Any] = {"opened": (), "seen": (), "over": ()}
        findings = Findings(hour=hour, **nothing | changes)
        unit = partial(keep_findings, findings=findings, now=self.now, notify=True)
        assert await self.journal.write(unit)

    async def states(self) -> list[tuple[str, str, int]]:
        notice = tables.alert_notice
        query = select(notice.c.event, notice.c.state, notice.c.attempts).order_by(notice.c.event)
        rows = await self.journal.read(lambda connection: connection.execute(query).all())
        return [tuple(row) for row in rows]  # type: ignore[misc]


def finding() -> Finding:
    return Finding(
        id="alert-1",
        series=("intent", "track_order"),
        cases=40,
        upset=30,
        expected=0.2,
        p_value=1e-9,
    )


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    url = f"sqlite:///{tmp_path / 'kefu.db'}"
    database.upgrade(url)
    world = World(now=lambda: receiver.now)
    receiver.journal = Journal(
        write_engine=database.open_engine(url, writer=True),
        read_engine=database.open_engine(url),
        world=world,
    )
    receiver.journal.start()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        address = Address(
            url=str(server.make_url("/hook")), secret=SECRET, console="https://chat.example"
        )
        receiver.bell = Bell(receiver.journal, session, address, world)
        yield receiver
    await receiver.journal.close()


async def test_opened_and_closed_are_told_once_each(receiver: Receiver) -> None:
    await receiver.look(1, opened=[finding()])
    assert await receiver.bell.once() == 1
    assert await receiver.bell.once() == 0
    await receiver.look(2, over=[("intent", "track_order")])
    assert await receiver.bell.once() == 1
    assert [one["event"] for one in receiver.heard] == ["alert.opened", "alert.closed"]
    first = receiver.heard[0]
    assert first["alert"]["name"] == "track_order"
    assert (first["alert"]["upset"], first["alert"]["cases"]) == (30, 40)
    assert first["links"]["alert"] == "https://chat.example/console/alerts/alert-1"
    assert "intent=track_order" in first["links"]["inbox"]
    assert receiver.headers[0]["Idempotency-Key"] == first["id"]


async def test_a_webhook_that_is_down_is_told_later(receiver: Receiver) -> None:
    receiver.answers = [503, 503]
    await receiver.look(1, opened=[finding()])
    for attempts in (1, 2):
        assert await receiver.bell.once() == 0
        assert await receiver.bell.once() == 0, "not at once again"
        assert await receiver.states() == [("opened", "queued", attempts)]
        receiver.now += timedelta(hours=1)
    assert await receiver.bell.once() == 1
    assert await receiver.states() == [("opened", "sent", 3)]
    assert len({one["id"] for one in receiver.heard}) == 1


async def test_a_slow_webhook_gets_fresh_signatures_and_leases(receiver: Receiver) -> None:
    receiver.takes = timedelta(minutes=10)
    await receiver.look(1, opened=[finding()])
    await receiver.look(2, over=[("intent", "track_order")])
    assert await receiver.bell.once() == 2
    first, second = (int(headers["Kefu-Timestamp"]) for headers in receiver.headers)
    assert second - first == receiver.takes.total_seconds()


async def test_what_is_refused_for_good_is_not_tried_again(receiver: Receiver) -> None:
    receiver.answers = [410]
    await receiver.look(1, opened=[finding()])
    await receiver.bell.once()
    receiver.now += timedelta(days=1)
    assert await receiver.bell.once() == 0
    assert await receiver.states() == [("opened", "failed", 1)]


async def test_it_gives_up_in_the_end(receiver: Receiver) -> None:
    receiver.answers = [500] * (MOST_ATTEMPTS + 5)
    await receiver.look(1, opened=[finding()])
    for _ in range(MOST_ATTEMPTS + 5):
        await receiver.bell.once()
        receiver.now += timedelta(hours=2)
    assert await receiver.states() == [("opened", "failed", MOST_ATTEMPTS)]


@pytest.mark.parametrize(
    ("url", "secret", "variable"),
    [
        ("http://hook.example/x", SECRET, "KEFU_ALERT_WEBHOOK_URL"),
        ("ftp://hook.example/x", SECRET, "KEFU_ALERT_WEBHOOK_URL"),
        ("https://hook.example/x", "short", "KEFU_ALERT_WEBHOOK_SECRET"),
        ("https://hook.example/x", None, "KEFU_ALERT_WEBHOOK_SECRET"),
    ],
)
def test_an_address_that_cannot_be_used_names_the_setting(
    url: str, secret: str | None, variable: str
) -> None:
    settings = Settings(_env_file=None, alert_webhook_url=url, alert_webhook_secret=secret)
    with pytest.raises(SettingError, match=variable):
        Address.of(settings)


def test_without_an_address_nobody_is_told() -> None:
    assert Address.of(Settings(_env_file=None)) is None
