"""What the dialogue answered becomes a turn without personal data."""

from itertools import count
from typing import Any

from bot.outcome import handoff_reason, read_replies, record_turn
from bot.redaction import Redactor


def record(text: str, **answer: Any) -> Any:
    numbers = count()
    replies = read_replies(answer, lambda: str(next(numbers)))
    return record_turn(id_="t", text=text, answer=answer, replies=replies, redactor=Redactor())


def entity(name: str, start: int, end: int, value: str) -> dict[str, Any]:
    return {"entity": name, "start": start, "end": end, "value": value, "extractor": "kefu"}


def test_entities_follow_the_redacted_text() -> None:
    text = "I am jo@mail.example, 07911 123456, order HP-482913"
    turn = record(
        text,
        parse={
            "entities": [
                entity("email", 5, 20, "jo@mail.example"),
                entity("order_number", 22, 27, "07911"),
                entity("order_number", 42, 51, "HP-482913"),
                entity("emotion", 0, len(text), "neutral"),
            ]
        },
    )
    assert turn.text == "I am <email>, <phone>, order HP-482913"
    assert [(item["entity"], item["value"]) for item in turn.entities] == [
        ("email", "<email>"),
        ("order_number", "<phone>"),
        ("order_number", "HP-482913"),
    ]
    for item in turn.entities:
        assert turn.text[item["start"] : item["end"]] == item["value"]


def test_bookkeeping_actions_are_left_out() -> None:
    events = [
        {"event": "action", "name": name}
        for name in ("action_session_start", "track_order_form", "utter_x", "action_listen")
    ]
    assert record("hi", events=[*events, {"event": "slot"}]).actions == [
        "track_order_form",
        "utter_x",
    ]


def test_an_answer_carries_its_pair_and_score() -> None:
    qa = {"id": "qa-3", "score": 0.8, "question": "?"}
    turn = record("hi", replies=[{"text": "a"}, {"text": "b", "metadata": {"qa": qa}}])
    assert (turn.qa_pair_id, turn.qa_score) == ("qa-3", 0.8)


def test_a_reply_says_why_a_person_is_wanted() -> None:
    replies = [{"text": "a"}, {"text": "b", "metadata": {"handoff": {"reason": "emotion"}}}]
    assert handoff_reason(read_replies({"replies": replies}, lambda: "1")) == "emotion"
    assert handoff_reason(read_replies({"replies": replies[:1]}, lambda: "1")) is None
