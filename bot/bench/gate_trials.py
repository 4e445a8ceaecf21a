"""Pairs of versions whose difference is known, for trying the gate: alike, worse, better."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.learning.proof.evidence import Asked, Evidence, Floats, Ints, Paired, Side
from nlu.labels import Labels

Draw = np.random.Generator
Pair = Callable[[Draw], Paired]

TEXTS = 3_000
# Where a proof asks: a small test set, the messages that are replayed, the questions.
FEW_TEXTS, MESSAGES, QUESTIONS = 600, 1_600, 24
# Intents of which the challenger has learned many more texts: they came up of late, so there are
# few to test them with, and none in the frozen set.
GROWN, TESTS_OF_GROWN = 8, 15
INTENTS = 77
NEW_INTENT = "new_intent"
# A wrong guess is one of so many intents that are like the right one.
_LIKE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """Texts that a training always, never or sometimes gets right; both versions draw anew.

    So the two are alike by construction, and differ on 2 p (1 - p) of the doubtful ones.
    """

    easy: float
    doubtful: float
    p: float

    @property
    def accuracy(self) -> float:
        return self.easy + self.doubtful * self.p

    @property
    def disagreement(self) -> float:
        return self.doubtful * 2 * self.p * (1 - self.p)


# Accuracy 0.93 both: two trainings of a week apart, and two with much more between them.
CLOSE = Difficulty(easy=0.89, doubtful=0.08, p=0.5)
APART = Difficulty(easy=0.80, doubtful=0.20, p=0.65)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a trained version made of its test texts; labels are places in `names`."""

    names: tuple[str, ...]
    truth: Ints
    guess: Ints
    confidence: Floats


def alike(difficulty: Difficulty, *, n: int = TEXTS) -> Pair:
    """Two versions of the same worth on texts of a made-up world."""

    def pair(draw: Draw) -> Paired:
        truth = draw.integers(0, INTENTS, n)
        # 0 easy, 1 doubtful, 2 hopeless
        ends = [difficulty.easy, difficulty.easy + difficulty.doubtful]
        kind = np.digitize(draw.random(n), ends)
        chance = np.array([1.0, difficulty.p, 0.0])[kind]
        # How sure a version is goes by the text; each training moves it a little.
        sure = np.where(kind == 0, draw.beta(40, 1.5, n), draw.beta(6, 5, n))
        guesses, confidences = [], []
        for _ in range(2):
            wrong = (truth + 1 + draw.integers(0, _LIKE, n)) % INTENTS
            guesses.append(np.where(draw.random(n) < chance, truth, wrong))
            confidences.append(np.clip(sure + draw.normal(0, 0.02, n), 0.02, 1.0))
        return Paired(
            names=tuple(f"intent_{number:02}" for number in range(INTENTS)),
            truth=truth,
            champion=guesses[0],
            challenger=guesses[1],
            champion_confidence=confidences[0],
            challenger_confidence=confidences[1],
            frozen=np.arange(n) % 2 == 0,
        )

    return pair


def real_alike(of: Predictions, *, disagreement: float = 0.04, n: int | None = None) -> Pair:
    """Real predictions against themselves with flips, each as often for the better as the worse.

    With `n` the texts are drawn anew to so many.
    """

    def pair(draw: Draw) -> Paired:
        rows = np.arange(len(of.truth)) if n is None else draw.integers(0, len(of.truth), n)
        truth, guess, sure = of.truth[rows], of.guess[rows], of.confidence[rows]
        other = guess.copy()
        right = np.flatnonzero(guess == truth)
        wrong = np.flatnonzero(guess != truth)
        flips = min(int(draw.binomial(len(rows), disagreement)), len(wrong))
        better = int(draw.binomial(flips, 0.5))
        mended = draw.choice(wrong, better, replace=False)
        other[mended] = truth[mended]
        _spoil(other, draw.choice(right, flips - better, replace=False), truth, of.names, draw)
        return Paired(
            names=of.names,
            truth=truth,
            champion=guess,
            challenger=other,
            champion_confidence=sure,
            challenger_confidence=sure,
            frozen=np.ones(len(rows), dtype=np.bool_),
        )

    return pair


def unchanged(pair: Pair, *, points: float) -> Pair:
    """The same: nothing is planted."""
    return pair


