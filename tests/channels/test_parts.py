"""Messages of several parts: a retry repeats none that went through."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from bot.channels import parts
from bot.channels.parts import Parts


class Broken(Exception):
    """What a platform's trouble is here."""


def of(sent: list[str], texts: str, broken: set[str]) -> list[Callable[[], Awaitable[None]]]:
    async def send(text: str) -> None:
        if text in broken:
            raise Broken(text)
        sent.append(text)

    return [partial(send, text) for text in texts]


async def test_a_retry_goes_on_where_it_broke_off() -> None:
    sender, sent, broken = Parts(), [], {"c"}
    for _ in range(2):
        with pytest.raises(Broken):
            await sender.send("m", of(sent, "abcd", broken))
    broken.clear()
    await sender.send("m", of(sent, "abcd", broken))
    assert sent == ["a", "b", "c", "d"]


async def test_messages_do_not_mix() -> None:
    sender, sent = Parts(), []
    with pytest.raises(Broken):
        await sender.send("m", of(sent, "ab", {"b"}))
    await sender.send("n", of(sent, "xy", set()))
    await sender.send("m", of(sent, "ab", set()))
    assert sent == ["a", "x", "y", "b"]


async def test_what_is_done_is_forgotten_and_the_rest_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "_MAX_REMEMBERED", 3)
    sender, sent = Parts(), []
    for id_ in "12345":
        with pytest.raises(Broken):
            await sender.send(id_, of(sent, "ab", {"b"}))
    sent.clear()
    # The oldest were forgotten and begin again; the newest go on.
    await sender.send("1", of(sent, "ab", set()))
    await sender.send("5", of(sent, "ab", set()))
    assert sent == ["a", "b", "b"]
    assert len(sender._sent) <= 3
