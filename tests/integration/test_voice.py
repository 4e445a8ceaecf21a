"""The figures by day are those of a naive count, on both databases, also after late changes."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Connection, delete, select, text, update

from bot.log import handoffs, store, tables, voice_changes, voice_figures, voice_state
from bot.log.voice_count import SCALARS, Counted
from bot.log.voice_figures import Period
from bot.log.voice_state import Holder
from tests.integration.voice_log import DAY, Told, VoiceLog, naive_count, opened, utc

ZONE = "Europe/Berlin"
# The clocks go back on the 25th.
START = utc(2026, 10, 22)
NOW = utc(2026, 11, 3, 10)
INTENTS = ("track_order", "return_item", "nlu_fallback")
EMOTIONS = ("angry", "neutral", "anxious", None)
KINDS = ("turn", "turn", "turn", "turn", "handoff", "agent", "back", "thumb", "rating")

events = st.lists(
    st.tuples(
        st.integers(0, 4),  # the conversation
        st.integers(1, 40),  # hours since the event before
        st.sampled_from(KINDS),
        st.integers(0, 10**6),
    ),
    min_size=1,
    max_size=45,
)


def play(log: VoiceLog, plan: list[tuple[int, int, str, int]]) -> dict[str, Told]:
    """Write what happened into the log, and return it."""
    ids: dict[int, str] = {}
    told: dict[str, Told] = {}
    status: dict[str, str] = {}
    at = START
    with log.writing() as connection:
        for number, hours, kind, dice in plan:
            # Up to half an hour only, so that as much of it as there is happens before NOW.
            at += timedelta(hours=hours / 3, seconds=dice % 1800)
            if at > NOW:
                break
            if number not in ids:
                channel, locale = [("api", "en-GB"), ("telegram", "zh"), ("api", None)][number % 3]
                ids[number] = log.open(connection, channel, locale, at)
                told[ids[number]] = Told(channel=channel, locale=locale)
                status[ids[number]] = "bot"
            id_ = ids[number]
            one = told[id_]
            if kind in ("turn", "handoff") or not one.turns:
                hand_off = kind == "handoff" and status[id_] == "bot"
                what: dict[str, Any] = {
                    "intent": INTENTS[dice % 3],
                    "emotion": EMOTIONS[dice // 3 % 4],
                    "error": "it broke" if dice % 11 == 0 else None,
                    "qa_pair_id": "returns-1" if dice % 5 == 0 else None,
                }
                reason = "asked" if hand_off else None
                log.turn(connection, id_, at, channel=one.channel, handoff_reason=reason, **what)
                one.turns.append((at, what))
                if hand_off:
                    status[id_] = "waiting"
                    one.handoffs.append((at, "asked", None))
            elif kind == "agent":
                log.agent_says(connection, id_, at)
                one.spoken.append(at)
                one.handoffs = [(a, why, b or at) for a, why, b in one.handoffs]
            elif kind == "back":
                store.set_status(connection, conversation_id=id_, status="bot", now=at)
                status[id_] = "bot"
            elif kind == "thumb":
                score = 1 if dice % 2 else -1
                one.thumbs[log.thumb(connection, id_, score, at)] = (at, score)
            else:
                log.rate(connection, id_, 1 + dice % 5, at)
                one.rating = (at, 1 + dice % 5)
    return told


def read_back(log: VoiceLog) -> tuple[dict[Any, Counter[str]], dict[tuple[str, ...], int]]:
    days: dict[Any, Counter[str]] = {}
    topics: dict[tuple[str, ...], int] = Counter()
    with log.engine.connect() as connection:
        for row in connection.execute(select(tables.voice_day)).mappings():
            found = Counter({name: row[name] for name in SCALARS})
            for kind, spread in row["spread"].items():
                for label, number in spread.items():
                    in_buckets = kind in ("first_answer", "person_answer")
                    found[kind if in_buckets else f"{kind}:{label}"] += number
            if "*" not in (row["channel"], row["language"]) and +found:
                days[row["day"], row["channel"], row["language"]] = +found
        for row in connection.execute(select(tables.voice_topic)).mappings():
            labels = ("channel", "language", "intent", "emotion")
            topics[(str(row["day"]), *(row[label] for label in labels))] += row["turns"]
        by_label = voice_figures.topics(
            connection, Period(first=date(2026, 10, 1), last=date(2026, 11, 30)), ["intent"]
        )
        assert sum(row["turns"] for row in by_label) == sum(topics.values())
        check_sums(connection, days)
    return days, topics


def check_sums(connection: Connection, days: dict[Any, Counter[str]]) -> None:
    """What is asked of a channel, a language, both or neither is the sum of the parts."""
    for channel in (None, "api", "telegram", "none"):
        for language in (None, "en", "zh", ""):
            period = Period(
                first=date(2026, 10, 20),
                last=date(2026, 11, 30),
                channel=channel,
                language=language,
            )
            found = voice_figures.read(connection, period, bucket_days=7)
            parts: Counter[str] = Counter()
            for (_, its_channel, its_language), counts in days.items():
                if channel in (None, its_channel) and language in (None, its_language):
                    parts.update(counts)
            ratings = {str(n): parts[f"rating:{n}"] for n in range(1, 6) if parts[f"rating:{n}"]}
            assert dict(found.total.spread["rating"]) == ratings
            wanted = {name: parts[name] for name in SCALARS}
            assert {name: found.total.counts[name] for name in SCALARS} == wanted
            for split in (found.by_channel, found.by_language):
                assert sum(one["turns"] for one in split.values()) == wanted["turns"]
            assert sum(one.counts["turns"] for one in found.by_time.values()) == wanted["turns"]


def day_of(moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(ZONE)).date()


def test_figures_are_those_of_a_naive_count_whatever_happened(database_url: str) -> None:
    with opened(database_url, NOW) as log:

        @settings(
            max_examples=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        @given(events, st.integers(0, 4))
        def check(plan: list[tuple[int, int, str, int]], late: int) -> None:
            log.wipe()
            log.now = NOW
            told = play(log, plan)
            asyncio.run(log.count(database_url, ZONE))
            assert read_back(log) == naive_count(list(told.values()), NOW, day_of)
            # What happens weeks later to days that were counted: one is erased, one rates anew.
            log.now = NOW + timedelta(days=20)
            for place, id_ in enumerate(list(told)):
                if place == late:
                    log.erase(id_)
                    del told[id_]
                elif told[id_].turns:
                    with log.writing() as connection:
                        log.rate(connection, id_, 1, log.now - DAY)
                    told[id_].rating = (log.now - DAY, 1)
            asyncio.run(log.count(database_url, ZONE))
            assert read_back(log) == naive_count(list(told.values()), log.now, day_of)

        check()


async def test_another_zone_counts_everything_anew(database_url: str) -> None:
    with opened(database_url, utc(2026, 6, 20)) as log:
        with log.writing() as connection:
            id_ = log.open(connection, "api", None, utc(2026, 6, 10))
            log.turn(connection, id_, utc(2026, 6, 10, 20), intent="track_order")
        for zone, day in (("UTC", date(2026, 6, 10)), ("Asia/Shanghai", date(2026, 6, 11))):
            await log.count(database_url, zone)
            with log.engine.connect() as connection:
                days = connection.execute(select(tables.voice_day.c.day).distinct()).scalars().all()
            assert days == [day]


async def test_a_second_count_and_a_second_gateway_change_nothing(database_url: str) -> None:
    with opened(database_url, NOW) as log:
        play(log, [(n % 5, 5, "turn", n * 7919) for n in range(40)])
        await log.count(database_url, ZONE)
        once = read_back(log)
        await asyncio.gather(*(_count_if_free(log, database_url) for _ in range(3)))
        assert read_back(log) == once


async def _count_if_free(log: VoiceLog, url: str) -> None:
    from bot.console.voice.counting import Counting

    with log.journal(url) as journal:
        journal.start()
        await Counting(journal, ZoneInfo(ZONE), log.world()).once()
        await journal.close()


async def test_who_lost_the_lease_meanwhile_writes_nothing(database_url: str) -> None:
    from bot.log.voice_state import LEASE, claim, replace_day

    with opened(database_url, NOW) as log, log.writing() as connection:
        first = Holder(id="first", now=NOW)
        assert claim(connection, holder=first)
        late = NOW + LEASE + timedelta(seconds=1)
        assert claim(connection, holder=Holder(id="second", now=late))
        stale = Counted(day=NOW.date())
        assert not replace_day(connection, holder=Holder(id="first", now=late), counted=stale)


async def test_days_that_retention_emptied_keep_their_figures(database_url: str) -> None:
    with opened(database_url, NOW) as log:
        with log.writing() as connection:
            id_ = log.open(connection, "api", None, START)
            log.turn(connection, id_, START, intent="track_order")
        await log.count(database_url, "UTC")
        with log.writing() as connection:
            voice_changes.freeze(connection, before=START + 2 * DAY)
        log.erase(id_)
        await log.count(database_url, "UTC")
        with log.engine.connect() as connection:
            kept = connection.execute(select(tables.voice_day.c.turns).distinct()).scalars().all()
            marks = connection.execute(select(tables.voice_change)).all()
        assert (kept, marks) == ([1], [])


async def test_frozen_days_outlive_a_change_of_the_zone_and_a_count_under_way(
    database_url: str,
) -> None:
    with opened(database_url, NOW) as log:
        with log.writing() as connection:
            for moment in (START, START + 5 * DAY):
                id_ = log.open(connection, "api", None, moment)
                log.turn(connection, id_, moment, intent="track_order")
        await log.count(database_url, ZONE)
        with log.writing() as connection:
            # In the zone the day after begins an hour or two before midnight.
            before = datetime.combine(START.date(), time(23, 30), tzinfo=UTC)
            voice_changes.freeze(connection, before=before)
            state = voice_state.state(connection)
            assert state.frozen_before == START.date() + 2 * DAY
            holder = Holder(id="late", now=NOW)
            assert voice_state.claim(connection, holder=holder)
            empty = Counted(day=START.date())
            assert voice_state.replace_day(connection, holder=holder, counted=empty)
            assert voice_state.release(connection, holder=holder)
            connection.execute(delete(tables.turn).where(tables.turn.c.created_at <= START))
        await log.count(database_url, "UTC")
        with log.engine.connect() as connection:
            days = connection.execute(
                select(tables.voice_day.c.day, tables.voice_day.c.turns)
                .where(tables.voice_day.c.turns > 0)
                .distinct()
                .order_by(tables.voice_day.c.day)
            ).all()
    assert [tuple(row) for row in days] == [
        (START.date(), 1),
        ((START + 5 * DAY).date(), 1),
    ]


async def test_a_year_is_the_sum_of_its_months_and_days(database_url: str) -> None:
    with opened(database_url, utc(2026, 3, 5, 12)) as log:
        with log.writing() as connection:
            id_ = log.open(connection, "api", "en", utc(2025, 11, 1))
            at = utc(2025, 11, 20, 12)
            while at < log.now:
                log.turn(connection, id_, at, intent="track_order", emotion="angry")
                at += timedelta(hours=36)
        await log.count(database_url, "UTC")
        with log.writing() as connection:
            # Were the days asked for, this would be seen: whole months are not.
            connection.execute(
                update(tables.voice_topic)
                .where(tables.voice_topic.c.day == date(2025, 12, 2))
                .values(intent="seen")
            )
        for first, last in (
            (date(2025, 11, 25), date(2026, 3, 5)),
            (date(2025, 12, 1), date(2026, 2, 28)),
            (date(2025, 12, 5), date(2025, 12, 24)),
            (date(2025, 12, 31), date(2026, 1, 31)),
        ):
            period = Period(first=first, last=last)
            with log.engine.connect() as connection:
                rows = voice_figures.topics(connection, period, ["intent", "emotion"])
                total = voice_figures.read(connection, period).total
            expected = total.counts["turns"]
            assert rows == [
                {"intent": "track_order", "emotion": "angry", "turns": expected}
                | {"fallbacks": 0, "answers": 0, "handoffs": 0}
            ]


@pytest.mark.parametrize("way", ["bot", "button", "unasked"])
async def test_each_handoff_is_kept_and_when_a_person_answered(database_url: str, way: str) -> None:
    from bot.log import handoff
    from bot.log.handoff import Step

    with opened(database_url, NOW) as log:
        with log.writing() as connection:
            id_ = log.open(connection, "api", None, START)
            reason = "emotion" if way == "bot" else None
            log.turn(connection, id_, START, intent="complain", handoff_reason=reason)

            def move(status: str, why: str | None = None) -> None:
                step = Step(
                    conversation_id=id_,
                    decide=lambda _, row: {"status": status, "handoff_reason": why},
                )
                handoff.move(
                    connection, step=step, sending=frozenset(), now=START + timedelta(minutes=1)
                )

            if way == "button":
                move("waiting", "asked")
            move("agent")
            log.agent_says(connection, id_, START + timedelta(minutes=5))
            log.agent_says(connection, id_, START + timedelta(minutes=9))
            rows = connection.execute(select(tables.handoff)).all()
        reasons = {"bot": "emotion", "button": "asked", "unasked": "taken"}
        assert [(row.reason, row.answered_at) for row in rows] == [
            (reasons[way], START + timedelta(minutes=5))
        ]


def test_handoffs_of_before_are_taken_over(database_url: str) -> None:
    migration = import_module("bot.migrations.versions.0010_voice")
    with opened(database_url, NOW) as log, log.writing() as connection:
        id_ = log.open(connection, "api", None, START)
        connection.execute(
            update(tables.conversation).values(
                status="waiting", handoff_reason="asked", waiting_since=START
            )
        )
        log.agent_says(connection, id_, NOW)
        connection.exec_driver_sql(migration._EARLIER)
        row = connection.execute(select(tables.handoff)).one()
    assert (row.reason, row.at, row.answered_at) == ("asked", START, NOW)


@pytest.mark.parametrize("known", ["waiting_since", "taken_at", None])
def test_what_a_person_said_before_a_handoff_did_not_answer_it(
    database_url: str, known: str | None
) -> None:
    migration = import_module("bot.migrations.versions.0010_voice")
    with opened(database_url, NOW) as log, log.writing() as connection:
        id_ = log.open(connection, "api", None, START)
        log.agent_says(connection, id_, START)
        log.agent_says(connection, id_, START + 2 * DAY)
        values = {} if known is None else {known: START + DAY}
        connection.execute(
            update(tables.conversation).values(handoff_reason="asked", waiting_since=None)
        )
        if values:
            connection.execute(update(tables.conversation).values(values))
        connection.exec_driver_sql(migration._EARLIER)
        row = connection.execute(select(tables.handoff)).one()
    assert row.answered_at == (None if known is None else START + 2 * DAY)


async def test_an_answer_of_before_the_handoff_is_no_wait(database_url: str) -> None:
    with opened(database_url, NOW) as log:
        with log.writing() as connection:
            id_ = log.open(connection, "api", None, START)
            log.turn(connection, id_, START, intent="complain", handoff_reason="asked")
            connection.execute(
                update(tables.handoff).values(answered_at=START - timedelta(hours=1))
            )
        await log.count(database_url, "UTC")
        with log.engine.connect() as connection:
            spreads = connection.execute(select(tables.voice_day.c.spread)).scalars().all()
    assert spreads
    assert not any("person_answer" in spread for spread in spreads)


def test_a_person_who_comes_answers_the_last_handoff_only(database_url: str) -> None:
    with opened(database_url, NOW) as log, log.writing() as connection:
        id_ = log.open(connection, "api", None, START)
        for day in (0, 3):
            at = START + day * DAY
            handoffs.begin(connection, conversation_id=id_, reason="asked", now=at)
        log.agent_says(connection, id_, START + 4 * DAY)
        found = connection.execute(select(tables.handoff).order_by(tables.handoff.c.at)).all()
    assert [row.answered_at for row in found] == [None, START + 4 * DAY]


def test_two_gateways_mark_the_same_conversation_at_once(postgres_url: str) -> None:
    with opened(postgres_url, NOW) as log:
        with log.writing() as connection:
            id_ = log.open(connection, "api", None, START)
            log.turn(connection, id_, START, intent="track_order")

        def mark() -> None:
            with log.writing() as connection:
                voice_changes.mark_conversation(connection, conversation_id=id_)

        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        with ThreadPoolExecutor(1) as pool:
            with log.writing() as connection, log.engine.connect() as watch:
                voice_changes.mark_conversation(connection, conversation_id=id_)
                other = pool.submit(mark)
                while not other.done() and not watch.execute(waits).scalar_one():
                    pass
            other.result()
        with log.engine.connect() as connection:
            assert len(voice_changes.pending(connection)) == 1


@pytest.mark.parametrize(
    ("what", "resolved"),
    [
        ("nothing", 1),
        ("thumb up", 1),
        ("thumb down", 0),
        ("rating 3", 1),
        ("rating 2", 0),
        ("rating 2 a day after", 1),
        ("handoff", 0),
        ("agent", 0),
        ("fallback at last", 0),
        ("fallback at first", 1),
        ("failed at last", 0),
        ("not over yet", None),
    ],
)
async def test_what_is_resolved_without_a_person(
    database_url: str, what: str, resolved: int | None
) -> None:
    later = START + timedelta(hours=23)
    over = what != "not over yet"
    with opened(database_url, later + timedelta(hours=40 if over else 23)) as log:
        with log.writing() as connection:
            id_ = log.open(connection, "api", None, START)
            first = "nlu_fallback" if what == "fallback at first" else "track_order"
            reason = "asked" if what == "handoff" else None
            log.turn(connection, id_, START, intent=first, handoff_reason=reason)
            last = "nlu_fallback" if what == "fallback at last" else "track_order"
            error = "it broke" if what == "failed at last" else None
            log.turn(connection, id_, later, intent=last, error=error)
            soon = later + timedelta(hours=1)
            if what.startswith("thumb"):
                log.thumb(connection, id_, 1 if what == "thumb up" else -1, soon)
            elif what.startswith("rating"):
                late = what.endswith("after")
                log.rate(connection, id_, int(what[7]), later + DAY if late else soon)
            elif what == "agent":
                log.agent_says(connection, id_, START + timedelta(hours=2))
        await log.count(database_url, "UTC")
        period = Period(first=START.date(), last=log.now.date())
        with log.engine.connect() as connection:
            counts = voice_figures.read(connection, period).total.counts
    assert counts["contacts"] == 1
    assert (counts["ended"], counts["resolved"]) == (int(over), resolved or 0)
