"""The inbox's page: its list, filters, views and marks."""

import re
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot.console.inbox.pages import PAGE
from bot.log import inbox, tables
from bot.log.records import Reply
from tests.unit.bot.conftest import FakeDialogue, Running, parse_of
from tests.unit.bot.console.visitors import sign_in


def calm(body: dict[str, object]) -> dict[str, object]:
    """A turn that nobody is upset in."""
    text = str(body["text"])
    return {"parse": parse_of(text, emotion={"name": "neutral", "confidence": 0.9})}


async def rows(visitor: object, query: str = "") -> list[str]:
    """The conversations that the inbox lists, in its order."""
    text = await visitor.text(f"/inbox{query}")  # type: ignore[attr-defined]
    return re.findall(r'<li class="inbox-row[^>]*data-conversation="([^"]+)"', text)


async def test_a_conversation_is_listed_with_what_was_understood(running: Running) -> None:
    conversation = await running.converse()
    await conversation.say("m1", "Where is <b>my</b> order?")
    ada = await sign_in(running)
    page = await ada.text("/inbox")
    assert "track_order" in page
    assert "echo Where is &lt;b&gt;my&lt;/b&gt; order?" in page
    assert "<b>my</b>" not in page


async def test_the_angry_are_marked_in_words(running: Running, dialogue: FakeDialogue) -> None:
    angry = await running.converse()
    await angry.say("m1", "This is an outrage")
    dialogue.reply = calm
    other = await running.converse()
    await other.say("m1", "What a nice day")
    ada = await sign_in(running)
    page = await ada.text("/inbox")
    assert page.count("inbox-angry") == 1
    assert page.index("inbox-angry") < page.index(f"row-{angry.id}")
    assert "Angry" in page


async def test_who_waits_comes_first(running: Running, dialogue: FakeDialogue) -> None:
    dialogue.reply = calm
    first, second, third = [await running.converse() for _ in range(3)]
    for conversation in (first, second, third):
        await conversation.say("m1", "hello")
    await running.gateway.desk.ask(first.id)
    ada = await sign_in(running)
    assert await rows(ada) == [first.id, third.id, second.id]
    assert await rows(ada, "?status=waiting") == [first.id]
    assert await rows(ada, "?status=bot") == [third.id, second.id]


