"""The outbox reaches the platforms in order, through refusals, outages and crashes."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot.channels.channel import Outgoing, SendLater, SendRefused, Upload
from bot.errors import StorageError
from bot.log import outbox
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.records import Reply
from bot.log.tables import message
from bot.log.tables import outbox as table
from bot.sender import Postage, Sender
from bot.world import World, sortable_id

Row = dict[str, Any]


@dataclass
class Platform:
    """Takes messages, or does with them what it is told by their texts."""

    name: str = "fake"
    numbered: bool = False
    plans: dict[str, list[Any]] = field(default_factory=dict)
    tried: list[Outgoing] = field(default_factory=list)

    def add_routes(self, router: Any) -> None:
        """It has none."""

    async def send(self, outgoing: Outgoing) -> None:
        self.tried.append(outgoing)
        plan = self.plans.get(outgoing.text or "")
        if plan:
            what = plan.pop(0) if len(plan) > 1 else plan[0]
            if isinstance(what, asyncio.Event):
                await what.wait()
            elif what is not None:
                raise what

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        raise SendRefused("it has none")

    @property
    def texts(self) -> list[str | None]:
        return [one.text for one in self.tried]


class Fickle(Journal):
    """A journal whose units fail or wait as a test wants."""

    failing: Callable[..., Any] | None = None
    held: asyncio.Event | None = None
    # The disk takes this long to note how a try went.
    stalled: threading.Event | None = None
    behind: Sequence[Any] = ()

    def write(self, unit: Any, publish: Any = (), then: Any = None) -> Any:
        kind = getattr(unit, "func", None)
        if self.stalled is not None:
            if kind is outbox.settle:
                self._stall(self.stalled)
                self.behind = ()
            self.behind = [*self.behind, kind]
        if self.failing is not None and kind is self.failing:
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(StorageError("disk full"))
            return failed
        future = super().write(unit, publish, then)
        if self.held is not None and kind is outbox.claim:
            return asyncio.ensure_future(self._after(self.held, future))
        return future

    def _stall(self, until: threading.Event) -> None:
        stalling = threading.Event()
        super().write(lambda _: stalling.set() or until.wait(10))
        stalling.wait(10)

    async def _after(self, event: asyncio.Event, future: Any) -> Any:
        claimed = await future
        if claimed:
            await event.wait()
        return claimed


@dataclass
class Office:
    """A sender, its outbox and its clock."""

    journal: Fickle
    platform: Platform
    moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    senders: list[Sender] = field(default_factory=list)

    def world(self) -> World:
        async def no_rest(delay_s: float) -> None:
            await asyncio.sleep(0)

        return World(now=lambda: self.moment, chance=random.Random(1), sleep=no_rest)

    def open(self, *others: Platform, postage: Postage | None = None) -> Sender:
        sender = Sender(
            self.journal,
            {one.name: one for one in (self.platform, *others)},
            lambda id_: f"https://kefu.example/{id_}",
            postage or Postage(),
            self.world(),
        )
        sender.start()
        self.senders.append(sender)
        return sender

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        self.senders[-1].wake()

    async def say(self, account: str, *texts: str, channel: str = "fake") -> None:
        conversation = await self.journal.open_conversation(channel, account)
        for text in texts:
            await self.journal.say(conversation, [Reply(id=sortable_id(), text=text)])

    async def rows(self) -> dict[str, Row]:
        """The outbox by the texts of its messages."""

        def read(connection: Connection) -> dict[str, Row]:
            found = connection.execute(
                select(table, message.c.text).join(message, message.c.id == table.c.id)
            )
            return {row["text"]: dict(row) for row in found.mappings()}

        return await self.journal.read(read)

    async def until(self, happened: Callable[[dict[str, Row]], Any]) -> dict[str, Row]:
        """Wait until the outbox is as described; returns it."""
        async with asyncio.timeout(10):
            while not happened(rows := await self.rows()):
                await asyncio.sleep(0)
        return rows

    async def sent(self, *texts: str) -> None:
        await self.until(lambda rows: all(rows[text]["state"] == "sent" for text in texts))

    async def tries(self, text: str, count: int) -> Row:
        """Wait until a message has been tried so often and is noted; returns its row."""
        rows = await self.until(
            lambda rows: rows[text]["attempts"] == count and rows[text]["claimed_until"] is None
        )
        return rows[text]

    async def another_round(self) -> None:
        """Wait until the outbox has been looked through once more."""
        text = sortable_id()
        await self.say(text, text)
        await self.sent(text)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    url = f"sqlite:///{tmp_path / 'kefu.db'}"
    upgrade(url)
    office = Office(journal=None, platform=Platform())  # type: ignore[arg-type]
    office.journal = Fickle(
        write_engine=open_engine(url, writer=True),
        read_engine=open_engine(url),
        world=office.world(),
    )
    office.journal.start()
    yield office
    office.journal.failing = office.journal.held = None
    for sender in office.senders:
        await sender.close(0)
    await office.journal.close()


async def test_a_conversation_arrives_in_order_and_once(office: Office) -> None:
    office.open()
    await office.say("jo", "one", "two", "three")
    await office.sent("one", "two", "three")
    assert office.platform.texts == ["one", "two", "three"]
    assert len({one.id for one in office.platform.tried}) == 3
    assert [one.seq for one in office.platform.tried] == [1, 2, 3]
    assert {one.account for one in office.platform.tried} == {"jo"}


async def test_what_waits_holds_up_its_conversation_and_no_other(office: Office) -> None:
    office.platform.plans = {"one": [SendLater("busy"), None]}
    office.open()
    await office.say("jo", "one", "two")
    await office.tries("one", 1)
    await office.say("al", "hello")
    await office.sent("hello")
    await office.another_round()
    assert "two" not in office.platform.texts
    office.forward(10)
    await office.sent("one", "two")
    assert [text for text in office.platform.texts if text in ("one", "two")] == [
        "one",
        "one",
        "two",
    ]


async def test_a_slow_platform_holds_up_no_other(office: Office) -> None:
    held = asyncio.Event()
    office.platform.plans = {"slow": [held]}
    other = Platform(name="other")
    office.open(other, postage=Postage(concurrency=1))
    await office.say("jo", "slow")
    await office.say("al", "quick", channel="other")
    await office.sent("quick")
    held.set()
    await office.sent("slow")


async def test_at_most_so_many_are_sent_at_once(office: Office) -> None:
    held = asyncio.Event()
    texts = [str(number) for number in range(6)]
    office.platform.plans = {text: [held] for text in texts}
    other = Platform(name="other")
    office.open(other, postage=Postage(concurrency=4))
    for text in texts:
        await office.say(text, text)
    await office.until(lambda rows: sum(row["attempts"] for row in rows.values()) >= 4)
    await office.say("al", "quick", channel="other")
    await office.sent("quick")
    assert len(office.platform.tried) == 4
    held.set()
    await office.sent(*texts)


async def test_the_pause_grows_and_is_bounded(office: Office) -> None:
    office.platform.plans = {"one": [SendLater("busy")]}
    office.open()
    await office.say("jo", "one")
    for attempt in range(1, 14):
        row = await office.tries("one", attempt)
        pause_s = (row["next_at"] - office.moment).total_seconds()
        most_s = min(5.0 * 2 ** (attempt - 1), 600.0)
        assert most_s / 2 <= pause_s <= most_s
        assert (row["state"], row["error"]) == ("queued", "busy")
        office.forward(pause_s)


@pytest.mark.parametrize(("wish_s", "pause_s"), [(42.0, 42), (0.0, 1), (-5.0, 1), (1e9, 86_400)])
async def test_the_platforms_wish_is_kept_within_reason(
    office: Office, wish_s: float, pause_s: float
) -> None:
    office.platform.plans = {"one": [SendLater("slow down", wish_s), None]}
    office.open()
    await office.say("jo", "one")
    row = await office.tries("one", 1)
    assert row["next_at"] == office.moment + timedelta(seconds=pause_s)
    office.forward(pause_s - 0.5)
    await office.another_round()
    assert office.platform.texts.count("one") == 1
    office.forward(0.5)
    await office.sent("one")


async def test_after_a_day_it_is_a_dead_letter_and_the_next_one_goes_out(office: Office) -> None:
    office.platform.plans = {"one": [SendLater("closed")]}
    office.open()
    await office.say("jo", "one", "two")
    await office.tries("one", 1)
    office.forward(86_300)
    assert (await office.tries("one", 2))["state"] == "queued"
    office.forward(300)
    rows = await office.until(lambda rows: rows["one"]["state"] == "failed")
    assert "given up after 24 h: closed" in rows["one"]["error"]
    await office.sent("two")


async def test_what_is_refused_is_a_dead_letter_at_once_and_the_next_one_goes_out(
    office: Office,
) -> None:
    office.platform.plans = {"one": [SendRefused("blocked by the customer")]}
    office.open()
    await office.say("jo", "one", "two")
    await office.sent("two")
    row = (await office.rows())["one"]
    assert (row["state"], row["attempts"]) == ("failed", 1)
    assert row["error"] == "blocked by the customer"
    office.forward(1000)
    await office.another_round()
    assert office.platform.texts.count("one") == 1


async def test_a_dead_letter_can_be_queued_again(office: Office) -> None:
    office.platform.plans = {"one": [SendRefused("blocked"), None]}
    office.open()
    await office.say("jo", "one")
    await office.until(lambda rows: rows["one"]["state"] == "failed")
    await office.journal.write(partial(outbox.retry, ids=None, now=office.moment))
    office.forward(0)
    await office.sent("one")
    assert len({one.id for one in office.platform.tried}) == 1


async def test_a_fault_of_the_channel_is_tried_again(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.platform.plans = {"one": [ZeroDivisionError("a\0b\ud800"), None]}
    office.open()
    await office.say("jo", "one")
    row = await office.tries("one", 1)
    assert (row["state"], row["error"]) == ("queued", "ZeroDivisionError: ab?")
    assert "channel failed" in caplog.text
    office.forward(5)
    await office.sent("one")


async def test_no_answer_in_time_is_tried_again(office: Office) -> None:
    office.platform.plans = {"one": [asyncio.Event(), None]}
    office.open(postage=Postage(send_timeout_s=0.01))
    await office.say("jo", "one")
    assert (await office.tries("one", 1))["error"] == "no answer in time"
    office.forward(5)
    await office.sent("one")


async def test_what_a_crash_left_claimed_is_sent_when_the_claim_has_run_out(
    office: Office,
) -> None:
    office.platform.plans = {"one": [asyncio.Event(), None]}
    crashed = office.open()
    await office.say("jo", "one", "two")
    await office.until(lambda rows: rows["one"]["claimed_until"] is not None)
    await crashed.close(0)
    office.open()
    office.forward(89)
    await office.another_round()
    assert office.platform.texts.count("one") == 1
    office.forward(2)
    await office.sent("one", "two")
    first, again = (one for one in office.platform.tried if one.text == "one")
    assert first == again


async def test_while_the_database_is_away_nothing_is_sent_twice(office: Office) -> None:
    office.open()
    await office.say("jo", "one")
    await office.sent("one")
    office.journal.failing = outbox.settle
    await office.say("jo", "two", "three")
    await office.until(lambda rows: rows["two"]["attempts"] == 1)
    # Far beyond the claim: it is still the one that is being noted.
    office.forward(1000)
    await office.until(lambda rows: rows["two"]["attempts"] == 2)
    assert office.platform.texts == ["one", "two"]
    office.journal.failing = None
    await office.sent("two", "three")
    assert office.platform.texts == ["one", "two", "three"]


async def test_what_is_due_again_before_its_try_is_noted_is_sent(office: Office) -> None:
    office.platform.plans = {"one": [SendLater("busy"), None]}
    office.journal.stalled = threading.Event()
    office.open(postage=Postage(first_delay_s=0))
    await office.say("jo", "one")
    await office.until(lambda _: outbox.settle in office.journal.behind)
    # A claim lines up behind the settlement, shares its commit, and finds the message due.
    office.forward(0)
    await office.until(lambda _: outbox.claim in office.journal.behind)
    office.journal.stalled.set()
    await office.sent("one")


async def test_a_broken_outbox_is_looked_at_again(office: Office) -> None:
    office.journal.failing = outbox.claim
    office.open()
    await office.say("jo", "one")
    office.journal.failing = None
    office.forward(0)
    await office.sent("one")


async def test_closing_lets_what_is_being_sent_end_and_begins_nothing_new(office: Office) -> None:
    held = asyncio.Event()
    office.platform.plans = {"one": [held]}
    sender = office.open()
    await office.say("jo", "one", "two")
    await office.until(lambda rows: rows["one"]["attempts"] == 1)
    closing = asyncio.create_task(sender.close(10))
    await office.say("al", "three")
    held.set()
    await closing
    rows = await office.rows()
    assert {text: row["state"] for text, row in rows.items()} == {
        "one": "sent",
        "two": "queued",
        "three": "queued",
    }
    assert office.platform.texts == ["one"]


async def test_what_was_just_claimed_when_closing_is_sent_at_once(office: Office) -> None:
    sender = office.open()
    office.journal.held = asyncio.Event()
    await office.say("jo", "one")
    await office.until(lambda rows: rows["one"]["claimed_until"] is not None)
    closing = asyncio.create_task(sender.close(10))
    await asyncio.sleep(0)
    office.journal.held.set()
    await closing
    assert (await office.rows())["one"]["state"] == "sent"


async def test_closing_is_bounded(office: Office) -> None:
    office.platform.plans = {"one": [asyncio.Event(), None]}
    sender = office.open()
    await office.say("jo", "one")
    await office.until(lambda rows: rows["one"]["attempts"] == 1)
    await sender.close(0.01)
    assert (await office.rows())["one"]["state"] == "queued"
