"""The inbox in a browser: filtered, walked through by keys, and live, with real Rasa behind."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from bot.bench.system import PrivateSystem
from tests.browser.chat_page import ANSWER_MS, ChatPage
from tests.browser.console_page import NARROW, Console, employ

ANGRY = "This is a disgrace! I am furious and I want to make a complaint!"


@pytest.fixture(scope="module")
def staff(system: PrivateSystem) -> PrivateSystem:
    """A system with an agent and an administrator."""
    employ(system, "Ines", "agent")
    employ(system, "Igor", "administrator")
    return system


@pytest.fixture
def console(browser: Browser, staff: PrivateSystem) -> Iterator[Callable[..., Console]]:
    """Signs somebody in at the inbox, in a browser profile of their own."""
    opened: list[Console] = []

    def make(name: str = "Ines", **options: Any) -> Console:
        opened.append(Console(browser, staff.url, **options).sign_in(name))
        expect(opened[-1].page.locator("#inbox-list")).to_be_visible()
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def chat(browser: Browser, staff: PrivateSystem) -> Iterator[Callable[[], ChatPage]]:
    """Opens the widget as a new customer."""
    opened: list[ChatPage] = []

    def make() -> ChatPage:
        opened.append(ChatPage(browser.new_context(locale="en-GB"), staff.url).goto().open())
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def conversation_of(chat: ChatPage) -> str:
    """The id of the conversation that the widget shows."""
    return str(chat.evaluate("JSON.parse(localStorage.getItem('kefu.session'))")["id"])


def test_a_customer_who_gets_angry_appears_marked_and_above_the_calm_without_a_reload(
    console: Callable[..., Console], chat: Callable[[], ChatPage]
) -> None:
    calm = chat()
    calm.ask("do you take PayPal")
    page = console().page
    quiet = page.locator(f"[data-conversation='{conversation_of(calm)}']")
    expect(quiet).to_be_visible()
    quiet.locator("a").focus()
    page.evaluate("window.loadedOnce = true")
    upset = chat()
    upset.ask(ANGRY)
    row = page.locator(f"[data-conversation='{conversation_of(upset)}']")
    expect(row).to_be_visible(timeout=ANSWER_MS)
    expect(row).to_contain_text("Angry")
    expect(row.locator(".trend")).to_have_attribute("aria-label", "Emotions lately: angry")
    upset.frame.locator(".choice:enabled").first.click()
    expect(row).to_contain_text("Waiting", timeout=ANSWER_MS)
    expect(row).to_contain_text("upset")
    expect(row).to_contain_text("unread")
    # Above the calm one, though people of other tests may wait longer.
    angry, neutral = (f"[data-conversation='{conversation_of(one)}']" for one in (upset, calm))
    expect(page.locator(f"{angry} ~ {neutral}")).to_be_visible()
    # Nothing was loaded anew, and who was at a row still is.
    assert page.evaluate("window.loadedOnce") is True
    expect(quiet.locator("a")).to_be_focused()


def test_keys_walk_the_list_and_open_a_conversation(
    console: Callable[..., Console], chat: Callable[[], ChatPage]
) -> None:
    for text in ("hello", "do you take PayPal"):
        chat().ask(text)
    page = console().page
    links = page.locator(".inbox-what > a")
    expect(links.nth(1)).to_be_visible()
    page.keyboard.press("j")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#f-q")).to_be_focused()
    page.keyboard.type("jk/")
    expect(page.locator("#f-q")).to_have_value("jk/")
    page.keyboard.press("Escape")
    links.nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/conversations/*")


def test_search_filters_and_a_view_of_them(
    console: Callable[..., Console], chat: Callable[[], ChatPage]
) -> None:
    customer = chat()
    customer.ask("is the zanzibar teapot dishwasher safe")
    page = console("Igor").page
    page.locator("#f-q").fill("zanzibar teapot")
    page.keyboard.press("Enter")
    row = page.locator(f"[data-conversation='{conversation_of(customer)}']")
    expect(row).to_be_visible()
    expect(row.locator(".inbox-hit")).to_contain_text("zanzibar")
    expect(page.locator(".inbox-row")).to_have_count(1)
    page.locator(".inbox-filters summary").click()
    page.locator("#f-channel").select_option("api")
    page.locator(".inbox-filters .button").click()
    page.wait_for_url("**channel=api*")
    expect(row).to_be_visible()
    page.locator(".inbox-save summary").click()
    page.locator("#view-name").fill("Teapots")
    page.locator(".inbox-save [name=shared]").check()
    page.locator(".inbox-save .button").click()
    tab = page.locator(".tabs a", has_text="Teapots")
    expect(tab).to_have_attribute("aria-current", "page")
    theirs = console().page
    theirs.locator(".tabs a", has_text="Teapots").click()
    # A view keeps its filters, and no words: they may be somebody's name.
    theirs.wait_for_url("**/console/inbox?channel=api")
    shown = theirs.locator(f"[data-conversation='{conversation_of(customer)}']")
    expect(shown).to_be_visible()
    theirs.locator(".inbox-drop").click()
    theirs.wait_for_url("**/console/inbox")
    page.get_by_role("button", name="Remove the view").click()
    expect(page.locator(".tabs a", has_text="Teapots")).to_have_count(0)


def test_a_phone_shows_cards_that_fit(
    console: Callable[..., Console], chat: Callable[[], ChatPage], axe: str
) -> None:
    chat().ask(ANGRY)
    phone = console(viewport=NARROW)
    expect(phone.page.locator(".inbox-row").first).to_be_visible()
    assert phone.overflow() <= 0
    assert phone.violations(axe) == []
    phone.page.locator(".inbox-filters summary").click()
    expect(phone.page.locator("#f-intent")).to_be_visible()
    assert phone.overflow() <= 0
    assert phone.violations(axe) == []
