"""The chat on another site's page: its strict policy, its keyboard, its visitors' privacy."""

import hashlib
import hmac
import json
from collections.abc import Callable

import requests
from playwright.sync_api import expect

from bot.bench.system import PrivateSystem
from tests.browser.chat_page import ANSWER_MS, ChatPage
from tests.browser.conftest import IDENTITY_SECRET


def test_it_works_on_a_page_of_another_site_under_a_strict_policy(
    visit: Callable[..., ChatPage], site: str
) -> None:
    chat = visit().goto(site).open()
    assert chat.ask("do you take PayPal")
    assert chat.page.evaluate("location.origin") != chat.evaluate("location.origin")
    chat.page.reload()
    chat.open()
    expect(chat.by("customer")).to_have_count(1)
    assert chat.foreign_requests(site) == []


def test_a_site_that_is_not_allowed_cannot_frame_the_chat(system: PrivateSystem) -> None:
    policy = requests.get(f"{system.url}/widget/", timeout=10).headers["Content-Security-Policy"]
    ancestors = next(part for part in policy.split(";") if "frame-ancestors" in part)
    assert "*" not in ancestors
    assert "'self'" in ancestors
    assert "http://localhost:" in ancestors


def test_nobody_else_is_ever_asked_for_anything(chat: ChatPage) -> None:
    chat.ask("what is your return policy")
    chat.menu("中文")
    chat.page.wait_for_load_state("networkidle")
    assert chat.foreign_requests() == []
    assert chat.context.cookies() == []


def test_the_keyboard_is_enough(visit: Callable[..., ChatPage]) -> None:
    chat = visit().goto()
    page = chat.page
    chat.launcher.focus()
    page.keyboard.press("Enter")
    chat.settle()
    expect(chat.field).to_be_focused()
    page.keyboard.type("do you take PayPal")
    page.keyboard.press("Enter")
    chat.by("bot").nth(1).wait_for()
    # Back over what is around the field to the answer's thumbs.
    for _ in range(8):
        page.keyboard.press("Shift+Tab")
        if chat.evaluate(
            "document.querySelector('deep-chat').shadowRoot.activeElement?.ariaLabel === 'Helpful'"
        ):
            break
    page.keyboard.press("Space")
    helpful = chat.by("bot").last.get_by_role("button", name="Helpful", exact=True)
    expect(helpful).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(chat.launcher).to_be_focused()
    expect(chat.launcher).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(chat.field).to_be_focused()


def test_escape_closes_the_menu_before_the_chat(chat: ChatPage) -> None:
    button = chat.frame.locator("header [aria-controls=menu]")
    button.click()
    expect(chat.frame.locator("#menu")).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(chat.frame.locator("#menu")).to_be_hidden()
    expect(button).to_be_focused()
    expect(chat.launcher).to_have_attribute("aria-expanded", "true")


def test_new_messages_are_announced_and_history_is_not(chat: ChatPage) -> None:
    answer = chat.ask("do you take PayPal")
    live = chat.frame.locator("[aria-live=polite][data-live]")
    expect(live).to_contain_text(f"Assistant: {answer[:40]}")
    chat.page.reload()
    chat.open()
    expect(chat.by("customer")).to_have_count(1)
    assert live.inner_text() == ""


def test_the_page_opens_and_follows_the_chat_by_script(visit: Callable[..., ChatPage]) -> None:
    chat = visit().goto()
    chat.page.evaluate(
        "() => { const { dataset } = document.body; dataset.heard = '';"
        " for (const name of ['open', 'close', 'message'])"
        " kefu.on(name, () => { dataset.heard += ` ${name}` }) }"
    )
    chat.page.evaluate("kefu.open()")
    chat.settle()
    chat.ask("do you take PayPal")
    body = chat.page.locator("body")
    expect(body).to_have_attribute("data-heard", " open message")
    chat.page.evaluate("kefu.close()")
    expect(body).to_have_attribute("data-heard", " open message close")


def test_the_page_sets_the_colours(visit: Callable[..., ChatPage]) -> None:
    chat = visit().goto()
    chat.page.evaluate("document.documentElement.style.setProperty('--kefu-accent', '#ffd54f')")
    chat.open()
    head = chat.frame.locator("header")
    expect(head).to_have_css("background-color", "rgb(255, 213, 79)")
    expect(head).to_have_css("color", "rgb(17, 17, 17)")
    value = "red; background: url(https://evil.example/x)"
    chat.page.evaluate(
        "value => { document.documentElement.style.setProperty('--kefu-font', value);"
        " kefu.refresh() }",
        value,
    )
    expect(head).to_have_css("color", "rgb(17, 17, 17)")
    assert chat.foreign_requests() == []


def test_a_customer_who_signs_in_finds_the_conversation_of_another_device(
    visit: Callable[..., ChatPage],
) -> None:
    signature = hmac.new(IDENTITY_SECRET.encode(), b"customer-42", hashlib.sha256).hexdigest()
    signed_in = f"kefu.identify({json.dumps({'user_id': 'customer-42', 'hmac': signature})})"
    desktop, phone = visit().goto(), visit().goto()
    desktop.page.evaluate(signed_in)
    desktop.open()
    answer = desktop.ask("do you take PayPal")
    phone.open()
    phone.ask("how long does delivery take")
    phone.page.evaluate(signed_in)
    expect(phone.by("customer").filter(has_text="PayPal")).to_be_visible(timeout=ANSWER_MS)
    assert phone.bubbles("bot") == [answer]
    # What was said before signing in is nobody's any more, and signing out clears the screen.
    assert phone.bubbles("customer") == ["do you take PayPal"]
    phone.page.evaluate("kefu.identify(null)")
    expect(phone.by("customer")).to_have_count(0)
    phone.page.reload()
    phone.open()
    expect(phone.by("customer")).to_have_count(0)
