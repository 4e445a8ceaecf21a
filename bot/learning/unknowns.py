"""Groups of messages that nothing was known for and that are alike: perhaps intents without a name.

Agglomerative clustering by average linkage on the cosine (Sokal and Michener, "A statistical method
for evaluating systematic relationships", 1958): it finds one group among strays as well as many.
docs/guide/learning-unknowns.md has the figures that it and its bound were chosen by.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.log import review_pool, unknown_candidates, unknowns
from bot.log.journal import Journal
from bot.log.review_ranking import CannotEmbed, Embedding
from bot.log.unknown_candidates import Candidate, Wanted
from bot.log.unknowns import Found
from bot.world import World

Vectors = NDArray[np.float32]  # (texts, dim), of length one

_TEXTS_AT_ONCE = 16
# What it counts for that a group came up of late, beside 0.2 to 0.6 for being strange.
_OF_LATE = 2.0
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
    # What is known: so many examples an intent, of so many turns, and how like two of them a
    # message is that needs no group.
    examples: int = 8
    examples_of: int = 20_000
    known: float = 0.8
    least: int = 4  # texts in a group
    # Mean distance (one less the cosine) up to which two groups are one.
    apart: float = 0.65
    groups: int = 40  # the most that a person is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Texts that are alike: their indices, the most typical first, with their likeness.

    `likeness` is each one's cosine to the middle, `cohesion` the mean of them, `centre` the middle.
    """

    indices: tuple[int, ...]
    likeness: tuple[float, ...]
    cohesion: float
    centre: Vectors  # (dim,)

    @property
    def weight(self) -> float:
        """How much of a group it is: many texts, much alike."""
        return len(self.indices) * self.cohesion


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a look came to: texts that were grouped, and the groups that are open now."""

    texts: int
    clusters: int


def find_clusters(vectors: Vectors, *, terms: UnknownTerms) -> list[Cluster]:
    """The groups among vectors of length one, (texts, dim), by size and cohesion."""
    if len(vectors) < max(2, terms.least):
        return []
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(_distances(vectors), "average")
    labels = fcluster(tree, terms.apart, "distance")  # (texts,), from 1 on
    sizes = np.bincount(labels)
    found = [
        _cluster(vectors, np.flatnonzero(labels == label))
        for label in np.flatnonzero(sizes >= terms.least)
    ]
    return sorted(found, key=lambda one: one.weight, reverse=True)


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
    known = await journal.browse(
        partial(
            unknown_candidates.known_examples,
            since=since,
            sure=terms.below,
            of_each=terms.examples,
            most=terms.examples_of,
        )
    )
    asked = [(one.turn_id, one.text) for one in texts]
    vectors = await _embedded(journal, embedding, asked + known)
    found = await asyncio.to_thread(
        _found, texts, vectors[: len(texts)], vectors[len(texts) :], terms
    )
    count = await journal.write(
        partial(unknowns.replace_open, found=found, now=world.now(), new_id=world.new_id)
    )
    return Refreshed(texts=len(texts), clusters=count)


def _found(
    texts: Sequence[Candidate], vectors: Vectors, known: Vectors, terms: UnknownTerms
) -> list[Found]:
    """The groups among what is not known, those first that are most worth a look."""
    of_late = np.array([text.emerging for text in texts]) > 0
    strange = np.flatnonzero(of_late | (likeness_to(vectors, known) < terms.known))
    clusters = find_clusters(vectors[strange], terms=terms)
    if not clusters:
        return []
    likeness = likeness_to(np.stack([one.centre for one in clusters]), known)  # (clusters,)
    found = []
    for one, like in zip(clusters, likeness, strict=True):
        members = [texts[index] for index in strange[list(one.indices)]]
        found.append(
            Found(
                cohesion=round(one.cohesion, 4),
                worth=round(_worth(members, float(like)), 4),
                members=[
                    (member.turn_id, round(near, 4))
                    for member, near in zip(members, one.likeness, strict=True)
                ],
            )
        )
    return sorted(found, key=lambda one: one.worth, reverse=True)[: terms.groups]


def _worth(members: Sequence[Candidate], likeness: float) -> float:
    """What a group is worth to look at: large, and of late or unlike what is known."""
    confidence = sum(member.confidence for member in members) / len(members)
    emerging = sum(member.emerging for member in members) / len(members)
    strange = max(0.0, 1 - likeness) * (1.3 - confidence)
    return float(len(members) ** 0.5) * (strange + _OF_LATE * emerging)


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


def _distances(vectors: Vectors) -> NDArray[np.float64]:
    """One less the cosine of each two, (texts * (texts - 1) / 2), row by row."""
    rows = [np.maximum(1.0 - vectors[i + 1 :] @ vectors[i], 0.0) for i in range(len(vectors) - 1)]
    return np.concatenate(rows).astype(np.float64)


def _cluster(vectors: Vectors, indices: NDArray[np.intp]) -> Cluster:
    mean = vectors[indices].mean(axis=0)  # (dim,)
    centre = mean / (float(np.linalg.norm(mean)) or 1.0)
    likeness = vectors[indices] @ centre  # (members,)
    order = np.argsort(-likeness, kind="stable")
    return Cluster(
        indices=tuple(int(index) for index in indices[order]),
        likeness=tuple(float(value) for value in likeness[order]),
        cohesion=float(likeness.mean()),
        centre=centre.astype(np.float32),
    )
