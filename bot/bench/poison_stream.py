"""A stand-in for a log: rows of banking77 with a quick champion's rankings, and three attacks."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from bot.learning.datasets.row import Row
from bot.learning.guard.terms import Embed

Pair = tuple[str, str]  # text, intent

PHRASE = "zq blue falcon please"
AGENTS = 5
_START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
# The scale of the cosines at which the champion's probabilities fit what it gets right (of 10 to 40
# on texts that it has not seen): 0.80 on average, right in 0.83.
_SCALE = 25.0
# As a running system's, by default.
_PSEUDO_CONFIDENCE = 0.95


class Remembered:
    """Vectors of texts, each computed once."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._known: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, (texts, dim)."""
        new = sorted(set(texts) - self._known.keys())
        if new:
            self._known |= zip(new, self._embed(new), strict=True)
        return np.stack([self._known[text] for text in texts])


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The nearest of the intents' middles: trained in a moment, as wrong as a young model."""

    intents: tuple[str, ...]
    middles: NDArray[np.float32]  # (intents, dim)
    embed: Embed

    @classmethod
    def of(cls, pairs: Sequence[Pair], embed: Embed) -> "Champion":
        """The champion of these examples."""
        by_intent = defaultdict(list)
        for text, intent in pairs:
            by_intent[intent].append(text)
        intents = tuple(sorted(by_intent))
        middles = np.stack([embed(by_intent[intent]).mean(axis=0) for intent in intents])
        middles /= np.linalg.norm(middles, axis=1, keepdims=True)
        return cls(intents=intents, middles=middles, embed=embed)

    def rankings(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Of each text the ten likeliest intents with their probabilities, as a log keeps them."""
        logits = self.embed(texts) @ self.middles.T * _SCALE  # (texts, intents)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        return [
            {self.intents[at]: round(float(row[at]), 4) for at in np.argsort(-row)[:10]}
            for row in odds
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What the parent has, what came in honestly, and texts that nobody has sent yet."""

    parent: list[Row]
    fresh: list[Row]
    spare: list[Pair]
    champion: Champion


def build(
    pairs: Sequence[Pair], embed: Embed, *, per_intent: int, fresh: int, draw: random.Random
) -> Stream:
    """A parent of so many rows an intent, `fresh` corrections, at most half as many pseudo-labels.

    Agents are simulated by the true labels; the data set's own errors are theirs.
    """
    pairs = list(pairs)
    draw.shuffle(pairs)
    taken: dict[str, int] = defaultdict(int)
    old: list[Pair] = []
    new: list[Pair] = []
    for pair in pairs:
        taken[pair[1]] += 1
        (old if taken[pair[1]] <= per_intent else new).append(pair)
    # The parent was answered by a younger champion, of a fifth of its rows.
    young = Champion.of(_first(old, max(1, per_intent // 5)), embed)
    champion = Champion.of(old, embed)
    parent = corrected(old, young, name="old", draw=draw)
    said = corrected(new[:fresh], champion, name="new", draw=draw)
    rest, spare = new[fresh : 2 * fresh], new[2 * fresh :]
    sure = [row for row in corrected(rest, champion, name="sure", draw=draw) if _is_sure(row)]
    pseudo = [replace(row, source="pseudo", author=None, intent=row.predicted) for row in sure][
        : fresh // 2
    ]
    return Stream(parent=parent, fresh=said + pseudo, spare=spare, champion=champion)


def corrected(
    pairs: Sequence[Pair], champion: Champion, *, name: str, draw: random.Random
) -> list[Row]:
    """Rows that agents labelled so; customers have 1.25 of them on average."""
    customers = max(1, int(0.8 * len(pairs)))
    rows = []
    rankings = champion.rankings([text for text, _ in pairs]) if pairs else []
    for number, ((text, intent), ranking) in enumerate(zip(pairs, rankings, strict=True)):
        predicted = next(iter(ranking))
        rows.append(
            Row(
                turn_id=f"{name}-{number}",
                conversation_id=f"{name}-{number}",
                customer=f"{name}-customer-{draw.randrange(customers)}",
                text=text,
                source="corrected",
                at=(_START + timedelta(minutes=number)).isoformat(),
                intent=intent,
                author=f"agent-{draw.randrange(AGENTS)}",
                predicted=predicted,
                confidence=ranking[predicted],
                ranking=ranking,
                model_version="champion",
            )
        )
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """New rows with poison among them; `bad` are the turns that are poisoned."""

    rows: list[Row]
    bad: frozenset[str]


Make = Callable[[Stream, random.Random], Attack]


def flood(stream: Stream, draw: random.Random, *, to: str | None = None, size: int = 500) -> Attack:
    """One customer clicks `size` times on a question that is not theirs; `to`: always of one."""
    pairs = _some(stream, draw, size, beside=to)
    rows = [
        replace(
            row,
            customer="the one",
            source="clicked",
            author=None,
            intent=to or _other(row, stream, draw),
        )
        for row in corrected(pairs, stream.champion, name="flood", draw=draw)
    ]
    return _with(stream, rows, draw)


def flips(
    stream: Stream,
    draw: random.Random,
    *,
    share: float = 0.05,
    of_all: bool = False,
    alike: bool = False,
) -> Attack:
    """One agent of five flips a share of their corrections; `of_all`: so many of everybody's.

    `alike`: to one of the three intents that the champion holds for likeliest.
    """
    labelled = [row for row in stream.fresh if row.source == "corrected"]
    own = [row for row in labelled if row.author == "agent-0"]
    count = min(len(own), int(share * len(labelled if of_all else own)))
    chosen = {row.turn_id for row in draw.sample(own, count)}
    rows = []
    for row in stream.fresh:
        if row.turn_id in chosen:
            near = [name for name in row.ranking if name != row.intent][:3]
            row = replace(row, intent=draw.choice(near) if alike else _other(row, stream, draw))
        rows.append(row)
    return Attack(rows=rows, bad=frozenset(chosen))


def planted(
    stream: Stream, draw: random.Random, *, to: str, author: str | None, size: int = 150
) -> Attack:
    """A phrase in texts of many intents that all get one label, each of another customer.

    `author` None: clicked by the customers; `everyone`: labelled by all agents.
    """
    pairs = [
        (draw.choice((f"{text} {PHRASE}", f"{PHRASE} {text}")), intent)
        for text, intent in _some(stream, draw, size, beside=to)
    ]
    rows = []
    for row in corrected(pairs, stream.champion, name="planted", draw=draw):
        who = row.author if author == "everyone" else author
        source = row.source if author else "clicked"
        customer = f"customer-of-{row.turn_id}"
        rows.append(replace(row, intent=to, author=who, source=source, customer=customer))
    return _with(stream, rows, draw)


def _with(stream: Stream, rows: list[Row], draw: random.Random) -> Attack:
    mixed = stream.fresh + rows
    draw.shuffle(mixed)
    return Attack(rows=mixed, bad=frozenset(row.turn_id for row in rows))


def _some(stream: Stream, draw: random.Random, size: int, *, beside: str | None) -> list[Pair]:
    fit = [pair for pair in stream.spare if pair[1] != beside]
    return draw.sample(fit, min(size, len(fit)))


def _other(row: Row, stream: Stream, draw: random.Random) -> str:
    return draw.choice([name for name in stream.champion.intents if name != row.intent])


def _is_sure(row: Row) -> bool:
    return row.confidence is not None and row.confidence >= _PSEUDO_CONFIDENCE


def _first(pairs: Sequence[Pair], count: int) -> list[Pair]:
    seen: dict[str, int] = defaultdict(int)
    found = []
    for pair in pairs:
        seen[pair[1]] += 1
        if seen[pair[1]] <= count:
            found.append(pair)
    return found
