"""The intents that a champion hardly knows, of which its challenger has learned many more texts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nlu.examples import Example
from nlu.seen import read_seen, told_apart

# An intent has grown that has half as many texts again.
GROWN = 1.5
# Of more texts an intent is known, however many more there are now.
FEW = 20


def grown_intents(
    examples: Sequence[Example], *, champion: Path, challenger: Path
) -> frozenset[str]:
    """Those of few texts that have grown, by what of the examples either bundle has learned.

    Which they are is told from what was taught, not from what came of it.
    """
    before, after = (_learned(examples, folder) for folder in (champion, challenger))
    return frozenset(
        intent
        for intent, count in after.items()
        if 0 < before[intent] < FEW and count >= GROWN * before[intent]
    )


def _learned(examples: Sequence[Example], folder: Path) -> Counter[str]:
    _, known = told_apart(examples, read_seen(folder))
    return Counter(example.intent for example in known if example.intent is not None)
