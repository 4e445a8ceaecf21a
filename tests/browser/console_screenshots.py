"""Takes the pictures of the console in docs/images anew, from a running kefu of its own.

python -m tests.browser.console_screenshots
"""

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bot.bench.system import PrivateSystem, private_system
from tests.browser.chat_page import ChatPage, launch
from tests.browser.console_page import CONSOLE, NARROW, WIDE, Console, employ, kefu
from tests.browser.screenshots import IMAGES

WIDTHS = {"wide": WIDE, "narrow": NARROW}


def main() -> None:
    """Start everything, fill it with conversations, take each page at both widths, stop."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        private_system(Path(folder)) as system,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright)
        if browser is None:
            raise SystemExit("there is no Chromium: install one (Debian: apt install chromium)")
        for role in ("agent", "reviewer", "administrator"):
            employ(system, role.capitalize(), role)
        kefu(system, "log", "seed", "--turns", "4000", "--days", "60", "--into-existing")
        kefu(system, "watch", "--once")
        for name, viewport in WIDTHS.items():
            conversation(browser, system, name, viewport)
            pages(browser, system, name, viewport)
        browser.close()


def conversation(
    browser: Browser, system: PrivateSystem, width: str, viewport: dict[str, int]
) -> None:
    """An angry customer's conversation, taken over by an agent who has begun to answer."""
    chat = ChatPage(browser.new_context(locale="en-GB"), system.url).goto().open()
    chat.ask("do you take PayPal")
    chat.ask("This is a disgrace! I am furious and I want to make a complaint!")
    chat.frame.locator(".choice:enabled").first.click()
    chat.frame.locator(".notice").wait_for()
    session = chat.evaluate("JSON.parse(localStorage.getItem('kefu.session'))")
    console = Console(browser, system.url, viewport=viewport).sign_in("Agent")
    console.goto("/canned")
    for name, text in (
        ("shortcut", f"sorry-{width}"),
        ("title", "Apology"),
        ("text_en", "I am sorry, {customer}. My name is {agent}; let me look into it."),
        ("text_zh", "{customer}，非常抱歉。我是{agent}，马上为您查看。"),
    ):
        console.page.locator(f"#f-{name}").fill(text)
    console.page.locator(".canned-new .button").click()
    console.page.wait_for_url("**/canned*")
    console.goto(f"/conversations/{session['id']}")
    console.page.locator("#note").evaluate("field => field.closest('details').open = true")
    console.page.locator("#note").fill("Third complaint this month: please call her.")
    console.page.locator("#note-form .button").click()
    console.page.locator("#entries .entry-note").wait_for()
    console.page.locator("#note-box summary").click()
    console.page.locator("#take").click()
    console.page.locator(".suggestion").first.wait_for()
    console.page.locator("#reply").fill("I am sorry to hear that. ")
    console.page.wait_for_load_state("networkidle")
    console.page.evaluate("scrollTo(0, 0)")
    console.page.screenshot(
        path=IMAGES / f"console-conversation-{width}.png", animations="disabled", full_page=True
    )
    console.close()
    chat.close()


def pages(browser: Browser, system: PrivateSystem, width: str, viewport: dict[str, int]) -> None:
    """Every page of the list, by who sees it."""
    for role in ("agent", "reviewer", "administrator"):
        console = Console(browser, system.url, viewport=viewport).sign_in(role.capitalize())
        for name, path, who in CONSOLE:
            if who == role:
                console.goto(path).page.wait_for_load_state("networkidle")
                console.page.screenshot(
                    path=IMAGES / f"console-{name}-{width}.png", animations="disabled"
                )
        console.close()


if __name__ == "__main__":
    main()
