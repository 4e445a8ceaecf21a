"""Remembers what the policies predicted in a state; asking them took most of a turn.

RulePolicy and MemoizationPolicy compute a pure function of the last few states: of the rules that
fit them, and of the action that a story remembers for them. Both are found without asking the
policies, so the same prediction serves every conversation that has come to the same point, whatever
was said before. No other policy is known to be pure in this way (TED looks at texts and
confidences), so a model with another one is not cached.
"""

import copy
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

from rasa.core.policies.memoization import MemoizationPolicy
from rasa.core.policies.policy import Policy, PolicyPrediction
from rasa.core.policies.rule_policy import RULES, RULES_FOR_LOOP_UNHAPPY_PATH, RulePolicy
from rasa.shared.core.constants import RULE_ONLY_LOOPS, RULE_ONLY_SLOTS
from rasa.shared.core.domain import Domain
from rasa.shared.core.trackers import DialogueStateTracker

from bot.dialogue.policy_states import RuleOnly, policy_states
from bot.dialogue.rule_walk import RuleWalk

CAPACITY = 20_000  # about 2 kB each


class PredictionCache:
    """The predictions of the least recently asked states are dropped first."""

    def __init__(self, domain: Domain, policies: Sequence[Policy]) -> None:
        self._domain = domain
        self._predictions: OrderedDict[Hashable, PolicyPrediction] = OrderedDict()
        self.usable = all(type(policy) in (RulePolicy, MemoizationPolicy) for policy in policies)
        self._rule_only = RuleOnly()
        self._walks: list[RuleWalk] = []
        self._stories: MemoizationPolicy | None = None
        for policy in policies if self.usable else ():
            if isinstance(policy, RulePolicy):
                known = policy._get_rule_only_data()
                self._rule_only = RuleOnly(
                    slots=frozenset(known[RULE_ONLY_SLOTS]), loops=frozenset(known[RULE_ONLY_LOOPS])
                )
                self._walks = [
                    RuleWalk(policy, list(policy.lookup.get(table, ())))
                    for table in (RULES, RULES_FOR_LOOP_UNHAPPY_PATH)
                ]
            else:
                self._stories = policy
                # With the confidence as score, a prediction would be of its message alone.
                self.usable = self.usable and not policy.config["use_nlu_confidence_as_score"]

    def key(self, tracker: DialogueStateTracker) -> Hashable:
        """All that the prediction depends on."""
        states = policy_states(tracker.applied_events(), self._domain, self._rule_only)
        loop, message = tracker.active_loop, tracker.latest_message
        remembered = None
        if self._stories is not None:
            depth = self._stories.featurizer.max_history or len(states.for_stories)
            remembered = self._stories._recall_states(states.for_stories[-depth:])
        return (
            tuple(walk.place(states.for_rules) for walk in self._walks),
            remembered,
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


def _fresh(prediction: PolicyPrediction) -> PolicyPrediction:
    """A copy whose events are its own: the tracker stamps them with time and model."""
    twin = copy.copy(prediction)
    twin.events = [copy.copy(event) for event in prediction.events]
    return twin


def policies_of(components: Sequence[Any]) -> list[Policy]:
    """The policies among a graph's components."""
    return [component for component in components if isinstance(component, Policy)]
