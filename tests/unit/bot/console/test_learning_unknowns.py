"""The pages of unknown messages: groups with examples, named, thinned out, dismissed."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestServer
from sqlalchemy import select

from bot.console.learning.typical import typical_words
from bot.console.learning.unknown import Group
from bot.log import annotations, tables
from tests.integration.review_log import add_turn
from tests.understanding_service import UnderstandingService
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import Visitor, sign_in

UNKNOWN = (("nlu_fallback", 0.7), ("track_order", 0.2), ("cancel_order", 0.1))
GIFTS = [f"gift wrapping {word}" for word in ("please", "now", "today", "paper", "<b>box</b>")]
GROUPS = "/learning/unknowns"


@pytest.fixture
async def service() -> AsyncIterator[tuple[UnderstandingService, str]]:
    service = UnderstandingService()
    async with TestServer(service.app()) as server:
        yield service, str(server.make_url("/")).rstrip("/")


@pytest.fixture
async def site(
    service: tuple[UnderstandingService, str], start: Callable[..., Awaitable[Running]]
) -> Running:
    return await start(nlu_url=service[1])


async def say(site: Running, texts: Sequence[str]) -> list[str]:
    """A customer each, just now, of whom nothing was understood."""
    ids = []
    for number, text in enumerate(texts):
        id_ = f"t{number:03}-{abs(hash(text)) % 10**8}"
        at = site.gateway.world.now()
        unit = partial(add_turn, id_=id_, text=text, ranking=UNKNOWN, created_at=at)
        ids.append(await site.gateway.journal.write(unit))
    return ids


async def grouped(visitor: Visitor) -> str:
    """The list after everything was grouped anew."""
    assert (await visitor.post(f"{GROUPS}/refresh")).status == 303
    async with asyncio.timeout(10):
        while "hx-get" in (status := await visitor.text(f"{GROUPS}/status")):
            await asyncio.sleep(0.02)
    assert "grouped" in status
    return await visitor.text(GROUPS)


async def dismiss(visitor: Visitor, group: str, turns: Sequence[str]) -> ClientResponse:
    form: Any = [("csrf", visitor.csrf), *(("turn", turn) for turn in turns)]
    return await visitor.send("POST", f"{GROUPS}/{group}/dismiss", {}, form)


async def audited(site: Running, action: str) -> list[str]:
    audit = tables.audit
    query = select(audit.c.target).where(audit.c.action == action)
    return await site.gateway.journal.read(lambda c: list(c.execute(query).scalars()))


def group_of(page: str) -> str:
    found = re.findall(r'id="group-([^"]+)"', page)
    assert len(found) == 1
    return str(found[0])


async def test_a_group_is_shown_with_examples_words_and_guesses(site: Running) -> None:
    await say(site, GIFTS)
    ben = await sign_in(site, "Ben", "reviewer")
    assert "No group waits for a name" in await ben.text(GROUPS)
    page = await grouped(ben)
    assert "<b>box</b>" not in page
    text = html.unescape(page)
    assert "5 messages of 5 customers" in text
    assert all(one in text for one in GIFTS)
    assert "wrapping</span>" in text
    assert "track_order</span> 100%" in text
    one = await ben.text(f"{GROUPS}/{group_of(page)}")
    assert one.count('name="turn"') == 5
    assert await audited(site, "read_unknown") == [group_of(page)]
    assert await audited(site, "read_unknowns")
    assert await audited(site, "group_unknowns")


async def test_a_name_labels_what_is_ticked_in_the_reviewers_name(site: Running) -> None:
    turns = await say(site, GIFTS)
    ben = await sign_in(site, "Ben", "reviewer")
    group = group_of(await grouped(ben))
    form: Any = [("csrf", ben.csrf), ("intent", " gift_wrapping ")]
    form += [("turn", turn) for turn in turns[:3]]
    named = await ben.send("POST", f"{GROUPS}/{group}/name", {}, form)
    assert named.headers["Location"] == f"/console{GROUPS}?notice=learning.named"
    records = await site.gateway.journal.read(lambda c: annotations.records_of(c, turns))
    assert {(one["turn_id"], one["intent"], one["agent_id"]) for one in records} == {
        (turn, "gift_wrapping", ben.id) for turn in turns[:3]
    }
    assert await audited(site, "name_unknown") == [group]
    assert "No group waits for a name" in await ben.text(GROUPS)
    again = await ben.send("POST", f"{GROUPS}/{group}/name", {}, form)
    assert again.status == 409
    assert (await ben.get(f"{GROUPS}/{group}")).status == 404
    # They can be taken back one by one.
    assert "gift_wrapping" in await ben.text("/review/history")


async def test_a_message_under_review_leads_to_its_group(site: Running) -> None:
    turns = await say(site, GIFTS)
    ben = await sign_in(site, "Ben", "reviewer")
    assert "waits for a name" not in await ben.text(f"/review/turns/{turns[0]}")
    group = group_of(await grouped(ben))
    page = await ben.text(f"/review/turns/{turns[0]}")
    assert f'<a href="/console{GROUPS}/{group}">It waits for a name with 4 more like it' in page
    # Who only answers customers may not open it.
    eve = await sign_in(site, "Eve", "agent")
    assert group not in await eve.text(f"/review/turns/{turns[0]}")
    # What is dismissed with another message only may come up elsewhere.
    assert (await dismiss(ben, group, turns[1:])).status == 303
    assert group not in await ben.text(f"/review/turns/{turns[1]}")


async def test_the_last_of_an_intent_come_up_under_what_others_like_them_are_called(
    site: Running,
) -> None:
    turns = await say(site, GIFTS)
    ben = await sign_in(site, "Ben", "reviewer")
    form: Any = [("csrf", ben.csrf), ("intent", "gift_wrapping")]
    form += [("turn", turn) for turn in turns[:3]]
    group = group_of(await grouped(ben))
    assert 'value=""' in await ben.text(f"{GROUPS}/{group}")
    await ben.send("POST", f"{GROUPS}/{group}/name", {}, form)
    page = await grouped(ben)
    assert "Labelled and like these" in page
    assert '<span class="mono">gift_wrapping</span> 3' in page
    one = await ben.text(f"{GROUPS}/{group_of(page)}")
    assert one.count('name="turn"') == 2
    assert 'value="gift_wrapping"' in one


@pytest.mark.parametrize("kept", [{"gifts": 1, "cards": 3, "boxes": 2}, None, {}])
def test_what_most_are_called_is_suggested(kept: dict[str, int] | None) -> None:
    group = Group(row={"labels": kept}, members=[], words=[], guesses=[], customers=1)
    assert group.labels == ([("cards", 3), ("boxes", 2), ("gifts", 1)] if kept else [])
    assert group.proposal.intent == ("cards" if kept else "")


@pytest.mark.parametrize("intent", ["", "gift wrapping", "nlu_fallback", "/gift", "x" * 200])
async def test_what_is_no_name_is_refused_with_the_reason(site: Running, intent: str) -> None:
    turns = await say(site, GIFTS)
    ben = await sign_in(site, "Ben", "reviewer")
    group = group_of(await grouped(ben))
    refused = await ben.post(f"{GROUPS}/{group}/name", intent=intent, turn=turns[0])
    assert refused.status == 422
    # What was filled in stands there yet, and that look is on record.
    page = await refused.text()
    assert "<strong>intent</strong>: " in page
    assert f'value="{intent}">' in page
    assert re.findall(r'value="([^"]+)" checked', page) == [turns[0]]
    assert page.count('name="turn"') == len(GIFTS)
    assert await audited(site, "read_unknown") == [group]
    assert group in await ben.text(GROUPS)


async def test_a_dismissed_group_does_not_come_again(site: Running) -> None:
    turns = await say(site, GIFTS)
    ben = await sign_in(site, "Ben", "reviewer")
    group = group_of(await grouped(ben))
    refused = await dismiss(ben, group, [])
    assert refused.status == 422
    page = await refused.text()
    assert "tick those that belong together" in page
    assert page.count('name="turn"') == len(GIFTS)
    assert " checked" not in page
    assert (await dismiss(ben, group, turns)).status == 303
    assert "No group waits for a name" in await grouped(ben)
    assert await audited(site, "dismiss_unknown") == [group]
    assert (await dismiss(ben, "nothing", turns)).status == 404


async def test_without_the_understanding_service_the_page_says_so(
    site: Running, service: tuple[UnderstandingService, str]
) -> None:
    await say(site, GIFTS)
    service[0].down = True
    ben = await sign_in(site, "Ben", "reviewer")
    await ben.post(f"{GROUPS}/refresh")
    async with asyncio.timeout(10):
        while "hx-get" in (status := await ben.text(f"{GROUPS}/status")):
            await asyncio.sleep(0.02)
    assert "does not answer" in status


async def test_an_agent_sees_no_words_of_the_unknown(site: Running) -> None:
    ada = await sign_in(site, "Ada", "agent")
    assert (await ada.get(GROUPS)).status == 403
    page = await ada.text("/learning")
    assert 'href="/console/learning/unknowns"' not in page


def test_words_stand_for_a_group_that_has_them_and_the_others_have_not() -> None:
    groups = [
        ["please wrap it", "wrap this please", "can you wrap"],
        ["please open early", "open on sunday please", "is it open"],
    ]
    first, second = typical_words(groups)
    assert first[0] == "wrap"
    assert second[0] == "open"
    assert "please" not in first[:1]
    assert "sunday" not in second


def test_chinese_words_are_pairs_of_characters() -> None:
    (words,) = typical_words([["礼品包装 多少钱", "可以礼品包装吗", "礼品包装"]])
    assert "包装" in words
    assert typical_words([[]]) == [[]]
