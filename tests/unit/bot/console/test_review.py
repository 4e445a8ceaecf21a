"""The pages of reviewing: each act is kept once, for who may do it, and shown as it is."""

import html
import json
import re
from functools import partial
from typing import Any

import yaml

from bot.console.review.words_of import letters_for, words_of
from bot.log import annotations, proof_questions, tables
from bot.log.review_candidates import Terms
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import Visitor, sign_in

HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" 'single' {{ 7 * 7 }}"


async def ask(running: Running, *texts: str) -> list[str]:
    """A conversation of its own for each text; the ids of the turns."""
    turns = []
    for number, text in enumerate(texts):
        conversation = await running.converse()
        await conversation.say(f"m{number}", text)
        rows = await rows_of(running, tables.turn)
        turns.append(next(row["id"] for row in rows if row["conversation_id"] == conversation.id))
    return turns


async def rows_of(running: Running, table: Any) -> list[dict[str, Any]]:
    def query(connection: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(table.select()).mappings()]

    return await running.gateway.journal.read(query)


def turn_on(page: str) -> str:
    """The turn that a page or fragment shows."""
    found = re.search(r'data-turn="([^"]+)"', page)
    assert found is not None, page[-2000:]
    return found[1]


async def label(visitor: Visitor, turn: str, **fields: str) -> Any:
    """Record something as the page's script does; the JSON answer."""
    response = await visitor.post(f"/review/turns/{turn}", json=True, **fields)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_a_reviewer_goes_from_turn_to_turn(running: Running) -> None:
    turns = await ask(running, "where is my parcel", "stop my order")
    ada = await sign_in(running, "Ada", "reviewer")
    page = await ada.text("/review")
    first = turn_on(page)
    assert "0 today" in page
    response = await ada.post("/review/next", holding=first)
    second = turn_on(await response.text())
    assert {first, second} == set(turns)
    response = await ada.post("/review/next", holding=[first, second])
    assert "data-empty" in await response.text()
    told = await label(
        ada, first, intent="cancel_order", emotion="angry", queued="1", spent_ms="900"
    )
    assert (told["state"], told["count"]) in {("done", 1), ("second", 1)}
    assert turn_on(await ada.text("/review")) == second


async def test_what_was_said_is_kept_with_all_that_belongs_to_it(running: Running) -> None:
    (turn,) = await ask(running, "\U0001f600 my HP-204418 please")
    ada = await sign_in(running, "Ada", "reviewer")
    page = await ada.text("/review")
    assert 'data-start="5" data-end="14"' in page
    span = {"entity": "order_number", "start": 5, "end": 14, "text": "HP-204418"}
    fields = {
        "intent": "cancel_order",
        "emotion": "happy",
        "entities": json.dumps([span]),
        "answer": "none",
        "reason": "uncertainty",
        "queued": "1",
        "spent_ms": "99999999",
    }
    await label(ada, turn, **fields)
    (row,) = await rows_of(running, tables.annotation)
    assert (row["intent"], row["emotion"], row["answer"]) == ("cancel_order", "happy", "none")
    assert row["entities"] == [
        {"entity": "order_number", "start": 5, "end": 14, "value": "HP-204418"}
    ]
    assert (row["agent_id"], row["reason"], row["spent_ms"]) == (ada.id, "uncertainty", 300_000)
    (conversation,) = await rows_of(running, tables.conversation)
    assert conversation["reviewed"]


async def test_bad_labels_are_refused_and_nothing_is_kept(running: Running) -> None:
    (turn,) = await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "reviewer")
    for field, fields in {
        "intent": {},
        "entities": {"intent": "inform", "entities": "{}"},
        "answer": {"answer": "perhaps"},
        "reject_reason": {"reject_reason": "dull"},
    }.items():
        response = await ada.post(f"/review/turns/{turn}", json=True, **fields)
        assert response.status == 422
        assert (await response.json())["error"]["field"] == field
    assert (await ada.post("/review/turns/none", json=True, intent="inform")).status == 404
    assert (await ada.get("/review/turns/a%00b")).status == 404
    assert await rows_of(running, tables.annotation) == []


