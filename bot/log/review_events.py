"""Reads what has happened since the last look, as candidates: turns, ratings, takeovers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables
from bot.log.review_candidates import Row, Terms, count_open, described_turns, is_drawn, proposed
from bot.log.review_scores import SPARE_SHARE, lot, own_reasons

PAGE = 1000
# Commits may come out of order by a little: the last moments are read again each time.
OVERLAP = timedelta(seconds=30)
# While so few wait, every turn is worth a look.
FEW = 200
LOW_RATING = 2
_RATED_TURNS = 3
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# Words that say nothing of what the bot knew.
_ASIDE = ("ask_human", "greet", "goodbye", "thank", "affirm", "deny", "nevermind")

_audit = tables.audit
_conversation = tables.conversation
_cursor = tables.review_cursor
_feedback = tables.feedback
_turn = tables.turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one read gave: candidates, and where the next goes on; None at the end."""

    rows: list[Row]
    read_to: datetime | None
    after: tuple[datetime, str] | None


def start_of(connection: Connection, name: str) -> tuple[datetime, str]:
    """Where reading a kind of event goes on."""
    found = connection.execute(
        select(_cursor.c.read_to).where(_cursor.c.name == name)
    ).scalar_one_or_none()
    return (found or _LONG_AGO) - OVERLAP, ""


def move_cursor(connection: Connection, *, name: str, read_to: datetime) -> None:
    """Note how far a kind of event was read."""
    row = {"name": name, "read_to": read_to}
    connection.execute(_MOVE[connection.dialect.name], row)


def start_over(connection: Connection) -> None:
    """Have everything read anew: turns of the past have been put in."""
    connection.execute(delete(_cursor))


def new_turns(connection: Connection, *, after: tuple[datetime, str], terms: Terms) -> Page:
    """The next turns in the order of their commits."""
    moment, id_ = after
    found_rows = connection.execute(
        described_turns()
        .where(
            _turn.c.created_at >= moment,
            or_(_turn.c.created_at > moment, _turn.c.id > id_),
        )
        .order_by(_turn.c.created_at, _turn.c.id)
        .limit(PAGE)
    )
    rows = [dict(row) for row in found_rows.mappings()]
    few = count_open(connection) < FEW
    found = []
    for turn in rows:
        reasons = own_reasons(turn)
        spare = lot(turn["id"], "spare")
        if not reasons and (few or spare < SPARE_SHARE):
            reasons["spare"] = round(0.1 * (1 - spare), 4)
        if reasons or is_drawn(turn["id"]):
            row = proposed(turn, reasons, terms)
            if row is not None:
                found.append(row)
    return _page(found, rows, lambda row: (row["created_at"], row["id"]))


def new_ratings(connection: Connection, *, after: tuple[datetime, str], terms: Terms) -> Page:
    """The turns that customers were not content with."""
    moment, id_ = after
    rows = (
        connection.execute(
            select(_feedback)
            .where(
                _feedback.c.created_at >= moment,
                or_(_feedback.c.created_at > moment, _feedback.c.id > id_),
            )
            .order_by(_feedback.c.created_at, _feedback.c.id)
            .limit(PAGE)
        )
        .mappings()
        .all()
    )
    found = []
    for row in rows:
        if row["kind"] == "thumb" and row["score"] < 0 and row["turn_id"] is not None:
            turns = _turns(connection, _turn.c.id == row["turn_id"], limit=1)
            score = 0.9
        elif row["kind"] == "rating" and row["score"] <= LOW_RATING:
            in_it = and_(
                _turn.c.conversation_id == row["conversation_id"],
                _turn.c.created_at <= row["created_at"],
            )
            turns = _turns(connection, in_it, limit=_RATED_TURNS)
            score = 0.8 - 0.2 * (row["score"] - 1)
        else:
            continue
        for turn in turns:
            candidate = proposed(turn, own_reasons(turn) | {"low_rating": score}, terms)
            if candidate is not None:
                found.append(candidate)
    return _page(found, rows, lambda row: (row["created_at"], row["id"]))


def new_takeovers(connection: Connection, *, after: tuple[datetime, str], terms: Terms) -> Page:
    """The turns that the bot believed to have understood, after which an agent had to help."""
    moment, id_ = after
    rows = (
        connection.execute(
            select(_audit.c.id, _audit.c.target, _audit.c.created_at)
            .where(
                _audit.c.created_at >= moment,
                or_(_audit.c.created_at > moment, _audit.c.id > id_),
                _audit.c.action == "take",
            )
            .order_by(_audit.c.created_at, _audit.c.id)
            .limit(PAGE)
        )
        .mappings()
        .all()
    )
    found = []
    for row in rows:
        before = and_(
            _turn.c.conversation_id == row["target"], _turn.c.created_at <= row["created_at"]
        )
        for turn in _turns(connection, before, limit=5):
            if turn["intent"] in _ASIDE or turn["intent"] is None:
                continue
            sure = (turn["confidence"] or 0.0) if turn["qa_pair_id"] is None else 1.0
            reasons = own_reasons(turn) | {"disagreement": round(0.4 + 0.5 * sure, 4)}
            candidate = proposed(turn, reasons, terms)
            if candidate is not None:
                found.append(candidate)
            break
    return _page(found, rows, lambda row: (row["created_at"], row["id"]))


def _turns(connection: Connection, condition: Any, *, limit: int) -> list[Mapping[str, Any]]:
    """Turns, newest first."""
    query = described_turns().where(condition).order_by(_turn.c.created_at.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def _page(found: list[Row], rows: Any, key: Any) -> Page:
    if not rows:
        return Page(rows=[], read_to=None, after=None)
    last = key(rows[-1])
    return Page(rows=found, read_to=last[0], after=last if len(rows) == PAGE else None)


def _moving(dialect: Any) -> Any:
    new = dialect.insert(_cursor)
    return new.on_conflict_do_update(
        index_elements=[_cursor.c.name], set_={"read_to": new.excluded.read_to}
    )


_MOVE = {"sqlite": _moving(sqlite), "postgresql": _moving(postgresql)}
