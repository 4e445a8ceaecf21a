"""Counts one day of the log anew: figures by channel and language, by topic, and by hour."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, column, delete, func, insert, select, table

from bot.log import tables
from bot.log.voice_contacts import QUIET, Span, contacts_of
from bot.log.voice_labels import ALL, FALLBACK, UPSET, bucket_of, language_of

_conversation = tables.conversation
_feedback = tables.feedback
_handoff = tables.handoff
_message = tables.message
_turn = tables.turn
# The QA store's table belongs to the actions; its category is a topic of the watch.
_qa_pair = table("qa_pair", column("id"), column("category"))

_ANSWERED = (
    select(func.min(_message.c.seq))
    .where(
        _message.c.conversation_id == _turn.c.conversation_id,
        _message.c.seq
        > select(_message.c.seq)
        .where(_message.c.id == _turn.c.inbound_id)
        .correlate(_turn)
        .scalar_subquery(),
        _message.c.author.in_(["bot", "agent"]),
    )
    .correlate(_turn)
    .scalar_subquery()
)
SCALARS = tuple(
    one.name
    for one in tables.voice_day.c
    if one.name not in ("day", "channel", "language", "spread")
)
Row = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Counted:
    """The rows of one day, ready to replace those that are there."""

    day: date
    days: list[Row] = field(default_factory=list)
    topics: list[Row] = field(default_factory=list)
    hours: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class _Figures:
    counts: Counter[str] = field(default_factory=Counter)
    spread: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first moment of a day in a zone, and that of the next day, in UTC."""
    start, end = (
        datetime.combine(one, time(), tzinfo=zone).astimezone(UTC)
        for one in (day, day + timedelta(days=1))
    )
    return start, end


