"""What answers teach, page by page: questions that customers chose, and what agents put in."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from actions.tables import QaPair
from bot.log import tables
from bot.log.harvested import BATCH, Page, Row, Stretch, described, inside, pair_intents

CHOICE = "/choose_answer"
# A customer presses a button under one of the last answers.
LOOK_BACK = 6
# What is shorter an agent may well have typed.
SHORTEST_ANSWER = 20

_feedback = tables.feedback
_handoff = tables.handoff
_message = tables.message
_turn = tables.turn
_pair = QaPair.__table__


def clicked(connection: Connection, *, stretch: Stretch) -> list[Row]:
    """Turns for which the bot offered questions and the customer chose one, in a stretch.

    The stretch is that of the choices. `pair_id` is the chosen pair, `said_at` when it was chosen.
    """
    clicks = connection.execute(
        select(_turn.c.id, _turn.c.conversation_id, _turn.c.created_at, _turn.c.text)
        .where(inside(stretch), _turn.c.text.startswith(CHOICE))
        .order_by(_turn.c.created_at, _turn.c.id)
    ).all()
    disliked = _disliked(connection, [click.id for click in clicks])
    chosen = {click.id: chosen_pair(click.text) for click in clicks if click.id not in disliked}
    pairs = pair_intents(connection, [pair for pair in chosen.values() if pair])
    found = []
    for click in clicks:
        pair = chosen.get(click.id)
        offer = _offer(connection, click, pair) if pair in pairs else None
        if offer is not None:
            found.append({**offer, "pair_id": pair, "said_at": click.created_at})
    return found


def chosen_pair(text: str) -> str | None:
    """The pair that a pressed button asks for; None for any other text.

    For "none of these" it is one that no store has.
    """
    if not text.startswith(CHOICE):
        return None
    try:
        pair = json.loads(text.removeprefix(CHOICE))["qa_id"]
    except (ValueError, TypeError, KeyError):
        return None
    return pair if isinstance(pair, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The store's answers by a hash of their words: the pair, where only one says so."""

    pairs: Mapping[bytes, str | None]

    def pair_of(self, text: str) -> str | None:
        """The pair whose answer an agent's message is, or ends with: it was put in, not typed."""
        lines = text.split("\n")
        for start in range(min(len(lines), 10)):
            words = "\n".join(lines[start:])
            found = self.pairs.get(_digest(words)) if len(words) >= SHORTEST_ANSWER else None
            if found is not None:
                return found
        return None


def answers(connection: Connection) -> Answers:
    """All answers that the store gives."""
    found: dict[bytes, str | None] = {}
    rows = connection.execute(
        select(_pair.c.id, _pair.c.answer).where(_pair.c.active).order_by(_pair.c.id),
        execution_options={"yield_per": 1000},
    )
    for id_, answer in rows:
        key = _digest(answer)
        found[key] = None if key in found else id_
    return Answers(pairs=found)


def answered_by_agents(
    connection: Connection, *, after: str, until: datetime, known: Answers, size: int
) -> Page:
    """Turns that an agent answered with an answer of the store; `author` is the agent.

    Goes by conversations, `size` of them. The console marks no message as such: it is known by its
    words.
    """
    ids = list(
        connection.execute(
            select(_handoff.c.conversation_id)
            .where(_handoff.c.answered_at.is_not(None), _handoff.c.conversation_id > after)
            .distinct()
            .order_by(_handoff.c.conversation_id)
            .limit(size)
        ).scalars()
    )
    found = []
    messages = connection.execute(
        select(
            _message.c.conversation_id,
            _message.c.seq,
            _message.c.text,
            _message.c.agent_id,
            _message.c.created_at,
        )
        .where(
            _message.c.conversation_id.in_(ids),
            _message.c.author == "agent",
            _message.c.text.is_not(None),
            _message.c.created_at <= until,
        )
        .order_by(_message.c.conversation_id, _message.c.seq),
        execution_options={"yield_per": 500},
    )
    suggested = [(message, pair) for message in messages if (pair := known.pair_of(message.text))]
    for message, pair in suggested:
        turn = _asked(connection, message)
        if turn is not None:
            turn |= {"pair_id": pair, "author": message.agent_id, "said_at": message.created_at}
            found.append(turn)
    return Page(rows=found, after=ids[-1] if len(ids) == size else None)


def _disliked(connection: Connection, ids: Sequence[str]) -> Collection[str]:
    """Those of these turns whose answer has a thumb down."""
    found: set[str] = set()
    for start in range(0, len(ids), BATCH):
        query = select(_feedback.c.turn_id).where(
            _feedback.c.turn_id.in_(ids[start : start + BATCH]),
            _feedback.c.kind == "thumb",
            _feedback.c.score < 0,
        )
        found.update(connection.execute(query).scalars())
    return found


def _offer(connection: Connection, click: Any, pair: str | None) -> Row | None:
    """The turn under whose answer the button was, without its replies."""
    earlier = connection.execute(
        described()
        .add_columns(_turn.c.replies)
        .where(
            _turn.c.conversation_id == click.conversation_id,
            _turn.c.created_at <= click.created_at,
            _turn.c.id != click.id,
        )
        .order_by(_turn.c.created_at.desc(), _turn.c.id.desc())
        .limit(LOOK_BACK)
    ).mappings()
    for turn in earlier:
        if pair in _offered(turn["replies"]):
            return {name: value for name, value in turn.items() if name != "replies"}
    return None


def _offered(replies: Sequence[Row] | None) -> set[str]:
    """The pairs that a turn's replies offered."""
    return {
        str(one.get("id"))
        for reply in replies or ()
        for one in (reply.get("metadata") or {}).get("qa_offered") or ()
    }


def _asked(connection: Connection, message: Any) -> Row | None:
    """The customer's last words before an agent's message; None for a call for a person."""
    turn = (
        connection.execute(
            described()
            .join(_message, _message.c.id == _turn.c.inbound_id)
            .where(
                _message.c.conversation_id == message.conversation_id,
                _message.c.seq < message.seq,
                ~_turn.c.text.startswith("/"),
                _turn.c.text != "",
            )
            .order_by(_message.c.seq.desc())
            .limit(1)
        )
        .mappings()
        .one_or_none()
    )
    if turn is None:
        return None
    called = select(_handoff.c.id).where(
        _handoff.c.conversation_id == message.conversation_id,
        _handoff.c.turn_id == turn["turn_id"],
        _handoff.c.reason == "asked",
    )
    return None if connection.execute(called).first() is not None else dict(turn)


def _digest(words: str) -> bytes:
    """Blanks do not count: fields of a form change them."""
    return hashlib.blake2b(" ".join(words.split()).encode(), digest_size=16).digest()
