"""The whole system, real in every part, started once for all end-to-end tests."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from bot.bench.system import PrivateSystem, private_system


@dataclass
class Customer:
    """A customer of the running system who waits for each answer."""

    url: str
    conversation_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        opened = requests.post(f"{self.url}/api/v1/conversations", json={}, timeout=30)
        assert opened.status_code == 201, opened.text
        self.conversation_id = opened.json()["conversation_id"]
        self.headers = {"Authorization": f"Bearer {opened.json()['token']}"}

    @property
    def messages_url(self) -> str:
        return f"{self.url}/api/v1/conversations/{self.conversation_id}/messages"

    def post(self, body: Any, **params: str) -> requests.Response:
        return requests.post(
            self.messages_url, json=body, params=params, headers=self.headers, timeout=60
        )

    def say(self, text: str, message_id: str | None = None) -> dict[str, Any]:
        """Say something; the answer with everything behind it."""
        body = {"id": message_id or uuid.uuid4().hex, "text": text}
        response = self.post(body, wait="true", detail="true")
        assert response.status_code == 200, response.text
        return dict(response.json())


def texts(answer: dict[str, Any]) -> str:
    """All that the bot said, in one string."""
    return "\n".join(reply["text"] or "" for reply in answer["replies"])


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSystem]:
    """All four processes on SQLite."""
    with private_system(tmp_path_factory.mktemp("system")) as running:
        yield running


@pytest.fixture
def customer(system: PrivateSystem) -> Customer:
    """A new customer with a new conversation."""
    return Customer(url=system.url)
