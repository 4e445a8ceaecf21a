"""Who waits: told once where they stand, given back to the bot in time, put back when forgotten."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from actions.hours import Hours
from bot import agents
from bot.agents import Agent
from bot.handoff.desk import Desk
from bot.handoff.policy import Policy
from bot.handoff.sweep import Sweep
from bot.log import database, handoff
from bot.log.journal import Journal
from bot.log.records import Inbound, Reply
from bot.turns import HandBack, TurnRequest
from bot.world import World

NINE_TO_FIVE = Hours(week=(((9 * 60, 17 * 60),),) * 7)
NOON = datetime(2026, 6, 17, 12, tzinfo=UTC)


class Dialogue:
    """Hears of hand-backs."""

    def __init__(self) -> None:
        self.told: list[HandBack] = []

    async def turn(self, request: TurnRequest) -> dict[str, Any]:
        raise AssertionError

    async def hand_back(self, event: HandBack) -> None:
        self.told.append(event)

    async def ready(self) -> str | None:
        return None


class Shop:
    """A desk on a database, with a clock that the test moves."""

    def __init__(self, url: str, policy: Policy) -> None:
        self.now = NOON
        self.dialogue = Dialogue()
        world = World(now=lambda: self.now)
        self.journal = Journal(
            write_engine=database.open_engine(url, writer=True),
            read_engine=database.open_engine(url),
            world=world,
        )
        self.desk = Desk(self.journal, self.dialogue, policy, lambda text: text, world)
        self.sweep = Sweep(self.journal, self.desk, world)

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    async def open(self, channel: str = "api", locale: str | None = None) -> str:
        self.later(seconds=1)
        return await self.journal.open_conversation(channel, locale=locale)

    async def hear(self, conversation_id: str, number: int) -> None:
        inbound = Inbound(
            conversation_id=conversation_id,
            channel="api",
            account=conversation_id,
            message_id=f"m-{number}",
            text="hello",
        )
        await self.journal.accept(inbound, "hash", lambda accepted: None)

    async def employ(self, name: str) -> Agent:
        unit = partial(agents.add, id_=name.lower(), name=name, role="agent", now=self.now)
        found = await self.journal.write(unit)
        assert found is not None
        return found[0]

    async def row(self, conversation_id: str) -> dict[str, Any]:
        row = await self.journal.conversation(conversation_id)
        assert row is not None
        return row

    async def notices(self, conversation_id: str) -> list[str]:
        page = await self.journal.messages(conversation_id, after=0, limit=100)
        assert page is not None
        return [row["metadata"]["notice"] for row in page[1] if row["author"] == "system"]

    async def bot_hands_off(self, conversation_id: str, reason: str = "asked") -> None:
        """As a turn of the bot does it."""
        from sqlalchemy import update

        from bot.log.tables import conversation

        await self.journal.write(
            lambda connection: (
                connection.execute(
                    update(conversation)
                    .where(conversation.c.id == conversation_id)
                    .values(status="waiting", handoff_reason=reason, waiting_since=self.now)
                ).rowcount
            )
        )


@pytest.fixture
async def open_shop(tmp_path: Any) -> AsyncIterator[Callable[..., Shop]]:
    shops: list[Shop] = []
    url = f"sqlite:///{tmp_path / 'kefu.db'}"
    database.upgrade(url)

    def open_shop(**policy: Any) -> Shop:
        shop = Shop(url, Policy(**({"hours": NINE_TO_FIVE} | policy)))
        shop.journal.start()
        shops.append(shop)
        return shop

    yield open_shop
    for shop in shops:
        await shop.journal.close()


async def test_who_was_handed_off_by_the_bot_is_told_the_place_once(open_shop: Any) -> None:
    shop = open_shop()
    first, second = await shop.open(), await shop.open()
    await shop.bot_hands_off(first)
    shop.later(seconds=1)
    await shop.bot_hands_off(second)
    await shop.sweep.once()
    await shop.sweep.once()
    assert await shop.notices(first) == ["next"]
    assert await shop.notices(second) == ["position"]
    assert (await shop.row(second))["queue_told"] == 2


async def test_two_gateways_tell_once(open_shop: Any) -> None:
    import asyncio

    one, two = open_shop(), open_shop()
    ids = [await one.open() for _ in range(5)]
    for id_ in ids:
        await one.bot_hands_off(id_)
    two.now = one.now
    await asyncio.gather(one.sweep.once(), two.sweep.once())
    assert [len(await one.notices(id_)) for id_ in ids] == [1] * 5


async def test_who_waited_too_long_gets_the_bot_back(open_shop: Any) -> None:
    shop = open_shop(wait_s=600, rest_messages=4)
    id_ = await shop.open()
    await shop.desk.ask(id_)
    shop.later(seconds=599)
    await shop.sweep.once()
    assert (await shop.row(id_))["status"] == "waiting"
    shop.later(seconds=1)
    await shop.sweep.once()
    await shop.sweep.once()
    row = await shop.row(id_)
    assert (row["status"], row["outcome"]) == ("bot", "nobody_came")
    assert await shop.notices(id_) == ["called", "next", "nobody_came"]
    await shop.desk.settle_hand_back(row)
    await shop.desk.settle_hand_back(await shop.row(id_))
    (told,) = shop.dialogue.told
    assert (told.outcome, told.slots) == ("nobody_came", {"handoff_rest": 4})


async def test_only_opening_hours_count_as_waiting(open_shop: Any) -> None:
    shop = open_shop(wait_s=600)
    id_ = await shop.open()
    shop.now = NOON.replace(hour=16, minute=55)
    await shop.desk.ask(id_)
    shop.now = NOON.replace(hour=9, minute=4) + timedelta(days=1)
    await shop.sweep.once()
    assert (await shop.row(id_))["status"] == "waiting"
    shop.later(minutes=1)
    await shop.sweep.once()
    assert (await shop.row(id_))["status"] == "bot"


async def test_outside_opening_hours_the_return_is_told(open_shop: Any) -> None:
    shop = open_shop()
    shop.now = NOON.replace(hour=20)
    asked, handed, chinese = await shop.open(), await shop.open(), await shop.open(locale="zh-CN")
    await shop.desk.ask(asked)
    await shop.desk.ask(chinese)
    await shop.bot_hands_off(handed)
    await shop.sweep.once()
    assert await shop.notices(asked) == ["called_closed"]
    assert await shop.notices(handed) == [], "the bot has said it"
    texts = [
        (await shop.journal.messages(id_, after=0, limit=9))[1][0]["text"]  # type: ignore[index]
        for id_ in (asked, chinese)
    ]
    assert "tomorrow at 9:00 (UTC)" in texts[0]
    assert "明天 9:00" in texts[1]
    assert (await shop.desk.queue_of(asked))["open"] is False


async def test_outside_opening_hours_the_bot_may_keep_it(open_shop: Any) -> None:
    shop = open_shop(wait_when_closed=False)
    shop.now = NOON.replace(hour=20)
    id_ = await shop.open()
    row = await shop.desk.ask(id_)
    assert row["status"] == "bot"
    assert await shop.notices(id_) == ["stays_with_bot"]
    assert await shop.desk.queue_of(id_) is None


async def test_a_silent_agent_loses_the_conversation(open_shop: Any) -> None:
    shop = open_shop(idle_s=300, wait_s=0)
    anna = await shop.employ("Anna")
    id_, other = await shop.open(), await shop.open()
    await shop.desk.ask(id_)
    await shop.desk.take(id_, anna)
    shop.later(hours=2)
    await shop.sweep.once()
    assert (await shop.row(id_))["status"] == "agent", "the customer has said nothing"
    await shop.hear(id_, 1)
    shop.later(seconds=200)
    await shop.hear(id_, 2)
    shop.later(seconds=99)
    await shop.sweep.once()
    assert (await shop.row(id_))["status"] == "agent"
    shop.later(seconds=1)
    await shop.desk.ask(other)  # waits longer than the one that comes back
    await shop.sweep.once()
    await shop.sweep.once()
    row = await shop.row(id_)
    assert (row["status"], row["agent_id"]) == ("waiting", None)
    assert (await shop.desk.queue_of(id_))["position"] == 1, "who lost the agent comes first"
    assert await shop.notices(id_) == ["called", "next", "joined", "put_back", "next"]


async def test_an_agent_who_answers_keeps_the_conversation(open_shop: Any) -> None:
    shop = open_shop(idle_s=300)
    anna = await shop.employ("Anna")
    id_ = await shop.open()
    await shop.desk.take(id_, anna)
    for number in range(4):
        await shop.hear(id_, number)
        shop.later(seconds=299)
        await shop.desk.say(id_, anna, f"a-{number}", Reply(id="", text="here"))
        await shop.sweep.once()
    assert (await shop.row(id_))["agent_id"] == anna.id


async def test_who_was_with_an_agent_that_was_removed_waits_for_another(open_shop: Any) -> None:
    shop = open_shop(idle_s=0)
    anna, ben = await shop.employ("Anna"), await shop.employ("Ben")
    annas, bens = await shop.open(), await shop.open()
    await shop.desk.take(annas, anna)
    await shop.desk.take(bens, ben)
    assert await shop.journal.write(partial(agents.remove, name="Anna", now=shop.now))
    for _ in range(2):
        await shop.sweep.once()
    assert (await shop.row(annas))["status"] == "waiting"
    assert await shop.notices(annas) == ["joined", "put_back", "next"]
    assert (await shop.row(bens))["agent_id"] == ben.id


async def test_conversations_left_with_an_agent_hide_no_other(
    open_shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoff, "MOST_WAITING", 2)
    shop = open_shop(idle_s=300)
    anna = await shop.employ("Anna")
    held = [await shop.open() for _ in range(4)]
    for id_ in held:
        await shop.desk.take(id_, anna)
    await shop.hear(held[-1], 1)
    shop.later(seconds=300)
    await shop.sweep.once()
    assert (await shop.row(held[-1]))["status"] == "waiting"


async def test_zero_seconds_are_no_limit(open_shop: Any) -> None:
    shop = open_shop(wait_s=0, idle_s=0)
    anna = await shop.employ("Anna")
    waiting, held = await shop.open(), await shop.open()
    await shop.desk.ask(waiting)
    await shop.desk.take(held, anna)
    await shop.hear(held, 1)
    shop.later(days=30)
    await shop.sweep.once()
    assert (await shop.row(waiting))["status"] == "waiting"
    assert (await shop.row(held))["status"] == "agent"


async def test_a_platform_is_told_of_another_place_and_not_too_often(open_shop: Any) -> None:
    shop = open_shop(position_every_s=300, wait_s=0)
    shop.journal.sending = frozenset({"telegram"})
    anna = await shop.employ("Anna")
    first, second, third = [await shop.open("telegram") for _ in range(3)]
    widget = await shop.open("api")
    for id_ in (first, second, third, widget):
        await shop.desk.ask(id_)
        shop.later(seconds=1)
    await shop.desk.take(first, anna)
    await shop.sweep.once()
    assert await shop.notices(third) == ["called", "position"], "too soon"
    shop.later(seconds=300)
    await shop.sweep.once()
    await shop.sweep.once()
    assert await shop.notices(second) == ["called", "position", "next"]
    assert await shop.notices(third) == ["called", "position", "position"]
    assert await shop.notices(widget) == ["called", "position"], "the widget shows it live"
    shop.later(seconds=300)
    await shop.sweep.once()
    assert await shop.notices(third) == ["called", "position", "position"], "nothing new"


async def test_upset_customers_come_first_if_so_wished(open_shop: Any) -> None:
    for wished, place in ((True, 1), (False, 2)):
        shop = open_shop(upset_first=wished)
        calm, angry = await shop.open(), await shop.open()
        await shop.bot_hands_off(calm, "asked")
        shop.later(seconds=1)
        await shop.bot_hands_off(angry, "emotion")
        assert (await shop.desk.queue_of(angry))["position"] == place
        for id_ in (calm, angry):
            await shop.desk.close(id_, None)


async def test_an_erased_conversation_stops_nothing(open_shop: Any) -> None:
    from bot.log import store

    shop = open_shop(wait_s=60)
    gone, kept = await shop.open(), await shop.open()
    for id_ in (gone, kept):
        await shop.desk.ask(id_)
    shop.later(seconds=61)
    read = shop.journal.read

    async def erase_first(query: Any) -> Any:
        found = await read(query)
        await shop.journal.write(
            partial(store.erase, conversation_id=gone, audit_id="x", actor="test", now=shop.now)
        )
        shop.journal.read = read  # type: ignore[method-assign]
        return found

    shop.journal.read = erase_first  # type: ignore[method-assign]
    await shop.sweep.once()
    assert (await shop.row(kept))["status"] == "bot"


async def test_the_sweep_wakes_when_the_queue_changes(open_shop: Any) -> None:
    import asyncio

    shop = open_shop(sweep_s=3600)
    shop.desk.policy = replace(shop.desk.policy, sweep_s=3600)
    shop.sweep.start()
    id_ = await shop.open()
    await shop.bot_hands_off(id_)
    told = asyncio.Event()
    stop = shop.journal.hub.watch(
        id_, lambda topic, event: told.set() if event["type"] == "messages" else None
    )
    await shop.journal.write(lambda connection: True, [("agents", {"type": "queue"})])
    async with asyncio.timeout(5):
        await told.wait()
    stop()
    await shop.sweep.close()
    assert await shop.notices(id_) == ["next"]
