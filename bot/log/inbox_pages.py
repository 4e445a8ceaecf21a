"""Pages of conversations: those that wait in the queue's order, then the others, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, literal, or_, select, text, tuple_

from bot.log import tables
from bot.log.handoff import rank
from bot.log.inbox_filters import Filters, kinds_asked_for, of_conversation

_conversation = tables.conversation

WAITING, OTHERS = 0, 1
# Word for word what the partial index `conversation_open` says of itself.
_IS_OPEN = text("conversation.status IN ('waiting', 'agent')")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a conversation stands in the list: its part, the rank in the queue, moment, id."""

    part: int
    rank: int
    moment: datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A page: after a place, or (`back`) the one that ends before it."""

    filters: Filters = field(default_factory=Filters)
    upset_first: bool = True
    place: Place | None = None
    back: bool = False
    limit: int = 50
    # Only these conversations, where they are known.
    only: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The places of a page in order; whether there are conversations before and after it."""

    places: list[Place]
    before: bool
    after: bool


def listed(connection: Connection, wanted: Wanted) -> Listed:
    """A page of the list."""
    asked = kinds_asked_for(wanted.filters)
    if asked is not None and connection.execute(asked.limit(1)).first() is None:
        return Listed(places=[], before=False, after=False)
    if not wanted.back:
        found = places_from(connection, wanted, wanted.limit + 1)
        return Listed(
            places=found[: wanted.limit],
            before=wanted.place is not None,
            after=len(found) > wanted.limit,
        )
    found = places_from(connection, wanted, wanted.limit + 1)
    if len(found) <= wanted.limit:
        # The beginning is reached: it is shown as the first page always is.
        return listed(connection, replace(wanted, place=None, back=False))
    return Listed(places=found[: wanted.limit][::-1], before=True, after=True)


def places_from(connection: Connection, wanted: Wanted, most: int) -> list[Place]:
    """The next places in the direction that is asked for, the nearest first."""
    prefer_indexes(connection)
    parts = [WAITING, OTHERS]
    if wanted.filters.status is not None:
        parts = [WAITING] if wanted.filters.status == "waiting" else [OTHERS]
    if wanted.back:
        parts.reverse()
    found: list[Place] = []
    for part in parts:
        if wanted.place is not None and _is_past(part, wanted):
            continue
        query = _waiting(wanted) if part == WAITING else _others(wanted)
        rows = connection.execute(query.limit(most - len(found)))
        found += [Place(part=part, **row) for row in rows.mappings()]
        if len(found) == most:
            break
    return found


def prefer_indexes(connection: Connection) -> None:
    """For the rest of the transaction: PostgreSQL reads no whole tables and sorts nothing it has
    in order.

    What it makes of bits and words is a guess. The index that it walks in order ends early where
    there is much to show, and is no slower than the table where there is not.
    """
    if connection.dialect.name == "postgresql":
        for setting in ("enable_seqscan", "enable_sort"):
            connection.execute(text(f"SET LOCAL {setting} = off"))
        connection.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))


def _is_past(part: int, wanted: Wanted) -> bool:
    assert wanted.place is not None
    return part > wanted.place.part if wanted.back else part < wanted.place.part


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = of_conversation(wanted.filters)
    if wanted.only is not None:
        conditions.append(_conversation.c.id.in_(wanted.only))
    return conditions


def _waiting(wanted: Wanted) -> Select[Any]:
    c = _conversation.c
    place = rank(wanted.upset_first)
    keys = (place, c.waiting_since, c.id)
    query = (
        select(place.label("rank"), c.waiting_since.label("moment"), c.id)
        .where(_IS_OPEN, c.status == "waiting", *_conditions(wanted))
        .order_by(*((key.desc() for key in keys) if wanted.back else keys))
    )
    at = wanted.place
    if at is None or at.part != WAITING:
        return query
    here = tuple_(c.waiting_since, c.id)
    there = tuple_(literal(at.moment, c.waiting_since.type), literal(at.id))
    if wanted.back:
        return query.where(or_(place < at.rank, and_(place == at.rank, here < there)))
    return query.where(or_(place > at.rank, and_(place == at.rank, here > there)))


def _others(wanted: Wanted) -> Select[Any]:
    c = _conversation.c
    only = wanted.filters.status
    status: ColumnElement[bool] = c.status != "waiting" if only is None else c.status == only
    keys = (c.updated_at, c.id) if wanted.back else (c.updated_at.desc(), c.id.desc())
    query = (
        select(literal(0).label("rank"), c.updated_at.label("moment"), c.id)
        .where(status, *_conditions(wanted))
        .order_by(*keys)
    )
    at = wanted.place
    if at is None or at.part != OTHERS:
        return query
    here = tuple_(c.updated_at, c.id)
    there = tuple_(literal(at.moment, c.updated_at.type), literal(at.id))
    return query.where(here > there if wanted.back else here < there)
