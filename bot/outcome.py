"""Turns the dialogue's answer into what the log keeps and what the customer gets."""

from collections.abc import Callable
from typing import Any

from bot.log.records import Reply, TurnRecord
from bot.redaction import Redacted, Redactor

# Rasa's bookkeeping, of no interest to who reads a turn.
_SILENT_ACTIONS = frozenset(
    {"action_listen", "action_session_start", "action_extract_slots", "action_unlikely_intent"}
)
_ENTITY_KEYS = ("entity", "confidence_entity", "role", "group")


def read_replies(answer: dict[str, Any], new_id: Callable[[], str]) -> list[Reply]:
    """The bot's messages in the turn channel's answer."""
    replies = []
    for item in answer.get("replies", ()):
        extra = {key: item[key] for key in ("image", "custom", "attachment") if item.get(key)}
        replies.append(
            Reply(
                id=new_id(),
                text=item.get("text"),
                buttons=item.get("buttons") or None,
                extra=extra or None,
                metadata=item.get("metadata") or None,
            )
        )
    return replies


def read_timings(answer: dict[str, Any]) -> dict[str, float]:
    """Milliseconds by stage as the dialogue measured them."""
    return {
        stage: round(float(spent_ms), 2)
        for stage, spent_ms in (answer.get("timing_ms") or {}).items()
        # The gateway's stage `turn` is this and the way there.
        if stage != "total"
    }


def handoff_reason(replies: list[Reply]) -> str | None:
    """Why a person is wanted, when a reply says so."""
    for reply in replies:
        handoff = (reply.metadata or {}).get("handoff")
        if handoff:
            reason = handoff.get("reason") if isinstance(handoff, dict) else None
            return str(reason or "asked")
    return None


def record_turn(
    *,
    id_: str,
    text: str,
    answer: dict[str, Any],
    replies: list[Reply],
    redactor: Redactor,
) -> TurnRecord:
    """The turn as the log keeps it: personal data gone, entities where the text now has them."""
    redacted = redactor.redact(text)
    parse = answer.get("parse") or {}
    intent = parse.get("intent") or {}
    emotion = parse.get("emotion") or {}
    qa = answer_of(replies)
    return TurnRecord(
        id=id_,
        text=redacted.text,
        intent=intent.get("name"),
        confidence=intent.get("confidence"),
        ranking=parse.get("intent_ranking") or [],
        emotion=emotion.get("name"),
        emotion_confidence=emotion.get("confidence"),
        entities=[
            _redact_entity(entity, redacted, redactor)
            for entity in parse.get("entities") or ()
            if entity.get("entity") != "emotion"
        ],
        actions=_actions_of(answer.get("events") or ()),
        qa_pair_id=None if qa is None else str(qa.get("id")),
        qa_score=None if qa is None else qa.get("score"),
        model_version=parse.get("model_version"),
        mode=parse.get("mode"),
        replies=[_redact_reply(reply, redactor) for reply in replies],
    )


def answer_of(replies: list[Reply]) -> dict[str, Any] | None:
    """The id, score and question of the stored answer among the replies, if there is one."""
    for reply in replies:
        qa = (reply.metadata or {}).get("qa")
        if isinstance(qa, dict):
            return qa
    return None


def _actions_of(events: Any) -> list[str]:
    return [
        event["name"]
        for event in events
        if event.get("event") == "action"
        and event.get("name") is not None
        and event["name"] not in _SILENT_ACTIONS
    ]


def _redact_entity(
    entity: dict[str, Any], redacted: Redacted, redactor: Redactor
) -> dict[str, Any]:
    """The entity with its span in the redacted text; its value says no more than the text."""
    kept: dict[str, Any] = {key: entity[key] for key in _ENTITY_KEYS if key in entity}
    value = redactor.redact_value(entity.get("value"))
    start, end = entity.get("start"), entity.get("end")
    if isinstance(start, int) and isinstance(end, int):
        kept["start"], kept["end"] = redacted.place(start, end)
        if redacted.touches(start, end):
            # Half a phone number is none to the redactor, but says half of it.
            value = redacted.text[kept["start"] : kept["end"]]
    return kept | {"value": value}


def _redact_reply(reply: Reply, redactor: Redactor) -> dict[str, Any]:
    row = {
        "text": reply.text,
        "buttons": reply.buttons,
        "extra": reply.extra,
        "metadata": reply.metadata,
    }
    return {key: redactor.redact_value(value) for key, value in row.items() if value is not None}
