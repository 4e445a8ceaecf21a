"""The tracker store: bounded history, cold loads, and turns that cannot be saved."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ActiveLoop,
    BotUttered,
    Event,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
    UserUttered,
)

from bot.dialogue.conversation import WINDOW_TURNS, Conversation
from bot.dialogue.errors import TurnNotSaved
from bot.dialogue.tracker_store import TurnTrackerStore

DOMAIN = Domain.from_path("bot/dialogue/domain.yml")
Result = TypeVar("Result")


def with_store(url: str, use: Callable[[TurnTrackerStore], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        store = TurnTrackerStore(DOMAIN, host=url)
        try:
            return await use(store)
        finally:
            store.close()

    return asyncio.run(run())


def turn_events(number: int) -> list[Event]:
    start: list[Event] = []
    if number == 0:
        start = [ActionExecuted("action_session_start"), SessionStarted()]
        start += [ActionExecuted("action_listen")]
    events = [
        UserUttered(f"text {number}", {"name": "greet", "confidence": 1.0}),
        SlotSet("emotion", "neutral"),
        ActionExecuted("utter_greet"),
        BotUttered("hello"),
        ActionExecuted("action_listen"),
    ]
    if number == 2:
        events[1:4] = [
            SlotSet("order_number", "HP-100000"),
            ActionExecuted("cancel_order_form"),
            ActiveLoop("cancel_order_form"),
            SlotSet("requested_slot", "email"),
        ]
    return [*start, *events]


async def take_turns(store: TurnTrackerStore, first: int, last: int) -> Conversation:
    conversation = await store.conversation("c")
    for number in range(first, last):
        for event in turn_events(number):
            conversation.tracker.update(event, DOMAIN)
        await store.commit(conversation, message_id=f"m-{number}", text=f"text {number}")
    return conversation


def seen(conversation: Conversation) -> dict[str, Any]:
    tracker = conversation.tracker
    return {
        "slots": tracker.current_slot_values(),
        "loop": tracker.active_loop_name,
        "action": tracker.latest_action_name,
        "text": tracker.latest_message.text,
        "events": [event.as_dict() for event in tracker.events],
        "seq": conversation.seq,
    }


@pytest.mark.parametrize("turns", [1, WINDOW_TURNS, WINDOW_TURNS + 1, 40])
def test_a_cold_load_gives_the_tracker_that_was_live(database_url: str, turns: int) -> None:
    async def live(store: TurnTrackerStore) -> dict[str, Any]:
        return seen(await take_turns(store, 0, turns))

    async def cold(store: TurnTrackerStore) -> dict[str, Any]:
        return seen(await store.conversation("c"))

    was = with_store(database_url, live)
    assert with_store(database_url, cold) == was


def test_history_stays_bounded_and_keeps_slots_and_form(database_url: str) -> None:
    async def use(store: TurnTrackerStore) -> None:
        short = len((await take_turns(store, 0, 10)).tracker.events)
        conversation = await take_turns(store, 10, 60)
        tracker = conversation.tracker
        assert len(tracker.events) <= short
        assert tracker.get_slot("order_number") == "HP-100000"
        assert tracker.active_loop_name == "cancel_order_form"
        assert [e.text for e in tracker.events if isinstance(e, UserUttered)] == [
            f"text {number}" for number in range(60 - WINDOW_TURNS, 60)
        ]

    with_store(database_url, use)


def test_undoing_a_message_keeps_what_was_cut_off(database_url: str) -> None:
    async def use(store: TurnTrackerStore) -> None:
        tracker = (await take_turns(store, 0, 20)).tracker
        tracker.update(UserUttered("oops", {"name": "nlu_fallback", "confidence": 0.1}))
        tracker.update(UserUtteranceReverted())
        assert tracker.get_slot("order_number") == "HP-100000"
        assert tracker.active_loop_name == "cancel_order_form"

    with_store(database_url, use)


def test_an_answered_message_is_found_after_a_restart(database_url: str) -> None:
    with_store(database_url, lambda store: take_turns(store, 0, 30))

    async def use(store: TurnTrackerStore) -> None:
        turn = await store.answered_turn("c", "m-3")
        assert turn is not None
        assert turn.text == "text 3"
        assert await store.answered_turn("c", "m-30") is None
        assert await store.answered_turn("other", "m-3") is None

    with_store(database_url, use)


def test_the_full_tracker_has_every_turn(database_url: str) -> None:
    async def use(store: TurnTrackerStore) -> None:
        await take_turns(store, 0, 20)
        tracker = await store.retrieve_full_tracker("c")
        assert tracker is not None
        assert sum(isinstance(event, UserUttered) for event in tracker.events) == 20
        assert list(await store.keys()) == ["c"]

    with_store(database_url, use)


def test_a_forgotten_turn_did_not_happen(database_url: str) -> None:
    async def use(store: TurnTrackerStore) -> None:
        before = seen(await take_turns(store, 0, 3))
        conversation = await store.conversation("c")
        conversation.tracker.update(UserUttered("lost", {"name": "greet", "confidence": 1.0}))
        store.forget("c")
        assert seen(await store.conversation("c")) == before

    with_store(database_url, use)


def test_two_processes_cannot_both_append_a_turn(database_url: str) -> None:
    async def use(store: TurnTrackerStore) -> None:
        await take_turns(store, 0, 2)
        other = TurnTrackerStore(DOMAIN, host=database_url)
        await other.conversation("c")
        await take_turns(store, 2, 3)
        with pytest.raises(TurnNotSaved):
            await take_turns(other, 3, 4)
        other.forget("c")
        await take_turns(other, 3, 4)
        other.close()

    with_store(database_url, use)


def test_one_bad_turn_does_not_spoil_the_others_of_its_commit(database_url: str) -> None:
    async def use(store: TurnTrackerStore) -> None:
        conversation = await store.conversation("a")
        await store.commit(conversation, message_id="m", text="x")
        stale = Conversation("a", DOMAIN)
        others = [await store.conversation(f"b{n}") for n in range(20)]
        results = await asyncio.gather(
            store.commit(stale, message_id="m2", text="x"),
            *(store.commit(other, message_id="m", text="x") for other in others),
            return_exceptions=True,
        )
        assert isinstance(results[0], TurnNotSaved)
        assert not any(isinstance(result, BaseException) for result in results[1:])

    with_store(database_url, use)


def test_the_least_recently_used_conversation_is_loaded_again(database_url: str) -> None:
    async def use(store: TurnTrackerStore) -> None:
        store._capacity = 2
        first = await take_turns(store, 0, 3)
        for name in ("x", "y"):
            await store.conversation(name)
        again = await store.conversation("c")
        assert again is not first
        assert seen(again) == seen(first)

    with_store(database_url, use)
