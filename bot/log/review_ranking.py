"""Keeps the review queue in order: reads what is new and compares what is there."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection

from bot.errors import StorageError
from bot.log import (
    review_alike,
    review_candidates,
    review_emerging,
    review_events,
    review_pool,
    review_queue,
)
from bot.log.emergence import LEAST_TEXTS
from bot.log.journal import Journal
from bot.log.review_candidates import Terms
from bot.log.review_events import Page
from bot.log.review_pool import Labelled, Pool
from bot.log.review_scores import EMERGING
from bot.world import World

logger = logging.getLogger(__name__)

# Comparing all with all is done at most so often, and only when something has changed.
COMPARE_EVERY_S = 120.0
SEEK_BACK = timedelta(weeks=4)  # turns like those of missed intents
# What came up of late is told anew at most so often: all is compared with all.
EMERGING_EVERY = timedelta(minutes=15)
_REMEMBERED = 14_000  # vectors of 384 numbers: 21 MB
_TEXTS_AT_ONCE = 16
_TEXTS_A_TIME = 256

Read = Callable[..., Page]
READERS: dict[str, Read] = {
    "turns": review_events.new_turns,
    "ratings": review_events.new_ratings,
    "takeovers": review_events.new_takeovers,
}


class CannotEmbed(Exception):
    """There are no embeddings just now."""


class Embedding(Protocol):
    """Turns texts into vectors of length one."""

    async def embed(self, texts: Sequence[str]) -> tuple[Any, str]:
        """(texts, dim) and the id of the model that made them. Raises CannotEmbed."""
        ...

    async def close(self) -> None:
        """Let go of what makes them."""
        ...


class Ranking:
    """Runs from time to time, and when a reviewer finds nothing to do."""

    def __init__(
        self,
        journal: Journal,
        embedding: Embedding,
        world: World,
        *,
        terms: Terms,
        every_s: float,
    ) -> None:
        self._journal = journal
        self._embedding = embedding
        self._world = world
        self._every_s = every_s
        self.terms = terms
        self._one = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._compared: tuple[datetime, object] | None = None
        self._told_emerging: datetime | None = None
        self._vectors: dict[str, Any] = {}
        self._made_by: str | None = None

    def start(self) -> None:
        """Begin to rank."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop ranking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._embedding.close()

    async def read_new(self, *, pages: int | None = None) -> int:
        """Take in what has happened, of each kind so many pages; how many candidates are new.

        Raises StorageError.
        """
        async with self._one:
            added = 0
            for name in READERS:
                added += await self._read(name, pages)
            return added

    async def look(self) -> int:
        """The same for who waits: shortly, and not at all while it is being done."""
        return 0 if self._one.locked() else await self.read_new(pages=2)

    async def compare(self) -> None:
        """Work out what only shows when turns are compared. Raises StorageError."""
        async with self._one:
            labelled = await self._journal.browse(review_pool.read_labelled)
            try:
                await self._seek_alike(labelled[: review_alike.COMPARED])
                await self._seek_emerging(labelled)
            except CannotEmbed:
                pass
            pool = await self._pool(labelled)
            reasons, second, doubles = await asyncio.to_thread(_found, pool)
            await self._journal.write(
                partial(
                    review_pool.apply, pool=pool, reasons=reasons, second=second, doubles=doubles
                )
            )
            await self._journal.write(review_pool.forget_vectors)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.read_new()
                await self._compare_when_due()
                await self._journal.write(partial(review_queue.sweep, now=self._world.now()))
            except (StorageError, TimeoutError) as error:
                logger.warning("review not ranked", extra={"error": str(error)})
            except Exception:
                # A fault of ours with one turn must not stop the ranking.
                logger.exception("review not ranked")

    async def _compare_when_due(self) -> None:
        now = self._world.now()
        marks = await self._journal.browse(review_pool.marks)
        if self._compared is not None:
            at, seen = self._compared
            if seen == marks or (now - at).total_seconds() < COMPARE_EVERY_S:
                return
        await self.compare()
        self._compared = (now, marks)

    async def _read(self, name: str, pages: int | None) -> int:
        added = 0
        after: tuple[datetime, str] | None = await self._journal.browse(
            partial(review_events.start_of, name=name)
        )
        while after is not None and pages != 0:
            pages = None if pages is None else pages - 1
            page = await self._journal.browse(partial(READERS[name], after=after, terms=self.terms))
            if page.read_to is not None:
                added += await self._journal.write(partial(_keep, page, name, self.terms))
            after = page.after
            # What customers wait for goes first.
            await asyncio.sleep(0.02 if after is not None else 0)
        return added

    async def _seek_alike(self, labelled: Sequence[Labelled]) -> None:
        """Make candidates of turns like those of intents that the model misses.

        Raises CannotEmbed.
        """
        if not review_alike.missed(labelled):
            return
        since = self._world.now() - SEEK_BACK
        turns = await self._journal.browse(partial(review_alike.newest_turns, since=since))
        texts = {one.turn_id: one.text for one in labelled}
        texts |= {turn["id"]: turn["text"] for turn in turns}
        vectors = await self._recalled(texts)
        rows = await asyncio.to_thread(review_alike.alike, labelled, turns, vectors, self.terms)
        await self._journal.write(partial(review_candidates.keep, rows=rows, terms=self.terms))

    async def _seek_emerging(self, labelled: Sequence[Labelled]) -> None:
        """Make candidates of turns of topics that came up of late. Raises CannotEmbed."""
        now, told = self._world.now(), self._told_emerging
        if told is not None and now - told < EMERGING_EVERY:
            return
        sample = await self._journal.browse(
            partial(review_emerging.sampled_turns, since=now - review_emerging.BACK)
        )
        if len(sample) < LEAST_TEXTS:
            return
        vectors = await self._recalled({one.turn_id: one.text for one in sample})
        scores = await asyncio.to_thread(review_emerging.emerging, sample, vectors, labelled)
        await self._journal.write(
            partial(review_candidates.give_reason, reason=EMERGING, scores=scores, terms=self.terms)
        )
        self._told_emerging = now

    async def _recalled(self, texts: Mapping[str, str]) -> Mapping[str, Any]:
        """Vectors of turns, which are remembered for a while. Raises CannotEmbed."""
        missing = [turn_id for turn_id in texts if turn_id not in self._vectors]
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            part = missing[start : start + _TEXTS_AT_ONCE]
            made, made_by = await self._embedding.embed([texts[turn_id] for turn_id in part])
            before, self._made_by = self._made_by, made_by
            if before not in (None, made_by):
                # Vectors of two models are not to be compared.
                self._vectors = {}
                raise CannotEmbed
            self._vectors |= dict(zip(part, made, strict=True))
            # What customers wait for goes first.
            await asyncio.sleep(0.02)
        found = {turn_id: self._vectors[turn_id] for turn_id in texts}
        while len(self._vectors) > _REMEMBERED:
            del self._vectors[next(iter(self._vectors))]
        return found

    async def _pool(self, labelled: Sequence[Labelled]) -> Pool:
        """The pool, with as many vectors as can be had at once."""
        read = partial(review_pool.read_pool, labelled=labelled)
        try:
            _, embedder = await self._embedding.embed(["hello"])
        except CannotEmbed:
            return await self._journal.browse(partial(read, embedder=None))
        pool = await self._journal.browse(partial(read, embedder=embedder))
        missing = pool.without_vectors()[:_TEXTS_A_TIME]
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            part = missing[start : start + _TEXTS_AT_ONCE]
            try:
                vectors, made_by = await self._embedding.embed([text for _, text in part])
            except CannotEmbed:
                break
            await self._journal.write(
                partial(
                    review_pool.keep_vectors,
                    turn_ids=[turn_id for turn_id, _ in part],
                    vectors=vectors,
                    embedder=made_by,
                )
            )
        return await self._journal.browse(partial(read, embedder=embedder))


def _keep(page: Page, name: str, terms: Terms, connection: Connection) -> int:
    added = review_candidates.keep(connection, page.rows, terms)
    if page.read_to is not None:
        review_events.move_cursor(connection, name=name, read_to=page.read_to)
    return added


def _found(
    pool: Pool,
) -> tuple[dict[str, dict[str, float]], dict[str, float], list[str]]:
    reasons = {
        "diversity": review_pool.novelties(pool),
        "disagreement": review_pool.like_corrected(pool),
        "label_error": review_pool.often_wrong(pool),
        "fallback": review_pool.unknown_topics(pool),
    }
    return reasons, review_pool.suspected(pool), review_pool.repeats(pool)
