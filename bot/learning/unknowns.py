"""Groups of messages that nothing was known for and that are alike: perhaps intents without a name.

docs/guide/learning-unknowns.md has the figures that the bounds were chosen by.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.learning.clusters import Branches, Vectors, find_clusters
from bot.log import review_alike, review_pool, unknown_candidates, unknowns
from bot.log.journal import Journal
from bot.log.review_pool import Labelled
from bot.log.review_ranking import CannotEmbed, Embedding
from bot.log.unknown_candidates import Candidate, Wanted
from bot.log.unknowns import Found
from bot.world import World

_TEXTS_AT_ONCE = 16
# What it counts for that a group came up of late, beside 0.2 to 0.6 for being strange.
_OF_LATE = 2.0
# The share of the model's guesses in a likeness; and their root, for what it hardly holds possible
# tells of a text, too.
_GUESSES, _ROOT = 0.4, 0.25
_ROWS = 500  # of a matrix of likenesses at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownTerms:
    """Which messages are grouped, and what a group is; cosines are of MiniLM."""

    weeks: int = 4
    # Below this a message was not understood; up to the other the model was not quite sure of it:
    # a topic that it does not know is half of the time taken for one that it does.
    not_understood: float = 0.6
    below: float = 0.98
    # Texts in all, the newest; 5,000 take two seconds and 300 MB.
    most: int = 5_000
    per_customer: int = 20
    # What is known: so many examples an intent, of so many turns, and so many of what people
    # dismissed; and how like two of them a message is that needs no group.
    examples: int = 8
    examples_of: int = 20_000
    dismissed: int = 2_000
    known: float = 0.8
    # Texts in a group, those included that somebody has labelled with an intent that the model
    # still misses; and how many of them nobody has labelled.
    least: int = 4
    least_open: int = 2
    # The most that two parts of a group may lie apart: mean distance, one less the cosine.
    apart: float = 0.75
    groups: int = 40  # the most that a person is shown
    # With more texts a group is worth no more: it is a field rather than an intent.
    full: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a look came to: texts that were grouped, and the groups that are open now."""

    texts: int
    clusters: int


async def refresh(
    journal: Journal, embedding: Embedding, world: World, terms: UnknownTerms
) -> Refreshed:
    """Group what was not understood of late, and keep the groups in the place of the open ones.

    Raises CannotEmbed when the understanding service does not answer, StorageError.
    """
    since = world.now() - timedelta(weeks=terms.weeks)
    wanted = Wanted(
        since=since,
        not_understood=terms.not_understood,
        below=terms.below,
        most=terms.most,
        per_customer=terms.per_customer,
    )
    texts = await journal.browse(partial(unknown_candidates.candidates, wanted=wanted))
    labelled = await journal.browse(review_pool.read_labelled)
    missed = review_alike.missed(labelled[: review_alike.COMPARED])
    young = [one for one in labelled if one.intent in missed]
    known = await journal.browse(
        partial(
            unknown_candidates.known_examples,
            since=since,
            sure=terms.below,
            of_each=terms.examples,
            most=terms.examples_of,
            without=sorted(missed),
        )
    )
    dismissed = await journal.browse(
        partial(unknown_candidates.dismissed_turns, since=since, most=terms.dismissed)
    )
    # Each once, for one alone makes nothing known; and none that got a young intent meanwhile.
    passed = {turn_id for turn_id, _ in known} | {one.turn_id for one in young}
    known += [one for one in dismissed if one[0] not in passed]
    asked = [(text.turn_id, text.text) for text in texts]
    asked += [(one.turn_id, one.text) for one in young]
    vectors = await _embedded(journal, embedding, asked + known)
    found = await asyncio.to_thread(
        _found, texts, young, vectors[: len(asked)], vectors[len(asked) :], terms
    )
    count = await journal.write(
        partial(unknowns.replace_open, found=found, now=world.now(), new_id=world.new_id)
    )
    return Refreshed(texts=len(texts), clusters=count)


