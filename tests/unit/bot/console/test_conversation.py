"""A conversation on its page: what is shown to whom, and what agents do."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from bot.console.conversation.entries import trend
from bot.log import tables
from bot.log.surroundings import Surroundings
from tests.unit.bot.colleagues import call
from tests.unit.bot.conftest import Conversation, FakeDialogue, Running
from tests.unit.bot.console.visitors import Visitor, sign_in


@pytest.fixture
async def anna(running: Running) -> Visitor:
    return await sign_in(running, "Anna")


@pytest.fixture
async def ben(running: Running) -> Visitor:
    return await sign_in(running, "Ben")


async def audits(running: Running, action: str) -> list[tuple[str, str]]:
    audit = tables.audit

    def query(connection: Any) -> list[tuple[str, str]]:
        rows = connection.execute(
            select(audit.c.actor, audit.c.target).where(audit.c.action == action)
        )
        return [tuple(row) for row in rows]

    return await running.gateway.journal.read(query)


async def standing(running: Running, id_: str) -> dict[str, Any]:
    row = await running.gateway.journal.conversation(id_)
    assert row is not None
    return row


async def test_the_transcript_shows_what_was_said_and_what_was_understood(
    running: Running, anna: Visitor
) -> None:
    customer = await running.converse()
    await customer.say("m-1", "where is <b>my</b> order?")
    page = await anna.text(f"/conversations/{customer.id}")
    assert "where is &lt;b&gt;my&lt;/b&gt; order?" in page
    assert "echo where is &lt;b&gt;my&lt;/b&gt; order?" in page
    for shown in ("track_order", "97%", "angry", "20260101-1", "cpu-int8", "utter_echo"):
        assert shown in page
    assert await audits(running, "read_transcript") == [(anna.id, customer.id)]


async def test_a_long_conversation_is_read_from_its_end_stretch_by_stretch(
    running: Running, anna: Visitor
) -> None:
    customer = await running.converse()
    for number in range(40):
        await customer.say(f"m-{number}", f"number {number}.")
    page = await anna.text(f"/conversations/{customer.id}")
    assert page.count('class="entry entry-') == 50
    assert "number 39." in page
    assert "number 14." not in page
    before = re.search(r"\?before=(\d+)", page)
    assert before is not None
    earlier = await anna.text(f"/conversations/{customer.id}/entries?before={before[1]}")
    assert earlier.count('class="entry entry-') == 30
    assert "number 0." in earlier
    assert 'data-earlier=""' in earlier
    for bad in ("0", "-1", "x", "9" * 30):
        response = await anna.get(f"/conversations/{customer.id}/entries?before={bad}")
        assert response.status == 400


async def test_news_are_what_came_after(running: Running, anna: Visitor) -> None:
    customer = await running.converse()
    await customer.say("m-1", "first")
    await anna.text(f"/conversations/{customer.id}")
    await customer.say("m-2", "second")
    news = await anna.text(f"/conversations/{customer.id}/news?after=2")
    assert "second" in news
    assert "first" not in news
    assert 'id="standing"' in news
    assert 'id="side"' in news
    # Following a page that is on record is no new look; to begin with the news is one.
    assert len(await audits(running, "read_transcript")) == 1
    eve = await sign_in(running, "Eve", "reviewer")
    await eve.text(f"/conversations/{customer.id}/news?after=0")
    assert (eve.id, customer.id) in await audits(running, "read_transcript")


async def test_what_was_on_the_page_is_read_for_the_inbox(running: Running, anna: Visitor) -> None:
    customer = await running.converse()
    await customer.say("m-1", "hello")
    await call(customer)
    assert "unread" in await anna.text("/inbox")
    await anna.text(f"/conversations/{customer.id}")
    assert "unread" not in await anna.text("/inbox")
    await customer.say("m-2", "hello?")
    assert "unread" in await anna.text("/inbox")
    await anna.text(f"/conversations/{customer.id}/news?after=4")
    assert "unread" not in await anna.text("/inbox")


async def test_from_taking_over_to_the_hand_back(
    running: Running, anna: Visitor, dialogue: FakeDialogue
) -> None:
    customer = await running.converse()
    await call(customer)
    path = f"/conversations/{customer.id}"
    taken = await anna.post(f"{path}/take")
    assert taken.status == 303
    assert taken.headers["Location"].startswith(f"/console{path}?notice=")
    for _ in range(2):  # a double click, or a retry
        said = await anna.post(f"{path}/messages", id="a-1", text="Hello,\r\nAnna here", json=True)
        assert said.status == 200
    response = await anna.post(
        f"{path}/hand-back", outcome="resolved", note="sent a voucher", json=True
    )
    assert response.status == 200
    page = await customer.messages()
    assert [m["text"] for m in page["messages"] if m["author"] == "agent"] == ["Hello,\nAnna here"]
    assert page["status"] == "bot"
    row = await standing(running, customer.id)
    assert row["outcome"] == "resolved"
    assert "sent a voucher" in await anna.text(path)
    assert "sent a voucher" not in str(page)


async def test_of_two_agents_the_second_is_told_who_has_it(
    running: Running, anna: Visitor, ben: Visitor
) -> None:
    customer = await running.converse()
    path = f"/conversations/{customer.id}"
    assert (await anna.post(f"{path}/take", json=True)).status == 200
    refused = await ben.post(f"{path}/take", json=True)
    assert refused.status == 409
    assert "Anna has this conversation" in await refused.text()
    as_page = await ben.post(f"{path}/messages", id="b-1", text="me too")
    assert as_page.status == 409
    assert "Anna has this conversation" in await as_page.text()
    page = await ben.text(path)
    assert "Anna has it" in page
    assert f'action="/console{path}/take"' not in page
    assert f'action="/console{path}/release"' not in page


async def test_a_note_is_for_agents_alone(running: Running, anna: Visitor, ben: Visitor) -> None:
    customer = await running.converse()
    await customer.say("m-1", "hello")
    path = f"/conversations/{customer.id}"
    for _ in range(2):
        response = await ben.post(
            f"{path}/notes", id="n-1", text="a <i>difficult</i> one", json=True
        )
        assert response.status == 200
    await customer.say("m-2", "hello?")
    page = await anna.text(path)
    assert page.count("a &lt;i&gt;difficult&lt;/i&gt; one") == 1
    order = [page.index(text) for text in ("echo hello<", "difficult", "hello?")]
    assert order == sorted(order)
    assert "difficult" not in str(await customer.messages())
    assert await audits(running, "note") == [(ben.id, customer.id)]
    for text in ("", "  ", "x" * 4001):
        assert (await ben.post(f"{path}/notes", id="n-2", text=text, json=True)).status in (
            400,
            413,
        )


async def test_a_conversation_is_assigned_and_whom_it_is_meant_for_is_told(
    running: Running, anna: Visitor, ben: Visitor
) -> None:
    told: list[dict[str, Any]] = []
    running.gateway.journal.hub.watch(f"agent:{ben.id}", lambda _, event: told.append(event))
    customer = await running.converse()
    await call(customer)
    path = f"/conversations/{customer.id}"
    assert (await anna.post(f"{path}/assign", agent_id=ben.id, json=True)).status == 200
    assert told == [{"type": "assigned", "id": customer.id, "by": "Anna"}]
    assert "meant for you" in await ben.text(path)
    assert "meant for Ben" in await anna.text(path)
    assert (await customer.messages())["status"] == "waiting"
    assert (await ben.post(f"{path}/take", json=True)).status == 200
    row = await standing(running, customer.id)
    assert (row["agent_id"], row["assignee_id"]) == (ben.id, None)
    refused = await anna.post(f"{path}/assign", agent_id=anna.id, json=True)
    assert refused.status == 409
    assert "Ben" in await refused.text()


async def test_who_does_not_talk_to_customers_is_given_none(
    running: Running, anna: Visitor
) -> None:
    eve = await sign_in(running, "Eve", "reviewer")
    customer = await running.converse()
    path = f"/conversations/{customer.id}"
    for nobody in (eve.id, "nobody", "x\0"):
        response = await anna.post(f"{path}/assign", agent_id=nobody, json=True)
        assert response.status == 422
    await anna.post(f"{path}/take")
    assert (await anna.post(f"{path}/transfer", agent_id=eve.id, json=True)).status == 422
    assert (await anna.post(f"{path}/transfer", agent_id="", json=True)).status == 422
    assert (await standing(running, customer.id))["agent_id"] == anna.id
    assert (
        eve.name not in (await anna.text(path)).split('id="transfer-to"')[1].split("</select>")[0]
    )


async def test_a_transfer_goes_straight_to_the_colleague_and_the_customer_is_told(
    running: Running, anna: Visitor, ben: Visitor
) -> None:
    customer = await running.converse()
    path = f"/conversations/{customer.id}"
    await anna.post(f"{path}/take")
    refused = await ben.post(f"{path}/transfer", agent_id=ben.id, json=True)
    assert refused.status == 409
    assert (await anna.post(f"{path}/transfer", agent_id=ben.id, json=True)).status == 200
    assert (await standing(running, customer.id))["agent_id"] == ben.id
    notice = (await customer.messages())["messages"][-1]
    assert notice["metadata"] == {"notice": "transferred", "name": "Anna", "other": "Ben"}
    assert (await ben.post(f"{path}/messages", id="b-1", text="hi", json=True)).status == 200
    assert (await anna.post(f"{path}/messages", id="a-1", text="hi", json=True)).status == 409
    assert await audits(running, "transfer") == [(anna.id, customer.id)]


async def test_a_reviewer_sees_all_and_acts_on_nothing(running: Running, anna: Visitor) -> None:
    eve = await sign_in(running, "Eve", "reviewer")
    customer = await running.converse()
    await customer.say("m-1", "hello")
    path = f"/conversations/{customer.id}"
    await anna.post(f"{path}/notes", id="n-1", text="a note")
    page = await eve.text(path)
    assert "a note" in page
    assert "You read conversations" in page
    assert page.count('method="post"') == 1, "signing out"
    acts = ("take", "release", "assign", "transfer", "messages", "files", "notes", "hand-back")
    for act in (*acts, "close"):
        response = await eve.post(f"{path}/{act}", id="x", text="x", outcome="x", json=True)
        assert response.status == 403, act
    for read in ("canned", "suggestions"):
        assert (await eve.get(f"{path}/{read}")).status == 403


async def test_a_file_goes_to_the_customer_under_the_rules_for_files(
    running: Running, anna: Visitor, ben: Visitor
) -> None:
    customer = await running.converse()
    path = f"/conversations/{customer.id}"
    await anna.post(f"{path}/take")
    headers = {
        "X-CSRF-Token": anna.csrf,
        "Content-Type": "text/plain",
        "Accept": "application/json",
    }
    response = await anna.send("POST", f"{path}/files?name=a.txt", headers, b"hello")
    assert response.status == 201
    file = await response.json()
    said = await anna.post(f"{path}/messages", id="a-1", text="", attachments=file["id"], json=True)
    assert said.status == 200
    last = (await customer.messages())["messages"][-1]
    assert last["attachments"][0]["name"] == "a.txt"
    assert "a.txt" in await anna.text(path)
    wrong = {"X-CSRF-Token": anna.csrf, "Content-Type": "text/html"}
    refused = await anna.send("POST", f"{path}/files?name=a.html", wrong, b"\x00\x01")
    assert refused.status == 415
    others = {"X-CSRF-Token": ben.csrf, "Content-Type": "text/plain"}
    assert (await ben.send("POST", f"{path}/files", others, b"x")).status == 409


@pytest.mark.parametrize("path", ["", "/entries", "/news", "/canned", "/suggestions"])
async def test_what_is_not_there_is_not_found(running: Running, anna: Visitor, path: str) -> None:
    expected = 200 if path == "/suggestions" else 404
    assert (await anna.get(f"/conversations/nowhere{path}")).status == expected
    assert (await anna.get(f"/conversations/no%00where{path}")).status == 404


async def test_a_refusal_is_told_in_the_readers_language_first(anna: Visitor) -> None:
    path, chinese = "/conversations/nowhere", {"Accept-Language": "zh-CN"}
    english = "there is no such conversation"
    for headers in (chinese, chinese | {"HX-Request": "true"}):
        page = await (await anna.get(path, **headers)).text()
        assert page.index("未找到所需内容") < page.index('<small lang="en">') < page.index(english)
    page = await (await anna.get(path)).text()
    assert english in page
    assert "<small" not in page


def test_who_is_only_confused_is_not_upset() -> None:
    feelings = [{"emotion": name} for name in ("angry", "confused", "anxious", "confused")]
    around = Surroundings(row={}, feelings=feelings, rating=None, others=[])
    assert trend(around) == {"last": "confused", "latest": 4, "negative": 2}


async def test_other_conversations_of_the_same_customer_are_beside_it(
    running: Running, anna: Visitor
) -> None:
    journal = running.gateway.journal
    mine = await journal.open_conversation("api", customer_id="c-7", locale="zh-CN")
    other = await journal.open_conversation("slack", "s-1", customer_id="c-7")
    stranger = await journal.open_conversation("api", customer_id="c-8")
    page = await anna.text(f"/conversations/{mine}")
    assert f"/console/conversations/{other}" in page
    assert stranger not in page
    assert "c-7" in page


async def test_only_addresses_of_the_web_become_links(running: Running, anna: Visitor) -> None:
    customer = await running.converse()
    await _say_as_bot(running, customer, {"image": "javascript:alert(1)"})
    await _say_as_bot(running, customer, {"image": "https://shop.example/a.png"})
    page = await anna.text(f"/conversations/{customer.id}")
    assert 'href="javascript' not in page
    assert 'href="https://shop.example/a.png"' in page


async def _say_as_bot(running: Running, customer: Conversation, extra: dict[str, Any]) -> None:
    from bot.log.records import Reply

    reply = Reply(id=running.gateway.world.new_id(), text="see", extra=extra)
    await running.gateway.journal.say(customer.id, [reply])
