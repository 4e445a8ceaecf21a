"""Groups of messages that nothing was known for and that are alike: perhaps intents without a name.

Agglomerative clustering by average linkage on the cosine (Sokal and Michener, "A statistical method
for evaluating systematic relationships", 1958), and of its tree the branches that are most worth a
look: no one distance fits all topics. docs/guide/learning-unknowns.md has the figures that it and
its bounds were chosen by.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.log import review_alike, review_pool, unknown_candidates, unknowns
from bot.log.journal import Journal
from bot.log.review_pool import Labelled
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
class Branches:
    """The branches of a tree of texts that may be groups, each with its texts side by side."""

    order: NDArray[np.intp]  # (texts,): their indices as the tree has them
    starts: NDArray[np.intp]  # (branches,): where in that order its texts begin
    sizes: NDArray[np.intp]  # (branches,): how many they are
    heights: NDArray[np.float64]  # (branches,): how far its two parts lie apart

    def sum_of(self, values: NDArray[Any]) -> NDArray[Any]:
        """(branches, ...): the sum over the texts of each of what each text has, (texts, ...)."""
        ahead = np.zeros((1, *values.shape[1:]))
        summed = np.concatenate([ahead, np.cumsum(values[self.order], axis=0, dtype=np.float64)])
        found: NDArray[Any] = summed[self.starts + self.sizes] - summed[self.starts]
        return found

    def centres(self, vectors: Vectors) -> Vectors:
        """(branches, dim): the middle of each, of length one."""
        summed = self.sum_of(vectors)
        lengths = np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-9)
        return np.asarray(summed / lengths, dtype=np.float32)


Worth = Callable[[Branches], NDArray[Any]]  # (branches,); 0 for what is no group


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Texts that are alike: their indices, the most typical first, with their likeness.

    `likeness` is each one's cosine to the middle, `cohesion` the mean of them; `worth` is what it
    was chosen by.
    """

    indices: tuple[int, ...]
    likeness: tuple[float, ...]
    cohesion: float
    worth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a look came to: texts that were grouped, and the groups that are open now."""

    texts: int
    clusters: int


def by_size(branches: Branches) -> NDArray[Any]:
    """What a branch is worth where only its texts count, (branches,)."""
    return np.sqrt(branches.sizes)


def find_clusters(
    vectors: Vectors, *, terms: UnknownTerms, worth: Worth = by_size
) -> list[Cluster]:
    """The groups among vectors of length one, (texts, dim), those first that are most worth it.

    Of branches of which one holds the other that is taken which is worth more, the closer its parts
    are the more.
    """
    if len(vectors) < max(2, terms.least):
        return []
    branches = _branches(vectors, terms)
    worths = worth(branches) * (1.0 - branches.heights)
    taken = np.zeros(len(vectors), dtype=bool)  # in the order of the tree
    found: list[Cluster] = []
    for index in np.argsort(-worths, kind="stable"):
        start, size = branches.starts[index], branches.sizes[index]
        if worths[index] <= 0 or len(found) >= terms.groups:
            break
        if not taken[start : start + size].any():
            taken[start : start + size] = True
            members = branches.order[start : start + size]
            found.append(_cluster(vectors, members, float(worths[index])))
    return found


def _branches(vectors: Vectors, terms: UnknownTerms) -> Branches:
    from scipy.cluster.hierarchy import leaves_list, linkage

    count = len(vectors)
    tree = linkage(_distances(vectors), "average")  # (texts - 1, 4)
    order = leaves_list(tree).astype(np.intp)
    starts = np.empty(2 * count - 1, dtype=np.intp)
    starts[order] = np.arange(count)
    for number, (one, other) in enumerate(tree[:, :2].astype(np.intp)):
        starts[count + number] = min(starts[one], starts[other])
    heights, sizes = tree[:, 2], tree[:, 3].astype(np.intp)
    kept = (sizes >= terms.least) & (heights <= terms.apart)
    return Branches(
        order=order, starts=starts[count:][kept], sizes=sizes[kept], heights=heights[kept]
    )


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
    worth = partial(_worth, unnamed=unnamed, vectors=grouped, known=known, terms=terms)
    found = []
    for one in find_clusters(grouped, terms=terms, worth=worth):
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
                labels=dict(labels.most_common()),
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


def _cluster(vectors: Vectors, members: NDArray[np.intp], worth: float) -> Cluster:
    mean = vectors[members].mean(axis=0)  # (dim,)
    likeness = vectors[members] @ (mean / (float(np.linalg.norm(mean)) or 1.0))  # (members,)
    order = np.argsort(-likeness, kind="stable")
    return Cluster(
        indices=tuple(int(index) for index in members[order]),
        likeness=tuple(float(value) for value in likeness[order]),
        cohesion=float(likeness.mean()),
        worth=worth,
    )
