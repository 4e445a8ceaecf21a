"""A tracker that is copied as it is, where Rasa's replays all its events."""

import copy
from collections import deque
from collections.abc import Iterable

from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionReverted,
    ActiveLoop,
    Event,
    Restarted,
    SessionStarted,
    UserUtteranceReverted,
)
from rasa.shared.core.trackers import DialogueStateTracker

UNDOING = {Restarted, SessionStarted, ActionReverted, UserUtteranceReverted, ActiveLoop}


class LiveTracker(DialogueStateTracker):
    """Overrides `copy`, which Rasa calls for every action, and keeps the applied events.

    Rasa builds the copy by applying the whole history to an empty tracker. All that a tracker
    holds beside its events and slots is replaced, never changed in place, so copying those two
    and the active loop gives the same tracker.
    """

    _applied: list[Event] | None = None

    def copy(self) -> "LiveTracker":
        """A tracker in the same state that can be changed without changing this one."""
        other = copy.copy(self)
        other.events = deque(self.events, self._max_event_history)
        other.slots = {name: copy.copy(slot) for name, slot in self.slots.items()}
        other.active_loop = copy.copy(self.active_loop)
        return other

    def update(self, event: Event, domain: Domain | None = None) -> None:
        """Apply an event. `apply_to` may ask for the applied events, with this one among them."""
        self._applied = None
        super().update(event, domain)
        self._applied = None

    def replace_events(self, events: Iterable[Event]) -> None:
        """Exchange the history for one that leads to the same state."""
        self._applied = None
        self.events = deque(events, self._max_event_history)

    def applied_events(self) -> list[Event]:
        """The events without what was undone, worked out once between two updates."""
        if self._applied is None:
            # Rasa's loop asks of every event what class it is, which is slow for abstract classes,
            # to find what is rarely there.
            kinds = {type(event) for event in self.events}
            if kinds.isdisjoint(UNDOING):
                self._applied = list(self.events)
            else:
                self._applied = super().applied_events()
        return list(self._applied)
