"""Fakes and fixtures for the action server's tests."""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasa_sdk import Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.database import Database, open_database
from actions.errors import UnderstandingError
from actions.handoff import People
from actions.hours import read_hours
from actions.orders.desk import OrderDesk
from actions.orders.seed import seed_orders
from actions.qa.importing import Importer, read_changed
from actions.qa.live import QaSearch
from actions.tables import metadata
from actions.understanding import Embeddings

NOW = datetime(2026, 6, 17, 10, 30, tzinfo=UTC)  # a Wednesday, people are in the chat
ORDERS = Path(__file__).parents[3] / "data" / "orders.csv"

QA = """
category: delivery
pairs:
  - id: delivery-001
    intent: ask_delivery_time
    question: "How long does standard delivery take?"
    variants: ["when does my parcel usually come", "delivery time"]
    answer: "Standard delivery takes 3 to 5 working days."
  - id: delivery-002
    intent: ask_delivery_cost
    question: "How much is standard delivery?"
    variants: ["what do you charge for postage", "shipping price"]
    answer: "Standard delivery costs 3.95 pounds."
  - id: returns-001
    intent: ask_return_policy
    question: "How long do I have to return something?"
    variants: ["return window", "last day to send it back"]
    answer: "You have 30 days."
"""


class FakeEmbedder:
    """Bags of words as vectors: texts with common words are alike."""

    def __init__(self, name: str = "fake-1") -> None:
        self.name = name
        self.asked: list[str] = []
        self.down = False

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        if self.down:
            raise UnderstandingError("http://fake", "is down")
        self.asked += texts
        vectors = np.asarray([self._vector(text) for text in texts], dtype=np.float32)
        return Embeddings(vectors=vectors.reshape(len(texts), 64), embedder=self.name)

    def _vector(self, text: str) -> np.ndarray:
        vector = np.full(64, 1e-3)
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256((self.name + word).encode()).digest()[0] % 64] += 1
        return vector / np.linalg.norm(vector)


class Heard:
    """What an action said and which slots it set."""

    def __init__(self, messages: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
        self.messages = messages
        self.slots = {e["name"]: e["value"] for e in events if e["event"] == "slot"}

    @property
    def text(self) -> str:
        return " ".join(m["text"] for m in self.messages)

    @property
    def payloads(self) -> list[str]:
        return [button["payload"] for m in self.messages for button in m["buttons"]]

    def metadata(self, key: str) -> Any:
        return next((m[key] for m in self.messages if key in m), None)


def make_tracker(
    text: str = "",
    intent: str = "inform",
    *,
    slots: dict[str, Any] | None = None,
    emotion: str = "neutral",
    events: list[dict[str, Any]] | None = None,
    **message: Any,
) -> Tracker:
    """A tracker as Rasa sends it."""
    latest = {
        "text": text,
        "intent": {"name": intent, "confidence": 0.9},
        "intent_ranking": [],
        "entities": [],
        "emotion": {"name": emotion, "confidence": 0.9},
        "message_id": "m-1",
        **message,
    }
    user = {"event": "user", "text": text, "parse_data": latest}
    return Tracker.from_dict(
        {
            "sender_id": "c-1",
            "slots": slots or {},
            "latest_message": latest,
            "events": [user] if events is None else events,
        }
    )


def make_form_tracker(slots: dict[str, Any], candidates: dict[str, Any]) -> Tracker:
    """A tracker as a form sends it for validation: the candidates come last."""
    events = [
        {"event": "user", "text": "x", "parse_data": {}},
        {"event": "action", "name": "some_form"},
        *({"event": "slot", "name": name, "value": value} for name, value in candidates.items()),
    ]
    return make_tracker("x", slots={**slots, **candidates}, events=events)


async def run_action(action: Any, on: Tracker) -> Heard:
    """Runs an action as rasa-sdk's executor does."""
    dispatcher = CollectingDispatcher()
    events = await action.run(dispatcher, on, {})
    return Heard(dispatcher.messages, events)


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'kefu.db'}")
    metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def desk(database: Database) -> OrderDesk:
    database.writing(lambda c: seed_orders(c, ORDERS, NOW))
    return OrderDesk(database, lambda: NOW)


@pytest.fixture
def qa_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "qa"
    folder.mkdir()
    (folder / "delivery.yml").write_text(QA)
    return folder


@pytest.fixture
async def search(
    database: Database, embedder: FakeEmbedder, qa_folder: Path
) -> AsyncIterator[QaSearch]:
    importer = Importer(database, embedder)
    await importer.bring_in(read_changed(database, qa_folder))
    search = QaSearch(database, embedder, importer, refresh_s=0)
    yield search
    await search.close()


@pytest.fixture
def tracker() -> Callable[..., Tracker]:
    return make_tracker


@pytest.fixture
def form_tracker() -> Callable[..., Tracker]:
    return make_form_tracker


@pytest.fixture
def run() -> Callable[..., Any]:
    return run_action


@pytest.fixture
def people() -> People:
    hours = read_hours(Path(__file__).parents[3] / "data" / "hours.yml")
    return People(hours=hours, clock=lambda: NOW)


@pytest.fixture
def clock() -> Callable[[], datetime]:
    return lambda: NOW