def hour_of(moment: datetime) -> int:
    """The hour that a moment is in, counted since 1970."""
    return int(moment.timestamp() // 3600)


def count_day(connection: Connection, *, day: date, zone: ZoneInfo, now: datetime) -> Counted:
    """Count a day from the log's own rows."""
    start, end = bounds(day, zone)
    counted = _Counter(day)
    contacts = contacts_of(connection, Span(start=start, end=end, now=now))
    handed = Counter[str]()
    for row in connection.execute(_handoffs(_handoff.c.at, start, end)):
        figures = counted.of(row)
        figures.counts["handoffs"] += 1
        figures.spread["reason"][row.reason] += 1
        if row.turn_id is not None:
            handed[row.turn_id] += 1
    for row in connection.execute(_handoffs(_handoff.c.answered_at, start, end)):
        waited = (row.answered_at - row.at).total_seconds() * 1000
        if waited < 0:
            # No wait: an answer of before the handoff, or clocks that disagree.
            continue
        counted.of(row).spread["person_answer"][str(bucket_of(waited))] += 1
    for row in connection.execute(_turns(start, end)):
        counted.turn(row, handed[row.id])
        if row.id in contacts.begun:
            figures = counted.of(row)
            figures.counts["contacts"] += 1
            counted.first[row.id] = figures
    for id_, waited_ms in _first_answers(connection, list(counted.first)):
        counted.first[id_].spread["first_answer"][str(bucket_of(waited_ms))] += 1
    for row in connection.execute(_said(start, end)):
        counted.said(row)
    for conversation_id, resolved in contacts.ended:
        figures = counted.by_conversation[conversation_id]
        figures.counts["ended"] += 1
        figures.counts["resolved"] += resolved
    return counted.rows()


def keep(connection: Connection, counted: Counted) -> None:
    """Replace what was counted of the day before."""
    for one, rows in (
        (tables.voice_day, counted.days),
        (tables.voice_topic, counted.topics),
        (tables.watch_hour, counted.hours),
    ):
        connection.execute(delete(one).where(one.c.day == counted.day))
        if rows:
            connection.execute(insert(one), rows)


def keep_month(connection: Connection, month: date) -> None:
    """Add up the days of a month anew; `month` is its first day."""
    day, by_month = tables.voice_topic, tables.voice_topic_month
    labels = [one for one in day.c if one.primary_key and one.name != "day"]
    counts = [func.sum(one) for one in day.c if not one.primary_key]
    connection.execute(delete(by_month).where(by_month.c.month == month))
    found = connection.execute(
        select(*labels, *(one.label(str(index)) for index, one in enumerate(counts)))
        .where(day.c.day >= month, day.c.day < next_month(month))
        .group_by(*labels)
    )
    names = [one.name for one in day.c if one.name != "day"]
    if rows := [{"month": month, **dict(zip(names, row, strict=True))} for row in found]:
        connection.execute(insert(by_month), rows)


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


class _Counter:
    """Adds up a day's rows under their labels."""

    def __init__(self, day: date) -> None:
        self._day = day
        self._figures: dict[tuple[str, str], _Figures] = defaultdict(_Figures)
        self._topics: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        # Whether each conversation with the topic in the hour was upset in it.
        self._hours: dict[tuple[int, str, str], dict[str, bool]] = defaultdict(dict)
        self.by_conversation: dict[str, _Figures] = {}
        self.first: dict[str, _Figures] = {}

    def of(self, row: Any) -> _Figures:
        """The figures of a row's channel and language."""
        return self._figures[row.channel, language_of(row.locale)]

    def turn(self, row: Any, handoffs: int) -> None:
        """Count a turn."""
        figures = self.of(row)
        self.by_conversation[row.conversation_id] = figures
        upset = row.emotion in UPSET
        flags = {
            "turns": 1,
            "felt": row.emotion is not None,
            "upset": upset,
            "fallbacks": row.intent == FALLBACK,
            "answers": row.qa_pair_id is not None,
            "failed": row.error is not None,
        }
        figures.counts.update({name: int(flag) for name, flag in flags.items()})
        if row.emotion is not None:
            figures.spread["emotion"][row.emotion] += 1
        labels = (row.intent or "", row.emotion or "", row.model_version or "")
        topic = self._topics[row.channel, language_of(row.locale), *labels]
        topic["turns"] += 1
        topic["fallbacks"] += flags["fallbacks"]
        topic["answers"] += flags["answers"]
        topic["handoffs"] += handoffs
        if row.emotion is None:
            return
        hour = hour_of(row.created_at)
        for kind, name in (
            ("intent", row.intent),
            ("category", row.category),
            ("channel", row.channel),
        ):
            if name:
                cases = self._hours[hour, kind, name]
                cases[row.conversation_id] = cases.get(row.conversation_id, False) or upset

    def said(self, row: Any) -> None:
        """Count a thumb or a rating."""
        figures = self.of(row)
        if row.kind == "rating":
            figures.spread["rating"][str(row.score)] += 1
        else:
            figures.counts["thumbs_up" if row.score > 0 else "thumbs_down"] += 1

    def rows(self) -> Counted:
        """All of it as rows."""
        return Counted(
            day=self._day,
            days=list(self._days()),
            topics=list(self._all_topics()),
            hours=[
                {"day": self._day, "hour": hour, "kind": kind, "name": name}
                | {"cases": len(cases), "upset": sum(cases.values())}
                for (hour, kind, name), cases in self._hours.items()
            ],
        )

    def _days(self) -> Iterator[Row]:
        for (channel, language), figures in self._with_sums().items():
            yield (
                {"day": self._day, "channel": channel, "language": language}
                | {name: figures.counts[name] for name in SCALARS}
                | {"spread": {name: dict(found) for name, found in figures.spread.items()}}
            )

    def _with_sums(self) -> dict[tuple[str, str], _Figures]:
        """With those of all channels, of all languages, and of all together."""
        found: dict[tuple[str, str], _Figures] = defaultdict(_Figures)
        for (channel, language), figures in self._figures.items():
            for key in product((channel, ALL), (language, ALL)):
                found[key].counts.update(figures.counts)
                for name, spread in figures.spread.items():
                    found[key].spread[name].update(spread)
        return found

    def _all_topics(self) -> Iterator[Row]:
        names = ("channel", "language", "intent", "emotion", "model_version")
        counts = ("turns", "fallbacks", "answers", "handoffs")
        for labels, found in self._topics.items():
            yield (
                {"day": self._day}
                | dict(zip(names, labels, strict=True))
                | {name: found[name] for name in counts}
            )


def _turns(start: datetime, end: datetime) -> Any:
    return (
        select(
            _turn.c.id,
            _turn.c.conversation_id,
            _turn.c.created_at,
            _turn.c.intent,
            _turn.c.emotion,
            _turn.c.model_version,
            _turn.c.qa_pair_id,
            _turn.c.error,
            _conversation.c.channel,
            _conversation.c.locale,
            _qa_pair.c.category,
        )
        .join(_conversation, _conversation.c.id == _turn.c.conversation_id)
        .outerjoin(_qa_pair, _qa_pair.c.id == _turn.c.qa_pair_id)
        .where(_turn.c.created_at >= start, _turn.c.created_at < end)
    )


def _handoffs(moment: Any, start: datetime, end: datetime) -> Any:
    return (
        select(
            _handoff.c.reason,
            _handoff.c.turn_id,
            _handoff.c.at,
            _handoff.c.answered_at,
            _conversation.c.channel,
            _conversation.c.locale,
        )
        .join(_conversation, _conversation.c.id == _handoff.c.conversation_id)
        .where(moment >= start, moment < end)
    )


def _said(start: datetime, end: datetime) -> Any:
    return (
        select(_feedback.c.kind, _feedback.c.score, _conversation.c.channel, _conversation.c.locale)
        .join(_conversation, _conversation.c.id == _feedback.c.conversation_id)
        .where(_feedback.c.created_at >= start, _feedback.c.created_at < end)
    )


def _first_answers(connection: Connection, turn_ids: list[str]) -> Iterator[tuple[str, float]]:
    """How long the first word of anyone took, in ms, of turns that had one within a day."""
    inbound, answer = _message.alias("inbound"), _message.alias("answer")
    for first in range(0, len(turn_ids), 400):
        found = connection.execute(
            select(_turn.c.id, inbound.c.created_at.label("asked"), answer.c.created_at)
            .join(inbound, inbound.c.id == _turn.c.inbound_id)
            .join(
                answer,
                (answer.c.conversation_id == _turn.c.conversation_id) & (answer.c.seq == _ANSWERED),
            )
            .where(_turn.c.id.in_(turn_ids[first : first + 400]))
        )
        for row in found:
            waited = row.created_at - row.asked
            if waited < QUIET:
                yield row.id, max(0.0, waited.total_seconds() * 1000)
