"""Training batches: tokenised examples of every head, sorted by length, with their targets."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nlu.examples import Example
from nlu.labels import Labels
from nlu.spans import to_tags
from nlu.tokens import Encoded, TextTokenizer, pad

IGNORED = -100  # the target of what a head must not learn from
# Texts are sorted by length inside a window of this many batches: little padding, and yet every
# epoch meets other batches.
_WINDOW = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A tokenised example with the label numbers that it has."""

    encoded: Encoded
    intent: int
    emotion: int
    tags: tuple[int, ...] | None  # one for each token
    weight: float = 1.0
    # Its number among those that the model knows that training goes on from; -1: it is new to it.
    rehearsal: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded tensors; targets hold IGNORED where there is nothing to learn."""

    ids: Tensor  # (batch, tokens)
    mask: Tensor  # (batch, tokens)
    targets: dict[str, Tensor]  # intent, emotion: (batch,), tags: (batch, tokens)
    weights: Tensor  # (batch,)
    rehearsal: Tensor  # (batch,), -1 for what is new; in the rest a teacher has a word


def make_rows(examples: Sequence[Example], labels: Labels, tokenizer: TextTokenizer) -> list[Row]:
    """One row for each example."""
    intents = {name: number for number, name in enumerate(labels.intent)}
    emotions = {name: number for number, name in enumerate(labels.emotion)}
    tags = {name: number for number, name in enumerate(labels.tags)}
    rows = []
    for example in examples:
        encoded = tokenizer.encode(example.text)
        numbers: tuple[int, ...] | None = None
        if tags and example.spans is not None:
            by_token = [IGNORED] * len(encoded.ids)
            # Only the first token of a word learns and says the word's tag.
            for word, tag in zip(encoded.words, to_tags(encoded.words, example.spans), strict=True):
                by_token[word.token] = tags[tag]
            numbers = tuple(by_token)
        rows.append(
            Row(
                encoded=encoded,
                intent=intents.get(example.intent or "", IGNORED),
                emotion=emotions.get(example.emotion or "", IGNORED),
                tags=numbers,
                weight=example.weight,
            )
        )
    return rows


def shuffled_batches(rows: Sequence[Row], size: int, rng: random.Random) -> Iterator[Batch]:
    """All rows once, in random batches of rows of about the same length."""
    order = list(range(len(rows)))
    rng.shuffle(order)
    chunks: list[list[int]] = []
    for start in range(0, len(order), size * _WINDOW):
        window = order[start : start + size * _WINDOW]
        window.sort(key=lambda index: len(rows[index].encoded.ids))
        chunks += [window[at : at + size] for at in range(0, len(window), size)]
    rng.shuffle(chunks)
    for chunk in chunks:
        yield make_batch([rows[index] for index in chunk])


def make_batch(rows: Sequence[Row]) -> Batch:
    """Pads rows into tensors."""
    ids, mask = pad([row.encoded for row in rows])
    tags = torch.full(ids.shape, IGNORED, dtype=torch.long)  # (batch, tokens)
    for number, row in enumerate(rows):
        if row.tags is not None:
            tags[number, : len(row.tags)] = torch.tensor(row.tags)
    return Batch(
        ids=torch.from_numpy(ids),
        mask=torch.from_numpy(mask),
        targets={
            "intent": torch.tensor([row.intent for row in rows]),
            "emotion": torch.tensor([row.emotion for row in rows]),
            "tags": tags,
        },
        weights=torch.tensor([row.weight for row in rows]),
        rehearsal=torch.tensor([row.rehearsal for row in rows]),
    )
