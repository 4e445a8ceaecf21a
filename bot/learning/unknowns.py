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
from bot.log.unknown_candidates import Wanted
from bot.log.unknowns import Found
from bot.world import World

Vectors = NDArray[np.float32]  # (texts, dim), of length one

_TEXTS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownTerms:
    """Which messages are grouped, and what a group is."""

    weeks: int = 4
    # Intents below this confidence count as not understood, as nlu_fallback does.
    below: float = 0.6
    # Texts in all, the newest; 5,000 take two seconds and 300 MB.
    most: int = 5_000
    per_customer: int = 20
    least: int = 5  # texts in a group
    # Mean distance (one less the cosine) up to which two groups are one; for MiniLM.
    apart: float = 0.6


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
        """What it is worth to look at: many texts, much alike."""
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
    wanted = Wanted(
        since=world.now() - timedelta(weeks=terms.weeks),
        below=terms.below,
        most=terms.most,
        per_customer=terms.per_customer,
    )
    texts = await journal.browse(partial(unknown_candidates.candidates, wanted=wanted))
    turn_ids, vectors = await _embedded(journal, embedding, texts)
    clusters = await asyncio.to_thread(find_clusters, vectors, terms=terms)
    found = [
        Found(
            cohesion=round(one.cohesion, 4),
            members=[
                (turn_ids[index], round(likeness, 4))
                for index, likeness in zip(one.indices, one.likeness, strict=True)
            ],
        )
        for one in clusters
    ]
    count = await journal.write(
        partial(unknowns.replace_open, found=found, now=world.now(), new_id=world.new_id)
    )
    return Refreshed(texts=len(texts), clusters=count)


async def _embedded(
    journal: Journal, embedding: Embedding, texts: Sequence[tuple[str, str]]
) -> tuple[list[str], Vectors]:
    """The turns in their order, and (turns, dim): kept vectors, the rest asked for."""
    if not texts:
        return [], np.zeros((0, 0), dtype=np.float32)
    _, embedder = await embedding.embed([texts[0][1]])
    turn_ids = [turn_id for turn_id, _ in texts]
    kept = await journal.browse(
        partial(unknown_candidates.kept_vectors, turn_ids=turn_ids, embedder=embedder)
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
    return turn_ids, np.stack([vectors[turn_id] for turn_id in turn_ids]).astype(np.float32)


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