async def test_undo_brings_the_turn_back(running: Running) -> None:
    (turn,) = await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "reviewer")
    await ada.text("/review")
    await label(ada, turn, intent="inform", queued="1")
    response = await ada.post("/review/undo", json=True)
    assert (await response.json())["turn_id"] == turn
    assert turn_on(await ada.text("/review")) == turn
    assert (await ada.post("/review/undo", json=True)).status == 409
    kinds = [row["kind"] for row in await rows_of(running, tables.annotation)]
    assert sorted(kinds) == ["label", "revoke"]


async def test_where_a_proof_asks_no_intent_is_chosen_beforehand(running: Running) -> None:
    (turn,) = await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "reviewer")
    chosen = re.compile(r'name="intent" value="[^"]+" checked')
    assert chosen.search(await ada.text("/review"))
    asked = await running.gateway.journal.write(
        partial(proof_questions.ask, turn_ids=[turn], terms=Terms())
    )
    assert asked == [turn]
    page = await ada.text("/review")
    assert turn_on(page) == turn
    assert not chosen.search(page)
    # What somebody has said of it stands there when they look again.
    await label(ada, turn, intent="cancel_order", queued="1", reason="proof")
    assert chosen.search(await ada.text(f"/review/turns/{turn}"))


async def test_without_scripts_forms_do_the_same(running: Running) -> None:
    (turn,) = await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "reviewer")
    await ada.text("/review")
    response = await ada.post(
        f"/review/turns/{turn}", intent="inform", other_intent="cancel_order", queued="1"
    )
    assert (response.status, response.headers["Location"]) == (
        303,
        "/console/review?notice=review.saved",
    )
    assert (await rows_of(running, tables.annotation))[0]["intent"] == "cancel_order"
    history = await ada.text("/review/history")
    assert "where is my parcel" in history
    (record,) = re.findall(r'name="annotation_id" value="([^"]+)"', history)
    response = await ada.post("/review/undo", annotation_id=record)
    assert response.headers["Location"].startswith(f"/console/review/turns/{turn}")


async def test_two_reviewers_do_not_see_each_others_answer(running: Running) -> None:
    (turn,) = await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "reviewer")
    ben = await sign_in(running, "Ben", "reviewer")
    await label(ada, turn, intent="secret_of_ada")
    page = await ben.text(f"/review/turns/{turn}")
    assert "secret_of_ada" not in page
    assert (await label(ben, turn, intent="word_of_ben"))["state"] == "disputed"
    assert "secret_of_ada" in await ben.text(f"/review/turns/{turn}")


async def test_a_dispute_is_settled_by_a_third(running: Running) -> None:
    (turn,) = await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "reviewer")
    ben = await sign_in(running, "Ben", "reviewer")
    cat = await sign_in(running, "Cat", "reviewer")
    await label(ada, turn, intent="inform")
    assert (await cat.get(f"/review/turns/{turn}/settle")).status == 409
    await label(ben, turn, intent="cancel_order")
    page = await cat.text("/review/agreement")
    assert "where is my parcel" in page
    assert "Ada, Ben" in page
    assert (await ada.get(f"/review/turns/{turn}/settle")).status == 403
    assert (await ada.post(f"/review/turns/{turn}/settle", intent="inform")).status == 403
    assert "inform" in await cat.text(f"/review/turns/{turn}/settle")
    response = await cat.post(f"/review/turns/{turn}/settle", intent="cancel_order")
    assert response.status == 303
    found = await running.gateway.journal.read(
        lambda connection: annotations.effective_of(connection, turn)
    )
    assert found is not None
    assert found.labels is not None
    assert (found.state, found.labels["intent"]) == ("labelled", "cancel_order")
    assert "where is my parcel" not in await cat.text("/review/agreement")
    kept = [(row["actor"], row["action"]) for row in await rows_of(running, tables.audit)]
    assert kept.count((cat.id, "settle_turn")) == 1


