"""Embeds what an embedder has not seen and fits the thresholds to its vectors."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from actions.database import Database
from actions.errors import UnderstandingError
from actions.qa.calibration import Calibration, calibrate
from actions.qa.embedders import keep_calibration, read_calibration
from actions.qa.index import PairIndex
from actions.qa.store import read_corpus, write_state
from actions.qa.vectors import texts_to_embed, write_embeddings
from actions.understanding import Embedder, Embeddings, embed_in_batches

_EMBED_STEP = 256  # wordings committed at a time, so that an interrupted import goes on

Progress = Callable[[int, int], None]  # wordings embedded, wordings to embed


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What was made ready of an embedder's set."""

    embedder: str
    embedded: int
    fitted: bool  # False: a calibration of a set that is still whole was there


async def embed_missing(
    database: Database, embedder: Embedder, name: str, progress: Progress | None = None
) -> int:
    """Embeds the texts that have no vector of the embedder called `name`; returns how many.

    Raises UnderstandingError when the service has changed to another one meanwhile.
    """
    missing = await database.read(partial(texts_to_embed, embedder=name))
    for start in range(0, len(missing), _EMBED_STEP):
        step = missing[start : start + _EMBED_STEP]
        made = _of_same(name, await embed_in_batches(embedder, [text for _, text in step]))
        await database.write(
            partial(write_embeddings, texts=step, vectors=made.vectors, embedder=name)
        )
        if progress is not None:
            progress(start + len(step), len(missing))
    return len(missing)


async def fit(
    database: Database, embedder: Embedder, name: str, strange: Sequence[str]
) -> tuple[Calibration, int]:
    """The calibration of the store in the vectors of an embedder, and the number of its pairs.

    Raises UnderstandingError when the service has changed to another embedder meanwhile.
    """
    corpus = await database.read(partial(read_corpus, embedder=name))
    odd = await embed_in_batches(embedder, strange)
    if strange:
        _of_same(name, odd)
    index = await asyncio.to_thread(PairIndex, corpus)
    calibration = await asyncio.to_thread(calibrate, index, strange, odd.vectors)
    return calibration, len(corpus.pairs)


async def refit(
    database: Database, embedder: Embedder, name: str, strange: Sequence[str]
) -> tuple[int, int, Calibration]:
    """Fits and has the store searched by this embedder; its new version, pairs, calibration."""
    calibration, pairs = await fit(database, embedder, name, strange)
    now = datetime.now(UTC)
    version = await database.write(lambda c: write_state(c, name, calibration, now))
    return version, pairs, calibration


async def prepare(
    database: Database,
    embedder: Embedder,
    *,
    strange: Sequence[str] = (),
    progress: Progress | None = None,
) -> Prepared:
    """Makes the set of an embedder that is not in use yet, so that a change to it waits for none.

    Searches go on by the one in use. Raises UnderstandingError when it cannot embed.
    """
    name = (await embedder.embed(["hello"])).embedder
    embedded = await embed_missing(database, embedder, name, progress)
    kept = await database.read(partial(read_calibration, embedder=name))
    if kept is not None and not embedded:
        return Prepared(embedder=name, embedded=0, fitted=False)
    calibration, _ = await fit(database, embedder, name, strange)
    now = datetime.now(UTC)
    await database.write(lambda c: keep_calibration(c, name, calibration.as_dict(), now))
    return Prepared(embedder=name, embedded=embedded, fitted=True)


def _of_same(name: str, made: Embeddings) -> Embeddings:
    if made.embedder != name:
        raise UnderstandingError("/v1/embed", "the model was exchanged meanwhile, try again")
    return made
