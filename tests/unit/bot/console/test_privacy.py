"""/console/privacy: a customer found, given what is held, erased; retention; the register."""

import io
import json
import re
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.log import tables
from tests.unit.bot.conftest import Conversation, FakeDialogue, Running
from tests.unit.bot.console.visitors import Visitor, sign_in

CANARY = "quetzalcoatlus"


@pytest.fixture
async def admin(running: Running) -> Visitor:
    return await sign_in(running, "Ada", "administrator")


async def of_customer(running: Running, customer_id: str) -> Conversation:
    """A conversation of a proven customer in which something was said."""
    conversation = await running.converse()
    await conversation.say("1", f"{CANARY} here")
    await running.gateway.journal.write(
        lambda c: (
            c.execute(
                update(tables.conversation)
                .where(tables.conversation.c.id == conversation.id)
                .values(customer_id=customer_id)
            ).rowcount
        )
    )
    return conversation


async def audits(running: Running, action: str) -> list[dict[str, Any]]:
    return await running.gateway.journal.read(
        lambda c: [
            dict(row)
            for row in c.execute(
                select(tables.audit).where(tables.audit.c.action == action)
            ).mappings()
        ]
    )


async def erased(running: Running, admin: Visitor, conversation: Conversation, name: str) -> str:
    """Ask for it on the page and wait until it is done; the request's id."""
    response = await admin.post(
        f"/privacy/customers/{conversation.id}/erase", confirm=name, reason="letter of 4 May"
    )
    assert response.status == 303, await response.text()
    request_id = response.headers["Location"].rpartition("/")[2]
    await running.gateway.eraser.run(request_id)
    for _ in range(200):
        if "report.json" in (page := await admin.text(f"/privacy/requests/{request_id}")):
            return request_id
        await running.gateway.eraser.look()
    raise AssertionError(page)


async def test_a_customer_is_found_by_what_is_known_of_them(
    running: Running, admin: Visitor
) -> None:
    conversation = await of_customer(running, "customer-77")
    other = await running.converse()
    for text in ("customer-77", conversation.id):
        page = await (await admin.post("/privacy/find", text=text)).text()
        assert f"/console/privacy/customers/{conversation.id}" in page
        assert other.id not in page
    page = await (await admin.post("/privacy/find", text="customer-7")).text()
    assert "/console/privacy/customers/" not in page
    (row, *_) = await audits(running, "customer.search")
    # What was searched for is a customer's.
    assert row["target"] == "/privacy/find"
    assert row["detail"] is None


async def test_it_shows_what_would_go_and_takes_only_the_typed_id(
    running: Running, admin: Visitor
) -> None:
    conversation = await of_customer(running, "customer-77")
    await of_customer(running, "customer-77")
    page = await admin.text(f"/privacy/customers/{conversation.id}")
    assert re.search(r"Messages</th><td class=\"number\">4<", page)
    assert "customer-77" in page
    response = await admin.post(f"/privacy/customers/{conversation.id}/erase", confirm="customer")
    assert response.status == 422
    assert "type the id exactly" in await response.text()
    assert (await conversation.messages())["messages"]


async def test_an_erasure_ends_in_a_report(
    running: Running, admin: Visitor, dialogue: FakeDialogue
) -> None:
    conversation = await of_customer(running, "customer-77")
    second = await of_customer(running, "customer-77")
    other = await of_customer(running, "customer-78")
    request_id = await erased(running, admin, conversation, "customer-77")
    page = await admin.text(f"/privacy/requests/{request_id}")
    assert "20260101-1" in page  # the version that understood the messages
    assert "letter of 4 May" in page
    assert CANARY not in page
    report = json.loads(
        await (await admin.get(f"/privacy/requests/{request_id}/report.json")).text()
    )
    assert report["conversations"] == 2
    assert report["removed"]["message"] == 4
    assert sorted(dialogue.erased) == sorted([conversation.id, second.id])
    status, _ = await conversation.say("2", "hello?")
    assert status == 404
    assert (await other.messages())["messages"]
    assert {row["target"] for row in await audits(running, "erase")} == {
        conversation.id,
        second.id,
    }
    (row,) = await audits(running, "erasure_request")
    assert (row["actor"], row["target"]) == ("Ada", request_id)
    assert [row["target"] for row in await audits(running, "erasure.report")] == [request_id]
    assert f"/console/privacy/requests/{request_id}" in await admin.text("/privacy")


async def test_only_one_conversation_if_that_is_wanted(running: Running, admin: Visitor) -> None:
    conversation = await of_customer(running, "customer-77")
    second = await of_customer(running, "customer-77")
    page = await admin.text(f"/privacy/customers/{conversation.id}?scope=conversation")
    assert second.id not in page
    response = await admin.post(
        f"/privacy/customers/{conversation.id}/erase?scope=conversation", confirm=conversation.id
    )
    await running.gateway.eraser.run(response.headers["Location"].rpartition("/")[2])
    assert (await second.messages())["messages"]


