"""axe-core finds nothing serious in any state of the chat."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.chat_page import ANSWER_MS, PHONE, ChatPage

PROFILES: dict[str, dict[str, Any]] = {
    "desktop": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True, "is_mobile": True},
}


def violations(chat: ChatPage, axe: str) -> list[str]:
    """What is serious or critical in the page and in the chat's frame, each checked by itself."""
    found = []
    for frame in chat.page.frames:
        frame.evaluate(axe)
        result = frame.evaluate("axe.run({ iframes: false, resultTypes: ['violations'] })")
        for violation in result["violations"]:
            if violation["impact"] in {"serious", "critical"}:
                targets = [node["target"] for node in violation["nodes"]]
                found.append(f"{frame.url}: {violation['id']} {targets}")
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_no_serious_violation(visit: Callable[..., ChatPage], axe: str, profile: str) -> None:
    chat = visit(**PROFILES[profile]).goto()
    assert violations(chat, axe) == [], "closed"
    chat.open()
    assert violations(chat, axe) == [], "open"
    chat.ask("my thing is bad")
    said = chat.by("bot").count()
    chat.frame.locator(".choice:enabled").last.click()
    chat.by("bot").nth(said).wait_for(timeout=ANSWER_MS)
    chat.ask("do you take PayPal")
    chat.by("bot").last.get_by_role("button", name="Helpful", exact=True).click()
    assert violations(chat, axe) == [], "with messages"
    chat.frame.locator("header [aria-controls=menu]").click()
    assert violations(chat, axe) == [], "with the menu"
    chat.frame.get_by_role("button", name="中文").click()
    assert violations(chat, axe) == [], "in Chinese"
    chat.menu("结束对话")
    chat.frame.get_by_role("button", name="结束", exact=True).click()
    chat.frame.get_by_role("radio").nth(3).check(force=True)
    assert violations(chat, axe) == [], "with stars"
