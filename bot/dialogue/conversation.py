"""A live conversation: the tracker that policies and actions see, kept to its last turns."""

from collections import deque
from itertools import islice

from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event, deserialise_events

from bot.dialogue.live_tracker import LiveTracker
from bot.dialogue.snapshot import Snapshot, snapshot_events, take_snapshot
from bot.dialogue.turn_table import Turn

# Memoised stories look back 5 states, rules 2 turns, the two-stage fallback 3. What a turn costs
# grows with this number, and no longer with the conversation.
WINDOW_TURNS = 6


class Conversation:
    """A tracker that begins with a snapshot and holds the last `WINDOW_TURNS` turns after it."""

    def __init__(self, sender_id: str, domain: Domain) -> None:
        self.tracker = LiveTracker(sender_id, domain.slots)
        self.seq = 0
        self.answered: set[str] = set()
        self._turns: deque[tuple[int, Snapshot]] = deque()
        self._known = 0  # events of the tracker that belong to the snapshot or to a closed turn

    @classmethod
    def load(
        cls, sender_id: str, domain: Domain, turns: list[Turn], answered: set[str]
    ) -> "Conversation":
        """Rebuild from the last `WINDOW_TURNS + 1` turns: the oldest one gives the snapshot."""
        conversation = cls(sender_id, domain)
        conversation.answered = answered
        tracker = conversation.tracker
        if len(turns) > WINDOW_TURNS:
            start, turns = turns[0].snapshot, turns[1:]
            for event in snapshot_events(start):
                tracker.update(event)
            conversation._known = len(tracker.events)
        for turn in turns:
            events = deserialise_events(turn.events)
            for event in events:
                tracker.update(event)
            conversation._known += len(events)
            conversation._turns.append((len(events), turn.snapshot))
            conversation.seq = turn.seq
        return conversation

    def new_events(self) -> list[Event]:
        """The events since the last closed turn."""
        return list(islice(self.tracker.events, self._known, None))

    def snapshot(self) -> Snapshot:
        """The state after the turn that is being closed."""
        return take_snapshot(self.tracker)

    def close_turn(self, turn: Turn) -> None:
        """Count the new events as a turn and let the oldest turn fall out of the window."""
        count = len(self.tracker.events) - self._known
        self._turns.append((count, turn.snapshot))
        self._known += count
        self.seq = turn.seq
        if turn.message_id is not None:
            self.answered.add(turn.message_id)
        if len(self._turns) > WINDOW_TURNS:
            _, start = self._turns.popleft()
            kept = sum(size for size, _ in self._turns)
            events = self.tracker.events
            recent = islice(events, len(events) - kept, None)
            self.tracker.replace_events([*snapshot_events(start), *recent])
            self._known = len(self.tracker.events)
