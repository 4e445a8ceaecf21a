"""The QA store and the order desk on PostgreSQL, with the schema as the migrations make it."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from actions.database import Database, open_database
from actions.orders.desk import OrderDesk
from actions.orders.seed import move_seed_orders, seed_orders
from actions.qa.importing import Importer, read_changed
from actions.qa.live import QaSearch
from actions.understanding import Embeddings
from bot.log.database import upgrade

NOW = datetime(2026, 6, 17, 10, 30, tzinfo=UTC)
ORDERS = Path(__file__).parents[2] / "data" / "orders.csv"
PAIRS = """
category: delivery
pairs:
  - {id: delivery-001, intent: time, question: How long does delivery take?,
     variants: [delivery time], answer: Three days.}
  - {id: delivery-002, intent: cost, question: What does postage cost?,
     variants: [shipping price], answer: Four pounds.}
"""


class WordEmbedder:
    """Bags of words as vectors."""

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        vectors = np.full((len(texts), 32), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, hashlib.sha256(word.encode()).digest()[0] % 32] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(vectors=vectors, embedder="words")


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    upgrade(postgres_url)
    database = open_database(postgres_url)
    yield database
    database.close()


async def test_pairs_are_imported_found_and_left_alone(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "qa"
    folder.mkdir()
    (folder / "delivery.yml").write_text(PAIRS)
    importer = Importer(database, WordEmbedder())
    first = await importer.bring_in(read_changed(database, folder))
    second = await importer.bring_in(read_changed(database, folder))
    assert (first.added, first.embedded, second.embedded) == (2, 6, 0)
    search = QaSearch(database, WordEmbedder(), importer, refresh_s=0)
    findings = await search.find("shipping price")
    assert findings.hits[0].pair.id == "delivery-002"


async def test_one_message_cancels_once_however_often_it_comes(database: Database) -> None:
    database.writing(lambda c: seed_orders(c, ORDERS, NOW))
    desk = OrderDesk(database, lambda: NOW)
    outcomes = await asyncio.gather(*(desk.cancel("HP-310277", "c:m") for _ in range(8)))
    assert {outcome.done for outcome in outcomes} == {True}
    assert len({outcome.text for outcome in outcomes}) == 1
    order = await desk.find("HP-310277")
    assert order is not None
    assert order.status == "cancelled"
    assert order.placed_at.tzinfo is not None


def test_seed_orders_move_with_the_calendar(database: Database) -> None:
    database.writing(lambda c: seed_orders(c, ORDERS, NOW))
    later = NOW.replace(month=7)
    assert database.writing(lambda c: move_seed_orders(c, later)) > 0
    assert database.writing(lambda c: move_seed_orders(c, later)) == 0
