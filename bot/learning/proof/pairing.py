"""Puts what two bundles made of the same texts side by side, as the verdict wants it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bot.learning.proof.evidence import Bools, Floats, Ints, Paired, PairedScope, PairedSpans, Side
from bot.learning.proof.measured import Understood
from bot.learning.proof.sets import OUT_OF_SCOPE
from nlu.examples import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A side and what it makes of the texts."""

    side: Side
    of: Understood


def paired_intents(
    examples: Sequence[Example], frozen: Sequence[bool], champion: Read, challenger: Read
) -> Paired:
    """The texts that have an intent."""
    sides = [
        _Guesses(labels=read.side.labels.intent, best=read.of.intents, sure=read.of.confidence)
        for read in (champion, challenger)
    ]
    return _paired([example.intent for example in examples], frozen, *sides)


def paired_emotions(
    examples: Sequence[Example], frozen: Sequence[bool], champion: Read, challenger: Read
) -> Paired:
    """The texts that have an emotion."""
    sides = [
        _Guesses(
            labels=read.side.labels.emotion, best=read.of.emotions, sure=read.of.emotion_confidence
        )
        for read in (champion, challenger)
    ]
    return _paired([example.emotion for example in examples], frozen, *sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guesses:
    """What one head of a side makes of the texts."""

    labels: Sequence[str]
    best: Ints  # (texts,), a place among the labels
    sure: Floats  # (texts,)


def _paired(
    truth: Sequence[str | None], frozen: Sequence[bool], champion: _Guesses, challenger: _Guesses
) -> Paired:
    rows = _rows(truth)
    names = _names(champion.labels, challenger.labels, [name for name in truth if name is not None])
    at = {name: place for place, name in enumerate(names)}
    return Paired(
        names=names,
        truth=np.array([at[str(truth[row])] for row in rows], dtype=np.int64),
        champion=_placed(champion.best[rows], champion.labels, at),
        challenger=_placed(challenger.best[rows], challenger.labels, at),
        champion_confidence=champion.sure[rows],
        challenger_confidence=challenger.sure[rows],
        frozen=np.array(frozen, dtype=np.bool_)[rows],
    )


def paired_spans(
    examples: Sequence[Example], champion: Understood, challenger: Understood
) -> PairedSpans:
    """The texts that are annotated: right is the exact characters and the same kind."""
    sides: list[Ints] = []
    for of in (champion, challenger):
        counts = []
        for example, found in zip(examples, of.spans, strict=True):
            if example.spans is None:
                continue
            wanted = {(span.start, span.end, span.tag) for span in example.spans}
            counts.append((len(wanted & found), len(found), len(wanted)))
        sides.append(np.array(counts, dtype=np.int64).reshape(-1, 3))
    return PairedSpans(champion=sides[0], challenger=sides[1])


def paired_scope(inside: Sequence[Read], outside: Sequence[Read]) -> PairedScope:
    """How sure each side is that a text is in scope, champion first.

    That is its highest probability of an intent that the bot can do something about (Hendrycks and
    Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples, 2017); turned
    away is a text below the threshold, or with the intent that says so.
    """
    return PairedScope(
        outside=(_in_scope(outside[0]), _in_scope(outside[1])),
        inside=(_in_scope(inside[0]), _in_scope(inside[1])),
        turned_away=(_turned_away(outside[0]), _turned_away(outside[1])),
    )


def _in_scope(read: Read) -> Floats:
    able = [name not in OUT_OF_SCOPE for name in read.side.labels.intent]
    if not any(able):
        return np.zeros(len(read.of.intents))
    found: Floats = read.of.probabilities[:, able].max(axis=1).astype(np.float64)
    return found


def _turned_away(read: Read) -> Bools:
    outside = [place for place, name in enumerate(read.side.labels.intent) if name in OUT_OF_SCOPE]
    unsure = read.of.confidence < read.side.threshold
    found: Bools = unsure | np.isin(read.of.intents, outside)
    return found


def _rows(labels: Sequence[str | None]) -> Ints:
    return np.array([row for row, label in enumerate(labels) if label is not None], dtype=np.int64)


def _names(*lists: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({name for names in lists for name in names}))


def _placed(guesses: Ints, own: Sequence[str], at: dict[str, int]) -> Ints:
    """Places in a side's own list as places in the common one; -1 stays."""
    # The last place is what -1 finds.
    table = np.array([*(at[name] for name in own), -1], dtype=np.int64)
    found: Ints = table[guesses]
    return found
