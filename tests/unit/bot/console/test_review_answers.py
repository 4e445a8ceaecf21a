"""Missing answers: written by one, decided by another, known to the bot after that."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from actions.qa.pairs import Pair
from bot.log import tables
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.test_review import ask, rows_of
from tests.unit.bot.console.visitors import Visitor, sign_in

ANSWER = {"question": "Do you ship to the moon?", "answer": "Not yet.", "intent": "inform"}


@pytest.fixture
async def shop(start: Any) -> Any:
    """A gateway whose understanding service embeds: a text is like itself and little else."""

    async def embed(request: web.Request) -> web.Response:
        texts = (await request.json())["texts"]
        vectors = []
        for text in texts:
            vector = [0.0] * 64
            for word in text.lower().split():
                vector[sum(word.encode()) % 64] += 1.0
            length = sum(value * value for value in vector) ** 0.5 or 1.0
            vectors.append([value / length for value in vector])
        return web.json_response({"model_version": "words", "dim": 64, "embeddings": vectors})

    app = web.Application()
    app.router.add_post("/v1/embed", embed)
    async with TestServer(app) as server:
        yield await start(nlu_url=str(server.make_url("/")).rstrip("/"))


async def propose(visitor: Visitor, **fields: str) -> str:
    """A proposal's id."""
    response = await visitor.post("/review/answers", json=True, **(ANSWER | fields))
    assert response.status == 201, await response.text()
    return str((await response.json())["id"])


async def test_an_answer_is_approved_by_another_than_its_author(shop: Running) -> None:
    (turn,) = await ask(shop, "do you ship to the moon")
    ada = await sign_in(shop, "Ada", "reviewer")
    ben = await sign_in(shop, "Ben", "reviewer")
    proposal = await propose(ada, turn_id=turn)
    path = f"/review/answers/{proposal}"
    assert "Do you ship to the moon?" in await ben.text("/review/answers")
    assert "/approve" not in await ada.text(path)
    assert (await ada.post(path + "/approve", revision="1")).status == 403
    assert (await ada.post(path + "/reject", revision="1", reject_reason="no")).status == 403
    page = await ben.text(path)
    assert "/approve" in page
    assert "do you ship to the moon" in page
    response = await ben.post(path + "/approve", revision="1", answer="Not before 2031.")
    assert response.status == 303, await response.text()
    stored = await shop.gateway.answers.get(f"proposal-{proposal}")
    assert stored is not None
    assert stored.pair.answer == "Not before 2031."
    (hit, *_) = await shop.gateway.answers.search("do you ship to the moon?", 3)
    assert hit.pair.id == f"proposal-{proposal}"
    (row,) = await rows_of(shop, tables.qa_proposal)
    assert (row["state"], row["decided_by"], row["author_id"]) == ("approved", ben.id, ada.id)
    assert (row["answer"], row["revision"]) == ("Not before 2031.", 2)
    # Decided is decided.
    assert (await ben.post(path + "/reject", revision="2", reject_reason="no")).status == 403
    assert "Ben" in await ada.text("/review/answers?state=approved")


async def test_of_approval_and_rejection_at_once_one_holds(shop: Running) -> None:
    ada, ben, cleo = [await sign_in(shop, name, "reviewer") for name in ("Ada", "Ben", "Cleo")]
    for number in range(6):
        proposal = await propose(ada, question=f"Do you ship to moon {number}?")
        path = f"/review/answers/{proposal}"
        approved, rejected = await asyncio.gather(
            ben.post(path + "/approve", revision="1"),
            cleo.post(path + "/reject", revision="1", reject_reason="no rocket"),
        )
        assert {approved.status, rejected.status} <= {303, 403, 409}
        assert [approved.status, rejected.status].count(303) == 1
        stored = await shop.gateway.answers.get(f"proposal-{proposal}")
        assert (stored is not None) == (approved.status == 303)


async def test_an_edit_replaces_no_more_than_its_approver_has_read(shop: Running) -> None:
    ada, ben = [await sign_in(shop, name, "reviewer") for name in ("Ada", "Ben")]
    pair = Pair(
        id="p1", intent="inform", category="a", question="How long?", variants=(), answer="A day"
    )
    await shop.gateway.answers.save(pair, actor="test")
    proposal = await propose(ada, kind="edit", pair_id="p1", question="How long?", answer="2 days")
    path = f"/review/answers/{proposal}"
    assert 'name="pair_revision" value="1"' in await ben.text(path)
    await shop.gateway.answers.save(replace(pair, answer="An hour"), actor="test")
    assert (await ben.post(path + "/approve", revision="1", pair_revision="1")).status == 409
    stored = await shop.gateway.answers.get("p1")
    assert stored is not None
    assert stored.pair.answer == "An hour"
    # Nothing of it was kept, so that it can be read again and decided.
    assert [row["state"] for row in await rows_of(shop, tables.qa_proposal)] == ["proposed"]
    assert (await ben.post(path + "/approve", revision="1", pair_revision="2")).status == 303
    history = await shop.gateway.answers.history("p1")
    assert (history[0].change.actor, history[0].content.pair.answer) == ("Ben", "2 days")


async def test_who_decides_is_a_setting(shop: Running) -> None:
    ada = await sign_in(shop, "Ada", "reviewer")
    agent = await sign_in(shop, "Agent", "agent")
    proposal = await propose(agent)
    path = f"/review/answers/{proposal}"
    assert (await agent.post(path + "/approve", revision="1")).status == 403
    assert "/approve" in await ada.text(path)


