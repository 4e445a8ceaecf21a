"""The turns that people labelled, with what they said: what there is to learn from."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from bot.log import annotations, spans, tables

_conversation = tables.conversation
_turn = tables.turn
_BATCH = 500  # keys in one IN (...)


def corrected(connection: Connection, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Turns of which something holds, as `reader.turns` gives them, in the order of their labels.

    Disputed turns are left out until someone settles them. `since` is the moment of the label.
    """
    found = [
        (turn_id, one)
        for turn_id, one in annotations.all_effective(connection).items()
        if one.labels is not None and (since is None or one.labels["created_at"] >= since)
    ]
    found.sort(key=lambda pair: (pair[1].labels["created_at"], pair[0]))  # type: ignore[index]
    for start in range(0, len(found), _BATCH):
        batch = dict(found[start : start + _BATCH])
        rows = connection.execute(
            select(_turn, _conversation.c.channel)
            .join(_conversation, _conversation.c.id == _turn.c.conversation_id)
            .where(_turn.c.id.in_(list(batch)))
        ).mappings()
        turns = {row["id"]: dict(row) for row in rows}
        for turn_id, one in batch.items():
            if turn_id in turns:
                yield turns[turn_id] | {
                    "review": one.state,
                    "annotation": one.labels,
                    "authors": one.authors,
                }


def noted(turns: Iterable[dict[str, Any]], conversations: set[str]) -> Iterator[dict[str, Any]]:
    """The same turns, with their conversations noted: an export's register names them."""
    for turn in turns:
        conversations.add(turn["conversation_id"])
        yield turn


def as_example(turn: dict[str, Any]) -> dict[str, Any]:
    """A corrected turn with people's labels only: what they did not speak of is not the model's."""
    return turn | {"intent": None, "entities": None}


def as_line(turn: dict[str, Any]) -> dict[str, Any]:
    """A corrected turn as its own line: before, after, by whom (an id), when, why shown."""
    said = turn["annotation"]
    rejected = turn["review"] == "rejected"
    before = {
        name: turn[name]
        for name in ("intent", "confidence", "emotion", "emotion_confidence", "entities")
    }
    after = {name: said[name] for name in ("intent", "emotion", "entities")}
    answer = {"answer": said["answer"], "answer_pair_id": said["answer_pair_id"]}
    return {
        "turn_id": turn["id"],
        "annotation_id": said["id"],
        "conversation_id": turn["conversation_id"],
        "channel": turn["channel"],
        "text": turn["text"],
        "state": turn["review"],
        "author": said["agent_id"],
        "labelled_at": said["created_at"],
        "authors": turn["authors"],
        "settled": said["settles"],
        "reason": said["reason"],
        "model_version": turn["model_version"],
        "turn_at": turn["created_at"],
        "before": before | {"qa_pair_id": turn["qa_pair_id"]},
        "after": None if rejected else after | answer,
        "changed": [] if rejected else changed(turn, said),
        "reject_reason": said["reject_reason"],
    }


def changed(turn: dict[str, Any], said: dict[str, Any]) -> list[str]:
    """Which of the model's labels somebody changed; empty where all was right."""
    found = [
        name
        for name in ("intent", "emotion")
        if said[name] is not None and said[name] != turn[name]
    ]
    if said["entities"] is not None:
        placed = [span for span in turn["entities"] or () if isinstance(span.get("start"), int)]
        if spans.as_set(said["entities"]) != spans.as_set(placed):
            found.append("entities")
    if said["answer"] not in (None, "right"):
        found.append("answer")
    return found
