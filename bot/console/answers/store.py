"""The answers as the console changes them: each change kept, embedded and searched at once."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from actions.database import Database, open_database
from actions.errors import EmptyStoreError, StoreError, UnderstandingError
from actions.qa.calibration import Calibration, Scale
from actions.qa.index import Hit
from actions.qa.live import Findings, QaSearch
from actions.qa.pairs import Pair
from actions.qa.revisions import (
    ADDED,
    CHANGED,
    SAME,
    Change,
    PairChanged,
    Revision,
    StoredPair,
    change_many,
    change_pair,
    read_revisions,
    read_stored_pair,
    restore_pair,
)
from actions.qa.store import read_state, write_state, write_vectors, write_version
from actions.understanding import FloatArray, UnderstandingClient, embed_in_batches
from bot.errors import KefuError, RequestError, StorageError
from bot.log.erased_rows import is_there
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World

if TYPE_CHECKING:
    from bot.gateway import Gateway

log = logging.getLogger(__name__)

# What is written at a time: customers' messages wait for the one writer meanwhile.
PAIRS_AT_ONCE = 25
TEXTS_AT_ONCE = 125

Unit = Callable[[Connection], int | None]


class AnswerChanged(RequestError):
    """Somebody else saved the pair since the editor opened it; `stored` is what it is now."""

    def __init__(self, stored: StoredPair) -> None:
        super().__init__(
            409,
            "revision",
            "somebody else has changed this answer meanwhile",
            "compare both versions and save again",
        )
        self.stored = stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What became of many pairs."""

    added: int
    changed: int
    same: int


