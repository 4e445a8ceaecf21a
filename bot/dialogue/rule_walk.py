"""Which rules still fit a conversation, walking back from its last state.

RulePolicy compares every rule with every state of the history. A rule cares for its own few states
only, so after one or two steps back hardly a rule is left that looks further, and most histories
end in one of a few places. Each place is found once and then remembered.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from rasa.core.policies.rule_policy import RulePolicy
from rasa.shared.core.domain import State

MOST_STEPS = 50_000  # remembered, a few hundred bytes each


@dataclass(frozen=True)
class Place:
    """The rules that fit the last `depth` states."""

    depth: int
    rules: frozenset[str]
    # No rule among them looks further back.
    final: bool


class RuleWalk:
    """Walks through one of RulePolicy's lookup tables."""

    def __init__(self, policy: RulePolicy, rules: Sequence[str]) -> None:
        self._policy = policy
        self._lengths = {rule: len(policy._rule_key_to_state(rule)) for rule in rules}
        self._start = self._place(0, frozenset(rules))
        self._steps: dict[Hashable, Place] = {}

    def place(self, states: Sequence[State]) -> Place:
        """Where the walk ends: what RulePolicy finds in these states depends on nothing else."""
        place = self._start
        for state in reversed(states):
            if place.final:
                break
            step = (place, frozen(state))
            found = self._steps.get(step)
            if found is None:
                found = self._step(place, state)
                if len(self._steps) >= MOST_STEPS:
                    self._steps.clear()
                self._steps[step] = found
            place = found
        return place

    def _step(self, place: Place, state: State) -> Place:
        fitting = frozenset(
            rule
            for rule in place.rules
            if self._policy._is_rule_applicable(rule, place.depth, state)
        )
        return self._place(place.depth + 1, fitting)

    def _place(self, depth: int, rules: frozenset[str]) -> Place:
        return Place(
            depth=depth, rules=rules, final=all(self._lengths[rule] <= depth for rule in rules)
        )


def frozen(state: State) -> Hashable:
    """A state that can be looked up."""
    return tuple((kind, *sorted(part.items())) for kind, part in state.items())
