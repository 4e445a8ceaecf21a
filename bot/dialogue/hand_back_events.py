"""What a hand-back by a person, and waiting for one, change in a conversation's slots."""

from typing import Any

from rasa.shared.core.constants import ACTION_LISTEN_NAME, REQUESTED_SLOT
from rasa.shared.core.events import ActionExecuted, ActiveLoop, Event, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker


def hand_back_events(
    tracker: DialogueStateTracker, outcome: str, more: dict[str, Any]
) -> list[Event]:
    """What a hand-back changes in a conversation that listens; `more` slots are set last."""
    slots: dict[str, Any] = {
        "handoff": None,
        "failures": 0.0,
        "emotion": None,
        REQUESTED_SLOT: None,
        "handoff_outcome": outcome,
        **more,
    }
    loop = [ActiveLoop(None)] if tracker.active_loop_name else []
    # Rasa's fallback undoes a message together with all that came after the last time the bot
    # listened: listening once more keeps the hand-back out of that.
    return [*loop, *_changes(tracker, slots), ActionExecuted(ACTION_LISTEN_NAME)]


def note_waiting(tracker: DialogueStateTracker, metadata: dict[str, Any] | None) -> list[Event]:
    """The slot that keeps a person from being called twice, as the gateway says it with a message.

    The call may not have been the bot's; and one of the bot's may never have come through, when
    the gateway had given the turn up before it was done.
    """
    waiting = (metadata or {}).get("waiting")
    if waiting is True:
        return _changes(tracker, {"handoff": "waiting"})
    if waiting is False and tracker.get_slot("handoff") == "waiting":
        return _changes(tracker, {"handoff": None})
    return []


def count_rest(tracker: DialogueStateTracker) -> list[Event]:
    """One message fewer for which the last hand-back still matters.

    A message that the fallback undoes is not counted.
    """
    left = float(tracker.get_slot("handoff_rest") or 0) if "handoff_rest" in tracker.slots else 0.0
    changes: dict[str, Any] = {"handoff_rest": max(left - 1, 0.0)}
    if left <= 1:
        changes["handoff_outcome"] = None
    return _changes(tracker, changes)


def _changes(tracker: DialogueStateTracker, slots: dict[str, Any]) -> list[Event]:
    """The slots that have another value; a domain of one's own may do without some of them."""
    return [
        SlotSet(name, value)
        for name, value in slots.items()
        if name in tracker.slots and tracker.slots[name].value != value
    ]
