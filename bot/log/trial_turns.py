"""What became of the conversations of a trial, one by one, as far as the log has it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from bot.log import tables
from bot.log.handoffs import TAKEN
from bot.log.voice_labels import FALLBACK, UPSET

_turn = tables.turn
_handoff = tables.handoff
_feedback = tables.feedback

# Asked for by the customer outright, or an agent who came: no sign that the bot failed.
_NO_FAILURE = ("asked", TAKEN)
_BAD_STARS = 2  # of 5, and fewer
_AT_A_TIME = 2_000
_understanding_ms = _turn.c.timings["nlu"].as_float()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """One conversation since the trial began."""

    conversation_id: str
    served: bool  # by the version on trial, at least once
    events: frozenset[str]  # of fallback, handoff, upset, bad_rating, slow, error
    rating: int | None  # 1 to 5 stars
    rated: bool  # stars or a thumb
    understanding_ms: float | None  # mean of its turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is looked at: turns of [since, until), and how they are judged."""

    since: datetime
    until: datetime
    version: str  # on trial
    slow_ms: float  # a turn whose understanding took longer was slow


def lived(connection: Connection, *, window: Window) -> Iterator[Lived]:
    """The conversations with a turn in the window, streamed.

    The turns are read by the index on their moment; who was handed over and who rated is held in
    memory, a name each.
    """
    handed = _handed(connection, window)
    stars, thumbs, unhappy = _ratings(connection, window)
    rows = connection.execute(
        select(
            _turn.c.conversation_id,
            func.max(_flag(_turn.c.model_version == window.version)).label("served"),
            func.max(_flag(_turn.c.intent == FALLBACK)).label("fallback"),
            func.max(_flag(_turn.c.emotion.in_(sorted(UPSET)))).label("upset"),
            func.max(_flag(_turn.c.error.is_not(None))).label("error"),
            func.max(_flag(_understanding_ms > window.slow_ms)).label("slow"),
            func.avg(_understanding_ms).label("understanding_ms"),
        )
        .where(_turn.c.created_at >= window.since, _turn.c.created_at < window.until)
        .group_by(_turn.c.conversation_id),
        execution_options={"yield_per": _AT_A_TIME},
    )
    for row in rows:
        id_ = row.conversation_id
        events = {name for name in ("fallback", "upset", "error", "slow") if getattr(row, name)}
        if id_ in handed:
            events.add("handoff")
        if id_ in unhappy:
            events.add("bad_rating")
        yield Lived(
            conversation_id=id_,
            served=bool(row.served),
            events=frozenset(events),
            rating=stars.get(id_),
            rated=id_ in stars or id_ in thumbs,
            understanding_ms=None if row.understanding_ms is None else float(row.understanding_ms),
        )


def usual_ms(connection: Connection, *, version: str, before: datetime, sample: int) -> list[float]:
    """How long the understanding of a version's last turns before a moment took, each."""
    rows = connection.execute(
        select(_understanding_ms)
        .where(_turn.c.model_version == version, _turn.c.created_at < before)
        .order_by(_turn.c.created_at.desc())
        .limit(sample)
    )
    return [float(spent) for (spent,) in rows if spent is not None]


def _handed(connection: Connection, window: Window) -> set[str]:
    rows = connection.execute(
        select(_handoff.c.conversation_id)
        .where(
            _handoff.c.at >= window.since,
            _handoff.c.at < window.until,
            _handoff.c.reason.not_in(_NO_FAILURE),
        )
        .distinct()
    )
    return set(rows.scalars())


def _ratings(
    connection: Connection, window: Window
) -> tuple[dict[str, int], set[str], frozenset[str]]:
    """Stars by conversation, who gave a thumb, and who was not pleased."""
    unhappy = or_(
        and_(_feedback.c.kind == "thumb", _feedback.c.score < 0),
        and_(_feedback.c.kind == "rating", _feedback.c.score <= _BAD_STARS),
    )
    rows = connection.execute(
        select(
            _feedback.c.conversation_id,
            _feedback.c.kind,
            _feedback.c.score,
            _flag(unhappy).label("unhappy"),
        ).where(
            _feedback.c.created_at >= window.since,
            _feedback.c.created_at < window.until,
        )
    ).all()
    stars = {row.conversation_id: int(row.score) for row in rows if row.kind == "rating"}
    thumbs = {row.conversation_id for row in rows if row.kind == "thumb"}
    return stars, thumbs, frozenset(row.conversation_id for row in rows if row.unhappy)


def _flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)
