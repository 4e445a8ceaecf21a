"""A log with a clock that the test sets, written by the log's own functions, and a naive count."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, delete, update

from bot.console.voice.counting import Counting
from bot.log import database, feedback, store, tables
from bot.log.feedback import Rating, Thumb
from bot.log.journal import Journal
from bot.log.records import Finish, Inbound, Opening, Reply, Speech, TurnRecord
from bot.log.voice_labels import UPSET
from bot.world import World

DAY = timedelta(days=1)


@dataclass
class VoiceLog:
    """The database, and the time that it is there."""

    engine: Engine
    now: datetime
    numbers: Iterator[int] = field(default_factory=count)
    replies: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection

    def new_id(self, kind: str = "id") -> str:
        return f"{kind}-{next(self.numbers):07d}"

    def world(self) -> World:
        return World(now=lambda: self.now, new_id=lambda: self.new_id("made"))

    def open(self, connection: Connection, channel: str, locale: str | None, at: datetime) -> str:
        id_ = self.new_id("conversation")
        opening = Opening(id=id_, channel=channel, account=id_, locale=locale)
        return store.open_conversation(connection, conversation=opening, now=at)

    def turn(self, connection: Connection, conversation_id: str, at: datetime, **what: Any) -> str:
        """A customer's message, and the turn that it was; returns the turn's id."""
        answer_after_s = what.pop("answer_after_s", 1.0)
        reason = what.pop("handoff_reason", None)
        channel = what.pop("channel", "api")
        id_ = self.new_id("turn")
        inbound = Inbound(
            conversation_id=conversation_id,
            channel=channel,
            account=conversation_id,
            message_id=id_,
            text="what a customer wrote",
        )
        accepted = store.accept(
            connection,
            inbound=inbound,
            id_=f"in-{id_}",
            text_hash="hash",
            now=at - timedelta(seconds=answer_after_s),
        )
        assert accepted is not None
        reply = Reply(id=f"out-{id_}", text="what the bot said")
        turn = TurnRecord(id=id_, text=inbound.text, model_version="v1", **what)
        work = Finish(
            accepted=accepted, state="answered", turn=turn, replies=[reply], handoff_reason=reason
        )
        done = store.finish(connection, work=work, sending=frozenset(), now=at)
        assert done is not None
        if done.replies:
            self.replies[conversation_id] = reply.id
        return id_

    def agent_says(self, connection: Connection, conversation_id: str, at: datetime) -> None:
        reply = Reply(id=self.new_id("agent"), text="what a person said", author="agent")
        speech = Speech(conversation_id=conversation_id, replies=[reply])
        store.say(connection, speech=speech, sending=frozenset(), now=at)

    def thumb(self, connection: Connection, conversation_id: str, score: int, at: datetime) -> str:
        """About the bot's last words; returns the id of their message."""
        message = self.replies[conversation_id]
        thumb = Thumb(conversation_id=conversation_id, message_id=message, score=score)
        assert feedback.keep_thumb(connection, thumb=thumb, now=at)
        return message

    def rate(self, connection: Connection, conversation_id: str, score: int, at: datetime) -> None:
        rating = Rating(conversation_id=conversation_id, score=score)
        assert feedback.keep_rating(connection, rating=rating, now=at)

    def erase(self, conversation_id: str) -> None:
        with self.writing() as connection:
            store.erase(
                connection,
                conversation_id=conversation_id,
                audit_id=self.new_id("audit"),
                actor="test",
                now=self.now,
            )

    def wipe(self) -> None:
        """As it was when it was made."""
        with self.writing() as connection:
            for table in reversed(tables.metadata.sorted_tables):
                if table.name not in ("voice_state", "annotation"):
                    connection.execute(delete(table))
            connection.execute(
                update(tables.voice_state).values(
                    zone=None, counted_to=None, frozen_before=None, looked_hour=None
                )
            )

    @contextmanager
    def journal(self, url: str) -> Iterator[Journal]:
        """A journal to be started and closed by who uses it."""
        yield Journal(
            write_engine=database.open_engine(url, writer=True),
            read_engine=database.open_engine(url),
            world=self.world(),
        )

    async def count(self, url: str, zone: str) -> None:
        """What the gateway does from time to time."""
        with self.journal(url) as journal:
            journal.start()
            assert await Counting(journal, ZoneInfo(zone), self.world()).once()
            await journal.close()


