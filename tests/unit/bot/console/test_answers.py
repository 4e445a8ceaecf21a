"""The pages of answers: list, form, history, conflict, test, files."""

import asyncio
import html
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestServer

from actions.qa.pairs import Pair
from actions.qa.revisions import Content
from actions.qa.store import SourceFile, write_pair, write_source
from bot.console.answers.difference import changes_between
from bot.console.answers.form import Draft, checked
from bot.log import exports, tables
from bot.world import utc_now
from tests.understanding_service import UnderstandingService
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import Visitor, sign_in

TIME = Pair(
    id="time",
    intent="ask_time",
    category="delivery",
    question="How long does delivery take?",
    variants=("delivery time",),
    answer="Three days.",
)
COST = Pair(
    id="cost/1",
    intent="ask_cost",
    category="delivery",
    question="What does postage cost?",
    variants=(),
    answer="Four pounds.",
)


@pytest.fixture
async def service() -> AsyncIterator[tuple[UnderstandingService, str]]:
    service = UnderstandingService()
    async with TestServer(service.app()) as server:
        yield service, str(server.make_url("/")).rstrip("/")


@pytest.fixture
async def shop(
    service: tuple[UnderstandingService, str], start: Callable[..., Awaitable[Running]]
) -> Running:
    """A gateway whose store has two answers."""
    running = await start(nlu_url=service[1])
    for pair in (TIME, COST):
        await running.gateway.answers.save(pair, actor="import")
    return running


def shown(page: str) -> str:
    """What a reader sees of it, entities decoded."""
    return html.unescape(page)


async def edit(who: Visitor, pair_id: str, **changes: str) -> Any:
    fields = {
        "question": TIME.question,
        "wordings": "delivery time",
        "answer": TIME.answer,
        "intent": TIME.intent,
        "category": TIME.category,
        "revision": "1",
    }
    return await who.post(f"/answers/{pair_id}", **(fields | changes))


async def test_the_list_is_found_by_words_filters_and_meaning(shop: Running) -> None:
    ada = await sign_in(shop)
    everything = shown(await ada.text("/answers"))
    assert TIME.question in everything
    assert COST.question in everything
    # An agent reads; the ways to write are not there.
    assert "/console/answers/new" not in everything
    by_intent = shown(await ada.text("/answers?intent=ask_cost"))
    assert COST.question in by_intent
    assert TIME.question not in by_intent
    by_words = shown(await ada.text("/answers?q=POUNDS"))
    assert COST.question in by_words
    assert TIME.question not in by_words
    # Signs that the database could take for its own are only signs.
    assert "No answer is like that" in await ada.text("/answers?q=%25%25_")
    by_meaning = shown(await ada.text("/answers?q=postage+cost+please&by=meaning"))
    assert by_meaning.index(COST.question) < by_meaning.index(TIME.question)
    assert TIME.question not in shown(
        await ada.text("/answers?q=postage&by=meaning&intent=ask_cost")
    )


async def test_long_lists_have_pages(shop: Running) -> None:
    pairs = [
        Pair(id=f"p{n:03}", intent="", category="x", question=f"Q{n:03}?", variants=(), answer="A")
        for n in range(40)
    ]
    await shop.gateway.answers.save_all(pairs, actor="Rita", note="")
    rita = await sign_in(shop, "Rita", "reviewer")
    first = shown(await rita.text("/answers?category=x"))
    assert "Q029?" in first
    assert "Q030?" not in first
    following = first.split('rel="next" href="/console')[1].split('"')[0]
    second = shown(await rita.text(following))
    assert "Q030?" in second
    assert "Q029?" not in second
    assert 'rel="next"' not in second