def _found(
    texts: Sequence[Candidate],
    young: Sequence[Labelled],
    vectors: Vectors,
    known: Vectors,
    terms: UnknownTerms,
) -> list[Found]:
    """The groups among what is not known, those first that are most worth a look.

    `vectors` (texts and young, dim). What was labelled with a young intent helps to tell that its
    others are a group, and is no member: it is counted by intent.
    """
    of_late = np.array([text.emerging for text in texts]) > 0
    strange = np.flatnonzero(of_late | (likeness_to(vectors[: len(texts)], known) < terms.known))
    unnamed: list[Candidate] = [texts[int(index)] for index in strange]
    grouped = vectors[np.concatenate([strange, np.arange(len(texts), len(vectors))])]
    guesses = [one.probabilities for one in unnamed] + [one.probabilities for one in young]
    clusters = find_clusters(
        grouped,
        views=[with_guesses(grouped, guesses)],
        least=terms.least,
        apart=terms.apart,
        most=terms.groups,
        worth=partial(_worth, unnamed=unnamed, vectors=grouped, known=known, terms=terms),
    )
    found = []
    for one in clusters:
        members: list[tuple[str, float]] = []
        labels: Counter[str] = Counter()
        for index, near in zip(one.indices, one.likeness, strict=True):
            if index < len(unnamed):
                members.append((unnamed[index].turn_id, round(near, 4)))
            else:
                labels[str(young[index - len(unnamed)].intent)] += 1
        found.append(
            Found(
                cohesion=round(one.cohesion, 4),
                worth=round(one.worth, 4),
                members=members,
                labels=dict(labels),
            )
        )
    return found


def _worth(
    branches: Branches,
    *,
    unnamed: Sequence[Candidate],
    vectors: Vectors,
    known: Vectors,
    terms: UnknownTerms,
) -> NDArray[Any]:
    """What each branch is worth to look at: large, and of late or unlike what is known.

    The first of `vectors` are of what nobody has named; how surely, and of late, is told by those.
    """
    named = np.zeros(len(vectors) - len(unnamed))
    count = branches.sum_of(np.concatenate([np.ones(len(unnamed)), named]))
    sums = [
        branches.sum_of(np.concatenate([values, named]))
        for values in (
            np.array([one.confidence for one in unnamed]),
            np.array([one.emerging for one in unnamed]),
        )
    ]
    confidence, emerging = (total / np.maximum(count, 1.0) for total in sums)
    likeness = likeness_to(branches.centres(vectors), known)
    strange = np.maximum(0.0, 1.0 - likeness) * (1.3 - confidence)
    size = np.sqrt(np.minimum(branches.sizes, terms.full))
    worth = size * (strange + _OF_LATE * emerging)
    return np.where(count >= terms.least_open, worth, 0.0)


def with_guesses(vectors: Vectors, guesses: Sequence[Mapping[str, float]]) -> Vectors:
    """(texts, dim + intents), of length one: the vectors beside what the model took each text for.

    `guesses`: of each text, probabilities by intent. Some topics differ in most of their words
    ("what does ajar mean", "the definition of valor") and are taken for the same known intents.
    """
    names = {
        name: place for place, name in enumerate(sorted({name for one in guesses for name in one}))
    }
    roots = np.zeros((len(guesses), len(names)), dtype=np.float32)
    for row, one in enumerate(guesses):
        for name, probability in one.items():
            roots[row, names[name]] = probability**_ROOT
    roots /= np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-9)
    return np.concatenate(
        [np.sqrt(1.0 - _GUESSES) * vectors, np.sqrt(_GUESSES) * roots], axis=1, dtype=np.float32
    )


def likeness_to(vectors: Vectors, known: Vectors) -> NDArray[np.float32]:
    """(texts,): how like each is to the second most alike of what is known; -1 without two.

    One example alone may be labelled wrongly, or be a stray itself.
    """
    if len(known) < 2 or not len(vectors):
        return np.full(len(vectors), -1.0, dtype=np.float32)
    parts = [
        np.partition(vectors[start : start + _ROWS] @ known.T, -2, axis=1)[:, -2]
        for start in range(0, len(vectors), _ROWS)
    ]
    return np.concatenate(parts)


async def _embedded(
    journal: Journal, embedding: Embedding, texts: Sequence[tuple[str, str]]
) -> Vectors:
    """(texts, dim): kept vectors, the rest asked for."""
    if not texts:
        return np.zeros((0, 0), dtype=np.float32)
    _, embedder = await embedding.embed([texts[0][1]])
    kept = await journal.browse(
        partial(
            unknown_candidates.kept_vectors,
            turn_ids=[turn_id for turn_id, _ in texts],
            embedder=embedder,
        )
    )
    vectors: dict[str, Any] = {
        turn_id: np.frombuffer(raw, dtype="<f4") for turn_id, raw in kept.items()
    }
    missing = [one for one in texts if one[0] not in vectors]
    for start in range(0, len(missing), _TEXTS_AT_ONCE):
        part = missing[start : start + _TEXTS_AT_ONCE]
        made, made_by = await embedding.embed([text for _, text in part])
        if made_by != embedder:
            # Vectors of two models are not to be compared.
            raise CannotEmbed
        ids = [turn_id for turn_id, _ in part]
        vectors |= dict(zip(ids, made, strict=True))
        # The ranking drops those again that it has no use for.
        await journal.write(
            partial(review_pool.keep_vectors, turn_ids=ids, vectors=made, embedder=embedder)
        )
    return np.stack([vectors[turn_id] for turn_id, _ in texts]).astype(np.float32)
