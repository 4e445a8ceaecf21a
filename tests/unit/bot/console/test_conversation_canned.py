"""Canned answers: kept by agents, filled in for a conversation, and what is refused."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from bot.log import tables
from bot.log.canned_answers import fill
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import Visitor, sign_in

REFUND = {
    "shortcut": "/Refund",
    "title": "Money back",
    "text_en": "Hello {customer},\r\n{agent} here: it is on its way. {not} filled",
    "text_zh": "",
}


@pytest.fixture
async def anna(running: Running) -> Visitor:
    return await sign_in(running, "Anna")


async def add(visitor: Visitor, **changes: str) -> int:
    good = {**REFUND, "text_en": "Hello {customer}, {agent} here.", **changes}
    return (await visitor.post("/canned", **good)).status


async def offered(visitor: Visitor, running: Running, **opening: Any) -> list[dict[str, str]]:
    id_ = await running.gateway.journal.open_conversation("api", **opening)
    response = await visitor.get(f"/conversations/{id_}/canned")
    assert response.status == 200
    answers: list[dict[str, str]] = (await response.json())["answers"]
    return answers


async def test_an_answer_is_offered_with_the_names_filled_in(
    running: Running, anna: Visitor
) -> None:
    assert await add(anna, text_zh="您好 {customer}，我是 {agent}。") == 303
    (one,) = await offered(anna, running, customer_id="c-7")
    assert one == {
        "shortcut": "refund",
        "title": "Money back",
        "text": "Hello c-7, Anna here.",
    }
    (nameless,) = await offered(anna, running)
    assert nameless["text"] == "Hello there, Anna here."
    (chinese,) = await offered(anna, running, locale="zh-CN", customer_id="c-7")
    assert chinese["text"] == "您好 c-7，我是 Anna。"


def test_only_the_places_are_filled_in() -> None:
    names = {"customer": "{agent} {0.__class__}", "agent": "Anna"}
    assert fill("{customer} {agent} {other} {0} {{agent}}", names) == (
        "{agent} {0.__class__} Anna {other} {0} {Anna}"
    )


async def test_it_is_changed_and_retired_and_all_of_it_is_on_record(
    running: Running, anna: Visitor
) -> None:
    await add(anna)
    page = await anna.text("/canned")
    found = re.search(r"/console(/canned/[^/\"]+)\"", page)
    assert found is not None
    path = found[1]
    assert "Hello {customer}" in await anna.text(path)
    changed = {**REFUND, "shortcut": "money", "text_en": "Now {agent}."}
    assert (await anna.post(path, **changed)).status == 303
    assert [one["shortcut"] for one in await offered(anna, running)] == ["money"]
    assert (await anna.post(f"{path}/retire")).status == 303
    assert await offered(anna, running) == []
    assert (await anna.post(f"{path}/retire")).status == 404
    assert (await anna.post(path, **changed)).status == 404
    assert await add(anna, shortcut="money") == 303, "a retired one's shortcut is free"

    def query(connection: Any) -> list[str]:
        audit = tables.audit
        rows = connection.execute(
            select(audit.c.action)
            .where(audit.c.actor == anna.id, audit.c.action.contains("canned"))
            .order_by(audit.c.created_at, audit.c.id)
        )
        return [row.action for row in rows]

    assert await running.gateway.journal.read(query) == [
        "add_canned_answer",
        "edit_canned_answer",
        "retire_canned_answer",
        "add_canned_answer",
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"shortcut": "two words"}, "shortcut"),
        ({"shortcut": ""}, "shortcut"),
        ({"shortcut": "x" * 31}, "shortcut"),
        ({"title": " "}, "title"),
        ({"text_en": " "}, "text_en"),
        ({"text_en": "Hello {name}"}, "text_en"),
        ({"text_zh": "x" * 4001}, "text_zh"),
        ({"text_zh": "a\0b"}, "text_zh"),
    ],
)
async def test_what_cannot_be_kept_stays_in_the_form_with_the_reason(
    anna: Visitor, change: dict[str, str], field: str
) -> None:
    fields = {**REFUND, "text_en": "Hello, <b>kept</b>"} | change
    response = await anna.post("/canned", **fields)
    page = await response.text()
    assert response.status == 422
    assert f"<strong>{field}</strong>" in page
    if "text_en" not in change:
        assert "Hello, &lt;b&gt;kept&lt;/b&gt;" in page


async def test_a_shortcut_is_one_answers(anna: Visitor) -> None:
    assert await add(anna) == 303
    again = await anna.post("/canned", **{**REFUND, "text_en": "other", "title": "Other"})
    assert again.status == 409
    assert "Money back" in await again.text()


async def test_a_reviewer_reads_them_and_changes_none(running: Running, anna: Visitor) -> None:
    await add(anna)
    eve = await sign_in(running, "Eve", "reviewer")
    assert "Money back" in await eve.text("/canned")
    assert (await eve.post("/canned", **REFUND)).status == 403
