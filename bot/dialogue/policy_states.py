"""The states that rules and memoised stories look at, in one light pass over the events.

For each prediction Rasa replays the history into a fresh tracker and asks it, before every action,
for its state; it does so once for rules by text, once for rules by intent and once for stories.
The same states come from a few variables here. `tests/dialogue` compares them with Rasa's.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from rasa.shared.core.constants import (
    ACTION_LISTEN_NAME,
    ACTIVE_LOOP,
    LOOP_NAME,
    PREVIOUS_ACTION,
    SLOTS,
    USER,
)
from rasa.shared.core.domain import Domain, State, SubState
from rasa.shared.core.events import (
    ActionExecuted,
    ActiveLoop,
    AllSlotsReset,
    Event,
    FollowupAction,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.slots import Slot
from rasa.shared.nlu.constants import ACTION_NAME, TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOnly:
    """Slots and loops that occur in rules but in no story; stories do not see them."""

    slots: frozenset[str] = frozenset()
    loops: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class PolicyStates:
    """The conversation's states, as rules and as memoised stories see them, oldest first."""

    for_rules: list[State] = field(default_factory=list)
    for_stories: list[State] = field(default_factory=list)


def policy_states(events: Iterable[Event], domain: Domain, rule_only: RuleOnly) -> PolicyStates:
    """The states before each action and at the end. Texts are left out: no rule holds any."""
    replay = _Replay(domain, rule_only)
    for event in events:
        replay.apply(event)
    replay.add_state(hide=False)
    return replay.states


class _Replay:
    """What of a tracker shows in a state."""

    def __init__(self, domain: Domain, rule_only: RuleOnly) -> None:
        self.states = PolicyStates()
        self._domain = domain
        self._rule_only = rule_only
        self._slots: dict[str, Slot] = {
            slot.name: copy.copy(slot) for slot in domain.slots if slot.has_features()
        }
        for slot in self._slots.values():
            slot.reset()
        self._slot_state = self._featurise()
        self._user: SubState = {}
        self._action: SubState = {}
        self._loop: str | None = None
        self._followup = True
        self._hidden = False
        self._last_shown_action: SubState | None = None

    def apply(self, event: Event) -> None:
        kind = type(event)
        if kind is ActionExecuted:
            self.add_state(hide=event.hide_rule_turn)
            self._action = event.as_sub_state()
            self._followup = False
        elif kind is UserUttered:
            self._user = self._user_state(event)
            self._followup = False
        elif kind is SlotSet:
            slot = self._slots.get(event.key)
            if slot is not None:
                slot.value = event.value
                self._slot_state = self._featurise()
        elif kind is ActiveLoop:
            self._loop = event.name
        elif kind is FollowupAction:
            self._followup = True
        elif kind is AllSlotsReset:
            for slot in self._slots.values():
                slot.reset()
            self._slot_state = self._featurise()

    def add_state(self, *, hide: bool) -> None:
        """Note the state before an action; `hide` marks the action as a rule's own."""
        state = self._state(self._user, self._slot_state, self._action, self._loop)
        self.states.for_rules.append(state)
        if not self._hidden:
            self._last_shown_action = self._action
        if not self._followup and self._action.get(ACTION_NAME) != self._loop:
            self._hidden = hide
        if self._hidden:
            return
        slots = {k: v for k, v in self._slot_state.items() if k not in self._rule_only.slots}
        loop = None if self._loop in self._rule_only.loops else self._loop
        user = self._user
        if self.states.for_stories and self._action.get(ACTION_NAME) != ACTION_LISTEN_NAME:
            user = self.states.for_stories[-1].get(USER, {})
        action = self._last_shown_action or self._action
        self.states.for_stories.append(self._state(user, slots, action, loop))

    @staticmethod
    def _state(user: SubState, slots: SubState, action: SubState, loop: str | None) -> State:
        state: State = {}
        if user:
            state[USER] = user
        if slots:
            state[SLOTS] = slots
        if action:
            state[PREVIOUS_ACTION] = action
        if loop is not None:
            state[ACTIVE_LOOP] = {LOOP_NAME: loop}
        return state

    def _featurise(self) -> SubState:
        features: SubState = {}
        for name, slot in self._slots.items():
            feature = slot.as_feature()
            if any(feature):
                features[name] = tuple(feature)
        return features

    def _user_state(self, event: UserUttered) -> SubState:
        holder: Any = SimpleNamespace(latest_message=event)
        state = dict(self._domain._get_user_sub_state(holder))
        state.pop(TEXT, None)
        return state
