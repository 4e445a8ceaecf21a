"""A customer's conversation in the browser, through reload, crash and a lost network."""

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import WebSocket, expect

from bot.bench.system import PrivateSystem
from tests.browser.chat_page import ANSWER_MS, ChatPage


def test_three_questions_are_answered_and_still_there_after_a_reload(chat: ChatPage) -> None:
    answers = [
        chat.ask("how long does delivery take"),
        chat.ask("what is your return policy"),
        chat.ask("do you take PayPal"),
    ]
    assert all(answers)
    said, answered = chat.bubbles("customer"), chat.bubbles("bot")
    assert said == [
        "how long does delivery take",
        "what is your return policy",
        "do you take PayPal",
    ]
    chat.page.reload()
    chat.open()
    expect(chat.by("customer")).to_have_count(3)
    assert chat.bubbles("customer") == said
    assert chat.bubbles("bot") == answered


def test_a_quick_reply_is_sent_under_its_title_and_used_once(chat: ChatPage) -> None:
    chat.ask("my thing is bad")
    offer = chat.by("bot").filter(has=chat.frame.locator(".choice:enabled")).last
    choice = offer.locator(".choice").first
    title = choice.inner_text()
    before = chat.by("bot").count()
    choice.click()
    chat.by("bot").nth(before).wait_for(timeout=ANSWER_MS)
    assert chat.bubbles("customer")[-1] == title
    expect(offer.locator(".choice:enabled")).to_have_count(0)
    chat.page.reload()
    chat.open()
    expect(chat.by("customer")).to_have_count(2)
    assert chat.bubbles("customer")[-1] == title


def test_a_killed_gateway_loses_nothing_and_catches_up_once(
    chat: ChatPage, system: PrivateSystem
) -> None:
    pushed: list[dict[str, Any]] = []

    def follow(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: pushed.extend(_messages(frame)))

    chat.page.on("websocket", follow)
    chat.ask("how long does delivery take")
    with chat.page.expect_websocket(timeout=ANSWER_MS):
        system.kill("gateway")
        chat.type("what is your return policy")
        chat.type("do you take PayPal")
    expect(chat.sent("do you take PayPal")).to_be_visible(timeout=ANSWER_MS)
    expect(chat.by("bot")).to_have_count(4, timeout=ANSWER_MS)  # the greeting is one
    assert chat.bubbles("customer") == [
        "how long does delivery take",
        "what is your return policy",
        "do you take PayPal",
    ]
    seen = [message["seq"] for page in pushed for message in page["messages"]]
    assert len(seen) == len(set(seen)), "the gateway's pages overlap"
    answers = chat.bubbles("bot")
    chat.page.reload()
    chat.open()
    expect(chat.by("bot")).to_have_count(4)
    assert chat.bubbles("bot") == answers


def test_what_is_written_offline_is_sent_when_the_network_is_back(chat: ChatPage) -> None:
    chat.ask("do you take PayPal")
    chat.context.set_offline(True)
    expect(chat.frame.locator(".notice")).to_contain_text("offline")
    chat.type("how long does delivery take")
    waiting = chat.by("customer").last
    expect(waiting.locator(".waiting")).to_be_visible()
    chat.context.set_offline(False)
    expect(chat.sent("how long does delivery take")).to_be_visible(timeout=ANSWER_MS)
    expect(chat.by("bot")).to_have_count(3, timeout=ANSWER_MS)
    assert chat.bubbles("customer") == ["do you take PayPal", "how long does delivery take"]
    expect(chat.frame.locator(".notice")).to_be_hidden()


def test_an_unsent_message_survives_a_reload(visit: Callable[..., ChatPage]) -> None:
    chat = visit().goto().open()
    chat.ask("do you take PayPal")
    chat.context.route("**/messages", lambda route: route.abort())
    chat.type("how long does delivery take")
    expect(chat.by("customer").last.locator(".waiting")).to_be_visible()
    chat.context.unroute("**/messages")
    chat.page.reload()
    chat.open()
    expect(chat.sent("how long does delivery take")).to_be_visible(timeout=ANSWER_MS)
    expect(chat.by("customer")).to_have_count(2)


def test_a_repeated_request_is_shown_and_answered_once(visit: Callable[..., ChatPage]) -> None:
    chat = visit().goto().open()
    lost: list[str] = []

    def lose_the_answer(route: Any) -> None:
        # The gateway gets the message, the browser never hears of it.
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch().text())
            route.abort()
        else:
            route.continue_()

    chat.context.route("**/messages", lose_the_answer)
    chat.ask("how long does delivery take")
    expect(chat.sent("how long does delivery take")).to_be_visible(timeout=ANSWER_MS)
    assert lost
    assert chat.bubbles("customer") == ["how long does delivery take"]
    assert len(chat.bubbles("bot")) == 1


def test_without_a_socket_the_chat_asks_for_messages(visit: Callable[..., ChatPage]) -> None:
    chat = visit()
    chat.context.route("**/socket.io/**", lambda route: route.abort())
    chat.context.route_web_socket("**/socket.io/**", lambda socket: socket.close())
    chat.goto().open()
    assert chat.ask("do you take PayPal")


def test_a_text_that_is_too_long_is_not_cut_and_comes_back_to_be_changed(chat: ChatPage) -> None:
    chat.type("too long " * 500)
    failure = chat.by("customer").locator(".failure")
    expect(failure).to_contain_text("too long", timeout=ANSWER_MS)
    failure.get_by_role("button", name="Edit").click()
    expect(chat.by("customer")).to_have_count(0)
    assert chat.field.inner_text().strip() == ("too long " * 500).strip()
    assert chat.ask("do you take PayPal")


def _messages(frame: str | bytes) -> list[dict[str, Any]]:
    """The pages of messages in a frame of Socket.IO: 42/namespace,[event, data]."""
    text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
    prefix = "42/kefu,"
    if not text.startswith(prefix):
        return []
    event, *data = json.loads(text.removeprefix(prefix))
    return data if event == "messages" else []