async def test_corrections_are_downloaded_and_the_download_is_on_record(running: Running) -> None:
    turns = await ask(running, "where is ${HOME}", "buy cheap pills")
    ada = await sign_in(running, "Ada", "reviewer")
    await label(ada, turns[0], intent="inform")
    await label(ada, turns[1], reject_reason="spam")
    response = await ada.get("/review/export?format=jsonl")
    lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert [line["state"] for line in lines] == ["labelled", "rejected"]
    assert (lines[0]["before"]["intent"], lines[0]["after"]["intent"]) == ("track_order", "inform")
    assert lines[0]["author"] == ada.id
    response = await ada.get("/review/export?format=rasa")
    assert "attachment" in response.headers["Content-Disposition"]
    text = await response.text()
    assert yaml.safe_load(text)["nlu"] == [
        {"intent": "inform", "examples": [{"text": "where is ${HOME}"}]}
    ]
    assert '"where is ${HOME}"' in text
    later = await ada.get("/review/export?format=jsonl&from=2999-01-01")
    assert await later.text() == ""
    assert (await ada.get("/review/export?format=exe")).status == 400
    assert (await ada.get("/review/export?from=yesterday")).status == 400
    audited = [row for row in await rows_of(running, tables.audit) if row["actor"] == ada.id]
    assert [row["detail"] for row in audited if row["action"] == "export_corrections"] == [
        {"count": 2},
        {"count": 1},
        {"count": 0},
    ]
    assert "pills" not in json.dumps(audited, default=str)
    registered = await rows_of(running, tables.export_record)
    assert {(row["kind"], row["actor"]) for row in registered} == {("corrections", "Ada")}


async def test_each_look_at_a_turn_is_on_record(running: Running) -> None:
    (turn,) = await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "reviewer")
    await ada.text("/review")
    await ada.text(f"/review/turns/{turn}")
    looks = [
        row["target"]
        for row in await rows_of(running, tables.audit)
        if row["action"] == "read_turn"
    ]
    assert looks == [turn, turn]


async def test_agents_label_and_propose_but_decide_nothing(running: Running) -> None:
    (turn,) = await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "agent")
    await label(ada, turn, intent="inform")
    for path in ("/review/agreement", "/review/export", f"/review/turns/{turn}/settle"):
        assert (await ada.get(path)).status == 403


async def test_hostile_texts_are_shown_as_they_are(running: Running) -> None:
    (turn,) = await ask(running, HOSTILE)
    ada = await sign_in(running, "Ada", "administrator")
    ben = await sign_in(running, "Ben", "reviewer")
    await label(ada, turn, intent=HOSTILE[:100])
    await label(ben, turn, intent="inform")
    for path in (
        "/review",
        f"/review/turns/{turn}",
        f"/review/turns/{turn}/settle",
        "/review/agreement",
        "/review/history",
        f"/review/answers/new?turn={turn}",
    ):
        page = await ada.text(path)
        assert "<img src=x" not in page
        assert path == "/review" or html.escape(HOSTILE[:28]) in page


async def test_the_page_speaks_chinese(running: Running) -> None:
    await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "reviewer")
    response = await ada.get("/review", **{"Accept-Language": "zh-CN"})
    page = await response.text()
    assert "确认并继续" in page
    assert "今天 0 条" in page


async def test_names_come_from_what_was_seen_when_the_model_is_away(running: Running) -> None:
    await ask(running, "where is my parcel")
    ada = await sign_in(running, "Ada", "reviewer")
    await ada.text("/review")
    running.gateway.labels._kept = None
    names = await (await ada.get("/review/labels")).json()
    assert names["intents"] == ["track_order"]


def test_words_are_counted_in_code_points() -> None:
    text = '\U0001f600 "HP-204418", please (now)!'
    for word in words_of(text):
        assert text[word.start : word.end] == word.text
    assert "HP-204418" in [word.text for word in words_of(text)]
    assert "".join(word.before + word.text for word in words_of(text)) == text
    assert [word.text for word in words_of("我要退货 now")] == ["我", "要", "退", "货", "now"]
    assert [word.text for word in words_of("mail <email> me")] == ["mail", "<email>", "me"]


def test_each_name_has_a_letter_of_its_own() -> None:
    names = ["angry", "anxious", "confused", "disappointed", "happy", "neutral"]
    letters = letters_for(names)
    assert letters["angry"] == "a"
    assert letters["neutral"] == "n"
    assert len(set(letters.values())) == len(names)
