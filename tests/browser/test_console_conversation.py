"""A conversation at the console with real Rasa behind: from an angry customer to the hand-back."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Locator, expect
from sqlalchemy import create_engine, insert, select, update

from bot.bench.system import PrivateSystem
from bot.log import tables
from bot.world import sortable_id, utc_now
from tests.browser.chat_page import ANSWER_MS, ChatPage
from tests.browser.console_page import NARROW, WIDE, Console, employ
from tests.browser.test_hostile_text import CORPUS

ANGRY = "This is a disgrace! I am furious and I want to make a complaint!"
AGENTS = {"Anna Holm": "agent", "Ben Holm": "agent", "Rita Holm": "reviewer"}


@pytest.fixture(scope="module")
def staff(system: PrivateSystem) -> PrivateSystem:
    """A system with two agents and a reviewer."""
    for name, role in AGENTS.items():
        employ(system, name, role)
    return system


@pytest.fixture
def console(browser: Browser, staff: PrivateSystem) -> Iterator[Callable[..., Console]]:
    """Signs somebody in, in a browser profile of their own."""
    opened: list[Console] = []

    def make(name: str = "Anna Holm", **options: Any) -> Console:
        opened.append(Console(browser, staff.url, **options).sign_in(name).goto("/canned"))
        expect(opened[-1].page.locator(".who")).to_contain_text(name)
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def session_of(chat: ChatPage) -> dict[str, str]:
    """The customer's own conversation and token."""
    session: dict[str, str] = chat.evaluate("JSON.parse(localStorage.getItem('kefu.session'))")
    return session


def open_it(console: Console, chat: ChatPage) -> Console:
    """The page of the conversation that the widget shows."""
    return console.goto(f"/conversations/{session_of(chat)['id']}")


def said(console: Console, author: str) -> Locator:
    """What an author said, on the agent's page."""
    return console.page.locator(f'#entries [data-author="{author}"] .said')


def everything_the_customer_gets(system: PrivateSystem, chat: ChatPage) -> str:
    """The customer's API, as it answers: every message with all its fields."""
    session = session_of(chat)
    response = requests.get(
        f"{system.url}/api/v1/conversations/{session['id']}/messages?limit=200",
        headers={"Authorization": f"Bearer {session['token']}"},
        timeout=30,
    )
    assert response.ok
    return response.text


def drafts(console: Console) -> list[str]:
    """What the tab keeps of what was written and not sent."""
    find = "Object.keys(sessionStorage).filter(key => key.startsWith('kefu.'))"
    kept: list[str] = console.page.evaluate(f"{find}.map(key => sessionStorage.getItem(key))")
    return [text for text in kept if text not in ("", "[]")]


