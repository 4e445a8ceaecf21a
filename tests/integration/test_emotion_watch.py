"""The emotion watch on a real log: quiet in 30 steady days, awake after a shift."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import insert, select, update

from bot.console.voice.counting import Counting
from bot.console.voice.watch import Watch
from bot.log import tables, voice_alerts
from bot.log.journal import Journal
from bot.log.voice_alerts import Findings, Muting
from bot.log.voice_count import hour_of
from tests.integration.voice_log import VoiceLog, opened, utc

START = utc(2026, 3, 2)
INTENTS = ("track_order", "return_item", "ask_delivery")
SHARES = (0.2, 0.35, 0.3)
A_DAY = 180
HOUR = timedelta(hours=1)


@pytest.fixture
def log(database_url: str) -> Iterator[VoiceLog]:
    with opened(database_url, START) as log:
        yield log


def hours(log: VoiceLog, first: datetime, last: datetime, shares: tuple[float, ...]) -> None:
    """Write what the counting would have written of so many hours of steady traffic."""
    draw = np.random.default_rng(first.toordinal())
    rows = []
    while first < last:
        for intent, share in zip(INTENTS, shares, strict=True):
            cases = int(draw.poisson(A_DAY / 24))
            upset = int(draw.binomial(cases, share))
            if cases:
                rows.append(
                    {"day": first.date(), "hour": hour_of(first), "kind": "intent"}
                    | {"name": intent, "cases": cases, "upset": upset}
                )
        first += HOUR
    with log.writing() as connection:
        connection.execute(insert(tables.watch_hour), rows)


class Watching:
    """A watch whose clock is the log's."""

    def __init__(self, log: VoiceLog, journal: Journal) -> None:
        self.log = log
        self.watch = Watch(journal, log.world(), false_alarms=0.25, notify=True)

    async def look_until(self, end: datetime) -> list[Findings]:
        """Every hour, until something is opened or over, or the end."""
        found = []
        while self.log.now < end:
            self.log.now += HOUR
            findings = await self.watch.once()
            assert findings is not None
            if findings.opened or findings.over:
                found.append(findings)
        return found


async def test_quiet_for_thirty_days_awake_within_a_day_and_over_again(
    log: VoiceLog, database_url: str
) -> None:
    steady, shift = START + timedelta(days=57), START + timedelta(days=87)
    hours(log, START, shift, SHARES)
    hours(log, shift, shift + timedelta(days=2), (0.45, 0.35, 0.3))
    hours(log, shift + timedelta(days=2), shift + timedelta(days=5), SHARES)
    log.now = steady + timedelta(minutes=5)
    with log.journal(database_url) as journal:
        journal.start()
        watching = Watching(log, journal)
        assert await watching.look_until(shift) == [], "a false alarm"
        opened = await watching.look_until(shift + timedelta(days=1))
        assert [[one.series for one in look.opened] for look in opened] == [
            [("intent", "track_order")]
        ]
        closed = await watching.look_until(shift + timedelta(days=5))
        assert [look.over for look in closed] == [[("intent", "track_order")]]
        rows = await journal.read(voice_alerts.listed)
        await journal.close()
    (row,) = rows
    assert row["closed_at"] - row["opened_at"] > timedelta(hours=24)
    assert row["upset"] / row["cases"] > row["expected"] + 0.1
    with log.engine.connect() as connection:
        notices = connection.execute(
            select(tables.alert_notice.c.event).order_by(tables.alert_notice.c.next_at)
        )
        assert [event for (event,) in notices] == ["opened", "closed"]


async def test_an_hour_is_looked_at_once_by_whichever_gateway(
    log: VoiceLog, database_url: str
) -> None:
    hours(log, START, START + timedelta(days=59), SHARES)
    hours(log, START + timedelta(days=59), START + timedelta(days=60), (0.8, 0.35, 0.3))
    log.now = START + timedelta(days=60, minutes=10)
    with log.journal(database_url) as first, log.journal(database_url) as second:
        looks = []
        for journal in (first, second):
            journal.start()
            watch = Watch(journal, log.world(), false_alarms=0.25, notify=False)
            looks.append(await watch.once())
        assert looks[0] is not None
        assert looks[0].opened
        assert looks[1] is None
        await first.close()
        await second.close()


@pytest.mark.parametrize("way", ["muted", "cooling down"])
async def test_a_muted_topic_and_one_that_was_just_over_stay_quiet(
    log: VoiceLog, database_url: str, way: str
) -> None:
    hours(log, START, START + timedelta(days=59), SHARES)
    hours(log, START + timedelta(days=59), START + timedelta(days=60), (0.8, 0.35, 0.3))
    log.now = START + timedelta(days=60, minutes=10)
    series = ("intent", "track_order")
    with log.journal(database_url) as journal:
        journal.start()
        watch = Watch(journal, log.world(), false_alarms=0.25, notify=False)
        if way == "muted":
            until = log.now + timedelta(days=1)
            muting = Muting(series=series, reason="a strike", until=until, by="ada")
            await journal.write(partial(voice_alerts.mute, muting=muting, now=log.now))
        else:
            found = await watch.once()
            assert found is not None
            assert found.opened
            with log.writing() as connection:
                connection.execute(update(tables.alert).values(closed_at=log.now))
            log.now += HOUR
        found = await watch.once()
        await journal.close()
    assert found is not None
    assert found.opened == []


async def test_turns_of_the_log_are_what_the_watch_sees(log: VoiceLog, database_url: str) -> None:
    """From turns written by the log's own functions to the alert and its examples."""
    end = START + timedelta(days=43)
    draw = np.random.default_rng(5)
    with log.writing() as connection:
        at = START
        while at < end:
            for _ in range(int(draw.poisson(2))):
                id_ = log.open(connection, "api", None, at)
                share = 0.75 if at >= end - timedelta(days=1) else 0.15
                emotion = "angry" if draw.random() < share else "neutral"
                log.turn(connection, id_, at, intent="return_item", emotion=emotion)
            at += HOUR
    log.now = end + timedelta(minutes=10)
    with log.journal(database_url) as journal:
        journal.start()
        assert await Counting(journal, ZoneInfo("UTC"), log.world()).once()
        watch = Watch(journal, log.world(), false_alarms=0.25, notify=False)
        found = await watch.once()
        rows = await journal.read(voice_alerts.listed)
        assert found is not None
        assert {one.series for one in found.opened} == {
            ("channel", "api"),
            ("intent", "return_item"),
        }
        alert = next(row for row in rows if row["kind"] == "intent")
        examples = await journal.read(partial(voice_alerts.examples, alert=alert))
        gone = examples[0]["conversation_id"]
        log.erase(gone)
        fewer = await journal.read(partial(voice_alerts.examples, alert=alert))
        await journal.close()
    assert len({one["conversation_id"] for one in examples}) == voice_alerts.MOST_EXAMPLES
    assert {one["emotion"] for one in examples} == {"angry"}
    assert all(one["created_at"] >= end - timedelta(days=1) for one in examples)
    assert gone not in {one["conversation_id"] for one in fewer}
