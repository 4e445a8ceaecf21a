"""Agents over HTTP: who may do what, the queue, and what the customer sees of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select

from bot import agents
from bot.log import tables
from bot.push import MESSAGES
from tests.unit.bot.colleagues import BASE, Colleague, call, employ
from tests.unit.bot.conftest import Conversation, FakeDialogue, Running


async def audits(running: Running) -> list[tuple[str, str, str, Any]]:
    def query(connection: Any) -> list[tuple[str, str, str, Any]]:
        audit = tables.audit
        rows = connection.execute(
            select(audit.c.actor, audit.c.action, audit.c.target, audit.c.detail)
        )
        return [tuple(row) for row in rows]

    return await running.gateway.journal.read(query)


def notices(page: Any) -> list[str]:
    return [m["metadata"]["notice"] for m in page["messages"] if m["author"] == "system"]


@pytest.fixture
async def anna(running: Running) -> Colleague:
    return await employ(running, "Anna")


@pytest.fixture
async def ben(running: Running) -> Colleague:
    return await employ(running, "Ben")


async def test_a_handoff_from_the_call_to_the_hand_back(
    running: Running, anna: Colleague, dialogue: FakeDialogue
) -> None:
    customer = await running.converse()
    assert await call(customer) == (
        200,
        {"status": "waiting", "queue": {"position": 1, "open": True}},
    )
    status, taken = await anna.do(customer, "take")
    assert (status, taken["status"], taken["agent_id"]) == (200, "agent", anna.id)
    await customer.say("m-1", "are you there?", query="")
    status, said = await anna.do(customer, "messages", id="a-1", text="I am, <b>hello</b>")
    assert status == 200
    assert said["message"]["agent_name"] == "Anna"
    status, back = await anna.do(customer, "hand-back", outcome="resolved", note="a voucher")
    assert (status, back["status"], back["outcome"]) == (200, "bot", "resolved")

    page = await customer.messages()
    assert page["status"] == "bot"
    written = [m["text"] for m in page["messages"] if m["author"] == "agent"]
    assert written == ["I am, <b>hello</b>"]
    assert notices(page) == ["called", "next", "joined", "handed_back"]
    assert dialogue.turns == [], "the bot was silent"
    await customer.say("m-2", "thanks")
    (told,) = dialogue.hand_backs
    assert told["outcome"] == "resolved"
    assert told["slots"] == {"handoff_rest": 5}
    await customer.say("m-3", "bye")
    assert len(dialogue.hand_backs) == 1


async def test_the_dialogue_learns_of_a_hand_back_through_an_outage(
    start: Callable[..., Awaitable[Running]], dialogue: FakeDialogue
) -> None:
    running = await start()
    anna = await employ(running, "Anna")
    customer = await running.converse()
    await anna.do(customer, "take")
    await anna.do(customer, "hand-back", outcome="callback")
    again = await start()  # another process: what is pending is in the database
    dialogue.failures = [503, 503]
    later = Conversation(again.client, customer.id, customer.token)
    status, answer = await later.say("m-1", "hello")
    assert (status, answer["message"]["state"]) == (200, "answered")
    assert len({told["event_id"] for told in dialogue.hand_backs}) == 1
    assert len(dialogue.hand_backs) == 3
    await later.say("m-2", "hello again")
    assert len(dialogue.hand_backs) == 3


async def test_of_two_agents_one_takes_it(
    running: Running, anna: Colleague, ben: Colleague
) -> None:
    customer = await running.converse()
    await call(customer)
    results = await asyncio.gather(
        *(colleague.do(customer, "take") for colleague in (anna, ben, anna, ben))
    )
    won = {body["agent_id"] for status, body in results if status == 200}
    lost = [body["error"]["message"] for status, body in results if status == 409]
    assert len(won) == 1
    assert len(lost) == 2
    name = "Anna" if won == {anna.id} else "Ben"
    assert set(lost) == {f"{name} has the conversation"}
    assert notices(await customer.messages()).count("joined") == 1


async def test_an_agents_message_is_said_once(running: Running, anna: Colleague) -> None:
    customer = await running.converse()
    await anna.do(customer, "take")
    first = await anna.do(customer, "messages", id="a-1", text="hello")
    again = await anna.do(customer, "messages", id="a-1", text="hello")
    assert first == again
    assert (await anna.do(customer, "messages", id="a-1", text="other"))[0] == 422
    await anna.do(customer, "hand-back", outcome="resolved")
    assert await anna.do(customer, "messages", id="a-1", text="hello") == first
    texts = [m["text"] for m in (await customer.messages())["messages"] if m["author"] == "agent"]
    assert texts == ["hello"]


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("messages", {"id": "x", "text": "hi"}),
        ("typing", {}),
        ("hand-back", {"outcome": "resolved"}),
        ("release", {}),
        ("close", {}),
        ("take", {}),
        ("assign", {"agent_id": None}),
        ("transfer", {"agent_id": "x"}),
    ],
)
async def test_only_the_holder_acts(
    running: Running, anna: Colleague, ben: Colleague, what: str, body: dict[str, Any]
) -> None:
    customer = await running.converse()
    await anna.do(customer, "take")
    status, refusal = await ben.do(customer, what, **body)
    assert status == 409
    assert "Anna" in refusal["error"]["message"]
    assert (await customer.messages())["status"] == "agent"


async def test_a_conversation_goes_straight_to_a_colleague(
    running: Running, anna: Colleague, ben: Colleague
) -> None:
    eve = await employ(running, "Eve", "reviewer")
    customer = await running.converse()
    await anna.do(customer, "take")
    status, known = await anna.get("/colleagues")
    assert (status, [one["name"] for one in known["colleagues"]]) == (200, ["Anna", "Ben"])
    assert (await anna.do(customer, "transfer", agent_id=eve.id))[0] == 422
    assert (await anna.do(customer, "transfer"))[0] == 400
    status, row = await anna.do(customer, "transfer", agent_id=ben.id)
    assert (status, row["agent_id"]) == (200, ben.id)
    assert (await ben.do(customer, "messages", id="b-1", text="hello"))[0] == 200
    assert notices(await customer.messages()) == ["joined", "transferred"]


async def test_an_administrator_gives_anothers_to_a_third(
    running: Running, anna: Colleague, ben: Colleague
) -> None:
    boss = await employ(running, "Clara", "administrator")
    customer = await running.converse()
    await anna.do(customer, "take")
    assert (await boss.do(customer, "transfer", agent_id=ben.id))[0] == 200
    page = await customer.messages()
    assert page["messages"][-1]["text"] == "Ben has joined the chat in place of Anna."


@pytest.mark.parametrize("what", ["messages", "typing", "hand-back", "release"])
async def test_what_nobody_holds_is_nobodys(running: Running, anna: Colleague, what: str) -> None:
    customer = await running.converse()
    await call(customer)
    status, refusal = await anna.do(customer, what, id="x", text="hi", outcome="resolved")
    assert status == 409
    assert "waiting" in refusal["error"]["message"]


async def test_an_administrator_releases_anothers(running: Running, anna: Colleague) -> None:
    boss = await employ(running, "Clara", "administrator")
    customer = await running.converse()
    await anna.do(customer, "take")
    status, row = await boss.do(customer, "release")
    assert (status, row["status"], row["agent_id"]) == (200, "waiting", None)
    page = await customer.messages()
    put_back = next(m for m in page["messages"] if m["metadata"]["notice"] == "put_back")
    assert put_back["text"].startswith("Anna")
    assert (await anna.do(customer, "messages", id="x", text="hi"))[0] == 409


async def test_a_reviewer_reads_and_does_not_act(running: Running) -> None:
    reviewer = await employ(running, "Rita", "reviewer")
    customer = await running.converse()
    await call(customer)
    for what in ("take", "messages", "close", "hand-back", "release", "typing"):
        assert (await reviewer.do(customer, what))[0] == 403
    assert (await reviewer.get(f"/conversations/{customer.id}/messages"))[0] == 200
    assert (await reviewer.get("/me"))[1]["role"] == "reviewer"


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer "}, {"Authorization": "Bearer forged"}]
)
async def test_without_a_token_of_an_agent_nothing_is_seen(
    running: Running, header: dict[str, str]
) -> None:
    customer = await running.converse()
    for path in ("/me", "/conversations", f"/conversations/{customer.id}/messages"):
        response = await running.client.get(BASE + path, headers=header)
        assert response.status == 401
    response = await running.client.post(f"{BASE}/conversations/{customer.id}/take", headers=header)
    assert response.status == 401
    response = await running.client.post(
        f"{BASE}/conversations/{customer.id}/take", headers=customer.headers
    )
    assert response.status == 401, "a customer's token is no agent's"


async def test_a_removed_agent_is_out_at_once(running: Running, anna: Colleague) -> None:
    from bot.world import utc_now

    assert (await anna.get("/me"))[0] == 200
    await running.gateway.journal.write(
        lambda connection: agents.remove(connection, name="Anna", now=utc_now())
    )
    assert (await anna.get("/me"))[0] == 401


async def test_an_agents_token_opens_no_customers_route(running: Running, anna: Colleague) -> None:
    customer = await running.converse()
    response = await running.client.get(customer.url, headers=anna.headers)
    assert response.status in (401, 403)


async def test_an_unknown_conversation_is_not_found(running: Running, anna: Colleague) -> None:
    nowhere = Conversation(running.client, "nowhere", "")
    for what in ("take", "messages", "close", "hand-back", "release", "typing"):
        status, _ = await anna.do(nowhere, what, id="x", text="hi", outcome="resolved")
        assert status == 404
    assert (await anna.get("/conversations/nowhere/messages"))[0] == 404
    assert (await anna.get("/conversations/no%00where/messages"))[0] == 404


@pytest.mark.parametrize("outcome", [None, "", " ", 7, "x" * 61, "two\nlines"])
async def test_an_outcome_is_a_short_label(
    running: Running, anna: Colleague, outcome: object
) -> None:
    customer = await running.converse()
    await anna.do(customer, "take")
    body = {} if outcome is None else {"outcome": outcome}
    status, refusal = await anna.do(customer, "hand-back", **body)
    assert status in (400, 413)
    assert refusal["error"]["field"] == "outcome"


async def test_the_queue_is_listed_in_its_order_page_by_page(
    running: Running, anna: Colleague
) -> None:
    customers = [await running.converse() for _ in range(5)]
    for customer in customers:
        await call(customer)
    await running.gateway.journal.write(
        lambda connection: (
            connection.execute(
                tables.conversation.update()
                .where(tables.conversation.c.id == customers[3].id)
                .values(handoff_reason="emotion")
            ).rowcount
        )
    )
    found: list[str] = []
    cursor = ""
    while True:
        status, page = await anna.get(f"/conversations?status=waiting&limit=2{cursor}")
        assert status == 200
        found += [one["id"] for one in page["conversations"]]
        if page["next_after"] is None:
            break
        cursor = f"&after={page['next_after']}"
    assert found == [customers[n].id for n in (3, 0, 1, 2, 4)]
    places = [(await call(one))[1]["queue"]["position"] for one in customers]
    assert places == [2, 3, 4, 1, 5]
    assert notices(await customers[0].messages()) == ["called", "next"], "told once"


async def test_lists_go_by_status_and_holder(
    running: Running, anna: Colleague, ben: Colleague
) -> None:
    customers = [await running.converse() for _ in range(4)]
    await anna.do(customers[0], "take")
    await ben.do(customers[1], "take")
    await ben.do(customers[2], "close", outcome="spam")
    _, mine = await anna.get("/conversations?status=agent&mine=true")
    assert [(one["id"], one["agent_name"]) for one in mine["conversations"]] == [
        (customers[0].id, "Anna")
    ]
    assert mine["conversations"][0]["last_message"]["author"] == "system"
    _, closed = await anna.get("/conversations?status=closed")
    assert [one["id"] for one in closed["conversations"]] == [customers[2].id]
    seen: list[str] = []
    cursor = ""
    while True:
        _, page = await anna.get(f"/conversations?limit=1{cursor}")
        seen += [one["id"] for one in page["conversations"]]
        if page["next_after"] is None:
            break
        cursor = f"&after={page['next_after']}"
    assert sorted(seen) == sorted(one.id for one in customers)
    assert len(seen) == 4


@pytest.mark.parametrize(
    "query",
    ["status=busy", "after=%00", "after=e30", "after=W10", "limit=x", "mine=perhaps", "limit=201"],
)
async def test_a_bad_list_query_is_refused(running: Running, anna: Colleague, query: str) -> None:
    assert (await anna.get(f"/conversations?{query}"))[0] == 400


async def test_closing_ends_it_until_the_customer_writes(
    running: Running, anna: Colleague, dialogue: FakeDialogue
) -> None:
    customer = await running.converse()
    await anna.do(customer, "take")
    status, row = await anna.do(customer, "close", outcome="resolved")
    assert (status, row["status"]) == (200, "closed")
    assert (await anna.do(customer, "take"))[0] == 409
    await customer.say("m-1", "one more thing")
    assert (await customer.messages())["status"] == "bot"
    assert [told["outcome"] for told in dialogue.hand_backs] == ["resolved"]


async def test_a_customer_closes_and_calls_again(running: Running) -> None:
    customer = await running.converse()
    await call(customer)
    assert await call(customer, "close") == (200, {"status": "closed"})
    assert await call(customer, "close") == (200, {"status": "closed"})
    assert (await call(customer))[1]["status"] == "waiting"


async def test_the_customers_routes_want_the_conversations_token(running: Running) -> None:
    customer, other = await running.converse(), await running.converse()
    for what in ("handoff", "close"):
        url = f"/api/v1/conversations/{customer.id}/{what}"
        assert (await running.client.post(url)).status == 401
        assert (await running.client.post(url, headers=other.headers)).status == 403
    assert (await customer.messages())["status"] == "bot"


async def test_a_person_can_be_called_while_the_dialogue_is_down(
    running: Running, dialogue: FakeDialogue
) -> None:
    dialogue.open.clear()  # every turn hangs
    customer = await running.converse()
    await customer.say("m-1", "hello?", query="")
    assert (await call(customer))[1]["status"] == "waiting"


async def test_who_did_what_is_on_record(running: Running, anna: Colleague) -> None:
    customer = await running.converse()
    await anna.get(f"/conversations/{customer.id}/messages")
    await anna.do(customer, "take")
    await anna.get(f"/conversations/{customer.id}/messages?after=1")
    await anna.do(customer, "hand-back", outcome="resolved", note="write to jo@mail.example")
    rows = [row for row in await audits(running) if row[0] == anna.id]
    assert [row[1] for row in rows] == ["read_transcript", "take", "hand_back"]
    assert {row[2] for row in rows} == {customer.id}
    assert "jo@mail.example" not in rows[-1][3]["note"]


async def test_the_customer_sees_that_the_agent_writes(running: Running, anna: Colleague) -> None:
    customer = await running.converse()
    await anna.do(customer, "take")
    heard: list[Any] = []
    stop = running.gateway.journal.hub.watch(customer.id, lambda topic, event: heard.append(event))
    assert (await anna.do(customer, "typing"))[0] == 200
    stop()
    assert heard == [{"type": "typing", "author": "agent"}]


async def test_everyone_who_waits_is_told_that_the_queue_moved(
    running: Running, anna: Colleague
) -> None:
    first, second = await running.converse(), await running.converse()
    await call(first)
    await call(second)
    heard: list[Any] = []
    stop = running.gateway.journal.hub.watch(second.id, lambda topic, event: heard.append(event))
    await anna.do(first, "take")
    stop()
    assert {"type": "status"} in heard
    assert (await second.messages())["queue"] == {"position": 1, "open": True}
    assert MESSAGES not in heard, "a place in the queue is no message"


async def test_the_holder_sends_a_file_of_their_own(
    running: Running, anna: Colleague, ben: Colleague
) -> None:
    customer = await running.converse()
    await call(customer)
    await anna.do(customer, "take")
    url = f"{BASE}/conversations/{customer.id}/files?name=form.pdf"
    refused = await running.client.post(url, data=b"%PDF-1.7\n", headers=ben.headers)
    assert refused.status in (403, 409)
    kept = await running.client.post(url, data=b"%PDF-1.7\n", headers=anna.headers)
    assert kept.status == 201
    file_id = (await kept.json())["id"]
    status, _ = await anna.do(customer, "messages", id="a-1", attachments=[file_id])
    assert status == 200
    (said,) = [m for m in (await customer.messages())["messages"] if m["author"] == "agent"]
    assert [one["name"] for one in said["attachments"]] == ["form.pdf"]