async def test_filters_combine_and_each_can_be_taken_off(running: Running) -> None:
    conversation = await running.converse()
    await conversation.say("m1", "hello")
    ada = await sign_in(running)
    assert await rows(ada, "?emotion=angry&intent=track_order&channel=api") == [conversation.id]
    assert await rows(ada, "?emotion=angry&intent=track_order&channel=slack") == []
    page = await ada.text("/inbox?emotion=angry&channel=api")
    assert 'href="/console/inbox?channel=api"' in page
    assert 'href="/console/inbox?emotion=angry"' in page


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?rating=7", "rating"),
        ("?from=yesterday", "from"),
        ("?below=0.123", "below"),
        ("?below=nan", "below"),
        ("?below=inf", "below"),
        ("?status=asleep", "status"),
        ("?unanswered=maybe", "unanswered"),
        ("?after=nonsense", "after"),
        ("?before=%00", "before"),
        ("?intent=a%0Ab", "intent"),
        (f"?q={'x' * 201}", "q"),
        ("?q=%21%21", "q"),
        ("?to=9999-12-31", "to"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_by_name(
    running: Running, query: str, field: str
) -> None:
    ada = await sign_in(running)
    response = await ada.get(f"/inbox{query}", Accept="application/json")
    assert response.status == 422
    assert (await response.json())["error"]["field"] == field


async def test_pages_go_on_where_the_one_before_ended_and_back(
    running: Running, dialogue: FakeDialogue
) -> None:
    dialogue.reply = calm
    ids = []
    for number in range(PAGE + 3):
        id_ = await running.gateway.journal.open_conversation("api")
        ids.append(id_)
        await running.gateway.journal.say(id_, [Reply(id=f"r{number}", text="hello")])
    ids.reverse()
    ada = await sign_in(running)
    first = await ada.text("/inbox")
    assert await rows(ada) == ids[:PAGE]
    older = re.search(r'rel="next" href="/console(/inbox[^"]+)"', first)
    assert older is not None
    second = await ada.text(older[1].replace("&amp;", "&"))
    assert re.findall(r'id="row-([^"]+)"', second) == ids[PAGE:]
    assert 'rel="next"' not in second
    newer = re.search(r'rel="prev" href="/console(/inbox[^"]+)"', second)
    assert newer is not None
    assert re.findall(r'id="row-([^"]+)"', await ada.text(newer[1])) == ids[:PAGE]


async def test_a_search_finds_words_of_customer_and_bot_and_is_on_record(
    running: Running,
) -> None:
    conversation = await running.converse()
    await conversation.say("m1", "我的退款什么时候到账")
    other = await running.converse()
    await other.say("m1", "The teapot is broken")
    ada = await sign_in(running)
    assert await rows(ada, "?q=退款") == [conversation.id]
    assert await rows(ada, "?q=Teapot+BROKEN") == [other.id]
    assert await rows(ada, "?q=teap*") == [other.id]
    assert await rows(ada, "?q=teapot+echo&emotion=angry") == [other.id]
    assert await rows(ada, "?q=teapot&emotion=happy") == []
    assert await rows(ada, "?q=teapot+退款") == []

    records = await audited(running, "inbox.search")
    assert len(records) == 6
    assert records[3] == ("/inbox", {"fields": ["emotion", "q"]})


async def test_whose_words_the_list_showed_is_on_record_once_for_each_who_looks(
    running: Running,
) -> None:
    first = await running.converse()
    await first.say("m1", "hello")
    ada = await sign_in(running)
    await ada.text("/inbox")
    await ada.text("/inbox?channel=api")
    second = await running.converse()
    await second.say("m1", "good day")
    await ada.text("/inbox")
    ben = await sign_in(running, "Ben")
    await ben.text("/inbox")
    shown = [detail["conversations"] for _, detail in await audited(running, "inbox.read")]
    assert shown[:2] == [[first.id], [second.id]]
    assert {frozenset(one) for one in shown[2:]} == {frozenset({first.id, second.id})}


async def audited(running: Running, action: str) -> list[tuple[str, Any]]:
    """Target and detail of the audit rows of an action, the oldest first."""

    def read(connection: Connection) -> list[tuple[str, Any]]:
        audit = tables.audit
        found = connection.execute(
            select(audit.c.target, audit.c.detail)
            .where(audit.c.action == action)
            .order_by(audit.c.id)
        )
        return [(row.target, row.detail) for row in found]

    return await running.gateway.journal.read(read)


async def test_the_list_alone_is_for_htmx(running: Running) -> None:
    ada = await sign_in(running)
    response = await ada.get("/inbox", **{"HX-Request": "true"})
    text = await response.text()
    assert text.lstrip().startswith('<div id="inbox-list"')
    assert "<html" not in text


async def test_unread_is_what_the_customer_wrote_since_one_looked(running: Running) -> None:
    conversation = await running.converse()
    await conversation.say("m1", "hello")
    ada = await sign_in(running)
    assert "inbox-unread" not in await ada.text("/inbox")
    await running.gateway.desk.ask(conversation.id)
    assert "inbox-unread" in await ada.text("/inbox")

    def read_all(connection: object) -> bool:
        return inbox.mark_read(
            connection,  # type: ignore[arg-type]
            agent_id=ada.id,
            conversation_id=conversation.id,
            seq=3,
        )

    assert await running.gateway.journal.write(read_all)
    assert "inbox-unread" not in await ada.text("/inbox")
    await conversation.say("m2", "anybody?")
    assert "inbox-unread" in await ada.text("/inbox")
    ben = await sign_in(running, "Ben")
    assert "inbox-unread" in await ben.text("/inbox")


async def test_a_view_is_ones_own_unless_an_administrator_shares_it(running: Running) -> None:
    ada, ben = await sign_in(running), await sign_in(running, "Ben")
    root = await sign_in(running, "Root", "administrator")
    kept = await ada.post("/inbox/views", name="Angry, here", emotion="angry", channel="api")
    assert kept.status == 303
    assert kept.headers["Location"].startswith("/console/inbox?emotion=angry&channel=api")
    assert "Angry, here" in await ada.text("/inbox")
    assert "Angry, here" not in await ben.text("/inbox")
    refused = await ada.post("/inbox/views", name="For all", shared="yes")
    assert refused.status == 403
    assert (await root.post("/inbox/views", name="For all", shared="yes", rating="2")).status == 303
    page = await ben.text("/inbox?rating=2")
    assert "For all" in page
    assert "/remove" not in page
    view_id = re.search(r"/inbox/views/([^/]+)/remove", await root.text("/inbox?rating=2"))
    assert view_id is not None
    assert (await ben.post(f"/inbox/views/{view_id[1]}/remove")).status == 404
    assert (await root.post(f"/inbox/views/{view_id[1]}/remove")).status == 303
    assert "For all" not in await ben.text("/inbox")


async def test_a_view_keeps_no_words_that_were_searched_for(running: Running) -> None:
    ada = await sign_in(running)
    assert (
        'name="q" value="4711'
        not in (await ada.text("/inbox?q=4711&emotion=angry"))
        .split("inbox-save")[1]
        .split("</form>")[0]
    )
    kept = await ada.post("/inbox/views", name="Angry", emotion="angry", q="parcel 4711")
    assert kept.headers["Location"].startswith("/console/inbox?emotion=angry&notice")
    views = await running.gateway.journal.read(
        lambda c: [row.filters for row in c.execute(tables.inbox_view.select())]
    )
    assert views == [{"emotion": "angry"}]


@pytest.mark.parametrize("name", ["", " ", "x" * 41, "a\nb"])
async def test_a_view_needs_a_name(running: Running, name: str) -> None:
    ada = await sign_in(running)
    assert (await ada.post("/inbox/views", name=name, emotion="angry")).status == 422


async def test_the_inbox_speaks_chinese(running: Running) -> None:
    ada = await sign_in(running)
    response = await ada.get("/inbox", **{"Accept-Language": "zh-CN"})
    assert "收件箱" in await response.text()
