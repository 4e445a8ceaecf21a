"""From the bot to a person and back, on the running system."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest
import requests

from bot.bench.system import PrivateSystem
from tests.e2e.conftest import Customer, texts

ANGRY = "This is a disgrace! I am furious and I want to make a complaint!"
PERSON = "I want to talk to a human"


class Anna:
    """An agent with a token from the command line."""

    def __init__(self, system: PrivateSystem) -> None:
        name = f"Anna {uuid.uuid4().hex[:6]}"
        added = subprocess.run(
            [sys.executable, "-m", "bot.cli", "agent", "add", name, "--json"],
            env={**os.environ, "KEFU_STATE_DIR": str(system.state_dir)},
            check=True,
            capture_output=True,
        )
        agent = json.loads(added.stdout)
        self.id, self.name = agent["id"], name
        self._base = f"{system.url}/api/v1/agent"
        self._headers = {"Authorization": f"Bearer {agent['token']}"}

    def do(self, customer: Customer, what: str, **body: Any) -> dict[str, Any]:
        answer = requests.post(
            f"{self._base}/conversations/{customer.conversation_id}/{what}",
            json=body,
            headers=self._headers,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def waiting(self) -> list[str]:
        listed = requests.get(
            f"{self._base}/conversations",
            params={"status": "waiting", "limit": "200"},
            headers=self._headers,
            timeout=30,
        )
        return [one["id"] for one in listed.json()["conversations"]]


@pytest.fixture
def anna(system: PrivateSystem) -> Anna:
    return Anna(system)


def page_of(customer: Customer) -> dict[str, Any]:
    answer = requests.get(customer.messages_url, headers=customer.headers, timeout=30)
    return dict(answer.json())


def until(customer: Customer, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The conversation once it is as expected."""
    give_up = monotonic() + 20
    while not done(page := page_of(customer)):
        assert monotonic() < give_up, page
        sleep(0.05)
    return page


def test_from_anger_to_a_person_and_back(customer: Customer, anna: Anna) -> None:
    offered = customer.say(ANGRY)
    assert "/affirm" in [b["payload"] for reply in offered["replies"] for b in reply["buttons"]]
    customer.say("yes please")
    page = until(customer, lambda page: page["status"] == "waiting")
    assert page["queue"]["position"] >= 1
    assert customer.conversation_id in anna.waiting()

    again = customer.say(PERSON)
    assert "called" in texts(again), "no second announcement"
    assert all("handoff" not in reply["metadata"] for reply in again["replies"])
    assert customer.say("how much is delivery?")["detail"]["answer"]["qa"] is not None

    anna.do(customer, "take")
    silent = customer.say("hello, who is there?")
    assert silent["replies"] == []
    assert silent["detail"]["intent"]["name"] is not None, "understood all the same"
    anna.do(customer, "messages", id="a-1", text="Anna here, I'll refund you.")
    anna.do(customer, "messages", id="a-1", text="Anna here, I'll refund you.")
    agents = [m for m in page_of(customer)["messages"] if m["author"] == "agent"]
    assert [(m["text"], m["agent_name"]) for m in agents] == [
        ("Anna here, I'll refund you.", anna.name)
    ]

    anna.do(customer, "hand-back", outcome="resolved", note="refunded")
    thanked = customer.say("thank you very much")
    assert thanked["detail"]["answer"]["actions"] == ["utter_thank_for_person"]
    calmed = customer.say(ANGRY)
    assert "action_offer_handoff" not in calmed["detail"]["answer"]["actions"]
    assert page_of(customer)["status"] == "bot"

    customer.say(PERSON)
    assert page_of(customer)["status"] == "waiting"


def test_a_person_called_by_the_button_is_not_called_again_by_the_bot(
    customer: Customer, anna: Anna
) -> None:
    url = customer.messages_url.removesuffix("/messages")
    called = requests.post(f"{url}/handoff", json={}, headers=customer.headers, timeout=30)
    assert called.json()["status"] == "waiting"
    assert called.json()["queue"]["position"] >= 1
    assert "called" in texts(customer.say(PERSON))
    closed = requests.post(f"{url}/close", json={}, headers=customer.headers, timeout=30)
    assert closed.json() == {"status": "closed"}
    assert "called" not in texts(customer.say(PERSON)), "a new call, announced as one"
    assert page_of(customer)["status"] == "waiting"
    assert customer.conversation_id in anna.waiting()
