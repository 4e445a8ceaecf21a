"""Takes the pictures of the console in docs/images anew, from a running kefu of its own.

python -m tests.browser.console_screenshots
"""

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import update

from bot.bench.system import PrivateSystem, private_system
from bot.log import database, tables
from bot.world import utc_now
from tests.browser.chat_page import ChatPage, launch
from tests.browser.console_page import CONSOLE, NARROW, WIDE, Console, employ, kefu
from tests.browser.learning_rows import fill
from tests.browser.screenshots import IMAGES
from tests.browser.test_console_voice import HOUR, inject
from tests.integration.voice_log import VoiceLog

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
        upset_topic(system)
        fill(system.state_dir)
        for name, viewport in WIDTHS.items():
            conversation(browser, system, name, viewport)
            pages(browser, system, name, viewport)
            single(browser, system, name, viewport)
        browser.close()


def upset_topic(system: PrivateSystem) -> None:
    """A topic that upsets customers today, as it did not before: one alert is open."""
    engine = database.open_engine(f"sqlite:///{system.state_dir / 'kefu.db'}", writer=True)
    log = VoiceLog(engine=engine, now=utc_now())
    inject(log, hours=24 * 88, upset=0.2)
    inject(log, hours=20, upset=0.9, a_day=120)
    with log.writing() as connection:
        connection.execute(update(tables.voice_state).values(counted_to=None))
    engine.dispose()
    kefu(system, "watch", "--once", "--at", f"{utc_now() + HOUR:%Y-%m-%dT%H:%M:%S}")


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
                _shoot(console.goto(path), name, width)
        console.close()


def single(browser: Browser, system: PrivateSystem, width: str, viewport: dict[str, int]) -> None:
    """Pages that a click leads to: signing in, one person, one customer who could be erased."""
    console = Console(browser, system.url, viewport=viewport).goto("/sign-in")
    _shoot(console, "sign-in", width)
    console.sign_in("Administrator").goto("/people")
    console.page.get_by_role("link", name="Agent", exact=True).click()
    _shoot(console, "person", width)
    found = console.goto("/inbox?channel=telegram").page.locator("a[href*='/conversations/']")
    conversation_id = str(found.first.get_attribute("href")).rsplit("/", 1)[1].split("?")[0]
    console.goto("/privacy").page.get_by_label("Customer's id").fill(conversation_id)
    console.page.locator("main").get_by_role("button", name="Search").click()
    console.page.locator("main table a").first.click()
    _shoot(console, "customer", width)
    console.close()


def _shoot(console: Console, name: str, width: str) -> None:
    console.page.wait_for_load_state("networkidle")
    console.page.screenshot(path=IMAGES / f"console-{name}-{width}.png", animations="disabled")


if __name__ == "__main__":
    main()
