"""Makes rows of the training data of turns in the log and of what teaches them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.learning.datasets.row import Row, Source
from bot.learning.datasets.sieve import Chosen
from bot.log.review_scores import FALLBACK, probabilities

# How much is believed of what nobody corrected.
WEIGHTS: Mapping[Source, float] = {
    "corrected": 1.0,
    "clicked": 0.5,
    "rated": 0.7,
    "agent": 0.7,
    "pseudo": 0.5,
}

Turn = Mapping[str, Any]
# What a row teaches: names of its fields.
Labels = dict[str, Any]


def build(turn: Turn, chosen: Chosen, labels: Labels) -> Row:
    """The row of a turn that teaches these labels."""
    at: datetime = turn["created_at"]
    likely = probabilities(turn["ranking"])
    return Row(
        turn_id=turn["id"],
        conversation_id=turn["conversation_id"],
        customer=chosen.customer,
        text=turn["text"],
        source=chosen.source,
        at=at.astimezone(UTC).isoformat(timespec="microseconds"),
        predicted=turn["intent"],
        confidence=turn["confidence"],
        ranking=dict(sorted(likely.items(), key=lambda item: (-item[1], item[0]))),
        model_version=turn["model_version"],
        split="test" if chosen.is_test else "train",
        weight=WEIGHTS[chosen.source],
        **labels,
    )


def taught(
    turn: Turn, chosen: Chosen, *, said: Turn | None, pairs: Mapping[str, str], sure: float
) -> Labels:
    """What a turn teaches: of a correction what was `said`, else what its source lets one believe.

    `pairs` has the intents of the pairs that the store answers with, `sure` is the confidence from
    which the model's word counts. Empty: nothing.
    """
    pair = chosen.pair_id if chosen.pair_id in pairs else None
    labels: Labels = {"pair_id": pair, "author": chosen.author}
    if chosen.source == "corrected":
        assert said is not None
        labels |= {name: said[name] for name in ("intent", "emotion")}
        labels |= {"entities": said["entities"], "author": said["agent_id"]}
    elif chosen.source == "rated":
        known = turn["intent"] if turn["intent"] != FALLBACK else None
        labels["intent"] = known or pairs.get(pair or "")
    elif chosen.source == "pseudo":
        labels["intent"] = turn["intent"]
        if (turn["emotion_confidence"] or 0.0) >= sure:
            labels["emotion"] = turn["emotion"]
    elif pair is not None:
        labels["intent"] = pairs[pair]
    return labels if teaches(labels) else {}


def teaches(labels: Mapping[str, Any]) -> bool:
    """Whether there is anything to learn from labels; that there are no entities is something."""
    return any(
        labels.get(name) is not None for name in ("intent", "emotion", "entities", "pair_id")
    )
