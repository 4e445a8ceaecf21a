"""A log of the time before the console is brought up to date with all that is in it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, func, insert, select

from bot.log import database, tables
from bot.log.inbox_filters import Filters
from bot.log.inbox_pages import Wanted, listed
from bot.log.inbox_search import search
from bot.log.search_terms import terms_of

BEFORE_THE_CONSOLE = "0005"
START = datetime(2026, 6, 1, 9, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def make_old_log(url: str) -> None:
    """In the old schema: a conversation that an agent handed back, and one of the bot alone."""
    engine = database.open_engine(url, writer=True)
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE_THE_CONSOLE)
        connection.commit()
    with engine.begin() as connection:
        old = MetaData()
        # Moments as they are written now: reflected columns know no UtcDateTime.
        old.reflect(connection)
        helped = {"handoff_reason": "asked", "handed_back_at": at(30), "outcome": "resolved"}
        add_conversation(connection, old, "c-helped", **helped)
        add_conversation(connection, old, "c-bot")
        say(connection, old, ("c-helped", 1, "customer", "where is my order"))
        say(connection, old, ("c-helped", 2, "agent", "on its way"))
        say(connection, old, ("c-bot", 1, "customer", "where is my parcel"))
        agent = {"id": "a-1", "name": "Anna", "role": "agent", "created_at": START}
        connection.execute(insert(old.tables["agent"]), agent)
        feedback = {"id": "f-1", "conversation_id": "c-bot", "kind": "rating", "score": 2}
        connection.execute(insert(old.tables["feedback"]), feedback | {"created_at": at(5)})
    engine.dispose()


def add_conversation(connection: Connection, old: MetaData, id_: str, **more: Any) -> None:
    row = {
        "id": id_,
        "channel": "api",
        "account": id_,
        "status": "bot",
        "last_seq": 2,
        "created_at": START,
        "updated_at": at(40),
    }
    connection.execute(insert(old.tables["conversation"]), row | more)


def say(connection: Connection, old: MetaData, words: tuple[str, int, str, str]) -> None:
    conversation_id, seq, author, text = words
    of_customer = author == "customer"
    id_ = f"{conversation_id}-{seq}"
    row = {
        "id": id_,
        "conversation_id": conversation_id,
        "seq": seq,
        "direction": "in" if of_customer else "out",
        "author": author,
        "agent_id": None if of_customer else "a-1",
        "channel": "api",
        "account": conversation_id,
        "message_id": id_,
        "text": text,
        "state": "answered" if of_customer else "sent",
        "turn_id": f"t-{id_}" if of_customer else None,
        "created_at": at(seq),
    }
    connection.execute(insert(old.tables["message"]), row)
    if of_customer:
        turn = {
            "id": f"t-{id_}",
            "conversation_id": conversation_id,
            "inbound_id": id_,
            "text": text,
            "intent": "track_order",
            "confidence": 0.9,
            "emotion": "angry",
            "created_at": at(seq),
        }
        connection.execute(insert(old.tables["turn"]), turn)


def test_an_older_log_keeps_everything_and_can_be_listed_and_searched(database_url: str) -> None:
    make_old_log(database_url)
    database.upgrade(database_url)
    engine = database.open_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(tables.message)).scalar() == 3
        both = listed(connection, Wanted(filters=Filters(intent="track_order", emotion="angry")))
        assert {place.id for place in both.places} == {"c-helped", "c-bot"}
        unhappy = listed(connection, Wanted(filters=Filters(rating_most=2)))
        assert [place.id for place in unhappy.places] == ["c-bot"]
        found = search(connection, terms_of("parcel"), Wanted())
        assert [place.id for place in found.places] == ["c-bot"]
        handoff = connection.execute(select(tables.handoff)).mappings().one()
        assert (handoff["conversation_id"], handoff["reason"]) == ("c-helped", "asked")
        # Since when the customer had waited is not known any more.
        assert handoff["answered_at"] is None
        columns = tables.agent.c
        anna = connection.execute(select(columns.name, columns.password_hash)).one()
        assert tuple(anna) == ("Anna", None)
    engine.dispose()
