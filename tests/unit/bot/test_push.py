"""The hub tells who watches, and forgets who does not."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from bot.push import AGENTS, MESSAGES, QUEUE, STATUS, Event, Hub


@pytest.fixture
def hub() -> Hub:
    return Hub()


class Ear:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Event]] = []

    def __call__(self, topic: str, event: Event) -> None:
        self.heard.append((topic, event))


def test_watchers_hear_of_their_topic_only(hub: Hub) -> None:
    one, two = Ear(), Ear()
    hub.watch("a", one)
    hub.watch("b", two)
    hub.publish("a", MESSAGES)
    assert one.heard == [("a", MESSAGES)]
    assert two.heard == []


def test_agents_hear_of_every_conversation(hub: Hub) -> None:
    agents = Ear()
    hub.watch(AGENTS, agents)
    hub.publish("a", MESSAGES)
    hub.publish("b", STATUS)
    hub.publish("a", {"type": "typing", "author": "customer"})
    hub.publish(AGENTS, QUEUE)
    assert agents.heard == [
        ("a", {"type": "conversation", "id": "a"}),
        ("b", {"type": "conversation", "id": "b"}),
        (AGENTS, QUEUE),
    ]


def test_who_stops_watching_hears_nothing_and_leaves_nothing(hub: Hub) -> None:
    one, two = Ear(), Ear()
    unwatch_one, unwatch_two = hub.watch("a", one), hub.watch("a", two)
    unwatch_one()
    unwatch_one()
    hub.publish("a", MESSAGES)
    assert (one.heard, two.heard) == ([], [("a", MESSAGES)])
    unwatch_two()
    assert hub._watchers == {}
    # One that stopped before others began takes them nothing.
    hub.watch("a", one)
    unwatch_two()
    hub.publish("a", MESSAGES)
    assert one.heard == [("a", MESSAGES)]


def test_a_watcher_may_stop_itself_or_begin_another_while_it_is_told(hub: Hub) -> None:
    late = Ear()

    def once(topic: str, event: Event) -> None:
        unwatch()
        hub.watch("a", late)

    unwatch = hub.watch("a", once)
    hub.publish("a", MESSAGES)
    hub.publish("a", STATUS)
    assert late.heard == [("a", STATUS)]


def test_a_watcher_that_fails_keeps_the_word_from_no_other(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(topic: str, event: Event) -> None:
        raise ZeroDivisionError

    ears = [Ear() for _ in range(3)]
    hub.watch("a", ears[0])
    hub.watch("a", fail)
    hub.watch("a", ears[1])
    hub.watch("a", ears[2])
    with caplog.at_level(logging.INFO):
        hub.publish("a", MESSAGES)
    assert [ear.heard for ear in ears] == [[("a", MESSAGES)]] * 3
    assert "watcher failed" in caplog.text


def test_what_is_published_goes_to_the_other_gateways_once(hub: Hub) -> None:
    sent: list[tuple[str, Event]] = []

    def send(events: Sequence[tuple[str, Event]]) -> None:
        sent.extend(events)

    hub.relay_by(send)
    typing = {"type": "typing", "author": "agent"}
    hub.publish("a", typing)
    assert sent == [("a", typing)]
    hub.deliver("a", MESSAGES)
    assert len(sent) == 1


def test_a_gateway_hears_the_others_and_not_itself(hub: Hub) -> None:
    ear = Ear()
    hub.watch("a", ear)
    hub.hear(json.dumps([hub._origin, "a", MESSAGES]))
    assert ear.heard == []
    hub.hear(json.dumps(["another", "a", MESSAGES]))
    assert ear.heard == [("a", MESSAGES)]


@pytest.mark.parametrize("payload", ["", "hello", "{}", "[1]", '["x", "a", 7]', '["x", "a", {}]'])
def test_what_someone_else_says_on_the_channel_is_left_alone(hub: Hub, payload: str) -> None:
    ear = Ear()
    hub.watch("a", ear)
    hub.hear(payload)
    assert ear.heard == []


def test_catching_up_has_everyone_read_again(hub: Hub) -> None:
    customer, agents = Ear(), Ear()
    hub.watch("a", customer)
    hub.watch(AGENTS, agents)
    hub.catch_up()
    assert customer.heard == [("a", MESSAGES), ("a", STATUS)]
    assert agents.heard == [(AGENTS, QUEUE)]


async def test_a_commit_is_told_after_it_is_there_and_what_came_to_nothing_is_not(
    running: Any,
) -> None:
    journal = running.gateway.journal
    conversation = await running.converse()
    ear, agents = Ear(), Ear()
    unwatch = [journal.hub.watch(conversation.id, ear), journal.hub.watch(AGENTS, agents)]
    await conversation.say("1", "hello")
    assert [event for _, event in ear.heard] == [MESSAGES, MESSAGES]
    ear.heard.clear()
    assert await journal.set_status("none", "agent") is False
    with pytest.raises(ZeroDivisionError):
        await journal.write(lambda connection: 1 // 0, [(conversation.id, STATUS)])
    assert ear.heard == []
    assert (await journal.set_status(conversation.id, "agent")) is True
    assert ear.heard == [(conversation.id, STATUS)]
    assert agents.heard[-2:] == [
        (conversation.id, {"type": "conversation", "id": conversation.id}),
        (AGENTS, QUEUE),
    ]
    for stop in unwatch:
        stop()
