"""The QA store as a running server uses it: loaded once, loaded again when it has changed."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from actions.database import Database, one_line
from actions.errors import ActionsError, EmptyStoreError, StoreError, UnderstandingError
from actions.qa.calibration import OFFERED, Scale, scale_from_dict
from actions.qa.confidence import DEPTH
from actions.qa.embedders import read_calibration
from actions.qa.importing import Importer
from actions.qa.index import Hit, PairIndex
from actions.qa.pairs import Pair
from actions.qa.store import State, read_corpus, read_state, read_version
from actions.qa.vectors import texts_to_embed
from actions.understanding import Embedder

log = logging.getLogger(__name__)

RETRY_EMBED_S = 30.0  # between two tries to embed a store for a model that is new


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a search found, and how it is to be taken."""

    hits: list[Hit]  # best first
    confidence: float  # that the first is right
    scale: Scale

    @property
    def sure(self) -> Hit | None:
        """The first hit if it is to be given as the answer."""
        return self.hits[0] if self.hits and self.confidence >= self.scale.answer else None

    @property
    def offered(self) -> list[Hit]:
        """The hits to let the customer choose from; none when nothing is near enough."""
        return self.hits[:OFFERED] if self.confidence >= self.scale.offer else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """A whole set of vectors of another embedder than the store's, and its scale."""

    index: PairIndex
    full: Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """What was found when the set of an embedder was looked for, and when that was."""

    key: tuple[str, int]  # the embedder, and the version of the store
    found: _Whole | None
    looked_at: float


class QaSearch:
    """Searches the store for one process; without an importer it embeds nothing of it."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        importer: Importer | None,
        *,
        refresh_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._importer = importer
        self._refresh_s = refresh_s
        self._clock = clock
        self._loaded: tuple[State, PairIndex] | None = None
        self._whole = True  # every text of what is loaded has its vector
        self._beside: _Beside | None = None  # the set of an embedder that is not the state's
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._embedding: asyncio.Task[None] | None = None
        self._embed_tried = ("", float("-inf"))  # for which embedder, and when

    async def find(self, text: str, *, most: int = DEPTH) -> Findings:
        """The nearest pairs; by spelling alone while the understanding service is away."""
        state, index = await self._current()
        most = max(most, DEPTH)  # so many scores make the confidence
        try:
            made = await self._embedder.embed([text])
        except UnderstandingError as error:
            log.warning("qa_search_without_embedding reason=%r", error.problem)
            return _findings(index.search(text, None, most), state.lexical)
        if made.embedder != state.embedder:
            # The model was exchanged: its vectors mean nothing beside another's.
            other = await self._other(state, made.embedder)
            self._embed_again(state, made.embedder)
            if other is None:
                return _findings(index.search(text, None, most), state.lexical)
            return _findings(other.index.search(text, made.vectors[0], most), other.full)
        if not self._whole:
            self._embed_again(state, made.embedder)
        return _findings(index.search(text, made.vectors[0], most), state.full)

    def look_again(self) -> None:
        """Look at the store before the next search, however short ago the last look was."""
        self._looked_at = float("-inf")

    async def pair(self, pair_id: str) -> Pair | None:
        """The active pair with this id."""
        _, index = await self._current()
        return index.by_id.get(pair_id)

    async def of_intent(self, intent: str, limit: int) -> list[Pair]:
        """The first pairs of an intent."""
        _, index = await self._current()
        return index.of_intent(intent, limit)

    async def check(self) -> int:
        """The number of pairs, or an ActionsError that says why nothing can be searched."""
        _, index = await self._current()
        return len(index.corpus.pairs)

    async def close(self) -> None:
        """Ends what still runs in the background."""
        if self._embedding is not None:
            self._embedding.cancel()
            await asyncio.gather(self._embedding, return_exceptions=True)

    async def _current(self) -> tuple[State, PairIndex]:
        if self._loaded is not None and self._clock() - self._looked_at < self._refresh_s:
            return self._loaded
        async with self._lock:
            if self._loaded is None or self._clock() - self._looked_at >= self._refresh_s:
                await self._look()
            if self._loaded is None:
                raise EmptyStoreError
            return self._loaded

    async def _other(self, state: State, embedder: str) -> _Whole | None:
        """The set of an embedder that is not the state's, if it is whole and calibrated.

        It was kept from before a roll-back, or made ready before a promotion.
        """
        async with self._lock:
            key = embedder, state.version
            beside = self._beside
            if beside is not None and beside.key == key:
                waits = self._clock() - beside.looked_at < self._refresh_s
                if beside.found is not None or waits:
                    return beside.found
            found = await self._read_other(embedder)
            self._beside = _Beside(key=key, found=found, looked_at=self._clock())
            return found

    async def _read_other(self, embedder: str) -> _Whole | None:
        try:
            return await asyncio.to_thread(self._load_other, embedder)
        except SQLAlchemyError as error:
            log.warning("qa_store_unreadable reason=%r", one_line(error))
            return None

    def _load_other(self, embedder: str) -> _Whole | None:
        calibration = self._database.reading(lambda c: read_calibration(c, embedder))
        if calibration is None:
            return None
        corpus = self._database.reading(lambda c: read_corpus(c, embedder))
        index = PairIndex(corpus, like=self._loaded[1] if self._loaded else None)
        log.info("qa_set_loaded embedder=%s pairs=%d", embedder, index.size)
        return _Whole(index=index, full=scale_from_dict(calibration["full"]))

    async def _look(self) -> None:
        """Loads the store if its version is not the loaded one."""
        try:
            version = await self._database.read(read_version)
            if self._loaded is None or self._loaded[0].version != version:
                self._loaded = await asyncio.to_thread(self._load)
                self._beside = None
        except SQLAlchemyError as error:
            # What is loaded still answers; without it there is nothing to answer from.
            log.warning("qa_store_unreadable reason=%r", one_line(error))
            if self._loaded is None:
                raise StoreError(one_line(error)) from None
        self._looked_at = self._clock()

    def _load(self) -> tuple[State, PairIndex] | None:
        state = self._database.reading(read_state)
        if state is None:
            return None
        corpus = self._database.reading(lambda c: read_corpus(c, state.embedder))
        self._whole = not self._database.reading(lambda c: texts_to_embed(c, state.embedder))
        index = PairIndex(corpus, like=self._loaded[1] if self._loaded else None)
        log.info("qa_store_loaded version=%d pairs=%d", state.version, len(corpus.pairs))
        return state, index

    def _embed_again(self, state: State, embedder: str) -> None:
        if self._importer is None:
            return
        running = self._embedding is not None and not self._embedding.done()
        tried, at = self._embed_tried
        if running or (tried == embedder and self._clock() - at < RETRY_EMBED_S):
            return
        self._embed_tried = embedder, self._clock()
        self._embedding = asyncio.create_task(self._embed_store(self._importer, state))

    async def _embed_store(self, importer: Importer, state: State) -> None:
        try:
            await importer.refresh(state)
            self.look_again()
        except (ActionsError, SQLAlchemyError) as error:
            log.warning("qa_embed_again_failed reason=%r", type(error).__name__)


def _findings(hits: list[Hit], scale: Scale) -> Findings:
    confidence = scale.confidence.of([hit.score for hit in hits[:DEPTH]])
    return Findings(hits=hits, confidence=confidence, scale=scale)
