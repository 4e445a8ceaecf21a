"""The harvest: reads from the log what it can teach, and writes it as rows, in bounded memory.

All of the log is read, not what is new alone: a label that was taken back, a thumb that was turned,
a row that the guard held back and somebody has approved since would be missed otherwise. So a row
of the version before is in the next one for as long as its turn is in the log and still teaches it.
Only what nobody spoke of (pseudo) is taken from the last weeks alone.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bot.learning.datasets.building import build, taught, teaches
from bot.learning.datasets.manifest import Manifest
from bot.learning.datasets.row import SOURCES, Row, Source
from bot.learning.datasets.sieve import Caps, Chosen, Found, Sieve
from bot.log import erasures, harvested, harvested_answers
from bot.log.harvested import Page, Stretch
from bot.log.journal import Journal
from bot.log.review_candidates import is_drawn
from bot.log.review_scores import FALLBACK, is_reviewable, lot, text_key
from bot.settings import Settings

PSEUDO_DAYS = 28
# In one query: turns of a stretch, turns of a page, conversations with an agent, rows to write.
STRETCH, PAGE, CONVERSATIONS, WRITTEN = 5000, 1000, 200, 500
UNTESTED_SHARE = 0.1  # of the corrected turns whose intents the test set has no texts of
TEST_LOT, PSEUDO_LOT = "learn-test", "learn-pseudo"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestTerms:
    """What may be taken, and how much of it; `hash_text` is keyed, so a hash names nobody."""

    hash_text: Callable[[str], str]
    test_share: float = 1.0  # of the corrected turns that were drawn by lot
    is_drawn: Callable[[str], bool] = is_drawn
    # Intents that the company's test set has texts of; without any there is no such set.
    tested: Collection[str] = frozenset()
    pseudo_confidence: float = 0.95
    pseudo_share: float = 1.0
    per_customer: int = 20
    per_source: int = 200_000

    @classmethod
    def of(cls, settings: Settings, *, tested: Collection[str] = frozenset()) -> "HarvestTerms":
        """As the settings say."""
        # Imported here: it brings the front door with it.
        from bot.http.guard import open_tokens

        return cls(
            hash_text=open_tokens(settings).hash_text,
            test_share=settings.learn_test_share,
            tested=tested,
            pseudo_confidence=settings.learn_pseudo_confidence,
            pseudo_share=settings.learn_pseudo_share,
            per_customer=settings.learn_per_customer,
            per_source=settings.learn_per_source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestReport:
    """What a harvest came to; ids and words of nobody."""

    rows: int
    sources: Mapping[str, int]
    test: int  # of the rows: never trained on
    dropped: Mapping[str, int]  # by reason
    parent: str | None
    carried: int  # rows of the parent that are here too, those that nobody spoke of aside
    gone: int  # and those that are not: taken back, erased, or beyond a cap

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self)


async def harvest(
    journal: Journal,
    terms: HarvestTerms,
    *,
    parent: Manifest | None = None,
    parent_rows: Callable[[], Iterable[Row]] = tuple,
    until: datetime,
    out: Path,
) -> HarvestReport:
    """Write what the turns up to a moment teach to `out`, a row a line, the oldest turn first.

    The same log gives the same bytes, and `out` is there once it is whole. Raises StorageError,
    TimeoutError, OSError.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with Sieve(out) as sieve:
        await asyncio.to_thread(sieve.remember, parent_rows())
        finder = _Finder(terms, await journal.browse(erasures.being_erased))
        async for found in _everything(journal, terms, until, finder):
            await asyncio.to_thread(sieve.add, found)
        caps = Caps(
            per_customer=terms.per_customer,
            per_source=terms.per_source,
            pseudo_share=terms.pseudo_share,
        )
        await asyncio.to_thread(sieve.choose, caps)
        sources, test = await _write(journal, terms, sieve, out)
        carried, gone = sieve.carried()
        return HarvestReport(
            rows=sum(sources.values()),
            sources={name: sources[name] for name in SOURCES if sources[name]},
            test=test,
            dropped=sieve.dropped(),
            parent=None if parent is None else parent.version,
            carried=carried,
            gone=gone,
        )


