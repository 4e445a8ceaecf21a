"""What the chat offers besides writing: languages, judgements, people, files, the badge."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import requests
from playwright.sync_api import expect

from tests.browser.chat_page import ANSWER_MS, ChatPage


def test_the_chat_changes_to_chinese_and_stays_so(chat: ChatPage) -> None:
    chat.ask("do you take PayPal")
    chat.menu("中文")
    expect(chat.field).to_have_attribute("aria-label", "请输入消息…")
    expect(chat.frame.get_by_role("button", name="转人工客服")).to_be_visible()
    assert chat.evaluate("document.documentElement.lang") == "zh-CN"
    chat.page.reload()
    chat.open()
    expect(chat.by("bot").first.locator(".text")).to_contain_text("您好")
    chat.menu("English")
    expect(chat.field).to_have_attribute("aria-label", "Write a message…")


def test_the_page_sets_the_language_and_the_direction(chat: ChatPage) -> None:
    chat.page.evaluate("kefu.setLocale('zh-CN')")
    expect(chat.frame.get_by_role("button", name="转人工客服")).to_be_visible()
    chat.page.evaluate("kefu.setLocale('ar')")
    expect(chat.frame.locator("html[dir=rtl]")).to_be_attached()
    box = chat.send_button.bounding_box()
    field = chat.field.bounding_box()
    assert box is not None
    assert field is not None
    assert box["x"] < field["x"], "the button to send is left of the field"


def test_an_answer_is_judged_and_the_judgement_is_kept(chat: ChatPage) -> None:
    chat.ask("do you take PayPal")
    good = chat.by("bot").last.get_by_role("button", name="Helpful", exact=True)
    with chat.page.expect_response("**/feedback") as response:
        good.click()
    assert response.value.ok
    expect(good).to_have_attribute("aria-pressed", "true")
    with chat.page.expect_response("**/feedback") as response:
        chat.by("bot").last.get_by_role("button", name="Not helpful").click()
    assert response.value.ok
    chat.page.reload()
    chat.open()
    bad = chat.by("bot").last.get_by_role("button", name="Not helpful")
    expect(bad).to_have_attribute("aria-pressed", "true")


def test_an_ended_chat_is_rated_and_a_new_one_started(chat: ChatPage) -> None:
    chat.ask("do you take PayPal")
    chat.menu("End the chat")
    chat.frame.get_by_role("button", name="End it").click()
    expect(chat.frame.get_by_text("How was this chat?")).to_be_visible()
    expect(chat.field).to_be_hidden()
    chat.frame.get_by_role("radio", name="4 of 5 stars").check(force=True)
    chat.frame.get_by_role("textbox", name="Anything to add?").fill("quick & kind")
    chat.frame.get_by_role("button", name="Send rating").click()
    expect(chat.frame.get_by_text("Thank you for your rating.")).to_be_visible()
    chat.page.reload()
    chat.open()
    expect(chat.frame.get_by_text("Thank you for your rating.")).to_be_visible()
    chat.frame.get_by_role("button", name="Start a new chat").click()
    expect(chat.by("customer")).to_have_count(0)
    assert chat.ask("what is your return policy")


def test_who_asks_for_a_person_is_told_of_the_queue(chat: ChatPage) -> None:
    chat.ask("do you take PayPal")
    chat.frame.get_by_role("button", name="Talk to a person").click()
    notice = chat.frame.locator(".notice")
    expect(notice).to_be_visible(timeout=ANSWER_MS)
    expect(notice).to_contain_text("person")
    expect(chat.frame.get_by_role("button", name="Talk to a person")).to_be_hidden()
    chat.page.reload()
    chat.open()
    expect(notice).to_contain_text("person")


def test_a_picture_is_sent_after_its_name_and_the_limit_were_shown(
    chat: ChatPage, tmp_path: Path
) -> None:
    picture = tmp_path / "mug.png"
    picture.write_bytes(png())
    chat.frame.locator("input[type=file]").set_input_files(picture)
    tray = chat.frame.locator(".tray")
    expect(tray).to_contain_text("mug.png")
    expect(tray).to_contain_text("5 MB")
    tray.get_by_role("button", name="Send file").click()
    shown = chat.by("customer").locator("img[alt='mug.png']")
    expect(shown).to_be_visible(timeout=ANSWER_MS)
    expect(tray).to_be_hidden()
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 8
    chat.page.reload()
    chat.open()
    expect(shown).to_be_visible(timeout=ANSWER_MS)


def test_files_that_could_carry_a_script_are_refused(chat: ChatPage, tmp_path: Path) -> None:
    script = "<script>window.__xss = 1</script>"
    for name, content in {
        "logo.svg": f'<svg xmlns="http://www.w3.org/2000/svg">{script}</svg>',
        "page.html": f"<html>{script}</html>",
    }.items():
        file = tmp_path / name
        file.write_text(content)
        chat.frame.locator("input[type=file]").set_input_files(file)
        expect(chat.frame.get_by_role("alert")).to_contain_text(f"“{name}” cannot be sent")
        expect(chat.frame.get_by_role("button", name="Send file")).to_have_count(0)
    # A false name gets past the browser, and no further.
    disguised = tmp_path / "photo.png"
    disguised.write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{script}</svg>')
    chat.frame.locator("input[type=file]").set_input_files(disguised)
    with chat.page.expect_response("**/files?*") as response:
        chat.frame.get_by_role("button", name="Send file").click()
    assert response.value.status == 415
    expect(chat.frame.get_by_role("alert")).to_contain_text("“photo.png” cannot be sent")
    expect(chat.by("customer")).to_have_count(0)


def test_a_file_over_the_limit_is_refused_before_it_is_sent(chat: ChatPage, tmp_path: Path) -> None:
    large = tmp_path / "notes.txt"
    large.write_bytes(b"a" * 5_000_001)
    chat.frame.locator("input[type=file]").set_input_files(large)
    expect(chat.frame.get_by_role("alert")).to_contain_text("too large")


def test_an_answer_to_a_closed_chat_shows_on_the_badge(chat: ChatPage) -> None:
    chat.ask("do you take PayPal")
    chat.launcher.click()
    expect(chat.launcher).to_have_attribute("aria-expanded", "false")
    expect(chat.page.locator("kefu-chat .badge")).to_be_hidden()
    # The same conversation, from another of the customer's tabs.
    session = chat.evaluate("JSON.parse(localStorage.getItem('kefu.session'))")
    response = requests.post(
        f"{chat.gateway}/api/v1/conversations/{session['id']}/messages?wait=true",
        json={"id": "another-tab", "text": "how long does delivery take"},
        headers={"Authorization": f"Bearer {session['token']}"},
        timeout=60,
    )
    assert response.status_code == 200
    expect(chat.page.locator("kefu-chat .badge")).to_have_text("1", timeout=ANSWER_MS)
    expect(chat.launcher).to_have_attribute("aria-label", "Open the chat, 1 new message")
    chat.page.reload()
    expect(chat.page.locator("kefu-chat .badge")).to_have_text("1", timeout=ANSWER_MS)
    chat.open()
    expect(chat.page.locator("kefu-chat .badge")).to_be_hidden()
    expect(chat.by("customer")).to_have_count(2)


def test_the_chat_is_not_loaded_before_it_is_opened(visit: Callable[..., ChatPage]) -> None:
    chat = visit().goto()
    chat.page.wait_for_load_state("networkidle")
    assert not [url for url in chat.requests if "/widget/assets/chat" in url or "/api/" in url]
    chat.open()
    assert not [url for url in chat.requests if "/api/" in url], "opening starts no conversation"


def png() -> bytes:
    """A red square of 8 by 8 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + b"\xcc\x22\x22" * 8 for _ in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
