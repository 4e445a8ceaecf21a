"""The page of channels: health without texts, settings without values, dead letters."""

import html
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from bot.console.channels.configured import configured_channels
from bot.log import tables
from bot.world import utc_now
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import sign_in

SECRET = "123456:a-token-that-nobody-may-read"


async def add_letters(running: Running, count: int, state: str = "failed") -> str:
    """Messages to a telegram customer, the oldest an hour old; returns the conversation."""
    now = utc_now()

    def unit(connection: Any) -> None:
        connection.execute(
            tables.conversation.insert(),
            {
                "id": "c1",
                "channel": "telegram",
                "account": "a phone number",
                "status": "bot",
                "last_seq": count,
                "created_at": now,
                "updated_at": now,
            },
        )
        for number in range(count):
            at = now - timedelta(minutes=60 - number)
            shared = {
                "id": f"m{number}",
                "conversation_id": "c1",
                "seq": number,
                "channel": "telegram",
                "account": "a phone number",
                "created_at": at,
            }
            connection.execute(
                tables.message.insert(),
                shared | {"direction": "out", "state": "sent", "text": "the words said"},
            )
            connection.execute(
                tables.outbox.insert(),
                shared
                | {
                    "state": state,
                    "attempts": 3,
                    "next_at": at,
                    "error": "403 <b>blocked</b> by the user",
                },
            )

    await running.gateway.journal.write(unit)
    return "c1"


async def states(running: Running) -> list[str]:
    rows = await running.gateway.journal.read(
        lambda c: list(c.execute(tables.outbox.select().order_by(tables.outbox.c.seq)).mappings())
    )
    return [row["state"] for row in rows]


async def test_doors_say_when_they_were_last_used(running: Running) -> None:
    conversation = await running.converse()
    await conversation.say("1", "hello there")
    page = html.unescape(await (await sign_in(running)).text("/channels"))
    door = page.split('data-channel="api"')[1].split("</article>")[0]
    assert "1 in, 1 out" in door
    assert "hello there" not in page
    assert 'width="4" height="40.0"' in door


async def test_what_was_not_delivered_is_shown_without_its_words(running: Running) -> None:
    await add_letters(running, 3)
    page = await (await sign_in(running)).text("/channels")
    assert "3 not delivered" in page
    assert "403 &lt;b&gt;blocked&lt;/b&gt; by the user" in page
    assert "the words said" not in page
    assert "a phone number" not in page
    # An agent reads; only administrators act.
    assert "Try again" not in page


async def test_dead_letters_are_tried_again_and_given_up(running: Running) -> None:
    await add_letters(running, 3)
    root = await sign_in(running, "Root", "administrator")
    assert "Try again" in await root.text("/channels")
    assert (await root.post("/channels/outbox/retry")).status == 422
    assert (await root.post("/channels/outbox/retry", id="m0")).status == 303
    assert await states(running) == ["queued", "failed", "failed"]
    # What is on its way is not given up by a page that is old.
    assert (await root.post("/channels/outbox/drop", id="m0")).status == 303
    assert await states(running) == ["queued", "failed", "failed"]
    await root.post("/channels/outbox/drop", id="m1")
    assert await states(running) == ["queued", "failed"]
    await root.post("/channels/outbox/retry", all="1")
    assert await states(running) == ["queued", "queued"]
    rows = await running.gateway.journal.read(
        lambda c: list(c.execute(tables.audit.select().order_by(tables.audit.c.id)).mappings())
    )
    assert [(row["action"], row["target"]) for row in rows if row["actor"] == root.id] == [
        ("outbox.retry", "m0"),
        ("outbox.drop", "m1"),
        ("outbox.retry", "all"),
    ]
    assert "a phone number" not in repr(rows)


async def test_processes_say_how_they_are(
    running: Running, start: Callable[..., Awaitable[Running]]
) -> None:
    page = await (await sign_in(running)).text("/channels")
    # The tests' dialogue is ready, and there is no action server.
    assert page.split("Dialogue ")[1].split("</h3>")[0].count("badge-good") == 1
    assert "does not answer (" in page.split("Actions ")[1].split("</article>")[0]
    assert "SQLite 0" in page


async def test_settings_are_named_and_their_values_are_not(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_TELEGRAM_TOKEN", SECRET)
    page = await (await sign_in(running)).text("/channels")
    door = page.split('data-channel="telegram"')[1].split("</article>")[0]
    assert "half set up" in door
    assert "KEFU_TELEGRAM_TOKEN" in door
    assert SECRET not in page
    # The others are listed as what could be set up.
    assert "docs/channels/slack.md" in page


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.channels.registry import settings_classes

    # Any channel with a number among its settings.
    for kind in settings_classes():
        for name, about in kind.model_fields.items():
            if about.annotation in (int, float):
                variable = f"{kind.model_config['env_prefix']}{name}".upper()
                monkeypatch.setenv(variable, "many")
                found = [
                    setting
                    for one in configured_channels([])
                    for setting in one.settings
                    if setting.is_refused
                ]
                assert [setting.variable for setting in found] == [variable]
                return
    pytest.skip("no channel has a number among its settings")