def add_canned(console: Console, shortcut: str, text: str) -> None:
    console.goto("/canned")
    console.page.locator("#f-shortcut").fill(shortcut)
    console.page.locator("#f-title").fill(f"About {shortcut}")
    console.page.locator("#f-text_en").fill(text)
    console.page.locator(".canned-new .button").click()
    expect(console.page.locator("#notices")).to_contain_text("added")


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_an_angry_customer_gets_a_person_and_then_the_bot_again(
    visit: Callable[..., ChatPage],
    console: Callable[..., Console],
    staff: PrivateSystem,
    viewport: dict[str, int],
) -> None:
    anna = console("Anna Holm", viewport=viewport)
    shortcut = f"sorry{viewport['width']}"
    add_canned(anna, shortcut, "I am sorry, {customer}. This is {agent}.")
    # Somebody calm has waited for longer.
    calm = visit().goto().open()
    calm.ask("do you take PayPal")
    calm.frame.get_by_role("button", name="Talk to a person").click()
    expect(calm.frame.locator(".notice")).to_be_visible(timeout=ANSWER_MS)

    chat = visit().goto().open()
    chat.ask(ANGRY)
    chat.frame.locator(".choice:enabled").first.click()
    expect(chat.frame.locator(".notice")).to_be_visible(timeout=ANSWER_MS)

    # She came last and is first in the queue.
    anna.goto("/inbox")
    rows = anna.page.locator("#inbox-list [data-conversation]")
    order = [one.get_attribute("data-conversation") for one in rows.all()]
    hers = order.index(session_of(chat)["id"])
    assert hers < order.index(session_of(calm)["id"])
    # Before her are at most others who are angry, of other tests.
    for place in range(hers + 1):
        expect(rows.nth(place)).to_have_class(re.compile("inbox-angry"))
    rows.nth(hers).locator("a").first.click()
    expect(anna.page.locator("#stands")).to_contain_text("Waiting")
    expect(anna.page.locator("#side .emotion-angry").first).to_be_visible()
    expect(anna.page.locator("#composer")).to_be_hidden()

    anna.page.locator("#take").click()
    expect(anna.page.locator("#stands")).to_contain_text("You have it")
    expect(chat.by("system").last).to_contain_text("Anna Holm has joined")
    field = anna.page.locator("#reply")
    expect(field).to_be_focused()

    # A canned answer, by keyboard.
    field.press_sequentially(f"/{shortcut}")
    expect(anna.page.locator("#canned-list [aria-selected=true]")).to_contain_text(shortcut)
    field.press("Enter")
    expect(field).to_have_value("I am sorry, there. This is Anna Holm.")
    expect(chat.frame.locator(".deep-chat-loading-message-bubble")).to_be_visible()
    field.press("Control+Enter")
    expect(field).to_have_value("")
    expect(chat.by("agent").last).to_contain_text("I am sorry, there. This is Anna Holm.")

    # The customer asks; what the store knows of it is one key away.
    chat.type("how long does delivery take?")
    expect(said(anna, "customer").last).to_have_text("how long does delivery take?")
    expect(anna.page.locator("#entries [data-author=customer] .intent").last).to_have_text(
        "ask_delivery_time", timeout=ANSWER_MS
    )
    suggestion = anna.page.locator(".suggestion").first
    expect(suggestion).to_be_visible()
    expect(anna.page.locator(".suggested-question").first).to_contain_text("deliver")
    field.press("Alt+1")
    suggested = field.input_value()
    assert suggested == suggestion.locator(".suggested-text").inner_text().strip()
    field.press("Control+Enter")
    expect(chat.by("agent")).to_have_count(2)

    note = anna.page.locator("#note-box")
    note.locator("summary").click()
    note.locator("textarea").fill("PRIVATE: she was right, our mistake")
    note.locator("button").click()
    expect(said(anna, "note")).to_have_text("PRIVATE: she was right, our mistake")

    back = anna.page.locator("#hand-back")
    back.locator("summary").click()
    back.locator("select").select_option("resolved")
    back.locator("textarea").fill("PRIVATE: sent a voucher")
    back.locator("button").click()
    expect(anna.page.locator("#stands")).to_contain_text("resolved")
    expect(said(anna, "note").last).to_have_text("PRIVATE: sent a voucher")

    # One conversation for the customer, and the bot goes on.
    assert chat.ask("do you take PayPal")
    authors = [
        one.get_attribute("data-author") for one in chat.frame.locator("[data-author]").all()
    ]
    assert authors[-2:] == ["customer", "bot"]
    assert {"customer", "bot", "agent", "system"} <= set(authors)
    expect(said(anna, "bot").last).to_be_visible()
    assert "PRIVATE" not in everything_the_customer_gets(staff, chat)
    assert "PRIVATE" not in chat.frame.locator("body").inner_text()
    assert anna.overflow() <= 0


def test_of_two_agents_at_once_one_has_it_and_the_other_reads_who(
    chat: ChatPage, console: Callable[..., Console]
) -> None:
    chat.ask("do you take PayPal")
    chat.frame.get_by_role("button", name="Talk to a person").click()
    expect(chat.frame.locator(".notice")).to_be_visible(timeout=ANSWER_MS)
    anna, ben = open_it(console("Anna Holm"), chat), open_it(console("Ben Holm"), chat)
    # Ben's page hears of nothing meanwhile.
    ben.page.route("**/news*", lambda route: route.abort())
    expect(ben.page.locator("#take")).to_be_visible()
    anna.page.locator("#take").click()
    expect(anna.page.locator("#stands")).to_contain_text("You have it")
    ben.page.locator("#take").click()
    expect(ben.page.locator("#act-told")).to_contain_text("Anna Holm has this conversation")
    ben.page.unroute("**/news*")
    expect(ben.page.locator("#stands")).to_contain_text("Anna Holm has it")
    expect(ben.page.locator("#take")).to_have_count(0)
    expect(chat.by("system").filter(has_text="has joined")).to_have_count(1)

    # What Anna writes Ben reads along; then she gives it to him, and he is told.
    anna.page.locator("#reply").fill("One moment, a colleague knows more.")
    anna.page.locator("#send").click()
    expect(said(ben, "agent").last).to_have_text("One moment, a colleague knows more.")
    ben.goto("/canned")
    anna.page.locator("#reply").fill("not sent yet")
    anna.page.locator(".act summary").filter(has_text="Transfer").click()
    anna.page.locator("#transfer-to").select_option(label="Ben Holm")
    anna.page.locator(".act form .button").filter(has_text="Transfer").click()
    expect(anna.page.locator("#stands")).to_contain_text("Ben Holm has it")
    expect(ben.page.locator("#notices")).to_contain_text("Anna Holm has left you a conversation")
    expect(chat.by("system").last).to_contain_text("Ben Holm has joined the chat in place of")
    # Her draft is in sight, and can no longer be sent.
    expect(anna.page.locator("#left-draft")).to_be_visible()
    expect(anna.page.locator("#reply")).to_have_value("not sent yet")
    expect(anna.page.locator("#send")).to_be_disabled()