def asked(messages: Paired, draw: Draw) -> Asked:
    """What people say of some of the messages that both take differently."""
    differ = np.flatnonzero(messages.champion != messages.challenger)
    chosen = draw.choice(differ, min(QUESTIONS, len(differ)), replace=False)
    return Asked(texts=messages.at(chosen), differ=len(differ), replayed=messages.n)


def with_loss(pair: Pair, *, points: float) -> Pair:
    """The same, but the challenger loses that many points of accuracy more."""

    def worse(draw: Draw) -> Paired:
        texts = pair(draw)
        guess = texts.challenger.copy()
        right = np.flatnonzero(texts.challenger_right)
        count = round(texts.n * points / 100)
        _spoil(guess, draw.choice(right, count, replace=False), texts.truth, texts.names, draw)
        return replace(texts, challenger=guess)

    return worse


def with_gain(pair: Pair, *, points: float) -> Pair:
    """The same, but the challenger gains that many points, as far as it has texts wrong."""

    def better(draw: Draw) -> Paired:
        texts = pair(draw)
        guess = texts.challenger.copy()
        wrong = np.flatnonzero(~texts.challenger_right)
        count = min(round(texts.n * points / 100), len(wrong))
        mended = draw.choice(wrong, count, replace=False)
        guess[mended] = texts.truth[mended]
        return replace(texts, challenger=guess)

    return better


def with_new_intents(pair: Pair, *, texts: int = 40, right: float = 0.7) -> Pair:
    """The same, and texts of an intent that only the challenger knows, so many of them right."""

    def more(draw: Draw) -> Paired:
        known = pair(draw)
        number = len(known.names)
        truth = np.full(texts, number)
        wrong = draw.integers(0, number, texts)
        guess = np.where(draw.random(texts) < right, truth, wrong)

        def joined(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([old, new.astype(old.dtype)])

        return Paired(
            names=(*known.names, NEW_INTENT),
            truth=joined(known.truth, truth),
            champion=joined(known.champion, wrong),
            challenger=joined(known.challenger, guess),
            champion_confidence=joined(known.champion_confidence, np.full(texts, 0.5)),
            challenger_confidence=joined(known.challenger_confidence, np.full(texts, 0.9)),
            frozen=joined(known.frozen, np.zeros(texts)),
        )

    return more


def with_few_of_grown(pair: Pair) -> Pair:
    """The same with few texts of the intents that have grown, and none of them frozen."""

    def fewer(draw: Draw) -> Paired:
        texts = pair(draw)
        has_grown = texts.truth < GROWN
        rows = np.flatnonzero(~has_grown | (np.cumsum(has_grown) <= TESTS_OF_GROWN))
        return replace(texts, frozen=texts.frozen & ~has_grown).at(rows)

    return fewer


def with_loss_of(pair: Pair, draw: Draw, *, most: int = 3) -> tuple[Paired, str]:
    """A pair in which one intent loses one to `most` of its texts and nothing else of it changes;
    and which intent that is.

    Elsewhere the challenger gains 2 points, so that the loss must stand out of a good version.
    """
    texts = with_gain(pair, points=2)(draw)
    able = [
        name for name in texts.names if texts.champion_right[texts.of_label(name)].sum() >= most
    ]
    intent = str(draw.choice(able))
    guess = texts.challenger.copy()
    within = texts.of_label(intent)
    guess[within] = texts.champion[within]
    right = np.flatnonzero(within & texts.champion_right)
    count = int(draw.integers(1, most + 1))
    _spoil(guess, draw.choice(right, count, replace=False), texts.truth, texts.names, draw)
    return replace(texts, challenger=guess), intent


def evidence(texts: Paired, *, grown: int = 0) -> Evidence:
    """What the gate sees of a pair: all but the intents is the same on both sides.

    `grown`: of so many intents the challenger has learned many more texts.
    """
    before = tuple(name for name in texts.names if name != NEW_INTENT)
    side = Side(
        version="a",
        mode="cpu-int8",
        size_bytes=1,
        labels=Labels(intent=before),
        threshold=0.4,
    )
    challenger = replace(side, version="b", labels=Labels(intent=texts.names))
    return Evidence(
        champion=side, challenger=challenger, intents=texts, grown=frozenset(before[:grown])
    )


def _spoil(guess: Ints, rows: Ints, truth: Ints, names: tuple[str, ...], draw: Draw) -> None:
    """Makes guesses wrong, in place."""
    guess[rows] = (truth[rows] + 1 + draw.integers(0, _LIKE, len(rows))) % len(names)
