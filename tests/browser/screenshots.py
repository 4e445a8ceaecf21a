"""Takes the pictures of docs/images anew, from a running kefu of its own.

python -m tests.browser.screenshots
"""

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright

from bot.bench.system import private_system
from tests.browser.chat_page import DESKTOP, PHONE, ChatPage, launch

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def main() -> None:
    """Start everything, take each picture, stop."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        private_system(Path(folder)) as system,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright)
        if browser is None:
            raise SystemExit("there is no Chromium: install one (Debian: apt install chromium)")
        desktop(browser, system.url)
        phone(browser, system.url)
        browser.close()


def desktop(browser: Browser, url: str) -> None:
    """The demo shop, closed and with a conversation; Chinese; the stars."""
    chat = _visit(browser, url, viewport=DESKTOP)
    _shoot(chat, "demo-desktop")
    chat.open()
    _talk(chat)
    _shoot(chat, "chat-desktop")
    chat.menu("中文")
    _shoot(chat, "chat-desktop-zh")
    chat.menu("English")
    chat.menu("End the chat")
    chat.frame.get_by_role("button", name="End it").click()
    chat.frame.get_by_role("radio").nth(4).check(force=True)
    _shoot(chat, "rating-desktop")
    chat.close()
    chat = _visit(browser, url, viewport=DESKTOP, color_scheme="dark").open()
    _talk(chat)
    _shoot(chat, "chat-desktop-dark")
    chat.close()


def phone(browser: Browser, url: str) -> None:
    """The same on a phone."""
    options = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
    chat = _visit(browser, url, **options)
    _shoot(chat, "demo-phone")
    chat.open()
    _talk(chat)
    _shoot(chat, "chat-phone")
    chat.menu("中文")
    chat.frame.get_by_role("button", name="转人工客服").click()
    expect(chat.frame.locator(".notice")).to_be_visible()
    _shoot(chat, "chat-phone-zh")
    chat.close()
    chat = _visit(browser, url, color_scheme="dark", **options).open()
    _talk(chat)
    _shoot(chat, "chat-phone-dark")
    chat.close()


def _visit(browser: Browser, url: str, **options: Any) -> ChatPage:
    # Pictures do not depend on when they were taken more than they must.
    context = browser.new_context(locale="en-GB", reduced_motion="reduce", **options)
    return ChatPage(context, url).goto()


def _talk(chat: ChatPage) -> None:
    chat.ask("how long does delivery take")
    choice = chat.frame.locator(".choice:enabled")
    if choice.count():
        before = chat.by("bot").count()
        choice.first.click()
        chat.by("bot").nth(before).wait_for()
    chat.ask("do you take PayPal")


def _shoot(chat: ChatPage, name: str) -> None:
    chat.page.mouse.move(1, 1)
    chat.page.wait_for_load_state("networkidle")
    chat.page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


if __name__ == "__main__":
    main()
