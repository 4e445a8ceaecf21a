"""What a platform brings is kept once, answered once, or turned away once."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.delivery import Delivery
from bot.door import Door, Received
from bot.errors import RequestError, StorageError, TurnUnavailable
from bot.http.limits import Limits
from bot.http.rate_limits import RateLimits, Rates
from bot.intake import Intake
from bot.locks import NoLocks
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.records import Accepted
from bot.redaction import Redactor
from bot.tokens import Tokens
from bot.turner import Patience, Services, Turner
from bot.turns import TurnRequest
from bot.world import World

OFFER = {
    "text": "Which one?",
    "buttons": [
        {"title": "Delivery", "payload": '/choose_answer{"qa_id": "1"}'},
        {"title": "Returns", "payload": '/choose_answer{"qa_id": "2"}'},
    ],
}
HELLO = Received(account="jo", message_id="m1", text="hello")


@dataclass
class Bot:
    """A dialogue that echoes or says what it is told, and an understanding that has none."""

    heard: list[TurnRequest] = field(default_factory=list)
    reply: dict[str, Any] | None = None

    async def turn(self, request: TurnRequest) -> dict[str, Any]:
        self.heard.append(request)
        return {"replies": [self.reply or {"text": f"echo {request.text}"}], "parse": {}}

    async def ready(self) -> str | None:
        return None

    async def parse(self, text: str) -> dict[str, Any]:
        raise TurnUnavailable("none here")

    async def explain(self, text: str) -> dict[str, Any]:
        raise TurnUnavailable("none here")

    @property
    def texts(self) -> list[str]:
        return [request.text for request in self.heard]


@dataclass
class House:
    """A door and all that is behind it."""

    door: Door
    journal: Journal
    delivery: Delivery
    bot: Bot
    path: Path
    open_door: Callable[[RateLimits], Door]

    async def take(self, received: Received, channel: str = "plain") -> Accepted:
        """Receive it and wait for its turn."""
        accepted = await self.door.receive(channel, received)
        assert accepted is not None
        job = self.delivery.job(accepted.id)
        if job is not None:
            async with asyncio.timeout(10):
                await job.done
        return accepted

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]

    def change(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA legacy_alter_table=ON")
            connection.execute(sql)

    def messages(self, direction: str) -> list[dict[str, Any]]:
        return self.rows(f"SELECT * FROM message WHERE direction = '{direction}' ORDER BY seq")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    path = tmp_path / "kefu.db"
    url = f"sqlite:///{path}"
    upgrade(url)
    world, patience, bot = World(), Patience(), Bot()
    journal = Journal(
        write_engine=open_engine(url, writer=True), read_engine=open_engine(url), world=world
    )
    journal.sending = frozenset({"plain", "numbered"})
    services = Services(dialogue=bot, understanding=bot, numbered={"numbered"})
    turner = Turner(journal, services, Redactor(), patience, world)
    delivery = Delivery(journal, turner, NoLocks(), patience, world)
    intake = Intake(journal, delivery, Tokens("a secret of the tests"))
    limits = Limits(max_text_chars=100, wait_timeout_s=10)
    journal.start()

    def open_door(rates: RateLimits | None = None) -> Door:
        return Door(journal, intake, limits, world, rates)

    yield House(open_door(), journal, delivery, bot, path, open_door)
    await delivery.close()
    await journal.close()


async def test_a_message_is_kept_and_answered_through_the_outbox(house: House) -> None:
    accepted = await house.take(replace(HELLO, locale="de"))
    assert (accepted.seq, accepted.duplicate) == (1, False)
    assert [row["text"] for row in house.messages("out")] == ["echo hello"]
    (conversation,) = house.rows("SELECT * FROM conversation")
    assert (conversation["channel"], conversation["account"]) == ("plain", "jo")
    assert conversation["locale"] == "de"
    assert [row["account"] for row in house.rows("SELECT * FROM outbox")] == ["jo"]


async def test_a_platforms_retries_are_one_message(house: House) -> None:
    tries = await asyncio.gather(*(house.take(HELLO) for _ in range(5)))
    assert len({one.id for one in tries}) == 1
    assert sum(one.duplicate for one in tries) == 4
    assert (await house.take(HELLO)).duplicate
    assert len(house.messages("in")) == len(house.messages("out")) == 1
    assert house.bot.texts == ["hello"]


async def test_a_message_counts_once_however_often_it_is_brought(house: House) -> None:
    now_s = 0.0
    rates = Rates(api=1, open=1, upload=1, customer=2, channel=100, refused=1)
    door = house.open_door(RateLimits(rates, clock=lambda: now_s))
    page = [replace(HELLO, message_id=f"m{number}", text=f"{number}") for number in range(5)]
    for let_in in (2, 4):
        # As a platform does it: from the first one on, until one is refused.
        for received in page[:let_in]:
            await door.receive("plain", received)
        with pytest.raises(RequestError) as refusal:
            await door.receive("plain", page[let_in])
        assert refusal.value.status == 429
        now_s += 60
    for received in page:
        await door.receive("plain", received)
    assert [row["text"] for row in house.messages("in")] == ["0", "1", "2", "3", "4"]


async def test_the_same_id_of_another_account_or_channel_is_another_message(house: House) -> None:
    await house.take(HELLO)
    await house.take(replace(HELLO, account="al"))
    await house.take(HELLO, channel="numbered")
    assert len(house.messages("in")) == 3
    assert len(house.rows("SELECT * FROM conversation")) == 3


async def test_the_same_id_with_another_text_is_refused(house: House) -> None:
    await house.take(HELLO)
    with pytest.raises(RequestError) as refusal:
        await house.door.receive("plain", replace(HELLO, text="goodbye"))
    assert (refusal.value.status, refusal.value.field) == (422, "id")
    assert [row["text"] for row in house.messages("in")] == ["hello"]
    assert house.bot.texts == ["hello"]


@pytest.mark.parametrize("text", ["x" * 101, "\u200b\u2060", "a\0b", "half \ud800"])
async def test_what_cannot_be_read_is_told_once_and_acknowledged(house: House, text: str) -> None:
    unreadable = replace(HELLO, text=text)
    assert await house.door.receive("plain", unreadable) is None
    assert await house.door.receive("plain", unreadable) is None
    (notice,) = house.messages("out")
    assert notice["author"] == "system"
    assert notice["text"].startswith("Sorry, the text")
    assert "jo" not in notice["id"]
    assert [row["id"] for row in house.rows("SELECT * FROM outbox")] == [notice["id"]]
    assert house.messages("in") == []
    await house.door.receive("plain", replace(unreadable, message_id="m2"))
    assert len(house.messages("out")) == 2


async def test_nothing_at_all_is_owed_no_words(house: House) -> None:
    assert await house.door.receive("plain", replace(HELLO, text=" \n")) is None
    assert house.rows("SELECT * FROM message") == []


async def test_a_notice_after_the_conversation_was_erased_opens_another(house: House) -> None:
    await house.take(HELLO)
    house.change("DELETE FROM conversation")
    assert (
        await house.door.receive("plain", Received(account="jo", message_id="2", text="\0a"))
        is None
    )
    assert len(house.rows("SELECT * FROM outbox")) == 1


@pytest.mark.parametrize("text", ["", " \n"])
async def test_a_file_without_a_word_is_asked_about(house: House, text: str) -> None:
    photo = {"kind": "image", "name": "a\0b\ud800.jpg", "reference": "file-1", "size": 10}
    await house.take(Received(account="jo", message_id="m1", text=text, attachments=(photo,)))
    assert house.bot.texts == []
    (reply,) = house.messages("out")
    assert (reply["text"], reply["author"]) == (Patience().file_reply, "system")
    assert '"name":"ab?.jpg"' in house.messages("in")[0]["attachments"]


async def test_a_signed_request_is_good_once(house: House) -> None:
    await house.take(replace(HELLO, nonce="n"))
    for again in (HELLO, replace(HELLO, message_id="m2", text="more"), replace(HELLO, text="\0a")):
        with pytest.raises(RequestError) as refusal:
            await house.door.receive("plain", replace(again, nonce="n"))
        assert (refusal.value.status, refusal.value.audit) == (401, "replay")
    assert [row["text"] for row in house.rows("SELECT * FROM message ORDER BY seq")] == [
        "hello",
        "echo hello",
    ]
    # The platform's own retry is signed anew.
    assert (await house.take(replace(HELLO, nonce="n2"))).duplicate


async def test_replays_at_once_keep_one_message_between_honest_ones(house: House) -> None:
    replays = [Received(account="a", message_id=str(n), text="x", nonce="n") for n in range(20)]
    honest = [Received(account="b", message_id=str(n), text="y", nonce=f"n{n}") for n in range(20)]
    both = [one for pair in zip(replays, honest, strict=True) for one in pair]
    outcomes = await asyncio.gather(
        *(house.door.receive("plain", one) for one in both), return_exceptions=True
    )
    refused = [one for one in outcomes if isinstance(one, RequestError)]
    assert len(refused) == 19
    assert {one.status for one in refused} == {401}
    accepted = [one for one in outcomes if isinstance(one, Accepted)]
    assert len(accepted) == 21
    await house.delivery.drain(10)
    assert len(house.messages("in")) == len(house.bot.texts) == 21
    seqs = [row["seq"] for row in house.messages("in") if row["account"] == "b"]
    assert len(set(seqs)) == 20


async def test_a_replay_does_not_open_a_closed_conversation_again(house: House) -> None:
    accepted = await house.take(HELLO)
    (before,) = house.rows("SELECT * FROM conversation")
    await house.journal.set_status(accepted.inbound.conversation_id, "closed")
    assert (await house.take(HELLO)).status == "closed"
    (after,) = house.rows("SELECT * FROM conversation")
    assert after["status"] == "closed"
    assert after["last_inbound_at"] == before["last_inbound_at"]
    assert after["last_seq"] == before["last_seq"]
    assert (await house.take(replace(HELLO, message_id="m2"))).status == "bot"


async def test_a_signed_request_of_who_was_erased_starts_anew_as_well(house: House) -> None:
    await house.take(replace(HELLO, nonce="n1"))
    house.change("DELETE FROM conversation")
    again = replace(HELLO, message_id="m2", nonce="n2")
    await house.take(again)
    assert [row["message_id"] for row in house.messages("in")] == ["m2"]
    with pytest.raises(RequestError) as refusal:
        await house.door.receive("plain", again)
    assert refusal.value.status == 401


async def test_who_was_erased_starts_anew(house: House) -> None:
    first = await house.take(HELLO)
    house.change("DELETE FROM conversation")
    again = await house.take(HELLO)
    assert not again.duplicate
    assert again.seq == 1
    assert again.inbound.conversation_id != first.inbound.conversation_id
    assert house.bot.texts == ["hello", "hello"]


async def test_what_the_disk_does_not_take_is_not_acknowledged(house: House) -> None:
    await house.take(HELLO)
    house.change("ALTER TABLE message RENAME TO away")
    for received in (replace(HELLO, message_id="m2"), replace(HELLO, message_id="m3", text="\0a")):
        with pytest.raises(StorageError):
            await house.door.receive("plain", received)
    house.change("ALTER TABLE away RENAME TO message")
    assert len(house.messages("in")) == 1
    assert not (await house.take(replace(HELLO, message_id="m2"))).duplicate


async def test_a_commit_that_nobody_heard_of_is_driven_by_the_platforms_retry(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The message is on disk, and the gateway was told that it is not.
    with monkeypatch.context() as patched:
        patched.setattr(house.delivery, "enqueue", lambda *arguments: None)
        await house.door.receive("plain", HELLO)
    assert house.bot.texts == []
    assert (await house.take(HELLO)).duplicate
    assert house.bot.texts == ["hello"]
    assert len(house.messages("out")) == 1


@pytest.mark.parametrize("answer", ["2", " 2. ", "2)", "Returns", "returns", "returns."])
async def test_a_number_or_a_title_stands_for_a_numbered_button(house: House, answer: str) -> None:
    house.bot.reply = OFFER
    await house.take(HELLO, channel="numbered")
    house.bot.reply = None
    await house.take(replace(HELLO, message_id="m2", text=answer), channel="numbered")
    assert house.bot.texts[-1] == '/choose_answer{"qa_id": "2"}'
    assert not house.bot.heard[-1].literal
    pressed = house.messages("in")[-1]
    assert pressed["text"] == '/choose_answer{"qa_id": "2"}'
    assert pressed["metadata"] == '{"title":"Returns"}'


@pytest.mark.parametrize("answer", ["0", "3", "22", "two", "2 please", "\u0662", "-1"])
async def test_what_stands_for_no_button_stays_text(house: House, answer: str) -> None:
    house.bot.reply = OFFER
    await house.take(HELLO, channel="numbered")
    await house.take(replace(HELLO, message_id="m2", text=answer), channel="numbered")
    assert house.bot.texts[-1] == answer


async def test_a_number_without_buttons_or_numbers_stays_text(house: House) -> None:
    two = replace(HELLO, message_id="m2", text="2")
    await house.take(HELLO, channel="numbered")
    await house.take(two, channel="numbered")
    assert house.bot.texts[-1] == "2"
    house.bot.reply = OFFER
    await house.take(HELLO)
    await house.take(two)
    assert house.bot.texts[-1] == "2"


async def test_a_closed_gateway_takes_nothing(house: House) -> None:
    await house.door._intake.settle()
    with pytest.raises(RequestError) as refusal:
        await house.door.receive("plain", replace(HELLO, text="\0a"))
    assert (refusal.value.status, refusal.value.retry_after_s) == (503, 5)
    assert house.rows("SELECT * FROM conversation") == []
