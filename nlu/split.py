"""Validation splits that stay what they are while the data grow."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from nlu.examples import Example

# A label has few texts where it has less than this part of what its kind usually has (the median).
FEW = 0.5

Split = tuple[list[Example], list[Example]]  # (train, validation)


def stable_split(examples: Sequence[Example], share: float, seed: int) -> Split:
    """(train, validation): about `share` of the examples is held out.

    Each text draws its own lot, whatever else is in the data: what one training learned is never
    held out in a later one, which may begin with the weights of the first. Examples with the same
    text stay on one side, and of each label at least one text is trained on.
    """
    lots = {text: _lot(text, seed) for text in map(_plain, examples)}
    # The text of each label that is the last to be held out.
    largest: dict[tuple[str, str], float] = defaultdict(float)
    for example in examples:
        label = _label(example)
        largest[label] = max(largest[label], lots[_plain(example)])
    kept = {
        _plain(example)
        for example in examples
        if lots[_plain(example)] >= min(share, largest[_label(example)])
    }
    train = [example for example in examples if _plain(example) in kept]
    held_out = [example for example in examples if _plain(example) not in kept]
    return train, held_out


def spare_the_few(train: Sequence[Example], held_out: Sequence[Example]) -> Split:
    """The same with nothing held out of labels that have few texts: these teach the most.

    An intent that came up of late is one of those. What a text says of another label goes with it.
    """
    texts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for example in (*train, *held_out):
        texts[_label(example)].add(_plain(example))
    usual = {
        kind: median(len(found) for (of, _), found in texts.items() if of == kind)
        for kind in {kind for kind, _ in texts}
    }
    spared = {
        _plain(example)
        for example in held_out
        if len(texts[_label(example)]) < FEW * usual[_label(example)[0]]
    }
    back = [example for example in held_out if _plain(example) in spared]
    return [*train, *back], [example for example in held_out if _plain(example) not in spared]


def _plain(example: Example) -> str:
    return example.text.lower().strip()


def _label(example: Example) -> tuple[str, str]:
    return ("intent", example.intent) if example.intent else ("emotion", example.emotion or "")


def _lot(text: str, seed: int) -> float:
    """A number from 0 to 1 that is chance, and the same each time it is asked for."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
