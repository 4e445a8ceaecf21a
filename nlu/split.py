"""Stratified validation splits."""

import random
from collections import defaultdict
from collections.abc import Sequence

from nlu.examples import Example

# Below this many examples of a label none can be spared for validation.
_FEWEST = 4


def stratified_split(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """(train, validation): `share` of each label's examples is held out.

    Examples with the same text stay on one side, so that validation never repeats training.
    """
    rng = random.Random(seed)
    groups: dict[tuple[str, str], dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    sides: dict[str, str] = {}
    for example in examples:
        label = ("intent", example.intent) if example.intent else ("emotion", example.emotion or "")
        groups[label][example.text.lower().strip()].append(example)
    train: list[Example] = []
    held_out: list[Example] = []
    for label in sorted(groups):
        texts = sorted(groups[label])
        rng.shuffle(texts)
        count = round(len(texts) * share) if len(texts) >= _FEWEST else 0
        if len(texts) >= _FEWEST:
            count = max(count, 1)
        for position, text in enumerate(texts):
            side = sides.setdefault(text, "held out" if position < count else "train")
            (held_out if side == "held out" else train).extend(groups[label][text])
    return train, held_out
