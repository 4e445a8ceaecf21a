"""What a tracker knows at the end of a turn, and the events that bring a new one to the same state.

Rasa rebuilds a tracker by replaying all its events, again for every action and every undone
utterance, so a bounded history must begin with events that stand for what was cut off. Rasa's own
`action_session_start` does this when a session expires: it carries the slots over. We carry over
the active form as well.
"""

from typing import Any

from rasa.shared.core.constants import ACTION_LISTEN_NAME, ACTION_SESSION_START_NAME
from rasa.shared.core.events import (
    ActionExecuted,
    ActiveLoop,
    ConversationPaused,
    Event,
    SessionStarted,
    SlotSet,
)
from rasa.shared.core.trackers import DialogueStateTracker

Snapshot = dict[str, Any]


def take_snapshot(tracker: DialogueStateTracker) -> Snapshot:
    """The tracker's slots, active loop and time, as JSON values."""
    return {
        "slots": {
            name: slot.value
            for name, slot in tracker.slots.items()
            if slot.value != slot.initial_value
        },
        "loop": tracker.active_loop_name,
        "paused": tracker.is_paused(),
        "at": tracker.events[-1].timestamp if tracker.events else 0.0,
    }


def snapshot_events(snapshot: Snapshot) -> list[Event]:
    """Events after which an empty tracker is in the snapshot's state and listening."""
    at, loop = snapshot["at"], snapshot["loop"]
    events: list[Event] = [
        ActionExecuted(ACTION_SESSION_START_NAME, timestamp=at),
        SessionStarted(timestamp=at),
    ]
    events += [SlotSet(name, value, timestamp=at) for name, value in snapshot["slots"].items()]
    if loop is not None:
        # Rasa hides a loop's runs after its first one from the policies, so there must be a first.
        events += [ActionExecuted(loop, timestamp=at), ActiveLoop(loop, timestamp=at)]
    if snapshot["paused"]:
        events.append(ConversationPaused(timestamp=at))
    events.append(ActionExecuted(ACTION_LISTEN_NAME, timestamp=at))
    return events