async def test_a_proposal_that_was_edited_meanwhile_is_read_again(shop: Running) -> None:
    ada = await sign_in(shop, "Ada", "reviewer")
    ben = await sign_in(shop, "Ben", "reviewer")
    proposal = await propose(ada)
    path = f"/review/answers/{proposal}"
    assert (await ada.post(path, revision="1", answer="Yes, on Mondays.")).status == 303
    assert (await ben.post(path + "/approve", revision="1")).status == 409
    assert (await ben.post(path + "/reject", revision="1", reject_reason="no")).status == 409
    assert await shop.gateway.answers.get(f"proposal-{proposal}") is None
    assert (await ben.post(path + "/reject", revision="2", reject_reason="")).status == 422
    response = await ben.post(path + "/reject", revision="2", reject_reason="We have no rocket")
    assert response.status == 303
    assert "We have no rocket" in await ada.text(path)


async def test_a_wording_and_an_edit_change_the_pair_they_are_about(shop: Running) -> None:
    ada = await sign_in(shop, "Ada", "reviewer")
    ben = await sign_in(shop, "Ben", "reviewer")
    pair = Pair(
        id="p1",
        intent="inform",
        category="delivery",
        question="How long does it take?",
        variants=("when does it come",),
        answer="Two days.",
    )
    await shop.gateway.answers.save(pair, actor="test")
    wording = await propose(ada, kind="wording", pair_id="p1", question="eta?", answer="")
    edit = await propose(ada, kind="edit", pair_id="p1", question=pair.question, answer="A day.")
    assert "Two days." in await ben.text(f"/review/answers/{wording}")
    for proposal in (wording, edit):
        response = await ben.post(f"/review/answers/{proposal}/approve", revision="1")
        assert response.status == 303, await response.text()
    stored = await shop.gateway.answers.get("p1")
    assert stored is not None
    assert stored.pair.answer == "A day."
    assert stored.pair.variants == ("when does it come", "eta?")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"question": ""}, "question"),
        ({"answer": " "}, "answer"),
        ({"answer": "x" * 8001}, "answer"),
        ({"intent": "x" * 121}, "intent"),
        ({"kind": "poem"}, "kind"),
        ({"kind": "edit"}, "pair_id"),
        ({"kind": "wording", "pair_id": "nothing"}, "pair_id"),
    ],
)
async def test_what_is_no_proposal_is_refused(
    running: Running, fields: dict[str, str], field: str
) -> None:
    ada = await sign_in(running, "Ada", "reviewer")
    response = await ada.post("/review/answers", json=True, **(ANSWER | fields))
    assert response.status == 422
    assert (await response.json())["error"]["field"] == field
    assert await rows_of(running, tables.qa_proposal) == []


async def test_personal_data_put_back_in_is_taken_out_again(running: Running) -> None:
    ada = await sign_in(running, "Ada", "reviewer")
    await propose(ada, question="Does mail reach jo@example.org?")
    (row,) = await rows_of(running, tables.qa_proposal)
    assert row["question"] == "Does mail reach <email>?"


async def test_a_proposal_goes_with_its_customer(running: Running) -> None:
    (turn,) = await ask(running, "do you ship to the moon")
    ada = await sign_in(running, "Ada", "reviewer")
    await propose(ada, turn_id=turn)
    await propose(ada)

    def erase(connection: Any) -> int:
        return int(connection.execute(tables.conversation.delete()).rowcount)

    await running.gateway.journal.write(erase)
    assert [row["turn_id"] for row in await rows_of(running, tables.qa_proposal)] == [None]
    response = await ada.post("/review/answers", json=True, **ANSWER, turn_id=turn)
    assert response.status == 404


async def test_the_right_answer_is_found_by_its_words(shop: Running) -> None:
    ada = await sign_in(shop, "Ada", "reviewer")
    pair = Pair(
        id="p1", intent="inform", category="a", question="How long?", variants=(), answer="A day"
    )
    await shop.gateway.answers.save(pair, actor="test")
    found = await (await ada.get("/review/pairs?q=how+long%3F")).json()
    assert [one["id"] for one in found["pairs"]] == ["p1"]
    assert (await (await ada.get("/review/pairs")).json()) == {"pairs": []}


async def test_each_step_of_a_proposal_is_on_record(shop: Running) -> None:
    ada = await sign_in(shop, "Ada", "reviewer")
    ben = await sign_in(shop, "Ben", "reviewer")
    first, second = await propose(ada), await propose(ada, question="And to Mars?")
    await ada.post(f"/review/answers/{first}", revision="1", answer="Yes, on Mondays.")
    await ben.text(f"/review/answers/{first}")
    await ben.post(f"/review/answers/{first}/approve", revision="2")
    await ben.post(f"/review/answers/{second}/reject", revision="1", reject_reason="no rocket")
    kept = {
        (row["actor"], row["action"], row["target"]) for row in await rows_of(shop, tables.audit)
    }
    assert {
        (ada.id, "edit_proposal", first),
        (ben.id, "read_proposal", first),
        (ben.id, "approve_proposal", first),
        (ben.id, "reject_proposal", second),
    } <= kept
    assert [row[1] for row in kept if row[0] == ada.id].count("propose_answer") >= 1
