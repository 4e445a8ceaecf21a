"""The drift watch over a log on both databases: what it reads, embeds, keeps and prints."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from sqlalchemy import Connection

from actions.errors import UnderstandingError
from actions.understanding import Embeddings
from bot.learning.drift import DriftTerms
from bot.learning.drift_watch import watch
from bot.log import drift_blocks, learning_runs, turn_kinds
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.tables import turn_kind
from bot.world import World
from tests.integration.review_log import add_conversation, add_turn

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
WORLD = replace(World(), now=lambda: NOW)
TERMS = replace(DriftTerms(), least_turns=10, permutations=200)
DAYS = 16


class Embedding:
    """Vectors by the first letter of a text."""

    def __init__(self, *, away: bool = False) -> None:
        self.asked: list[str] = []
        self.away = away

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        if self.away:
            raise UnderstandingError("http://nobody", "/v1/embed failed")
        self.asked += texts
        vectors = np.array([[1.0, 0.02 * len(text) % 0.1] for text in texts], dtype=np.float32)
        return Embeddings(vectors=vectors, embedder="m1")


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[Journal]:
    """A log of sixteen days, an hour apart; yesterday the bot knew little."""
    upgrade(database_url)
    opened = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=World(),
    )
    opened.start()
    await opened.write(_fill)
    yield opened
    await opened.close()


def _fill(connection: Connection) -> None:
    known = _kind(connection, "track_order")
    lost = _kind(connection, turn_kinds.FALLBACK_INTENT)
    conversation = add_conversation(connection, "c1")
    for number in range(24 * DAYS):
        at = NOW - timedelta(hours=number, minutes=5 + number % 3)
        is_lost = number < 24 and number % 2 == 0
        intent = turn_kinds.FALLBACK_INTENT if is_lost else "track_order"
        add_turn(
            connection,
            f"t{number}",
            f"where is my parcel number {number}",
            conversation_id=conversation,
            minute=number,
            ranking=[(intent, 0.3 if is_lost else 0.9 + 0.01 * (number % 5))],
            kind_id=lost if is_lost else known,
            created_at=at,
        )


def _kind(connection: Connection, intent: str) -> int:
    kind = turn_kinds.kind_of(
        intent=intent, emotion=None, model_version="m1", actions=[], confidence=0.9
    )
    connection.execute(turn_kind.insert(), turn_kinds.row_of(kind))
    return kind.id


async def test_a_day_is_counted(journal: Journal) -> None:
    today = await journal.read(partial(drift_blocks.day, until=NOW))
    assert (today.turns, today.fallbacks, today.version) == (24, 12, "m1")
    assert today.intents == {"track_order": 12, turn_kinds.FALLBACK_INTENT: 12}
    before = await journal.read(partial(drift_blocks.day, until=NOW - timedelta(days=1)))
    assert (before.turns, before.fallbacks) == (24, 0)
    assert min(before.confidences) >= 0.9
    none = await journal.read(partial(drift_blocks.day, until=NOW - timedelta(days=90)))
    assert (none.turns, none.version) == (0, None)


async def test_of_a_busy_hour_a_few_are_read(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_blocks, "PER_HOUR", 1)

    def double(connection: Connection) -> None:
        conversation = add_conversation(connection, "c2")
        for number in range(24):
            at = NOW - timedelta(hours=number, minutes=30)
            add_turn(
                connection,
                f"more{number}",
                "hello there my friend",
                conversation_id=conversation,
                minute=number,
                created_at=at,
            )

    await journal.write(double)
    assert (await journal.read(partial(drift_blocks.day, until=NOW))).turns == 24
    texts = await journal.read(partial(drift_blocks.texts, until=NOW, per_hour=1))
    assert len(texts) == 24


async def test_what_is_seen_is_kept(journal: Journal) -> None:
    embedding = Embedding()
    found = await watch(journal, WORLD, embedding, TERMS)
    assert {"out_of_scope (day)", "confidence (day)"} <= set(found.alarms)
    (row,) = await journal.read(partial(learning_runs.drift_checks, limit=5))
    assert (row["alarm"], row["model_version"], row["created_at"]) == (True, "m1", NOW)
    assert row["figures"]["out_of_scope"]["day"]["recent"] == 0.5
    assert "day" in row["figures"]["embedding"]
    # A text an hour of each day there is.
    assert len(embedding.asked) == 24 * DAYS
    # No words are kept.
    assert "parcel" not in str(row)


async def test_without_the_understanding_service_the_rest_is_looked_at(journal: Journal) -> None:
    found = await watch(journal, WORLD, Embedding(away=True), TERMS)
    assert found.figures["embedding"] == {"skipped": "nothing was embedded"}
    assert "out_of_scope (day)" in found.alarms


async def test_an_empty_log_is_no_drift(database_url: str) -> None:
    upgrade(database_url)
    opened = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=World(),
    )
    opened.start()
    embedding = Embedding()
    found = await watch(opened, WORLD, embedding, TERMS)
    await opened.close()
    assert (found.alarms, embedding.asked) == ([], [])