class _Finder:
    """Makes of turns what the sieve takes: keys and hashes, no words."""

    def __init__(self, terms: HarvestTerms, being_erased: set[str]) -> None:
        self._terms = terms
        self._being_erased = being_erased

    def of(self, source: Source, turns: Iterable[Mapping[str, Any]]) -> list[Found]:
        """Found turns of a source."""
        return [self._one(source, turn) for turn in turns]

    def _one(self, source: Source, turn: Mapping[str, Any]) -> Found:
        turn_id, why = turn["turn_id"], self._why_not(source, turn)
        at_us = _microseconds(turn["created_at"])
        corrected = source == "corrected"
        return Found(
            turn_id=turn_id,
            rank=SOURCES.index(source),
            at_us=at_us,
            said_us=_microseconds(turn["said_at"]) if "said_at" in turn else at_us,
            customer=self._customer(turn),
            text_key=text_key(turn["text"]),
            lot=lot(turn_id, PSEUDO_LOT),
            is_test=corrected and self._is_test(turn),
            intent=turn["intent"],
            is_mixed_up=corrected and self._is_mixed_up(turn),
            pair_id=turn.get("pair_id"),
            author=turn.get("author"),
            why=why,
        )

    def _is_test(self, turn: Mapping[str, Any]) -> bool:
        """Whether a corrected turn is kept to test with.

        One that was drawn by lot: the others were chosen because the model that answers was unsure
        of them, and on those any other model would seem better. And some of the intents that the
        test set has no texts of: nobody would notice what becomes of those (`new_examples` says
        when they count).
        """
        terms, turn_id = self._terms, turn["turn_id"]
        place = lot(turn_id, TEST_LOT)
        if terms.is_drawn(turn_id):
            return place < terms.test_share
        return self._is_untested(turn) and place < UNTESTED_SHARE * terms.test_share

    def _is_untested(self, turn: Mapping[str, Any]) -> bool:
        """Whether a corrected turn has an intent that the company's test set has no texts of."""
        intent = turn["labels"]["intent"] if turn["state"] == "labelled" else None
        return bool(self._terms.tested) and intent is not None and intent not in self._terms.tested

    def _is_mixed_up(self, turn: Mapping[str, Any]) -> bool:
        """Whether the model took for another intent what has one without test texts."""
        return self._is_untested(turn) and turn["labels"]["intent"] != turn["intent"]

    def _why_not(self, source: Source, turn: Mapping[str, Any]) -> str | None:
        if turn["conversation_id"] in self._being_erased:
            return "erased"
        if not is_reviewable(turn["text"]):
            return "no_words"
        if source == "corrected":
            if turn["state"] != "labelled":
                return str(turn["state"])
            if not teaches({**turn["labels"], "pair_id": turn["pair_id"]}):
                return "nothing_taught"
        understood = turn["intent"] not in (None, FALLBACK)
        if source == "rated" and not understood and turn["pair_id"] is None:
            return "nothing_taught"
        return None

    def _customer(self, turn: Mapping[str, Any]) -> str:
        """Who said it: of a proven id all conversations, else this one."""
        known = turn["customer_id"]
        name = f"customer\0{known}" if known else f"conversation\0{turn['conversation_id']}"
        return self._terms.hash_text(f"learning\0{name}")[:32]


async def _everything(
    journal: Journal, terms: HarvestTerms, until: datetime, finder: _Finder
) -> AsyncIterator[list[Found]]:
    """All that is found, a page at a time; what is believed most comes first."""
    labelled = partial(harvested.labelled, until=until, size=PAGE)
    async for page in _pages(journal, labelled):
        yield finder.of("corrected", page)
    first = await journal.browse(harvested.first_turn)
    if first is None:
        return
    async for stretch in _stretches(journal, first, until):
        clicked = await journal.browse(partial(harvested_answers.clicked, stretch=stretch))
        yield finder.of("clicked", clicked)
    async for page in _pages(journal, partial(harvested.thanked, until=until, size=PAGE)):
        yield finder.of("rated", page)
    known = await journal.browse(harvested_answers.answers)
    answered = partial(
        harvested_answers.answered_by_agents, until=until, known=known, size=CONVERSATIONS
    )
    async for page in _pages(journal, answered):
        yield finder.of("agent", page)
    if terms.pseudo_share:
        since = max(first, until - timedelta(days=PSEUDO_DAYS))
        async for stretch in _stretches(journal, since, until):
            sure = partial(harvested.confident, stretch=stretch, at_least=terms.pseudo_confidence)
            yield finder.of("pseudo", await journal.browse(sure))


async def _pages(journal: Journal, read: Callable[..., Page]) -> AsyncIterator[list[harvested.Row]]:
    after: str | None = ""
    while after is not None:
        page = await journal.browse(partial(read, after=after))
        yield page.rows
        after = page.after


async def _stretches(journal: Journal, first: datetime, until: datetime) -> AsyncIterator[Stretch]:
    after = first - timedelta(microseconds=1)
    while True:
        whole = Stretch(after=after, until=until)
        stretch = await journal.browse(partial(harvested.next_stretch, whole=whole, size=STRETCH))
        if stretch is None:
            return
        yield stretch
        after = stretch.until


async def _write(
    journal: Journal, terms: HarvestTerms, sieve: Sieve, out: Path
) -> tuple[Counter[str], int]:
    """Write the chosen rows, read anew; returns how many of each source, and how many are tests."""
    sources: Counter[str] = Counter()
    test = 0
    being_erased = await journal.browse(erasures.being_erased)
    temporary = out.with_name(f".{out.name}.tmp")
    dropped: list[tuple[str, str]] = []
    with temporary.open("w", encoding="utf-8") as file:
        for batch in sieve.chosen(WRITTEN):
            made = await journal.browse(partial(_rows, batch=batch, terms=terms))
            for chosen, row in zip(batch, made, strict=True):
                if row is None or row.conversation_id in being_erased:
                    dropped.append((chosen.turn_id, "changed" if row is None else "erased"))
                    continue
                file.write(row.as_line())
                sources[row.source] += 1
                test += row.split == "test"
        file.flush()
        os.fsync(file.fileno())
    for turn_id, why in dropped:
        sieve.drop([turn_id], why)
    temporary.replace(out)
    return sources, test


def _rows(connection: Connection, *, batch: list[Chosen], terms: HarvestTerms) -> list[Row | None]:
    """The rows of chosen turns; None for one that is gone, or teaches nothing any longer."""
    turns = harvested.whole_turns(connection, turn_ids=[one.turn_id for one in batch])
    corrected = [one.turn_id for one in batch if one.source == "corrected"]
    said = harvested.labels_of(connection, corrected)
    pairs = harvested.pair_intents(connection, [one.pair_id for one in batch])
    found: list[Row | None] = []
    for one in batch:
        turn, labels = turns.get(one.turn_id), said.get(one.turn_id)
        holds = labels is not None and labels.state == "labelled"
        if turn is None or (one.source == "corrected" and not holds):
            found.append(None)
            continue
        teaching = taught(
            turn,
            one,
            said=None if labels is None else labels.labels,
            pairs=pairs,
            sure=terms.pseudo_confidence,
        )
        found.append(build(turn, one, teaching) if teaching else None)
    return found


def _microseconds(moment: datetime) -> int:
    """Since 1970, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
