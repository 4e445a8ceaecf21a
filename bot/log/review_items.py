"""A turn as a reviewer sees it: what was said before, what the model thought, why it is shown."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from bot.log import annotations, reviews, tables, unknowns
from bot.log.annotations import Row
from bot.log.review_scores import FALLBACK

CONTEXT = 6
CHOICES = 9

_candidate = tables.review_candidate
_conversation = tables.conversation
_message = tables.message
_turn = tables.turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One turn to look at. `others` is empty until the reviewer has said something of their own.

    `group`: the open group of unknown messages that it is in.
    """

    turn: Row
    channel: str
    before: list[Row]
    replies: list[Row]
    reason: str | None
    reasons: dict[str, float]
    mine: Row | None
    others: list[Row]
    disputed: bool
    group: Row | None

    @property
    def choices(self) -> list[tuple[str, float]]:
        """The model's best intents, most likely first, with their probabilities."""
        ranked = [
            (str(found["name"]), float(found.get("confidence") or 0.0))
            for found in self.turn["ranking"] or ()
            if found.get("name") not in (None, FALLBACK)
        ]
        return ranked[:CHOICES]

    @property
    def entities(self) -> list[Row]:
        """The entities with a place in the text, as the model found them."""
        text = self.turn["text"]
        return [
            found | {"text": text[found["start"] : found["end"]]}
            for found in self.turn["entities"] or ()
            if isinstance(found.get("start"), int)
            and isinstance(found.get("end"), int)
            and 0 <= found["start"] < found["end"] <= len(text)
            and found.get("entity") != "emotion"
        ]


def read_item(
    connection: Connection, *, turn_id: str, agent_id: str, settling: bool = False
) -> Item | None:
    """The turn as `agent_id` is to see it; None when it is gone.

    What others said is kept from who has not yet spoken, unless they are `settling` a dispute: two
    who look at the same turn are to judge alone.
    """
    turn = (
        connection.execute(
            select(_turn, _conversation.c.channel, _message.c.seq)
            .join(_conversation, _conversation.c.id == _turn.c.conversation_id)
            .join(_message, _message.c.id == _turn.c.inbound_id)
            .where(_turn.c.id == turn_id)
        )
        .mappings()
        .one_or_none()
    )
    if turn is None:
        return None
    before = connection.execute(
        select(_message.c.author, _message.c.text, _message.c.created_at)
        .where(
            _message.c.conversation_id == turn["conversation_id"],
            _message.c.seq < turn["seq"],
            # What still waits for its turn is not redacted yet.
            _message.c.state != "accepted",
        )
        .order_by(_message.c.seq.desc())
        .limit(CONTEXT)
    )
    candidate = (
        connection.execute(select(_candidate).where(_candidate.c.turn_id == turn_id))
        .mappings()
        .one_or_none()
    )
    said = reviews.said_of(connection, [turn_id]).get(turn_id, [])
    mine = [record for record in said if record["agent_id"] == agent_id]
    found = annotations.effective_of(connection, turn_id)
    return Item(
        turn=dict(turn),
        channel=turn["channel"],
        before=[dict(row) for row in reversed(before.mappings().all())],
        replies=list(turn["replies"] or ()),
        reason=None if candidate is None else candidate["reason"],
        reasons={} if candidate is None else dict(candidate["reasons"]),
        mine=mine[-1] if mine else None,
        others=[record for record in said if record["agent_id"] != agent_id]
        if mine or settling
        else [],
        disputed=found is not None and found.state == "disputed",
        group=unknowns.group_of(connection, turn_id=turn_id),
    )


def exists(connection: Connection, turn_id: str) -> bool:
    """Whether there is such a turn."""
    found = connection.execute(select(_turn.c.id).where(_turn.c.id == turn_id))
    return found.one_or_none() is not None


def entity_names(connection: Connection, *, newest: int = 500) -> list[str]:
    """The entities that people marked lately, for a list to choose from."""
    _annotation = tables.annotation
    rows = connection.execute(
        select(_annotation.c.entities)
        .where(_annotation.c.entities.is_not(None))
        .order_by(_annotation.c.created_at.desc())
        .limit(newest)
    )
    return sorted({span["entity"] for row in rows for span in row.entities})


def seen_intents(connection: Connection, *, newest: int = 2000) -> list[str]:
    """The intents of the newest candidates: what there is to choose from without the model."""
    rows = connection.execute(
        select(_candidate.c.intent).order_by(_candidate.c.created_at.desc()).limit(newest)
    )
    return sorted({row.intent for row in rows if row.intent not in (None, FALLBACK)})
