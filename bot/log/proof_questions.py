"""Messages that two versions take differently: which may be asked about, and what people said."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select

from bot.log import annotations, tables
from bot.log.review_candidates import Terms, give_reason, is_drawn
from bot.log.review_scores import PROOF
from bot.log.shadow_turns import texts_of

_BATCH = 500  # keys in one IN (...)

_annotation = tables.annotation
_candidate = tables.review_candidate
_turn = tables.turn

_ANNOTATED = select(_annotation.c.id).where(_annotation.c.turn_id == _turn.c.id).exists()


def unspoken(connection: Connection, *, turn_ids: Sequence[str]) -> list[str]:
    """Of these turns, in their order, those that nobody has spoken of and that can be asked about.

    Not those that are shown by lot anyway, nor doubles of what is shown or was labelled.
    """
    there: set[str] = set()
    for batch in _batches(turn_ids):
        closed = (
            select(_candidate.c.turn_id)
            .where(_candidate.c.turn_id == _turn.c.id, _candidate.c.state != "first")
            .exists()
        )
        there |= set(
            connection.execute(
                select(_turn.c.id).where(_turn.c.id.in_(batch), ~_ANNOTATED, ~closed)
            ).scalars()
        )
    return [turn_id for turn_id in turn_ids if turn_id in there and not is_drawn(turn_id)]


def ask(connection: Connection, *, turn_ids: Sequence[str], terms: Terms) -> list[str]:
    """Have the review queue ask about these turns, and about no others; those that it asks about.

    One that is too much like another, or of a customer with many, is not asked about.
    """
    give_reason(connection, reason=PROOF, scores=dict.fromkeys(turn_ids, 1.0), terms=terms)
    asked = set(
        connection.execute(
            select(_candidate.c.turn_id).where(
                _candidate.c.turn_id.in_(turn_ids),
                _candidate.c.state == "first",
                _candidate.c.reasons[PROOF].as_float().is_not(None),
            )
        ).scalars()
    )
    return [turn_id for turn_id in turn_ids if turn_id in asked]


def answers(connection: Connection, *, turn_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """(text, intent) of those of these turns that people agree on, by turn."""
    records: dict[str, list[annotations.Row]] = {}
    for batch in _batches(list(turn_ids)):
        for record in annotations.records_of(connection, batch):
            records.setdefault(record["turn_id"], []).append(record)
    intents = {}
    for turn_id, of_turn in records.items():
        holds = annotations.effective(of_turn)
        if holds is not None and holds.state == "labelled" and holds.labels is not None:
            intents[turn_id] = holds.labels["intent"]
    known = [turn_id for turn_id, intent in intents.items() if intent is not None]
    texts = texts_of(connection, turn_ids=known)
    return {turn_id: (text, intents[turn_id]) for turn_id, text in texts.items()}


def spoken_of(connection: Connection, *, turn_ids: Collection[str]) -> int:
    """How many of these turns wait for nobody: labelled, rejected, or gone from the log."""
    waiting = 0
    for batch in _batches(list(turn_ids)):
        waiting += len(
            connection.execute(select(_turn.c.id).where(_turn.c.id.in_(batch), ~_ANNOTATED)).all()
        )
    return len(turn_ids) - waiting


def _batches(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH)]