@contextmanager
def opened(url: str, now: datetime) -> Iterator[VoiceLog]:
    """A log at an address, empty."""
    database.upgrade(url)
    engine = database.open_engine(url, writer=True)
    try:
        yield VoiceLog(engine=engine, now=now)
    finally:
        engine.dispose()


@dataclass
class Told:
    """One conversation as the test made it: what the naive count goes by."""

    channel: str
    locale: str | None
    turns: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    handoffs: list[tuple[datetime, str, datetime | None]] = field(default_factory=list)
    spoken: list[datetime] = field(default_factory=list)
    thumbs: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    rating: tuple[datetime, int] | None = None


Key = tuple[date, str, str]


def naive_count(
    told: list[Told], now: datetime, day_of: Callable[[datetime], date]
) -> tuple[dict[Key, Counter[str]], dict[tuple[str, ...], int]]:
    """Scalars and spreads by (day, channel, language), turns by (day, ..., intent, emotion)."""
    days: dict[Key, Counter[str]] = defaultdict(Counter)
    topics: dict[tuple[str, ...], int] = Counter()
    for one in told:
        language = (one.locale or "").split("-")[0].lower()

        def at(moment: datetime, one: Told = one, language: str = language) -> Counter[str]:
            return days[day_of(moment), one.channel, language]

        for moment, what in one.turns:
            emotion = what.get("emotion")
            found = at(moment)
            found["turns"] += 1
            found["felt"] += emotion is not None
            found["upset"] += emotion in UPSET
            found["fallbacks"] += what["intent"] == "nlu_fallback"
            found["answers"] += what.get("qa_pair_id") is not None
            found["failed"] += what.get("error") is not None
            if emotion is not None:
                found[f"emotion:{emotion}"] += 1
            topics[str(day_of(moment)), one.channel, language, what["intent"], emotion or ""] += 1
        for moment, reason, answered in one.handoffs:
            at(moment)["handoffs"] += 1
            at(moment)[f"reason:{reason}"] += 1
            if answered is not None:
                at(answered)["person_answer"] += 1
        for moment, score in one.thumbs.values():
            at(moment)["thumbs_up" if score > 0 else "thumbs_down"] += 1
        if one.rating is not None:
            at(one.rating[0])[f"rating:{one.rating[1]}"] += 1
        for contact in _contacts([moment for moment, _ in one.turns]):
            first, last = contact[0], contact[-1]
            at(first)["contacts"] += 1
            at(first)["first_answer"] += 1
            if last + DAY > now:
                continue
            at(last)["ended"] += 1
            bad = [moment for moment, _, _ in one.handoffs] + one.spoken
            bad += [moment for moment, score in one.thumbs.values() if score < 0]
            bad += [one.rating[0]] if one.rating is not None and one.rating[1] <= 2 else []
            _, what = [turn for turn in one.turns if turn[0] == last][-1]
            fine = what["intent"] != "nlu_fallback" and what.get("error") is None
            at(last)["resolved"] += fine and not any(first <= m < last + DAY for m in bad)
    return (
        {key: +found for key, found in days.items() if +found},
        dict(topics),
    )


def _contacts(moments: list[datetime]) -> list[list[datetime]]:
    found: list[list[datetime]] = []
    for moment in moments:
        if found and moment - found[-1][-1] < DAY:
            found[-1].append(moment)
        else:
            found.append([moment])
    return found


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]
