"""The drift watch: reads the days from the log, has their words embedded, keeps what it saw."""

import logging
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from actions.errors import UnderstandingError
from actions.understanding import Embedder, embed_in_batches
from bot.learning.drift import DAYS, Days, Drift, DriftTerms, Floats, look
from bot.log import drift_blocks, learning_runs
from bot.log.drift_blocks import DAY
from bot.log.journal import Journal
from bot.world import World

logger = logging.getLogger(__name__)

TEXTS_PER_HOUR = 1  # of a day: 24 texts, of all days 500 or so, in the service's idle time
EMBEDDED_DAYS = 21
BATCH = 16


async def watch(
    journal: Journal, world: World, embedder: Embedder | None, terms: DriftTerms
) -> Drift:
    """Look now and keep the figures. Raises StorageError or TimeoutError.

    Without an embedder, or where it does not answer, the words themselves are not compared.
    """
    now = world.now()
    blocks = [
        await journal.browse(partial(drift_blocks.day, until=now - back * DAY))
        for back in range(DAYS + 1)
    ]
    embeddings: list[Floats | None] = []
    if embedder is not None and blocks[0].turns >= terms.least_turns:
        try:
            embeddings = await _embedded(journal, embedder, now)
        except UnderstandingError as error:
            logger.warning("drift: nothing embedded", extra={"reason": str(error)})
    found = look(Days(blocks=blocks, embeddings=embeddings), terms)
    row: dict[str, Any] = {
        "id": world.new_id(),
        "model_version": found.model_version,
        "figures": dict(found.figures),
        "alarm": bool(found.alarms),
        "created_at": now,
    }
    await journal.write(partial(learning_runs.note_drift, row=row))
    return found


async def _embedded(journal: Journal, embedder: Embedder, now: datetime) -> list[Floats | None]:
    """The mean embedding of each day, of as many texts each."""
    days = [
        await journal.browse(
            partial(drift_blocks.texts, until=now - back * DAY, per_hour=TEXTS_PER_HOUR)
        )
        for back in range(EMBEDDED_DAYS + 1)
    ]
    enough = [len(texts) for texts in days if len(texts) >= 12]
    if not enough or len(days[0]) < 12:
        return []
    size = min(enough)
    kept = [texts[:size] if len(texts) >= size else [] for texts in days]
    found = await embed_in_batches(
        embedder, [text for texts in kept for text in texts], batch_size=BATCH
    )
    means: list[Floats | None] = []
    start = 0
    for texts in kept:
        vectors = found.vectors[start : start + len(texts)]
        means.append(vectors.mean(axis=0).astype(np.float64) if texts else None)
        start += len(texts)
    return means
