"""Widgets made for Rasa's Socket.IO channel, with the client that they use."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import socketio
from pydantic import SecretStr

from bot.errors import StorageError
from bot.log.records import Reply
from bot.push import MESSAGES
from bot.sockets.rasa_socket import as_uttered

IDENTITY_KEY = "a key that the site's server shares with kefu"


@dataclass
class Widget:
    """An existing widget: requests a session, sends, and shows what is uttered."""

    client: socketio.AsyncClient
    uttered: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    confirmed: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    async def session(self, session_id: Any = None) -> Any:
        await self.client.emit("session_request", {"session_id": session_id})
        async with asyncio.timeout(5):
            return await self.confirmed.get()

    async def say(self, text: Any, session_id: Any = None) -> None:
        await self.client.emit("user_uttered", {"message": text, "session_id": session_id})

    async def hear(self, count: int = 1) -> list[Any]:
        async with asyncio.timeout(5):
            return [await self.uttered.get() for _ in range(count)]


Open = Callable[..., Awaitable[Widget]]


@pytest.fixture
async def widget() -> AsyncIterator[Open]:
    """Opens a widget on a gateway."""
    async with AsyncExitStack() as stack:

        async def widget(running: Any, auth: Any = None) -> Widget:
            own = str(running.client.make_url("/")).rstrip("/")
            session = aiohttp.ClientSession(headers={"Origin": own})
            stack.push_async_callback(session.close)
            client = socketio.AsyncClient(http_session=session, reconnection=False)
            opened = Widget(client)

            async def uttered(data: Any) -> None:
                opened.uttered.put_nowait(data)

            async def confirmed(data: Any) -> None:
                opened.confirmed.put_nowait(data)

            client.on("bot_uttered", uttered)
            client.on("session_confirm", confirmed)
            stack.push_async_callback(client.disconnect)
            await client.connect(own, transports=["websocket"], auth=auth, wait_timeout=5)
            return opened

        yield widget


def texts(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(folder / "kefu.db") as connection:
        found = connection.execute(
            "SELECT conversation_id, text FROM message ORDER BY created_at, seq"
        ).fetchall()
    connection.close()
    return found


async def test_a_widget_of_rasa_talks_to_the_bot(running: Any, widget: Open) -> None:
    page = await widget(running)
    session_id = await page.session()
    assert isinstance(session_id, str)
    await page.say("hello", session_id)
    assert await page.hear() == [{"text": "echo hello"}]
    await page.say("how are you", session_id)
    assert await page.hear() == [{"text": "echo how are you"}]


async def test_a_session_goes_on_after_a_reload(running: Any, widget: Open, tmp_path: Path) -> None:
    page = await widget(running)
    session_id = await page.session()
    await page.say("one", session_id)
    assert await page.hear() == [{"text": "echo one"}]
    await page.client.disconnect()
    (conversation_id, _), *_ = texts(tmp_path)
    # Said while the page is away.
    notice = Reply(id="n1", text="Your parcel is here.", author="agent")
    await running.gateway.journal.say(conversation_id, [notice])
    again = await widget(running)
    assert await again.session(session_id) == session_id
    assert await again.hear() == [{"text": "Your parcel is here."}]
    await again.say("two", session_id)
    assert await again.hear() == [{"text": "echo two"}]
    assert {conversation for conversation, _ in texts(tmp_path)} == {conversation_id}


async def test_what_agents_say_reaches_the_widget(
    running: Any, widget: Open, tmp_path: Path
) -> None:
    page = await widget(running)
    await page.say("hello", await page.session())
    await page.hear()
    (conversation_id, _), *_ = texts(tmp_path)
    journal = running.gateway.journal
    await journal.say(conversation_id, [Reply(id="a1", text="I am Mei.", author="agent")])
    assert await page.hear() == [{"text": "I am Mei."}]


async def test_a_message_without_session_opens_one(running: Any, widget: Open) -> None:
    page = await widget(running)
    await page.say("hello")
    assert await page.hear() == [{"text": "echo hello"}]
    async with asyncio.timeout(5):
        assert isinstance(await page.confirmed.get(), str)


async def test_no_guessed_session_of_a_thousand_reads_another(
    running: Any, widget: Open, tmp_path: Path
) -> None:
    victim = await widget(running)
    session_id = await victim.session()
    await victim.say("my secret", session_id)
    await victim.hear()
    (conversation_id, _), *_ = texts(tmp_path)
    account, dot, signature = session_id.partition(".")
    thief = await widget(running)
    guesses: list[Any] = [
        conversation_id,
        account,
        account + dot,
        session_id + " ",
        session_id.upper(),
        " " + session_id,
        victim.client.get_sid(),
        7,
        {"session_id": session_id},
        [session_id],
        True,
        "x" * 10_000,
    ]
    for n in range(1000 - len(guesses)):
        place = secrets.randbelow(len(signature))
        char = "A" if signature[place] != "A" else "B"
        guesses.append(
            f"{account}.{signature[:place]}{char}{signature[place + 1 :]}"
            if n % 2
            else f"{account}.{secrets.token_urlsafe(40)}"
        )
    confirmed = set()
    for batch in range(0, 1000, 40):
        thief = await widget(running)
        for guess in guesses[batch : batch + 40]:
            confirmed.add(await thief.session(guess))
        await thief.say("what did I say", guesses[batch])
        assert await thief.hear() == [{"text": "echo what did I say"}]
        assert thief.uttered.empty()
        await thief.client.disconnect()
    assert len(confirmed) == 1000
    assert session_id not in confirmed
    mine = [text for conversation, text in texts(tmp_path) if conversation == conversation_id]
    assert mine == ["my secret", "echo my secret"]
    assert victim.uttered.empty()


@pytest.mark.parametrize("text", ["", " ", "\u200b", "x" * 4001, "a\0b", 7, None, ["a"], {}])
async def test_a_message_that_cannot_be_read_is_not_taken(
    running: Any, widget: Open, dialogue: Any, text: Any
) -> None:
    page = await widget(running)
    await page.say(text, await page.session())
    await page.say("hello")
    heard = await page.hear()
    if heard != [{"text": "echo hello"}]:
        assert heard[0]["text"].startswith("Sorry, ")
        assert await page.hear() == [{"text": "echo hello"}]
    assert dialogue.texts == ["hello"]


async def test_a_refusal_is_told(running: Any, widget: Open) -> None:
    page = await widget(running)
    session_id = await page.session()
    running.gateway.intake.closed = True
    await page.say("hello", session_id)
    (told,) = await page.hear()
    assert told["text"].startswith("Sorry, the gateway is going down")


def jwt_of(user: str) -> dict[str, str]:
    claims = {"sub": user, "exp": int(time.time()) + 60}
    return {"token": jwt.encode(claims, IDENTITY_KEY, algorithm="HS256")}


async def test_a_logged_in_customer_has_one_session_that_nobody_else_gets(
    start: Any, widget: Open, tmp_path: Path
) -> None:
    running = await start(identity_secret=SecretStr(IDENTITY_KEY))
    phone = await widget(running, jwt_of("maya"))
    session_id = await phone.session()
    await phone.say("my secret", session_id)
    await phone.hear()
    # Another device of hers, and others with her session id.
    laptop = await widget(running, jwt_of("maya"))
    own = await laptop.session()
    assert own.partition(".")[0] == session_id.partition(".")[0]
    for auth in (None, jwt_of("noor")):
        thief = await widget(running, auth)
        assert (await thief.session(session_id)).partition(".")[0] != own.partition(".")[0]
        await thief.say("hello", session_id)
        assert await thief.hear() == [{"text": "echo hello"}]
    await laptop.say("and another", own)
    assert await laptop.hear() == [{"text": "echo and another"}]
    assert await phone.hear() == [{"text": "echo and another"}]
    found = texts(tmp_path)
    hers = [text for conversation, text in found if conversation == found[0][0]]
    assert hers == ["my secret", "echo my secret", "and another", "echo and another"]


async def test_a_wrong_jwt_is_refused_and_a_missing_one_where_it_is_required(
    start: Any, widget: Open
) -> None:
    running = await start(identity_secret=SecretStr(IDENTITY_KEY))
    with pytest.raises(socketio.exceptions.ConnectionError):
        await widget(running, {"token": jwt_of("maya")["token"][:-2] + "AA"})
    assert await (await widget(running)).session()
    strict = await start(identity_secret=SecretStr(IDENTITY_KEY), identity_required=True)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await widget(strict)
    assert await (await widget(strict, jwt_of("maya"))).session()


async def test_the_protocol_can_be_switched_off(start: Any, widget: Open) -> None:
    running = await start(rasa_socket=False)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await widget(running)


async def test_an_event_twice_is_uttered_once(running: Any, widget: Open, tmp_path: Path) -> None:
    page = await widget(running)
    await page.say("hello", await page.session())
    await page.hear()
    (conversation_id, _), *_ = texts(tmp_path)
    for _ in range(3):
        running.gateway.journal.hub.publish(conversation_id, MESSAGES)
    await page.say("again")
    assert await page.hear() == [{"text": "echo again"}]
    assert page.uttered.empty()


async def test_a_message_without_a_session_is_refused_aloud_when_the_log_cannot_be_read(
    running: Any, widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await widget(running)

    async def read(*_: Any) -> Any:
        raise StorageError("the disk is gone")

    monkeypatch.setattr(running.gateway.journal, "read", read)
    await page.say("hello")
    (uttered,) = await page.hear()
    assert "could not be stored" in uttered["text"]


def message(**changes: Any) -> dict[str, Any]:
    return {"text": None, "buttons": [], "attachments": [], "metadata": {}} | changes


BUTTON = {"title": "Yes", "payload": "/affirm"}
QUICK = {"content_type": "text", "title": "Yes", "payload": "/affirm"}


@pytest.mark.parametrize(
    ("said", "uttered"),
    [
        (message(text="one\n\ntwo"), [{"text": "one"}, {"text": "two"}]),
        (
            message(text="Shall I?\n\nReally?", buttons=[BUTTON]),
            [{"text": "Shall I?"}, {"text": "Really?", "quick_replies": [QUICK]}],
        ),
        (message(buttons=[BUTTON]), [{"text": "", "quick_replies": [QUICK]}]),
        (
            message(image="https://shop.example/a.png"),
            [
                {
                    "attachment": {
                        "type": "image",
                        "payload": {"src": "https://shop.example/a.png"},
                    }
                }
            ],
        ),
        (
            message(
                text="Here.",
                attachments=[
                    {"kind": "image", "name": "a.png", "url": "/api/v1/files/f1"},
                    {"kind": "file", "name": "b.pdf", "url": "/api/v1/files/f2"},
                    {"kind": "location", "text": "1,2"},
                ],
            ),
            [
                {"text": "Here."},
                {
                    "attachment": {
                        "type": "image",
                        "payload": {"src": "https://chat.example/api/v1/files/f1"},
                    }
                },
                {"text": "b.pdf https://chat.example/api/v1/files/f2"},
            ],
        ),
        (message(custom={"data": {"a": 1}}), [{"a": 1}]),
        (message(custom={"a": 1}), [{"a": 1}]),
        (message(custom=[1]), [{"custom": [1]}]),
        (message(attachment={"type": "video"}), [{"attachment": {"type": "video"}}]),
        (message(), []),
    ],
)
def test_replies_take_the_form_that_the_widgets_know(
    said: dict[str, Any], uttered: list[dict[str, Any]]
) -> None:
    assert as_uttered(said, "https://chat.example") == uttered
