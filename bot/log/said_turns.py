"""Turns with who wrote them and what they were taken for, sifted for being compared."""

from collections import Counter
from typing import Any

from sqlalchemy import Row, Select, func, select

from bot.log import tables
from bot.log.review_scores import FALLBACK, is_reviewable, text_key

_conversation = tables.conversation
_turn = tables.turn

# Who wrote a turn: a customer of a proven id, else the conversation.
WRITER = func.coalesce(_conversation.c.customer_id, _conversation.c.id)


def said_turns() -> Select[Any]:
    """Every turn: id, text, intent, confidence, customer (its WRITER)."""
    return select(
        _turn.c.id,
        _turn.c.text,
        _turn.c.intent,
        _turn.c.confidence,
        WRITER.label("customer"),
    ).join(_conversation, _conversation.c.id == _turn.c.conversation_id)


class Sieve:
    """Lets pass of texts that read the same the first, of a customer so many, and only words."""

    def __init__(self, per_customer: int) -> None:
        self._per_customer = per_customer
        self._seen: set[str] = set()
        self._shares: Counter[str] = Counter()

    def passes(self, turn: Row[Any]) -> bool:
        """Whether a turn is let pass; then it counts."""
        key = text_key(turn.text)
        if key in self._seen or self._shares[turn.customer] >= self._per_customer:
            return False
        if not is_reviewable(turn.text):
            return False
        self._seen.add(key)
        self._shares[turn.customer] += 1
        return True


def confidence_of(turn: Row[Any]) -> float:
    """In what a turn was taken for; of a fallback it is that nothing is meant, so 0."""
    return 0.0 if turn.intent == FALLBACK else turn.confidence or 0.0
