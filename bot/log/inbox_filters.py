"""What a list of conversations is narrowed down to, and the conditions that say so in SQL."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, not_, or_, select, type_coerce

from bot.log import tables
from bot.log.records import Status
from bot.log.turn_kinds import (
    CONFIDENCE_STEPS,
    NO_CONFIDENCE,
    emotion_bits,
    intent_bits,
    pair_bits,
    version_bits,
)

_conversation = tables.conversation
_turn = tables.turn
_kind = tables.turn_kind

NOBODY = "nobody"
ANY = "any"
NONE = "none"
# Reasons under the names that older logs have for them.
_REASONS = {"low_confidence": ("low_confidence", "no_answer")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """All of these at once; None leaves it open.

    Intent, emotion, model version, confidence and `fallback=True` hold for one and the same turn.
    """

    intent: str | None = None
    emotion: str | None = None
    # Below this, in 0..1; a multiple of a twentieth.
    confidence_below: float | None = None
    # False: no turn of the conversation was one.
    fallback: bool | None = None
    model_version: str | None = None
    # A reason, "any" or "none".
    handoff: str | None = None
    rating_most: int | None = None
    channel: str | None = None
    # "zh" is also "zh-CN".
    language: str | None = None
    # Of the last activity.
    since: datetime | None = None
    until: datetime | None = None
    unanswered: bool | None = None
    reviewed: bool | None = None
    status: Status | None = None
    # An agent's id, or "nobody".
    agent: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is left out."""
        return self == Filters()


def of_conversation(filters: Filters) -> list[ColumnElement[bool]]:
    """Conditions on the conversation's row, but for the status; an index tells them all."""
    c = _conversation.c
    found: list[ColumnElement[bool]] = []
    if filters.channel is not None:
        found.append(c.channel == filters.channel)
    if filters.language is not None:
        found.append(
            or_(
                c.locale == filters.language,
                c.locale.startswith(filters.language + "-", autoescape=True),
            )
        )
    if filters.handoff is not None:
        found.append(_handoff(filters.handoff))
    if filters.rating_most is not None:
        found.append(c.rating <= filters.rating_most)
    if filters.unanswered is not None:
        # Nobody waits for an answer in a closed one.
        open_question = and_(c.unanswered_since.is_not(None), c.status != "closed")
        found.append(open_question if filters.unanswered else not_(open_question))
    if filters.reviewed is not None:
        found.append(c.reviewed == filters.reviewed)
    if filters.fallback is not None:
        found.append(c.had_fallback == filters.fallback)
    if filters.confidence_below is not None:
        found.append(c.lowest_confidence < filters.confidence_below)
    if filters.agent == NOBODY:
        found += [c.agent_id.is_(None), c.assignee_id.is_(None)]
    elif filters.agent is not None:
        found.append(or_(c.agent_id == filters.agent, c.assignee_id == filters.agent))
    if filters.since is not None:
        found.append(c.updated_at >= filters.since)
    if filters.until is not None:
        found.append(c.updated_at < filters.until)
    return found + _of_turns(filters)


def kinds_asked_for(filters: Filters) -> Select[tuple[int]] | None:
    """The kinds of turn that would do; None where nothing is asked of a turn."""
    asked = _of_kind(filters)
    return select(_kind.c.id).where(*asked) if asked else None


def _of_turns(filters: Filters) -> list[ColumnElement[bool]]:
    """That one turn has it all: first by the bits of the row, then by the turns themselves."""
    asked = _of_kind(filters)
    if not asked:
        return []
    found = []
    if filters.intent is not None:
        found.append(_has(_conversation.c.intent_bits, intent_bits(filters.intent)))
    bits = 0
    if filters.emotion is not None:
        bits |= emotion_bits(filters.emotion)
        if filters.intent is not None:
            bits |= pair_bits(filters.intent, filters.emotion)
    if filters.model_version is not None:
        bits |= version_bits(filters.model_version)
    if bits:
        found.append(_has(_conversation.c.feature_bits, bits))
    row_tells_all = filters.intent is filters.emotion is filters.model_version is None
    if len(asked) > 1 or not row_tells_all:
        found.append(
            exists(
                select(_turn.c.id).where(
                    _turn.c.conversation_id == _conversation.c.id,
                    _turn.c.kind_id.in_(select(_kind.c.id).where(*asked)),
                )
            )
        )
    return found


def _of_kind(filters: Filters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if filters.intent is not None:
        found.append(_kind.c.intent == filters.intent)
    if filters.emotion is not None:
        found.append(_kind.c.emotion == filters.emotion)
    if filters.model_version is not None:
        found.append(_kind.c.model_version == filters.model_version)
    if filters.fallback:
        found.append(_kind.c.fallback)
    if filters.confidence_below is not None:
        step = round(filters.confidence_below * CONFIDENCE_STEPS)
        found.append(and_(_kind.c.confidence_step != NO_CONFIDENCE, _kind.c.confidence_step < step))
    return found


def _has(column: ColumnElement[int], bits: int) -> ColumnElement[bool]:
    return type_coerce(column.op("&")(bits), column.type) == bits


def _handoff(wanted: str) -> ColumnElement[bool]:
    reason = _conversation.c.handoff_reason
    if wanted == ANY:
        return reason.is_not(None)
    if wanted == NONE:
        return reason.is_(None)
    return reason.in_(_REASONS.get(wanted, (wanted,)))
