"""action_answer, handing off and the fallback."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from actions.answer import Answer
from actions.fallback import AskAffirmation, DefaultFallback
from actions.handoff import HandOff, OfferHandOff
from actions.qa.live import QaSearch


@pytest.fixture
def answer(search: QaSearch, people) -> Answer:
    return Answer(search, people)


async def test_a_sure_answer_carries_its_pair(answer, run, tracker) -> None:
    heard = await run(answer, tracker("how long does standard delivery take", "ask_delivery_time"))
    assert heard.text == "Standard delivery takes 3 to 5 working days."
    qa = heard.metadata("qa")
    assert qa["id"] == "delivery-001"
    assert qa["question"] == "How long does standard delivery take?"
    assert 0 < qa["score"] <= 1
    assert heard.slots == {"failures": 0, "qa_id": None}


@pytest.fixture
def unsure(answer: Answer, search: QaSearch, monkeypatch) -> Answer:
    """The same, of a store whose thresholds let nothing be answered outright."""
    from dataclasses import replace

    found = search.find

    async def find(text):
        findings = await found(text)
        return replace(findings, scale=replace(findings.scale, answer=1.1, offer=0.0))

    monkeypatch.setattr(search, "find", find)
    return answer


@pytest.fixture
def clueless(answer: Answer, search: QaSearch, monkeypatch) -> Answer:
    """The same, of a store that has nothing near enough."""
    from dataclasses import replace

    found = search.find

    async def find(text):
        findings = await found(text)
        return replace(findings, scale=replace(findings.scale, answer=1.1, offer=1.1))

    monkeypatch.setattr(search, "find", find)
    return answer


async def test_an_unsure_answer_is_a_choice(unsure, run, tracker) -> None:
    heard = await run(unsure, tracker("delivery", "ask_delivery_time"))
    offered = [pair["id"] for pair in heard.metadata("qa_offered")]
    assert len(offered) == 3
    assert heard.payloads == [
        f"/choose_answer{json.dumps({'qa_id': pair})}" for pair in [*offered, "none"]
    ]
    assert "failures" not in heard.slots


async def test_the_chosen_question_is_answered(answer, run, tracker) -> None:
    heard = await run(
        answer, tracker("/choose_answer{}", "choose_answer", slots={"qa_id": "returns-001"})
    )
    assert heard.text == "You have 30 days."
    assert heard.metadata("qa")["id"] == "returns-001"
    assert heard.slots["qa_id"] is None


async def test_none_of_these_counts_as_a_failure(answer, run, tracker) -> None:
    chosen = tracker("/choose_answer{}", "choose_answer", slots={"qa_id": "none"})
    assert (await run(answer, chosen)).slots["failures"] == 1


async def test_a_button_that_names_an_intent_shows_its_questions(answer, run, tracker) -> None:
    heard = await run(answer, tracker("/ask_return_policy", "ask_return_policy"))
    assert [pair["id"] for pair in heard.metadata("qa_offered")] == ["returns-001"]


async def test_no_answer_is_admitted_and_a_person_named(clueless, run, tracker) -> None:
    heard = await run(clueless, tracker("what is the moon made of", "out_of_scope"))
    assert heard.payloads == ["/ask_human"]
    assert heard.slots == {"failures": 1, "qa_id": None}


async def test_an_angry_customer_is_offered_a_person_at_the_first_failure(
    clueless, run, tracker
) -> None:
    heard = await run(clueless, tracker("answer me!", "out_of_scope", emotion="angry"))
    assert heard.payloads == ["/affirm", "/deny"]
    assert heard.slots["handoff"] == "offered"


async def test_within_a_form_no_yes_or_no_is_asked_for(clueless, run, tracker) -> None:
    asked = tracker("answer me!", "out_of_scope", emotion="angry")
    asked.active_loop = {"name": "cancel_order_form"}
    heard = await run(clueless, asked)
    assert heard.payloads == ["/ask_human"]
    assert "handoff" not in heard.slots


async def test_two_failures_in_a_row_bring_a_person(clueless, run, tracker) -> None:
    heard = await run(clueless, tracker("and this?", "out_of_scope", slots={"failures": 1.0}))
    assert heard.metadata("handoff") == {"reason": "repeated_failure"}
    assert heard.slots["handoff"] == "waiting"


async def test_an_offer_of_a_person_stands_for_one_message(answer, run, tracker) -> None:
    slots = {"handoff": "offered", "failures": 1.0}
    heard = await run(answer, tracker("delivery time", "ask_delivery_time", slots=slots))
    assert heard.slots == {"handoff": None, "failures": 0, "qa_id": None}


async def test_kind_words_come_first_unless_they_were_just_said(answer, run, tracker) -> None:
    text = "how long does standard delivery take"
    calm = (await run(answer, tracker(text))).text
    anxious = (await run(answer, tracker(text, emotion="anxious"))).text
    said = [
        {"event": "user", "parse_data": {}},
        {"event": "bot", "metadata": {"utter_action": "utter_sympathy"}},
    ]
    after = (await run(answer, tracker(text, emotion="anxious", events=said))).text
    assert anxious.endswith(calm)
    assert len(anxious) > len(calm)
    assert after == calm


async def test_the_same_message_gets_the_same_words(answer, run, tracker) -> None:
    said = tracker("delivery time", emotion="angry", message_id="m-9")
    assert (await run(answer, said)).text == (await run(answer, said)).text


async def test_an_empty_store_is_a_failure_and_not_a_crash(
    database, embedder, people, run, tracker
) -> None:
    from actions.qa.importing import Importer

    search = QaSearch(database, embedder, Importer(database, embedder), refresh_s=0)
    assert (await run(Answer(search, people), tracker("anything"))).slots["failures"] == 1


@pytest.mark.parametrize(
    ("intent", "emotion", "failures", "reason"),
    [
        ("ask_human", "angry", 0, "asked"),
        ("affirm", "angry", 1, "low_confidence"),
        ("affirm", "angry", 0, "emotion"),
        ("affirm", "neutral", 0, "asked"),
        ("insult", "angry", 0, "emotion"),
        ("inform", "neutral", 2, "repeated_failure"),
    ],
)
async def test_the_reason_of_a_handoff(
    people, run, tracker, intent: str, emotion: str, failures: int, reason: str
) -> None:
    on = tracker("x", intent, emotion=emotion, slots={"failures": failures})
    heard = await run(HandOff(people), on)
    assert heard.metadata("handoff") == {"reason": reason}
    assert "in a moment" in heard.text


async def test_who_takes_the_offer_made_for_anger_is_handed_over_for_it(
    people, run, tracker
) -> None:
    angry = {"emotion": {"name": "angry"}}
    events = [{"event": "user", "parse_data": angry}, {"event": "user", "parse_data": {}}]
    heard = await run(HandOff(people), tracker("yes", "affirm", emotion="neutral", events=events))
    assert heard.metadata("handoff") == {"reason": "emotion"}


async def test_an_offer_at_the_second_failure_is_a_handoff(people, run, tracker) -> None:
    first = await run(OfferHandOff(people), tracker("hm", "nlu_fallback", emotion="angry"))
    second = await run(OfferHandOff(people), tracker("hm", "nlu_fallback", slots={"failures": 1.0}))
    assert first.slots == {"handoff": "offered", "failures": 1}
    assert second.metadata("handoff") == {"reason": "repeated_failure"}


async def test_what_may_have_been_meant_is_offered(search, run, tracker) -> None:
    ranking = [{"name": n} for n in ("nlu_fallback", "track_order", "ask_invoice", "cancel_order")]
    on = tracker("return window thing", "nlu_fallback", intent_ranking=ranking)
    heard = await run(AskAffirmation(search), on)
    assert heard.payloads[:2] == ["/track_order", "/cancel_order"]
    assert '/choose_answer{"qa_id": "returns-001"}' in heard.payloads
    assert heard.payloads[-2:] == ["/out_of_scope", "/ask_human"]
    assert heard.slots == {"failures": 1}


async def test_the_last_fallback_is_a_person(people, run, tracker) -> None:
    heard = await run(DefaultFallback(people), tracker("hm", "nlu_fallback"))
    assert heard.metadata("handoff") == {"reason": "repeated_failure"}


async def test_who_waits_already_is_not_announced_again(people, run, tracker) -> None:
    on = tracker("get me a person", "ask_human", slots={"handoff": "waiting"})
    heard = await run(HandOff(people), on)
    assert heard.metadata("handoff") is None
    assert "called" in heard.text
    assert "handoff" not in heard.slots


async def test_while_waiting_a_failure_neither_offers_nor_calls_a_person(
    clueless, people, run, tracker
) -> None:
    slots = {"handoff": "waiting", "failures": 1.0}
    heard = await run(clueless, tracker("and this?", "out_of_scope", emotion="angry", slots=slots))
    offer = await run(
        OfferHandOff(people), tracker("rubbish!", "insult", emotion="angry", slots=slots)
    )
    for said in (heard, offer):
        assert said.metadata("handoff") is None
        assert said.payloads == []
        assert "handoff" not in said.slots


@pytest.mark.parametrize("emotion", ["angry", "neutral"])
@pytest.mark.parametrize("failures", [0.0, 1.0])
async def test_after_a_hand_back_the_bot_calls_nobody_by_itself(
    clueless, people, run, tracker, emotion: str, failures: float
) -> None:
    slots = {"handoff_rest": 3.0, "failures": failures}
    on = tracker("and this?", "out_of_scope", emotion=emotion, slots=slots)
    for action in (clueless, OfferHandOff(people), DefaultFallback(people)):
        heard = await run(action, on)
        assert heard.metadata("handoff") is None
        assert heard.payloads == ["/ask_human"]
        assert heard.slots.get("handoff") is None


async def test_after_a_hand_back_a_person_can_be_asked_for(people, run, tracker) -> None:
    heard = await run(HandOff(people), tracker("x", "ask_human", slots={"handoff_rest": 3.0}))
    assert heard.metadata("handoff") == {"reason": "asked"}


async def test_outside_opening_hours_the_return_is_named(people, run, tracker) -> None:
    night = replace(people, clock=lambda: datetime(2026, 6, 17, 22, 0, tzinfo=UTC))
    on = tracker("get me a person", "ask_human")
    waits = await run(HandOff(night), on)
    stays = await run(HandOff(replace(night, wait_when_closed=False)), on)
    assert "tomorrow at 8:00 (UK time)" in waits.text
    assert "tomorrow at 8:00 (UK time)" in stays.text
    assert waits.metadata("handoff") == {"reason": "asked"}
    assert stays.metadata("handoff") is None
    assert "handoff" not in stays.slots
