"""Why the model decided so: what is shown, also when the service is away or has another model."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import select

from bot.console.conversation.reasons import pieces
from bot.log import tables
from tests.unit.bot.conftest import Conversation, FakeDialogue, Running, parse_of
from tests.unit.bot.console.visitors import sign_in

WORDS = [
    {"start": 0, "end": 5, "text": "where", "weight": 0.6},
    {"start": 6, "end": 8, "text": "is", "weight": 0.0},
    {"start": 9, "end": 14, "text": "order", "weight": -0.2},
]


def test_a_text_in_pieces_is_the_text() -> None:
    text = "where is order <b>12</b>"
    found = pieces(text, WORDS)
    assert "".join(piece.text for piece in found) == text
    assert [(piece.text, piece.step) for piece in found if piece.step] == [
        ("where", 3),
        ("order", -1),
    ]


def test_words_that_are_not_in_the_text_are_left_out() -> None:
    odd = [{"start": 2, "end": 99, "weight": 1.0}, {"start": 3, "end": 3, "weight": 1.0}]
    assert [piece.text for piece in pieces("short", odd)] == ["short"]


async def turn_of(running: Running, customer: Conversation) -> str:
    def query(connection: Any) -> str:
        found = connection.execute(
            select(tables.turn.c.id).where(tables.turn.c.conversation_id == customer.id)
        )
        return str(found.scalar_one())

    return await running.gateway.journal.read(query)


async def test_the_words_the_ranking_and_the_threshold_are_shown(
    start: Callable[..., Awaitable[Running]],
) -> None:
    asked: list[dict[str, Any]] = []

    async def classify(request: web.Request) -> web.Response:
        asked.append(await request.json())
        (text,) = asked[-1]["texts"]
        explained = {"intent": "track_order", "words": WORDS}
        return web.json_response(
            {
                "model_version": "20260202-1",
                "fallback_threshold": 0.42,
                "results": [
                    parse_of(text, explanation=explained, model_version="20260202-1"),
                ],
            }
        )

    app = web.Application()
    app.router.add_post("/v1/classify", classify)
    async with TestServer(app) as service:
        running = await start(nlu_url=str(service.make_url("/")))
        anna = await sign_in(running, "Anna")
        customer = await running.converse()
        await customer.say("m-1", "where is order <b>12</b>")
        path = f"/conversations/{customer.id}/turns/{await turn_of(running, customer)}/reasons"
        response = await anna.get(path, **{"HX-Request": "true"})
        page = await response.text()
        assert response.status == 200
        assert asked == [{"texts": ["where is order <b>12</b>"], "explain": True}]
        assert "<html" not in page
        assert 'word-for word-3" title="weight +0.60">where<' in page
        assert 'word-against word-1" title="weight -0.20">order<' in page
        assert "&lt;b&gt;12&lt;/b&gt;" in page
        assert "ask_delivery_time" in page
        assert "Below 0.42" in page
        assert "Model 20260202-1 answers now; the turn was done by 20260101-1" in page
        assert "<html" in await anna.text(path), "without scripts it is a page"
        assert (await anna.get(f"/conversations/{customer.id}/turns/none/reasons")).status == 404
        other = await running.converse()
        foreign = path.replace(customer.id, other.id)
        assert (await anna.get(foreign)).status == 404


async def test_without_the_service_it_says_so_and_shows_what_was_kept(
    start: Callable[..., Awaitable[Running]],
) -> None:
    running = await start(nlu_url="http://127.0.0.1:9")
    anna = await sign_in(running, "Anna")
    customer = await running.converse()
    await customer.say("m-1", "where is my order")
    path = f"/conversations/{customer.id}/turns/{await turn_of(running, customer)}/reasons"
    page = await anna.text(path)
    assert "The understanding service does not answer now" in page
    assert "ask_delivery_time" in page, "the ranking that was kept"


async def test_a_button_is_not_explained_and_nothing_is_suggested_for_it(
    start: Callable[..., Awaitable[Running]], dialogue: FakeDialogue
) -> None:
    running = await start(nlu_url="http://127.0.0.1:9")
    dialogue.reply = lambda body: {
        "parse": parse_of(body["text"], emotion={"name": None}, intent={"name": "affirm"})
    }
    anna = await sign_in(running, "Anna")
    customer = await running.converse()
    await customer.say("m-1", "/affirm")
    path = f"/conversations/{customer.id}"
    page = await anna.text(f"{path}/turns/{await turn_of(running, customer)}/reasons")
    assert "There was no text to understand" in page
    assert "does not answer" not in page, "nobody was asked"
    response = await anna.get(f"{path}/suggestions")
    assert await response.json() == {"suggestions": []}
