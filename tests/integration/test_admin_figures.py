"""What the pages of answers, models and channels count, on both databases."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from actions.qa.listing import Wanted, read_facets, read_listed, read_numbers, read_same
from actions.qa.pairs import Pair
from actions.qa.revisions import Change, change_pair
from bot.log import tables
from bot.log.answer_usage import Usage, usage_of
from bot.log.channel_health import channels_seen, health_of
from bot.log.database import open_engine, upgrade
from bot.log.model_usage import usage_by_version
from bot.world import utc_now

NOW = utc_now()


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    upgrade(database_url)
    engine = open_engine(database_url, writer=True)
    with engine.connect() as connection, connection.begin():
        for channel in ("api", "telegram"):
            connection.execute(
                tables.conversation.insert(),
                {
                    "id": channel,
                    "channel": channel,
                    "account": "a",
                    "status": "bot",
                    "last_seq": 0,
                    "created_at": NOW,
                    "updated_at": NOW,
                },
            )
        yield connection
    engine.dispose()


def message(connection: Connection, id_: str, hours_ago: float, **changes: Any) -> dict[str, Any]:
    row = {
        "id": id_,
        "conversation_id": "api",
        "seq": 0,
        "direction": "in",
        "author": "customer",
        "channel": "api",
        "account": "a",
        "state": "answered",
        "created_at": NOW - timedelta(hours=hours_ago),
    } | changes
    connection.execute(tables.message.insert(), row)
    return row


def turn(connection: Connection, id_: str, hours_ago: float, **changes: Any) -> None:
    inbound = message(connection, f"m-{id_}", hours_ago, seq=len(id_) * 1000 + int(id_[1:]))
    row = {
        "id": id_,
        "conversation_id": "api",
        "inbound_id": inbound["id"],
        "text": "x",
        "created_at": inbound["created_at"],
    } | changes
    connection.execute(tables.turn.insert(), row)


def test_a_channels_hours_and_what_waits(connection: Connection) -> None:
    message(connection, "a", 0.5, seq=1)
    message(connection, "b", 0.9, seq=2)
    message(connection, "c", 23.5, seq=3)
    message(connection, "d", 25, seq=4)
    out = {"conversation_id": "telegram", "channel": "telegram", "direction": "out"}
    for number, (state, error) in enumerate(
        [("failed", "no"), ("failed", "worse"), ("queued", None)]
    ):
        row = message(connection, f"o{number}", 3 - number, seq=number, state="sent", **out)
        letter = {
            name: row[name] for name in ("id", "conversation_id", "channel", "account", "seq")
        }
        connection.execute(
            tables.outbox.insert(),
            letter
            | {
                "state": state,
                "error": error,
                "attempts": 1,
                "next_at": NOW,
                "created_at": row["created_at"],
            },
        )
    assert channels_seen(connection) == ["api", "telegram"]
    health = health_of(connection, ["api", "telegram", "slack"], now=NOW)
    api, telegram = health["api"], health["telegram"]
    assert (api.hourly_in[-1], api.hourly_in[0], sum(api.hourly_in)) == (2, 1, 3)
    assert (api.last_in, api.last_out) == (NOW - timedelta(hours=0.5), None)
    assert (telegram.failed, telegram.queued) == (2, 1)
    assert telegram.oldest_failed == NOW - timedelta(hours=3)
    assert (telegram.last_error, sum(telegram.hourly_out)) == ("worse", 3)
    assert health["slack"].last_in is None


def test_how_answers_and_versions_did(connection: Connection) -> None:
    for number, intent in enumerate(["pay", "nlu_fallback", "pay"]):
        turn(
            connection,
            f"t{number}",
            number + 1,
            qa_pair_id="time",
            model_version="v2",
            intent=intent,
            confidence=0.5,
        )
    turn(connection, "t9", 24 * 40, qa_pair_id="time", model_version="v1", intent="pay")
    for number, score in enumerate([1, 1, -1]):
        connection.execute(
            tables.feedback.insert(),
            {
                "id": f"f{number}",
                "conversation_id": "api",
                "turn_id": f"t{number}",
                "kind": "thumb",
                "score": score,
                "created_at": NOW,
            },
        )
    since = NOW - timedelta(days=30)
    assert usage_of(connection, ["time", "cost"], since=since) == {
        "time": Usage(given=3, up=2, down=1)
    }
    usage = usage_by_version(connection, ["v1", "v2"], since=since)
    assert (usage["v2"].turns, usage["v2"].sampled, usage["v2"].confidence) == (3, 3, 0.5)
    assert usage["v2"].fallback_share == pytest.approx(1 / 3)
    assert usage["v2"].last_at == NOW - timedelta(hours=1)
    assert (usage["v1"].turns, usage["v1"].fallback_share) == (0, None)


def test_answers_are_listed_filtered_and_compared(connection: Connection) -> None:
    for id_, intent, answer in (("a", "x", "100% sure"), ("b", "y", "Maybe"), ("c", "y", "No")):
        pair = Pair(
            id=id_, intent=intent, category="k", question=f"Q {id_}?", variants=(), answer=answer
        )
        change_pair(connection, pair, Change(actor="Rita"), NOW, active=id_ != "c")

    def ids(**wanted: str) -> list[str]:
        return [row["id"] for row in read_listed(connection, Wanted(**wanted), 10)]

    assert (ids(), ids(state="retired"), ids(state="all")) == (["a", "b"], ["c"], ["a", "b", "c"])
    assert (ids(intent="y"), ids(after="a"), ids(text="q A")) == (["b"], ["b"], ["a"])
    assert (ids(text="0% s"), ids(text="%"), ids(text="_")) == (["a"], ["a"], [])
    assert read_numbers(connection) == {"active": 2, "edited": 3, "retired": 1}
    assert read_facets(connection).intents == ["x", "y"]
    # A retired answer keeps no wording from the others.
    assert read_same(connection, ["q B?", "Q c?", "Q a?"], but="a") == {"q B?": "b"}