async def test_it_waits_on_the_page_for_what_is_down(
    running: Running, admin: Visitor, dialogue: FakeDialogue
) -> None:
    conversation = await of_customer(running, "customer-77")
    dialogue.failures += [503] * 3
    response = await admin.post(
        f"/privacy/customers/{conversation.id}/erase", confirm="customer-77"
    )
    path = response.headers["Location"].removeprefix("/console")
    for _ in range(200):
        page = await admin.text(path + "/progress")
        if "answered 503" in page:
            break
    else:
        raise AssertionError(page)
    assert 'hx-trigger="every 1s"' in page
    refused = await admin.get(path + "/report.json")
    assert refused.status == 409


async def test_what_is_held_comes_as_one_zip(running: Running, admin: Visitor) -> None:
    conversation = await of_customer(running, "customer-77")
    await running.client.post(
        f"/api/v1/conversations/{conversation.id}/files?name=../../evil.txt",
        data=b"a file of mine",
        headers=conversation.headers | {"Content-Type": "text/plain"},
    )
    response = await admin.post(f"/privacy/customers/{conversation.id}/export")
    assert response.content_type == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(await response.read()))
    held = json.loads(archive.read("customer.json"))
    assert held["conversations"] == [conversation.id]
    assert CANARY in held["tables"]["message"][0]["text"]
    assert held["models_that_understood_it"] == {"20260101-1": 1}
    for row in held["tables"].get("file", []):
        assert archive.read(f"files/{row['stored_as']}") == b"a file of mine"
        assert "/" not in row["stored_as"]
    page = await admin.text("/privacy/exports")
    assert "All of one customer" in page
    assert await audits(running, "customer.export")


async def test_retention_is_tried_saved_and_applied(running: Running, admin: Visitor) -> None:
    conversation = await of_customer(running, "customer-77")
    days = {"conversations": 10, "files": 0, "uploads": 1, "sessions": 30, "exports": 0, "audit": 0}
    long_ago = running.gateway.world.now() - timedelta(days=20)
    await running.gateway.journal.write(
        lambda c: c.execute(update(tables.conversation).values(updated_at=long_ago)).rowcount
    )
    tried = await (await admin.post("/privacy/retention", **days, **{"try": "1"})).text()
    assert "1 would be deleted now" in tried
    assert not await audits(running, "retention_change")
    saved = await admin.post("/privacy/retention", **days)
    assert saved.headers["Location"].endswith("notice=privacy.rules_saved")
    (row,) = await audits(running, "retention_change")
    assert row["detail"] == {"conversations": [0, 10]}
    assert (await admin.post("/privacy/retention/run")).status == 303
    status, _ = await conversation.say("2", "hello?")
    assert status == 404
    (row,) = await audits(running, "retention")
    assert row["detail"]["conversations"] == 1
    assert "conversations: 1" in await admin.text("/privacy/retention")


@pytest.mark.parametrize("typed", ["", "-1", "1.5", "many", "99999999"])
async def test_days_that_are_none_are_refused_by_name(
    running: Running, admin: Visitor, typed: str
) -> None:
    days = dict.fromkeys(("conversations", "files", "uploads", "sessions", "exports"), "0")
    response = await admin.post("/privacy/retention", **days, audit=typed)
    assert response.status == 400
    assert "audit" in await response.text()


async def test_chinese_pages(running: Running, admin: Visitor) -> None:
    response = await admin.get("/privacy", **{"Accept-Language": "zh"})
    assert "查找客户" in await response.text()


async def test_a_reason_is_kept_without_addresses(running: Running, admin: Visitor) -> None:
    conversation = await of_customer(running, "customer-77")
    await admin.post(
        f"/privacy/customers/{conversation.id}/erase",
        confirm="customer-77",
        reason="mail from jo@privat.example",
    )
    page = await admin.text("/privacy")
    assert "jo@privat.example" not in page
    assert "mail from &lt;email&gt;" in page


async def test_log_files_lose_ids_and_names(
    running: Running, admin: Visitor, tmp_path: Path
) -> None:
    conversation = await of_customer(running, "customer-77")
    log = tmp_path / "logs" / "gateway.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text(f"INFO x conversation={conversation.id} customer=customer-77 other=kept\n")
    size = log.stat().st_size
    await erased(running, admin, conversation, "customer-77")
    left = log.read_text()
    assert conversation.id not in left
    assert "customer-77" not in left
    assert "other=kept" in left
    assert log.stat().st_size == size
