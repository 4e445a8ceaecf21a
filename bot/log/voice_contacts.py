"""Contacts: what a customer writes with less than a day of quiet in between, and how it ended.

On a messaging platform a customer's conversation lasts for years; a contact is one matter of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, select

from bot.log import tables
from bot.log.voice_labels import FALLBACK

QUIET = timedelta(hours=24)
# What an ended contact is asked of (a handoff in it?) is looked for so far back.
MOST = timedelta(days=7)
LOW_RATING = 2

_turn = tables.turn
_IN_CHUNKS = 400

Moments = list[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The days between two moments, and what is known when they are counted."""

    start: datetime
    end: datetime
    now: datetime


@dataclass(slots=True, kw_only=True)
class Contacts:
    """Of a span: the turns that began a contact, and of the ended ones whether all went well."""

    begun: set[str]
    # By conversation: whether the contact that ended in the span was resolved without a person.
    ended: list[tuple[str, bool]]


def contacts_of(connection: Connection, span: Span) -> Contacts:
    """The contacts that began in a span, and those whose last turn is in it and that are over."""
    by_conversation: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(_turns_between(span.start - QUIET, span.end + QUIET)):
        by_conversation[row.conversation_id].append(row)
    begun: set[str] = set()
    last: dict[str, list[tuple[datetime, datetime, bool]]] = {}
    unknown: set[str] = set()
    for conversation_id, rows in by_conversation.items():
        for rows_of_contact in _split(rows):
            first, final = rows_of_contact[0], rows_of_contact[-1]
            if span.start <= first.created_at < span.end:
                begun.add(first.id)
            is_over = final.created_at + QUIET <= span.now
            if not (span.start <= final.created_at < span.end and is_over):
                continue
            if first.created_at < span.start:
                unknown.add(conversation_id)
            no_answer = final.intent == FALLBACK or final.error is not None
            last.setdefault(conversation_id, []).append(
                (first.created_at, final.created_at, no_answer)
            )
    earlier = _moments(connection, sorted(unknown), span)
    trouble = _trouble(connection, span, sorted(last))
    ended = []
    for conversation_id, found in last.items():
        for first_at, final_at, no_answer in found:
            since = _reach_back(first_at, earlier.get(conversation_id, []))
            bad = any(since <= at < final_at + QUIET for at in trouble.get(conversation_id, ()))
            ended.append((conversation_id, not (bad or no_answer)))
    return Contacts(begun=begun, ended=ended)


def _turns_between(start: datetime, end: datetime) -> Select[Any]:
    return (
        select(
            _turn.c.id, _turn.c.conversation_id, _turn.c.created_at, _turn.c.intent, _turn.c.error
        )
        .where(_turn.c.created_at >= start, _turn.c.created_at < end)
        .order_by(_turn.c.created_at, _turn.c.id)
    )


def _split(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """Rows in order, cut where a day or more was quiet."""
    part: list[Any] = []
    for row in rows:
        if part and row.created_at - part[-1].created_at >= QUIET:
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _reach_back(first_at: datetime, earlier: Moments) -> datetime:
    """When the contact began that goes on at `first_at`; `earlier` in order."""
    since = first_at
    for at in reversed(earlier):
        if at >= since:
            continue
        if since - at >= QUIET:
            break
        since = at
    return since


def _moments(
    connection: Connection, conversation_ids: Sequence[str], span: Span
) -> dict[str, Moments]:
    """The turns before the span of contacts that began before it."""
    found: dict[str, Moments] = defaultdict(list)
    for ids in _chunks(conversation_ids):
        rows = connection.execute(
            select(_turn.c.conversation_id, _turn.c.created_at)
            .where(
                _turn.c.conversation_id.in_(ids),
                _turn.c.created_at >= span.start - MOST,
                _turn.c.created_at < span.end,
            )
            .order_by(_turn.c.created_at)
        )
        for row in rows:
            found[row.conversation_id].append(row.created_at)
    return found


def _trouble(
    connection: Connection, span: Span, conversation_ids: Sequence[str]
) -> dict[str, Moments]:
    """When a person was called or spoke, or the customer said that it was no good."""
    feedback, handoff, message = tables.feedback, tables.handoff, tables.message
    start, end = span.start - MOST, span.end + QUIET
    found: dict[str, Moments] = defaultdict(list)
    bad = ((feedback.c.kind == "thumb") & (feedback.c.score < 0)) | (
        (feedback.c.kind == "rating") & (feedback.c.score <= LOW_RATING)
    )
    queries = [
        select(feedback.c.conversation_id, feedback.c.created_at.label("at")).where(
            feedback.c.created_at >= start, feedback.c.created_at < end, bad
        ),
        select(handoff.c.conversation_id, handoff.c.at).where(
            handoff.c.at >= start, handoff.c.at < end
        ),
    ]
    for query in queries:
        for row in connection.execute(query):
            found[row.conversation_id].append(row.at)
    for ids in _chunks(conversation_ids):
        spoken = select(message.c.conversation_id, message.c.created_at.label("at")).where(
            message.c.conversation_id.in_(ids),
            message.c.author == "agent",
            message.c.created_at >= start,
            message.c.created_at < end,
        )
        for row in connection.execute(spoken):
            found[row.conversation_id].append(row.at)
    return found


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    for first in range(0, len(ids), _IN_CHUNKS):
        yield ids[first : first + _IN_CHUNKS]