def test_nothing_written_is_lost_or_sent_twice(
    chat: ChatPage, console: Callable[..., Console]
) -> None:
    chat.ask("do you take PayPal")
    anna = open_it(console("Anna Holm"), chat)
    anna.page.locator("#take").click()
    field = anna.page.locator("#reply")
    expect(field).to_be_focused()
    field.fill("Written before a reload")
    anna.page.reload()
    expect(field).to_have_value("Written before a reload")
    # The answer to the first try is lost on the way.
    tries: list[str] = []

    def lose(route: Any) -> None:
        tries.append(route.request.post_data)
        route.fetch()
        route.abort()

    anna.page.route("**/messages", lose)
    anna.page.locator("#send").click()
    expect(anna.page.locator("#reply-form .told")).to_contain_text("No connection")
    expect(field).to_have_value("Written before a reload")
    anna.page.unroute("**/messages")
    anna.page.locator("#send").dblclick()
    expect(field).to_have_value("")
    assert len(tries) == 1
    expect(said(anna, "agent")).to_have_count(1)
    expect(chat.by("agent")).to_have_count(1)
    # News that the server could not give at once are asked for again, by nobody's click.
    asked: list[str | None] = []

    def fail_once(route: Any) -> None:
        asked.append(route.request.headers.get("x-kefu-live"))
        if len(asked) == 1:
            route.fulfill(status=503)
        else:
            route.continue_()

    anna.page.route("**/news*", fail_once)
    chat.type("are you there?")
    expect(said(anna, "customer").last).to_have_text("are you there?")
    assert set(asked) == {"1"}
    anna.page.unroute("**/news*")
    # Nothing of it stays for who uses the browser next, nor of a conversation that was erased.
    field.fill("For this customer alone")
    assert drafts(anna) == ["For this customer alone"]
    anna.page.route("**/news*", lambda route: route.fulfill(status=404))
    chat.type("hello?")
    expect(anna.page.get_by_role("alert")).to_contain_text("erased")
    assert drafts(anna) == []
    anna.page.unroute("**/news*")
    anna.page.reload()
    expect(field).to_have_value("")
    field.fill("For this customer alone")
    anna.page.get_by_role("button", name="Sign out").click()
    expect(anna.page.locator("#password")).to_be_visible()
    assert drafts(anna) == []


def test_a_socket_that_was_refused_comes_back(console: Callable[..., Console]) -> None:
    anna = console("Anna Holm")
    cookies = anna.context.cookies()

    def forget(route: Any) -> None:
        anna.context.clear_cookies()
        route.continue_()

    anna.page.route("**/assets/console*.js", forget)
    anna.goto("/canned")
    expect(anna.page.locator("#offline")).to_be_visible()
    anna.context.add_cookies(cookies)  # type: ignore[arg-type]
    expect(anna.page.locator("#offline")).to_be_hidden(timeout=15_000)


def test_why_the_model_decided_so_and_the_keys(
    chat: ChatPage, console: Callable[..., Console], axe: str
) -> None:
    chat.ask("where is my parcel?")
    anna = open_it(console("Anna Holm"), chat)
    turn = anna.page.locator("#entries .turn").last
    turn.locator("summary").click()
    turn.locator(".why a").click()
    expect(turn.locator(".reasons .word-for").first).to_be_visible(timeout=ANSWER_MS)
    expect(turn.locator(".reasons meter").first).to_be_visible()
    assert anna.violations(axe) == []
    anna.page.locator("body").press("?")
    expect(anna.page.locator("#keys")).to_be_visible()
    anna.page.keyboard.press("Escape")
    expect(anna.page.locator("#keys")).to_be_hidden()
    anna.page.locator("body").press("t")
    expect(anna.page.locator("#reply")).to_be_focused()
    chat.type("hello? tttt")
    anna.page.locator("#reply").press_sequentially("nothing? here")
    expect(anna.page.locator("#keys")).to_be_hidden()
    expect(anna.page.locator("#typing")).to_be_hidden()


