"""No text of anyone becomes an element, a script or an address that runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import create_engine, insert, select, update

from bot.bench.system import PrivateSystem
from bot.log import tables
from bot.world import utc_now
from tests.browser.chat_page import ANSWER_MS, WALK, ChatPage

CORPUS = [
    "<script>window.__xss=1</script>",
    "<img src=x onerror=window.__xss=1>",
    "<svg onload=window.__xss=1><animate onbegin=window.__xss=1 attributeName=x></svg>",
    "<iframe srcdoc='<script>parent.__xss=1</script>'></iframe>",
    "<a href='javascript:window.__xss=1'>press</a>",
    "</div></template><details open ontoggle=window.__xss=1>",
    "<style>@import 'https://evil.example/x.css';*{background:url(https://evil.example/y)}</style>",
    '<math><mtext><table><mglyph><style><img src=x onerror="window.__xss=1">',
    "[press](javascript:window.__xss=1)",
    "[press](JaVaScRiPt:window.__xss=1)",
    "[press](java\tscript:window.__xss=1)",
    "[press](\x01javascript:window.__xss=1)",
    "[press](javascript&colon;window.__xss=1)",
    "[press](&#106;avascript:window.__xss=1)",
    "[press](data:text/html;base64,PHNjcmlwdD53aW5kb3cuX194c3M9MTwvc2NyaXB0Pg==)",
    "[press](vbscript:msgbox(1))",
    "[press](<javascript:window.__xss=1>)",
    "[press](//evil.example/x)",
    "[press](blob:https://evil.example/1)",
    '[press](https://evil.example/"onmouseover="window.__xss=1)',
    '[![x](x"onerror="window.__xss=1)](javascript:window.__xss=1)',
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:window.__xss=1)",
    "<javascript:window.__xss=1>",
    "<https://evil.example/><img src=x onerror=window.__xss=1>",
    "[ref]: javascript:window.__xss=1\n[ref]",
    "```\n</pre><script>window.__xss=1</script>\n```",
    "`</code><img src=x onerror=window.__xss=1>`",
    "**<b onclick=window.__xss=1>bold</b>**",
    "# <img src=x onerror=window.__xss=1>",
    "- <img src=x onerror=window.__xss=1>\n- [x](javascript:alert(1))",
    "| a | <img src=x onerror=window.__xss=1> |\n|---|---|\n| b | c |",
    "&lt;img src=x onerror=window.__xss=1&gt;",
    "\u202egnp.exe\u202c <img src=x onerror=window.__xss=1>",
    "{{constructor.constructor('window.__xss=1')()}} ${window.__xss=1} <%= 1 %>",
    "*" * 3000 + "[" * 500 + "(" * 500,
]

# Every element that runs or fetches something, and every attribute that could.
FIND = (
    "() => {"
    + WALK
    + """
  const bad = [];
  const names = new Set(('script iframe frame object embed applet base link meta style math '
    + 'animate set foreignobject details form template video audio').split(' '));
  const images = /^(https:|blob:|data:image\\/(png|jpeg|gif|webp))/;
  for (const element of walk(document)) {
    const own = document.head.contains(element);
    if (names.has(element.localName) && !own) bad.push(element.outerHTML.slice(0, 120));
    for (const { name, value } of element.attributes) {
      if (/^on/i.test(name) || name === 'srcdoc' || name === 'formaction')
        bad.push(`${element.localName} ${name}`);
      if (['href', 'src', 'action', 'xlink:href', 'data', 'poster'].includes(name) && !own) {
        const url = new URL(value, location.href);
        const good = element.localName === 'a'
          ? ['http:', 'https:', 'mailto:', 'tel:'].includes(url.protocol)
          : element.localName === 'img'
            ? images.test(url.href) || url.origin === location.origin
            : false;
        if (!good) bad.push(`${element.localName} ${name}=${value.slice(0, 80)}`);
      }
      if (element.localName === 'a' && name === 'href' && !/noopener noreferrer/.test(element.rel))
        bad.push(`a without rel: ${value}`);
    }
  }
  return bad;
}"""
)


@pytest.fixture
def inert(visit: Callable[..., ChatPage]) -> Any:
    """Checks a chat: nothing ran, nothing could, and nobody else was asked."""

    def check(chat: ChatPage) -> None:
        assert chat.evaluate(FIND) == []
        for frame in chat.page.frames:
            assert frame.evaluate("window.__xss") is None
        assert chat.dialogs == []
        assert chat.foreign_requests() == []

    return check


def test_what_a_customer_writes_stays_text(chat: ChatPage, inert: Any) -> None:
    typed = [text for text in CORPUS if "\n" not in text and len(text) < 1000]
    for text in typed:
        chat.type(text)
    expect(chat.by("customer")).to_have_count(len(typed))
    inert(chat)
    expect(chat.frame.locator(".waiting")).to_have_count(0, timeout=ANSWER_MS)
    shown = chat.bubbles("customer")
    assert shown[0] == CORPUS[0]
    chat.page.reload()
    chat.open()
    expect(chat.by("customer")).to_have_count(len(typed))
    inert(chat)


@pytest.mark.parametrize("author", ["bot", "agent", "system"])
def test_what_others_write_stays_text(
    chat: ChatPage, system: PrivateSystem, inert: Any, author: str
) -> None:
    chat.ask("do you take PayPal")
    known = chat.by(author).count()
    _put(system, chat, author)
    chat.page.reload()
    chat.open()
    expect(chat.by(author)).to_have_count(known + len(CORPUS) + 1, timeout=ANSWER_MS)
    inert(chat)
    # Links that were let through are harmless to press; buttons send text.
    for link in chat.frame.locator("[data-author] a").all():
        assert (link.get_attribute("href") or "").startswith(("http", "mailto:", "tel:"))
    with chat.page.expect_response("**/messages"):
        chat.frame.locator(".choice:enabled").first.click()
    inert(chat)


def test_safe_markdown_is_shown_as_such(chat: ChatPage, system: PrivateSystem) -> None:
    chat.ask("do you take PayPal")
    text = (
        "**Bold**, *slanted*, `code`, [ours](https://shop.example/a_b) and https://shop.example/c.\n"
        "\n- one\n- two\n\n1. first\n2. second\n\nWrite to [us](mailto:help@shop.example)."
    )
    _put(system, chat, "bot", texts=[text])
    chat.page.reload()
    chat.open()
    bubble = chat.by("bot").filter(has_text="slanted")
    expect(bubble.locator("strong")).to_have_text("Bold")
    expect(bubble.locator("em")).to_have_text("slanted")
    expect(bubble.locator("code")).to_have_text("code")
    assert [link.get_attribute("href") for link in bubble.locator("a").all()] == [
        "https://shop.example/a_b",
        "https://shop.example/c",
        "mailto:help@shop.example",
    ]
    expect(bubble.locator("ul > li")).to_have_count(2)
    expect(bubble.locator("ol > li")).to_have_count(2)


def _put(
    system: PrivateSystem, chat: ChatPage, author: str, texts: list[str] | None = None
) -> None:
    """Write messages of an author straight into the log, as no sender of ours would."""
    session = chat.evaluate("JSON.parse(localStorage.getItem('kefu.session'))")
    database = Path(system.state_dir) / "kefu.db"
    engine = create_engine(f"sqlite:///{database}")
    conversation, message = tables.conversation, tables.message
    with engine.begin() as connection:
        last = connection.scalar(
            select(conversation.c.last_seq).where(conversation.c.id == session["id"])
        )
        assert last is not None
        rows: list[dict[str, Any]] = [{"text": text} for text in texts or CORPUS]
        if texts is None:
            rows.append(_hostile_parts())
        for number, row in enumerate(rows, start=1):
            values = {
                "id": f"{session['id']}-{author}-{number}",
                "conversation_id": session["id"],
                "seq": last + number,
                "direction": "out",
                "author": author,
                "channel": "api",
                "account": session["id"],
                "state": "sent",
                "created_at": utc_now(),
                **row,
            }
            connection.execute(insert(message).values(values))
        connection.execute(
            update(conversation)
            .where(conversation.c.id == session["id"])
            .values(last_seq=last + len(rows))
        )
    engine.dispose()


def _hostile_parts() -> dict[str, Any]:
    """A message whose buttons, cards and pictures are hostile too."""
    evil = "<img src=x onerror=window.__xss=1>"
    bad = "javascript:window.__xss=1"
    card = {
        "title": evil,
        "subtitle": evil,
        "image": bad,
        "buttons": [{"title": evil, "url": bad}, {"title": "x", "url": "data:text/html,x"}],
    }
    return {
        "text": json.dumps(evil),
        "buttons": [{"title": evil, "payload": evil}, {"title": "no payload", "payload": "x"}],
        "extra": {"image": bad, "custom": {"cards": [card], "html": evil}},
    }
