"""A seeded conversation while it is made up, and the rows that it becomes."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.log.inbox import TREND_CHARS, trend_piece
from bot.log.turn_kinds import Kind, feature_bits, intent_bits

Row = tuple[Any, ...]
_COLUMNS = """
conversation: id channel account status handoff_reason last_seq created_at updated_at customer_id
    locale last_inbound_at agent_id waiting_since taken_at handed_back_at outcome unanswered_since
    last_intent last_emotion emotion_trend rating reviewed had_fallback lowest_confidence
    intent_bits feature_bits
message: id conversation_id seq direction author agent_id channel account message_id text metadata
    state turn_id created_at
turn: id conversation_id inbound_id text intent confidence ranking emotion emotion_confidence
    entities actions qa_pair_id qa_score model_version mode timings replies created_at kind_id
handoff: id conversation_id reason turn_id at answered_at
feedback: id conversation_id turn_id kind score created_at
annotation: id turn_id intent emotion agent_id created_at kind answer
search_doc: conversation_id message_id words
"""
# By table, in an order in which a row's key stands in the rows of the tables behind it.
COLUMNS = {
    line.split(":")[0]: line.split(":")[1].split()
    for line in _COLUMNS.strip().replace("\n ", "").splitlines()
}


@dataclass(slots=True)
class Batch:
    """Rows by table, in the order of COLUMNS, and the kinds of turns that they name."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    kinds: dict[int, Kind] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Story:
    """How far a conversation has come."""

    id: str
    channel: str
    account: str
    customer_id: str
    locale: str | None
    chinese: bool
    topic: str
    began: datetime
    # The moment it has come to.
    at: datetime
    status: str = "bot"
    emotion: str = ""
    seq: int = 0
    inbound_at: datetime | None = None
    updated_at: datetime | None = None
    unanswered: datetime | None = None
    reason: str | None = None
    handoff_turn: str | None = None
    waiting_since: datetime | None = None
    handed_at: datetime | None = None
    taken_at: datetime | None = None
    answered_at: datetime | None = None
    agent_id: str | None = None
    outcome: str | None = None
    handed_back_at: datetime | None = None
    rating: int | None = None
    reviewed: bool = False
    had_fallback: bool = False
    lowest: float | None = None
    intent: str | None = None
    trend: str = ""
    intent_bits: int = 0
    feature_bits: int = 0

    def turned(self, kind: Kind, confidence: float) -> None:
        """A turn more."""
        self.intent = kind.intent
        self.trend = (trend_piece(kind.emotion) + self.trend)[:TREND_CHARS]
        self.had_fallback = self.had_fallback or kind.fallback
        self.lowest = confidence if self.lowest is None else min(self.lowest, confidence)
        self.intent_bits |= intent_bits(kind.intent)
        self.feature_bits |= feature_bits(kind)

    def row(self) -> Row:
        """The conversation's row."""
        return (
            self.id,
            self.channel,
            self.account,
            self.status,
            self.reason,
            self.seq,
            self.began,
            max(self.updated_at or self.at, self.inbound_at or self.at),
            self.customer_id,
            self.locale,
            self.inbound_at,
            self.agent_id,
            self.waiting_since,
            self.taken_at,
            self.handed_back_at,
            self.outcome,
            self.unanswered,
            self.intent,
            self.emotion,
            self.trend,
            self.rating,
            self.reviewed,
            self.had_fallback,
            self.lowest,
            self.intent_bits,
            self.feature_bits,
        )