def test_a_reviewer_sees_it_all_and_cannot_act(
    chat: ChatPage, console: Callable[..., Console]
) -> None:
    chat.ask("do you take PayPal")
    rita = open_it(console("Rita Holm"), chat)
    expect(said(rita, "customer")).to_have_text("do you take PayPal")
    expect(rita.page.locator("main form[method=post], main textarea, #composer")).to_have_count(0)
    expect(rita.page.locator("#standing")).to_contain_text("You read conversations")


def test_the_agent_sends_a_file(chat: ChatPage, console: Callable[..., Console]) -> None:
    chat.ask("do you take PayPal")
    anna = open_it(console("Anna Holm"), chat)
    anna.page.locator("#take").click()
    expect(anna.page.locator("#stands")).to_contain_text("You have it")
    anna.page.locator("#file").set_input_files(
        {"name": "evil.html", "mimeType": "text/html", "buffer": b"\x00<script>1</script>"}
    )
    expect(anna.page.locator("#reply-form .told")).to_contain_text("not taken")
    anna.page.locator("#file").set_input_files(
        {"name": "<b>terms.txt", "mimeType": "text/plain", "buffer": b"our terms"}
    )
    expect(anna.page.locator("#attached li")).to_have_count(1)
    anna.page.locator("#send").click()
    expect(anna.page.locator("#entries .entry-agent .files a")).to_have_count(1)
    expect(chat.by("agent").last).to_contain_text("terms.txt")


# Every element that runs or fetches something, and every attribute that could.
FIND = """() => {
  const bad = [];
  const never = new Set(('script iframe frame object embed applet base style math svg animate set '
    + 'foreignobject template video audio img').split(' '));
  for (const element of document.body.querySelectorAll('*')) {
    if (never.has(element.localName)) bad.push(element.outerHTML.slice(0, 120));
    for (const { name, value } of element.attributes) {
      if (/^(on|hx-on|style$|srcdoc$|formaction$)/i.test(name)) bad.push(name);
      if (['href', 'src', 'action', 'xlink:href', 'data', 'poster'].includes(name)) {
        const url = new URL(value, location.href);
        if (!['http:', 'https:', 'mailto:', 'tel:'].includes(url.protocol)) bad.push(value);
        const isOwn = url.origin === location.origin;
        if (!isOwn && !/noopener noreferrer/.test(element.rel)) bad.push(value);
        if (!isOwn && name !== 'href') bad.push(value);
      }
    }
  }
  for (const said of document.querySelectorAll('.said:not(.rendered), .picked-text, .canned-text'))
    if (said.children.length) bad.push(said.innerHTML.slice(0, 120));
  return bad;
}"""


def test_what_anyone_writes_stays_text_at_the_console(
    chat: ChatPage, console: Callable[..., Console], staff: PrivateSystem
) -> None:
    chat.ask("do you take PayPal")
    id_ = session_of(chat)["id"]
    _put_everywhere(staff, id_)
    anna = console("Anna Holm")
    asked: list[str] = []
    anna.page.on("request", lambda request: asked.append(request.url))
    dialogs: list[str] = []
    anna.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    anna.goto(f"/conversations/{id_}")

    def check() -> None:
        assert anna.page.evaluate(FIND) == []
        assert anna.page.evaluate("window.__xss") is None
        assert dialogs == []
        assert [url for url in asked if not url.startswith((staff.url, "ws", "data:"))] == []

    while anna.page.locator("#earlier").count():
        before = anna.page.locator(".entry").count()
        anna.page.locator("#earlier").click()
        expect(anna.page.locator(".entry").nth(before)).to_be_attached()
    for author in ("customer", "agent", "system", "note"):
        shown = said(anna, author).all_inner_texts()
        assert {text.strip() for text in CORPUS[:4]} <= {text.strip() for text in shown}, author
    check()
    for turn in anna.page.locator(".turn").all()[:3]:
        turn.locator("summary").click()
    # The same through the live door: what comes now is put in by the script.
    anna.page.locator("#take").click()
    expect(anna.page.locator("#stands")).to_contain_text("You have it")
    for text in CORPUS[:3]:
        chat.type(text)
        expect(said(anna, "customer").last).to_have_text(text)
    check()
    # Canned answers, suggestions and the list behind the slash.
    add_canned(anna, "evil", CORPUS[1])
    check()
    anna.goto(f"/conversations/{id_}")
    anna.page.locator("#reply").press_sequentially("/evil")
    expect(anna.page.locator("#canned-list [role=option]")).to_be_visible()
    check()
    anna.page.locator("#reply").press("Enter")
    expect(anna.page.locator("#reply")).to_have_value(CORPUS[1])
    check()