class AnswerStore:
    """Saves, retires, restores and finds pairs; running processes see a change within seconds."""

    def __init__(self, journal: Journal, settings: Settings, world: World) -> None:
        self._journal = journal
        self._settings = settings
        self._world = world
        self._client = UnderstandingClient(settings.nlu_url, timeout_s=settings.embed_timeout_s)
        self._opened: tuple[Database, QaSearch] | None = None

    @staticmethod
    def of(gateway: "Gateway") -> "AnswerStore":
        """The gateway's one store, so that its index is in memory once."""
        return gateway.answers

    async def close(self) -> None:
        """Let go of database and service."""
        if self._opened is not None:
            database, search = self._opened
            await search.close()
            database.close()
        await self._client.close()

    async def save(
        self,
        pair: Pair,
        *,
        actor: str,
        note: str | None = None,
        conversation_id: str | None = None,
        expected: int | None = None,
    ) -> str:
        """Write a pair, a new one when its id is empty; returns the id.

        With `conversation_id`, wordings that are new to the pair are a customer's from there, and
        go when that is erased. `expected` is the revision that the editor saw. Raises AnswerChanged
        when it is another by now, and RequestError when the conversation has been erased, or when a
        store that was never filled cannot be begun because the understanding service is away.
        """
        if not pair.id:
            pair = replace(pair, id=self._new_id())
        change = Change(actor=actor, note=note, conversation_id=conversation_id, expected=expected)
        await self.save_with(pair, change, lambda connection: None)
        return pair.id

    async def save_with(
        self, pair: Pair, change: Change, also: Callable[[Connection], None]
    ) -> None:
        """Write a pair that has an id, and with it what `also` writes: both or neither.

        Raises as `save`, and what `also` raises.
        """
        now = self._world.now()
        vectors = await self._vectors([pair])

        def unit(connection: Connection) -> int:
            # It may have been erased while the vectors were made.
            if change.conversation_id and not is_there(connection, change.conversation_id):
                raise RequestError(
                    409,
                    "conversation_id",
                    "the conversation that this wording is from has been erased",
                    "write the answer in words of your own, without that conversation",
                )
            also(connection)
            number = change_pair(connection, pair, change, now)
            vectors.write(connection, pair.id, now)
            return number

        await self._change(unit)

    async def save_all(self, pairs: Sequence[Pair], *, actor: str, note: str) -> Saved:
        """Write many pairs, a portion at a time; those without an id are new.

        Customers' messages are written between the portions. The bot says all of it when the last
        is written. When one cannot be, those before it stay: RequestError says how many.
        """
        pairs = [pair if pair.id else replace(pair, id=self._new_id()) for pair in pairs]
        change, now = Change(actor=actor, note=note), self._world.now()
        vectors = await self._vectors(pairs)

        def unit(connection: Connection, portion: Sequence[Pair]) -> Counter[str]:
            counts = change_many(connection, portion, change, now)
            for pair in portion:
                vectors.write(connection, pair.id, now)
            return counts

        counts: Counter[str] = Counter()
        try:
            for portion in _portions(pairs):
                counts += await self._journal.write(partial(unit, portion=portion))
        except KefuError as error:
            if not counts:
                raise
            raise _stopped(counts.total(), len(pairs), error) from error
        finally:
            if counts[ADDED] or counts[CHANGED]:
                await self._journal.write(partial(write_version, now=now))
                self._search().look_again()
        return Saved(added=counts[ADDED], changed=counts[CHANGED], same=counts[SAME])

    def look_again(self) -> None:
        """Read the store before the next search: something has left it."""
        if self._opened is not None:
            self._search().look_again()

    async def retire(self, pair_id: str, actor: str, *, expected: int | None = None) -> None:
        """Take a pair out of the search; it stays on record. Raises AnswerChanged or a 404."""
        change = Change(actor=actor, expected=expected)
        now = self._world.now()

        def unit(connection: Connection) -> int | None:
            stored = read_stored_pair(connection, pair_id, lock=True)
            if stored is None:
                return None
            return change_pair(connection, stored.pair, change, now, active=False)

        if await self._change(unit) is None:
            raise _unknown(pair_id)

    async def restore(
        self, pair_id: str, revision_id: int, actor: str, *, expected: int | None = None
    ) -> None:
        """Make a pair what it was at a revision, in a new revision. Raises as `retire`."""
        wanted = [one for one in await self.history(pair_id) if one.id == revision_id]
        if not wanted:
            raise _unknown(pair_id)
        change = Change(actor=actor, note=f"restored {wanted[0].number}", expected=expected)
        now = self._world.now()
        vectors = await self._vectors([wanted[0].content.pair])

        def unit(connection: Connection) -> int | None:
            number = restore_pair(connection, pair_id, revision_id, change, now)
            if number is not None:
                vectors.write(connection, pair_id, now)
            return number

        if await self._change(unit) is None:
            raise _unknown(pair_id)

    async def get(self, pair_id: str) -> StoredPair | None:
        """The pair under an id, retired or not."""
        return await self._journal.read(lambda connection: read_stored_pair(connection, pair_id))

    async def history(self, pair_id: str) -> list[Revision]:
        """The revisions of a pair, the newest first."""
        return await self._journal.read(lambda connection: read_revisions(connection, pair_id))

    async def search(self, text: str, most: int) -> list[Hit]:
        """The nearest pairs in the bot's own ranking, best first; none from an empty store."""
        return (await self.find(text, most)).hits[:most]

    async def find(self, text: str, most: int) -> Findings:
        """What the bot finds for a text, with its confidence and thresholds."""
        try:
            return await self._search().find(text, most=most)
        except EmptyStoreError:
            return Findings(hits=[], confidence=0.0, scale=Scale())
        except StoreError as error:
            raise StorageError(error.problem) from None

    async def _change(self, unit: Unit) -> int | None:
        try:
            number = await self._journal.write(unit)
        except PairChanged as error:
            raise AnswerChanged(error.stored) from None
        self._search().look_again()
        return number

    def _new_id(self) -> str:
        return f"answer-{self._world.new_id()}"

    async def _vectors(self, pairs: Sequence[Pair]) -> "_Vectors":
        """The vectors of the pairs' texts; none, for later, while the service is away."""
        texts = [text for pair in pairs for text in (pair.document, *pair.wordings)]
        try:
            made = await embed_in_batches(self._client, texts)
        except UnderstandingError as error:
            if await self._journal.read(read_state) is None:
                raise RequestError(
                    503,
                    "answer",
                    "the first answer of a store needs the understanding service",
                    "wait until /channels shows it ready, then save again",
                ) from error
            log.warning("answers_saved_without_embedding reason=%r", error.problem)
            return _Vectors({}, "")
        return _Vectors(dict(zip(texts, made.vectors, strict=True)), made.embedder)

    def _search(self) -> QaSearch:
        if self._opened is None:
            database = open_database(self._settings.database_url)
            # The action server embeds what is missing, so that not every process does.
            search = QaSearch(database, self._client, None, refresh_s=self._settings.qa_refresh_s)
            self._opened = database, search
        return self._opened[1]


class _Vectors:
    """The vectors of a pair's texts, by text."""

    def __init__(self, by_text: dict[str, FloatArray], embedder: str) -> None:
        self._by_text = by_text
        self._embedder = embedder

    def write(self, connection: Connection, pair_id: str, now: datetime) -> None:
        """Put them beside their texts; begin the store's state when there is none."""
        if not self._by_text:
            return
        write_vectors(connection, pair_id, self._by_text, self._embedder)
        if read_state(connection) is None:
            beginning = Calibration(full=Scale(), lexical=Scale())
            write_state(connection, self._embedder, beginning, now)


def _portions(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """The pairs in their order, so many at a time that writing them is short."""
    portion: list[Pair] = []
    texts = 0
    for pair in pairs:
        count = len(pair.wordings) + 1  # the document
        if portion and (len(portion) == PAIRS_AT_ONCE or texts + count > TEXTS_AT_ONCE):
            yield portion
            portion, texts = [], 0
        portion.append(pair)
        texts += count
    if portion:
        yield portion


def _stopped(done: int, wanted: int, error: KefuError) -> RequestError:
    return RequestError(
        503,
        "file",
        f"the first {done} of its {wanted} answers are saved, the others are not: {error}",
        "take the saved ones that have no id out of the file, then import it again",
        audit="import_answers",
    )


def _unknown(pair_id: str) -> RequestError:
    return RequestError(
        404, "pair_id", f"there is no answer {pair_id}", "look for it in the list of answers"
    )