async def test_an_edit_is_kept_with_its_history_and_taken_back(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    saved = await edit(rita, "time", answer="Two days.", note="we are faster")
    assert saved.status == 303
    page = shown(await rita.text("/answers/time"))
    assert "we are faster" in page
    assert "<del>Three</del>" in page
    assert "<ins>Two</ins>" in page
    first = page.split('name="revision_id" value="')[1].split('"')[0]
    assert (await rita.post("/answers/time/restore", revision_id=first)).status == 303
    stored = await shop.gateway.answers.get("time")
    assert stored is not None
    assert stored.pair == TIME
    assert (await shop.gateway.answers.history("time"))[0].change.actor == "Rita"


async def test_the_second_of_two_editors_sees_both_versions_and_decides(shop: Running) -> None:
    rita, anna = [await sign_in(shop, name, "reviewer") for name in ("Rita", "Anna")]
    assert (await edit(rita, "time", answer="Two days.")).status == 303
    refused = await edit(anna, "time", answer="Nine days.")
    assert refused.status == 409
    page = shown(await refused.text())
    assert "Two days." in page
    assert ">Nine days.</textarea>" in page
    assert "<ins>Nine</ins>" in page
    # Saving again, having seen it, replaces the other's.
    assert 'name="revision" value="2"' in page
    assert (await edit(anna, "time", answer="Nine days.", revision="2")).status == 303
    stored = await shop.gateway.answers.get("time")
    assert stored is not None
    assert stored.pair.answer == "Nine days."


async def test_a_new_answer_that_is_sent_twice_is_kept_once(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    page = await rita.text("/answers/new")
    fields = {
        "id": page.split('name="id" value="')[1].split('"')[0],
        "question": "Is there a shop?",
        "answer": "Yes.",
    }
    sent = await asyncio.gather(*(rita.post("/answers", **fields) for _ in range(3)))
    sent.append(await rita.post("/answers", **fields))
    assert {one.status for one in sent} == {303}
    (location,) = {one.headers["Location"].split("?")[0] for one in sent}
    pair_id = location.removeprefix("/console/answers/")
    assert len(await shop.gateway.answers.history(pair_id)) == 1
    # Who goes back and writes another one gets another one.
    other = await rita.post("/answers", **fields | {"question": "Is it open?"})
    assert other.status == 303
    assert location not in other.headers["Location"]
    stored = await shop.gateway.answers.get(pair_id)
    assert stored is not None
    assert stored.pair.question == "Is there a shop?"


async def test_what_is_wrong_is_said_beside_the_field_and_nothing_is_lost(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    answer = await rita.post("/answers", question="", answer="", wordings="a\nA\n", intent="i")
    assert answer.status == 422
    page = shown(await answer.text())
    assert page.count("This must not be empty.") == 2
    assert "“A” is there twice." in page
    assert 'value="i"' in page
    # A wording that another answer has would make the bot toss a coin.
    taken = await rita.post("/answers", question="DELIVERY time", answer="Now.")
    assert taken.status == 422
    assert "is a wording of time already" in shown(await taken.text())


async def test_an_answer_that_was_never_changed_has_no_history(shop: Running) -> None:
    fresh = replace(TIME, id="fresh", question="Fresh?", variants=())

    def unit(connection: Any) -> None:
        write_source(connection, SourceFile(name="qa/x.yml", kind="yaml", sha256=""), 1, utc_now())
        write_pair(connection, fresh, "qa/x.yml", utc_now())

    await shop.gateway.journal.write(unit)
    page = await (await sign_in(shop)).text("/answers/fresh")
    assert "It has never been changed." in page
    assert "<textarea" in page
    assert "readonly" in page


async def test_a_new_answer_is_kept_and_tested(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    added = await rita.post("/answers", question="Dogs?", wordings="may my dog come", answer="Yes.")
    assert added.status == 303
    tested = shown(await (await rita.post("/answers/test", question="may my dog come")).text())
    assert tested.index("Dogs?") < tested.index(COST.question)
    assert (await rita.post("/answers/test", question=" ")).status == 422


async def test_a_retired_answer_leaves_the_list_but_not_the_record(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    assert (await rita.post("/answers/cost%2F1/retire")).status == 303
    assert COST.question not in shown(await rita.text("/answers"))
    assert COST.question in shown(await rita.text("/answers?state=retired"))
    assert "retired" in await rita.text("/answers/cost%2F1")


async def test_a_retired_answer_that_is_edited_says_that_it_stays_retired(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    assert "It stays retired" not in await rita.text("/answers/time")
    await rita.post("/answers/time/retire")
    assert "It stays retired" in await rita.text("/answers/time")
    saved = await edit(rita, "time", answer="Two days.", revision="2")
    assert saved.headers["Location"].endswith("notice=answers.saved_retired")
    stored = await shop.gateway.answers.get("time")
    assert stored is not None
    assert (stored.active, stored.pair.answer) == (False, "Two days.")
    # Nor does an edit over another's look as if it brought it back.
    refused = await edit(rita, "time", answer="Nine days.", revision="2")
    assert refused.status == 409
    assert "retired or brought back" not in shown(await refused.text()).split('id="history"')[0]


async def test_how_often_it_was_given_and_liked_stands_beside_it(shop: Running) -> None:
    conversation = await shop.converse()
    now = utc_now()

    def unit(connection: Any) -> None:
        for number, (age, score) in enumerate([(1, 1), (2, -1), (3, 1), (40, 1)]):
            at = now - timedelta(days=age)
            message = {
                "id": f"m{number}",
                "conversation_id": conversation.id,
                "seq": 100 + number,
                "direction": "in",
                "author": "customer",
                "channel": "api",
                "account": conversation.id,
                "state": "answered",
                "created_at": at,
            }
            connection.execute(tables.message.insert(), message)
            turn = {
                "id": f"t{number}",
                "conversation_id": conversation.id,
                "inbound_id": f"m{number}",
                "text": "x",
                "qa_pair_id": "time",
                "created_at": at,
            }
            connection.execute(tables.turn.insert(), turn)
            vote = {
                "id": f"f{number}",
                "conversation_id": conversation.id,
                "turn_id": f"t{number}",
                "kind": "thumb",
                "score": score,
                "created_at": at,
            }
            connection.execute(tables.feedback.insert(), vote)

    await shop.gateway.journal.write(unit)
    ada = await sign_in(shop)
    page = shown(await ada.text("/answers/time"))
    assert "given 3 times in 30 days" in page
    assert "</span> 2<span" in page
    assert "</span> 1<span" in page


async def test_downloads_come_back_in_as_they_were(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    formula = Pair(
        id="f", intent="", category="x", question="=1+1", variants=("@sum",), answer="-2"
    )
    await shop.gateway.answers.save(formula, actor="Rita")
    table = (await (await rita.get("/answers/answers.csv")).read()).decode("utf-8-sig")
    assert '"\'=1+1"' in table
    assert '"=1+1"' not in table
    text = await rita.text("/answers/answers.yml")
    for name, content in (("answers.csv", table), ("answers.yml", text)):
        page = shown(await (await upload(rita, name, content.encode())).text())
        assert "0 added, 0 changed, 3 as they were" in page
    changed = table.replace("Three days.", "A week.")
    page = shown(await (await upload(rita, "a.csv", changed.encode())).text())
    assert "0 added, 1 changed, 2 as they were" in page
    stored = await shop.gateway.answers.get("time")
    assert stored is not None
    assert stored.pair.answer == "A week."


async def test_downloads_with_customers_wordings_are_in_the_register(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")

    async def registered() -> list[tuple[str, str, list[str]]]:
        rows = await shop.gateway.journal.read(lambda c: exports.latest(c, most=9))
        return [(row["kind"], row["format"], row["conversations"]) for row in rows]

    await rita.get("/answers/answers.csv")
    assert await registered() == []
    conversation = await shop.converse()
    pair = Pair(id="w", intent="", category="x", question="a?", variants=("hm?",), answer="b")
    await shop.gateway.answers.save(pair, actor="Rita", conversation_id=conversation.id)
    await rita.get("/answers/answers.csv")
    await rita.get("/answers/answers.yml")
    assert await registered() == [
        ("answers", "yml", [conversation.id]),
        ("answers", "csv", [conversation.id]),
    ]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"a,b\n1,2\n", "no column 'question'"),
        ("a.csv", b"question,answer\nq,\n", "a.csv:2: column 'answer' is empty"),
        ("a.yml", b"pairs: {", "not valid YAML"),
        ("a.xlsx", b"question", "ends in .csv"),
        ("a.csv", b"\xff\xfe", "not UTF-8"),
    ],
)
async def test_a_file_that_is_no_list_of_answers_is_refused(
    shop: Running, name: str, content: bytes, problem: str
) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    answer = await upload(rita, name, content)
    assert answer.status == 422
    assert problem in shown(await answer.text())


async def test_hostile_texts_are_shown_as_texts(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    script = "<script>alert(1)</script>"
    await rita.post("/answers", question=script, answer=script, intent='"><b>', note=script)
    pages = [await rita.text("/answers"), await rita.text("/answers?state=all&q=script")]
    (pair_id,) = {hit.pair.id for hit in await shop.gateway.answers.search(script, 1)}
    pages.append(await rita.text(f"/answers/{pair_id}"))
    pages.append(await (await rita.post("/answers/test", question=script)).text())
    assert all(script not in page and '"><b>' not in page for page in pages)


async def test_every_change_leaves_its_audit_row_without_a_text(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "reviewer")
    await edit(rita, "time", answer="Two days.")
    await rita.post("/answers/time/retire")
    first = (await shop.gateway.answers.history("time"))[-1]
    await rita.post("/answers/time/restore", revision_id=str(first.id))
    await rita.get("/answers/answers.csv")
    await upload(rita, "a.csv", b"question,answer\nq,a\n")
    rows = await shop.gateway.journal.read(
        lambda c: [
            dict(row)
            for row in c.execute(tables.audit.select().order_by(tables.audit.c.id)).mappings()
        ]
    )
    own = [(row["action"], row["target"]) for row in rows if row["actor"] == rita.id]
    assert own == [
        ("save_answer", "time"),
        ("retire_answer", "time"),
        ("restore_answer", "time"),
        ("export_answers", "/answers/answers.csv"),
        ("import_answers", "/answers/import"),
    ]
    assert "Two days" not in repr(rows)


async def test_pages_are_there_in_chinese(shop: Running) -> None:
    rita = await sign_in(shop, "Rita", "administrator")
    for path in ("/answers", "/answers/time", "/answers/new", "/answers/import"):
        response = await rita.get(path, **{"Accept-Language": "zh-CN"})
        assert "答案" in await response.text()


def test_a_difference_names_the_fields_that_differ() -> None:
    new = replace(TIME, answer="Three long days.", variants=("how long",))
    changes = changes_between(Content(pair=TIME), Content(pair=new, active=False))
    assert [change.field for change in changes] == ["answer", "wordings", "active"]
    answer, wordings, _ = changes
    assert [(piece.kind, piece.text) for piece in answer.pieces] == [
        ("same", "Three"),
        ("added", " long"),
        ("same", " days."),
    ]
    assert (wordings.added, wordings.removed) == (("how long",), ("delivery time",))


def test_a_draft_is_checked_for_length_and_number() -> None:
    draft = Draft(question="q" * 1001, answer="a" * 8001, wordings="\n".join(map(str, range(201))))
    assert set(checked(draft).problems) == {"question", "answer", "wordings"}
    assert checked(Draft(question="q", answer="a")).problems == {}


async def upload(who: Visitor, name: str, content: bytes) -> Any:
    form = FormData()
    form.add_field("csrf", who.csrf)
    form.add_field("file", content, filename=name, content_type="application/octet-stream")
    return await who.send("POST", "/answers/import", {}, form)