def test_a_page_is_accessible_and_fits(
    chat: ChatPage, console: Callable[..., Console], axe: str
) -> None:
    chat.ask(ANGRY)
    chat.frame.locator(".choice:enabled").first.click()
    expect(chat.frame.locator(".notice")).to_be_visible(timeout=ANSWER_MS)
    looks: list[dict[str, Any]] = [
        {},
        {"viewport": NARROW},
        {"color_scheme": "dark"},
        {"viewport": NARROW, "locale": "zh-CN", "color_scheme": "dark"},
    ]
    for number, options in enumerate(looks):
        anna = open_it(console("Anna Holm", **options), chat)
        if number == 0:
            anna.page.locator("#take").click()
        expect(anna.page.locator(".suggestion").first).to_be_visible(timeout=ANSWER_MS)
        for summary in anna.page.locator("main details > summary").all():
            summary.click()
        anna.page.locator("#reply").press_sequentially("/")
        expect(anna.page.locator("#canned-list")).to_be_visible()
        assert anna.violations(axe) == [], options
        assert anna.overflow() <= 0, options


def _put_everywhere(system: PrivateSystem, id_: str) -> None:
    """Write the corpus straight into the log, as each author, as notes and as files' names."""
    engine = create_engine(f"sqlite:///{Path(system.state_dir) / 'kefu.db'}")
    conversation, message = tables.conversation, tables.message
    evil = "<img src=x onerror=window.__xss=1>"
    with engine.begin() as connection:
        seq = connection.scalar(select(conversation.c.last_seq).where(conversation.c.id == id_))
        assert seq is not None
        agent_id = connection.scalar(select(tables.agent.c.id).limit(1))
        for author in ("customer", "bot", "agent", "system"):
            for text in CORPUS:
                seq += 1
                connection.execute(
                    insert(message).values(
                        id=f"{id_}-{seq}",
                        conversation_id=id_,
                        seq=seq,
                        direction="in" if author == "customer" else "out",
                        author=author,
                        agent_id=agent_id if author == "agent" else None,
                        channel="api",
                        account=id_,
                        message_id=f"evil-{seq}" if author == "customer" else None,
                        text=text,
                        buttons=[{"title": evil, "payload": evil}],
                        extra={"image": "javascript:window.__xss=1", "custom": {"html": evil}},
                        attachments=[{"kind": "file", "name": evil, "text": evil}],
                        state="answered" if author == "customer" else "sent",
                        created_at=utc_now(),
                    )
                )
                if author == "customer":
                    connection.execute(
                        insert(tables.turn).values(
                            id=sortable_id(),
                            conversation_id=id_,
                            inbound_id=f"{id_}-{seq}",
                            text=text,
                            intent=evil,
                            ranking=[{"name": evil, "confidence": 0.5}],
                            emotion=evil,
                            emotion_confidence=0.5,
                            confidence=0.5,
                            entities=[{"entity": evil, "value": evil}],
                            actions=[evil],
                            qa_pair_id=evil,
                            model_version=evil,
                            mode=evil,
                            error=evil,
                            timings={evil: 1.0},
                            created_at=utc_now(),
                        )
                    )
        for text in CORPUS:
            connection.execute(
                insert(tables.note).values(
                    id=sortable_id(),
                    conversation_id=id_,
                    agent_id=agent_id,
                    text=text,
                    after_seq=seq,
                    created_at=utc_now(),
                )
            )
        connection.execute(
            update(conversation)
            .where(conversation.c.id == id_)
            .values(last_seq=seq, customer_id=None, outcome=evil, handoff_reason=evil)
        )
    engine.dispose()
