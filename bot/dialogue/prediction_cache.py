"""Remembers what the policies predicted in a state; asking them took most of a turn.

RulePolicy and MemoizationPolicy compute a pure function of the last few states. RulePolicy compares
every rule with the whole history, several milliseconds each time, and finds the same thing
for the same last states. No other policy is known to be pure in this way (TED looks at texts and
confidences), so a model with another one is not cached.
"""

import copy
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

from rasa.core.policies.memoization import MemoizationPolicy
from rasa.core.policies.policy import Policy, PolicyPrediction
from rasa.core.policies.rule_policy import RulePolicy
from rasa.shared.core.constants import RULE_ONLY_LOOPS, RULE_ONLY_SLOTS
from rasa.shared.core.domain import Domain, State
from rasa.shared.core.trackers import DialogueStateTracker

from bot.dialogue.policy_states import RuleOnly, policy_states

CAPACITY = 20_000  # about 2 kB each


class PredictionCache:
    """The predictions of the least recently asked states are dropped first."""

    def __init__(self, domain: Domain, policies: Sequence[Policy]) -> None:
        self._domain = domain
        self._predictions: OrderedDict[Hashable, PolicyPrediction] = OrderedDict()
        self.usable = all(type(policy) in (RulePolicy, MemoizationPolicy) for policy in policies)
        self._rule_only = RuleOnly()
        self._rule_depth = self._story_depth = 0
        for policy in policies if self.usable else ():
            if isinstance(policy, RulePolicy):
                self._rule_depth = longest_rule(policy) + 1
                known = policy._get_rule_only_data()
                self._rule_only = RuleOnly(
                    slots=frozenset(known[RULE_ONLY_SLOTS]), loops=frozenset(known[RULE_ONLY_LOOPS])
                )
            else:
                self._story_depth = policy.featurizer.max_history or 0
                self.usable = self.usable and self._story_depth > 0

    def key(self, tracker: DialogueStateTracker) -> Hashable:
        """All that the prediction depends on."""
        states = policy_states(tracker.applied_events(), self._domain, self._rule_only)
        loop, message = tracker.active_loop, tracker.latest_message
        return (
            _frozen(states.for_rules[-self._rule_depth :]),
            _frozen(states.for_stories[-self._story_depth :]),
            tracker.latest_action_name,
            (loop.name, loop.rejected) if loop else None,
            message.intent_name if message else None,
        )

    def get(self, key: Hashable) -> PolicyPrediction | None:
        """The prediction for a key, as if it had just been made."""
        found = self._predictions.get(key)
        if found is None:
            return None
        self._predictions.move_to_end(key)
        return _fresh(found)

    def put(self, key: Hashable, prediction: PolicyPrediction) -> None:
        """Remember a prediction that is about to be used."""
        self._predictions[key] = _fresh(prediction)
        if len(self._predictions) > CAPACITY:
            self._predictions.popitem(last=False)


def longest_rule(policy: RulePolicy) -> int:
    """The number of states in the longest rule."""
    lookups = (table for table in policy.lookup.values() if isinstance(table, dict))
    return max(
        (len(policy._rule_key_to_state(key)) for table in lookups for key in table), default=1
    )


def _fresh(prediction: PolicyPrediction) -> PolicyPrediction:
    """A copy whose events are its own: the tracker stamps them with time and model."""
    twin = copy.copy(prediction)
    twin.events = [copy.copy(event) for event in prediction.events]
    return twin


def _frozen(states: Sequence[State]) -> Hashable:
    return tuple(
        tuple((kind, *sorted(part.items())) for kind, part in state.items()) for state in states
    )


def policies_of(components: Sequence[Any]) -> list[Policy]:
    """The policies among a graph's components."""
    return [component for component in components if isinstance(component, Policy)]
