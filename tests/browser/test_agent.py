"""A person takes over: the name, the writing, the end."""

import json
import os
import subprocess
import sys
import uuid

import pytest
import requests
from playwright.sync_api import expect

from bot.bench.system import PrivateSystem
from tests.browser.chat_page import ANSWER_MS, ChatPage


class Desk:
    """An agent at work on one conversation."""

    def __init__(self, url: str, token: str, conversation_id: str) -> None:
        self.url = f"{url}/api/v1/agent/conversations/{conversation_id}"
        self.headers = {"Authorization": f"Bearer {token}"}

    def do(self, action: str, **body: str) -> None:
        """POST one action."""
        response = requests.post(
            f"{self.url}/{action}", json=body, headers=self.headers, timeout=30
        )
        assert response.ok, response.text

    def say(self, text: str) -> None:
        """Write to the customer."""
        self.do("messages", id=uuid.uuid4().hex, text=text)


@pytest.fixture(scope="session")
def agent_token(system: PrivateSystem) -> str:
    """The token of an agent named Anna Keel."""
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "agent", "add", "Anna Keel", "--json"],
        env={**os.environ, "KEFU_STATE_DIR": str(system.state_dir)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return str(json.loads(done.stdout)["token"])


@pytest.fixture
def desk(chat: ChatPage, system: PrivateSystem, agent_token: str) -> Desk:
    """An agent who has taken the conversation that the chat shows."""
    chat.ask("do you take PayPal")
    chat.frame.get_by_role("button", name="Talk to a person").click()
    expect(chat.frame.locator(".notice")).to_be_visible(timeout=ANSWER_MS)
    session = chat.evaluate("JSON.parse(localStorage.getItem('kefu.session'))")
    desk = Desk(system.url, agent_token, session["id"])
    desk.do("take")
    return desk


def test_an_agent_writes_under_a_name_and_is_seen_writing(chat: ChatPage, desk: Desk) -> None:
    expect(chat.frame.locator(".notice")).to_be_hidden(timeout=ANSWER_MS)
    desk.do("typing")
    expect(chat.frame.locator(".deep-chat-loading-message-bubble")).to_be_visible()
    desk.say("Good day, this is Anna. Your mug is on its way.")
    message = chat.by("agent").last
    expect(message.locator(".text")).to_have_text("Good day, this is Anna. Your mug is on its way.")
    expect(message.locator(".heading")).to_have_text("Anna Keel")
    expect(chat.frame.locator(".subtitle")).to_have_text("You are talking to Anna Keel")
    expect(chat.frame.locator(".deep-chat-loading-message-bubble")).to_be_hidden()
    expect(message.get_by_role("button", name="Helpful", exact=True)).to_have_count(0)


def test_a_hostile_agent_is_read_as_text(chat: ChatPage, desk: Desk) -> None:
    evil = "<img src=x onerror=window.__xss=1> [x](javascript:window.__xss=1) <script>1</script>"
    desk.say(evil)
    expect(chat.by("agent").last.locator(".text")).to_have_text(evil)
    assert chat.evaluate("window.__xss") is None
    expect(chat.by("agent").locator("img, a, script")).to_have_count(0)


def test_an_agent_who_closes_leaves_the_customer_the_stars(chat: ChatPage, desk: Desk) -> None:
    desk.say("Is there anything else?")
    desk.do("close")
    expect(chat.frame.get_by_text("How was this chat?")).to_be_visible(timeout=ANSWER_MS)


def test_after_the_hand_back_the_bot_answers(chat: ChatPage, desk: Desk) -> None:
    desk.say("I hand you back to the assistant.")
    desk.do("hand-back", outcome="solved")
    expect(chat.frame.get_by_role("button", name="Talk to a person")).to_be_visible()
    assert chat.ask("how long does delivery take")
