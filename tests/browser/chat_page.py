"""The chat as a customer meets it in a browser: the launcher on a page, the frame behind it."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, FrameLocator, Locator, Page, Playwright
from playwright.sync_api import Error as PlaywrightError

ANSWER_MS = 30_000
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")

# Walks the document and every open shadow tree below it.
WALK = """
function* walk(root) {
  for (const element of root.querySelectorAll('*')) {
    yield element;
    if (element.shadowRoot) yield* walk(element.shadowRoot);
  }
}
"""


def find_chromium() -> str | None:
    """The Chromium of the system, by KEFU_CHROMIUM or PATH; None when there is none."""
    named = os.environ.get("KEFU_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _CHROMIUMS)), None)


def launch(playwright: Playwright) -> Browser | None:
    """A headless Chromium: the system's, else the one Playwright brought; None without either."""
    # Chromium's sandbox does not work for root, as in a container.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    system = find_chromium()
    if system is None and not Path(playwright.chromium.executable_path).exists():
        return None
    return playwright.chromium.launch(executable_path=system, args=arguments)


class ChatPage:
    """One browser profile with the demo shop open, and what it saw that should not be."""

    def __init__(self, context: BrowserContext, gateway: str) -> None:
        self.context = context
        self.gateway = gateway
        self.page: Page = context.new_page()
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.problems: list[str] = []
        context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", self._dismiss)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._listen)

    def _dismiss(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _listen(self, message: Any) -> None:
        # What the policy of a page refuses is told in the console alone.
        if "Content Security Policy" in message.text:
            self.problems.append(message.text)

    @property
    def frame(self) -> FrameLocator:
        return self.page.frame_locator("kefu-chat iframe")

    @property
    def launcher(self) -> Locator:
        return self.page.locator("kefu-chat button")

    @property
    def field(self) -> Locator:
        return self.frame.locator("#text-input")

    @property
    def send_button(self) -> Locator:
        return self.frame.locator("#input .input-button")

    def goto(self, url: str | None = None) -> "ChatPage":
        """Open a page that has the launcher: the demo shop, unless told another."""
        self.page.goto(url or f"{self.gateway}/demo")
        self.launcher.wait_for()
        return self

    def open(self) -> "ChatPage":
        """Open the chat and wait until it can be written in."""
        self.launcher.click()
        self.settle()
        return self

    def settle(self) -> None:
        """Wait until the chat has brought its history back."""
        self.frame.locator("html[data-ready]").wait_for(timeout=ANSWER_MS)

    def by(self, author: str) -> Locator:
        """All messages of an author: customer, bot, agent or system."""
        return self.frame.locator(f'[data-author="{author}"]')

    def bubbles(self, author: str) -> list[str]:
        """What an author's bubbles say, without the greeting and the words for screen readers."""
        found = self.frame.locator(f'[data-author="{author}"]:not([data-key="greeting"]) .text')
        return [text.strip() for text in found.all_inner_texts()]

    def type(self, text: str) -> None:
        """Write and send, without waiting."""
        self.field.fill(text)
        self.field.press("Enter")

    def ask(self, text: str) -> str:
        """Send, and wait for the bot's next message; returns it."""
        before = self.by("bot").count()
        self.type(text)
        answer = self.by("bot").nth(before)
        answer.wait_for(timeout=ANSWER_MS)
        return answer.locator(".text").inner_text()

    def sent(self, text: str) -> Locator:
        """The customer's message with this text, once the gateway has it."""
        return self.by("customer").filter(has_text=text).filter(has=self.frame.locator(".sent"))

    def menu(self, item: str) -> None:
        """Choose from the menu in the head."""
        self.frame.locator("header [aria-controls=menu]").click()
        self.frame.locator("#menu").get_by_text(item, exact=True).click()

    def foreign_requests(self, *origins: str) -> list[str]:
        """What was asked of anyone but these origins and the gateway."""
        own = (*(f"{origin}/" for origin in (self.gateway, *origins)), "data:", "blob:")
        sockets = tuple(origin.replace("http", "ws", 1) for origin in own)
        return [url for url in self.requests if not url.startswith((*own, *sockets))]

    def evaluate(self, script: str) -> Any:
        """Run a script in the chat's frame."""
        frame = next(
            (one for one in self.page.frames if "/widget/" in one.url), self.page.main_frame
        )
        return frame.evaluate(script)

    def close(self) -> None:
        """Close the profile; pages that are gone already do not matter."""
        with suppress(PlaywrightError):
            self.context.close()
