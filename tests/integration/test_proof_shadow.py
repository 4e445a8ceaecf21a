"""The last real messages, from both databases."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, delete

from bot.log import tables
from bot.log.database import open_engine, upgrade
from bot.log.shadow_turns import last_texts, listed_texts, texts_of
from tests.integration.review_log import add_turn


@pytest.fixture
def log(database_url: str) -> Iterator[Connection]:
    upgrade(database_url)
    engine = open_engine(database_url, writer=True)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_the_newest_messages_come_first_and_no_more_than_wanted(log: Connection) -> None:
    for number in range(12):
        add_turn(log, f"t{number:02}", f"message {number}", minute=number)
    assert listed_texts(log, limit=3) == [
        ("t11", "message 11"),
        ("t10", "message 10"),
        ("t09", "message 9"),
    ]
    assert len(listed_texts(log, limit=100)) == 12
    assert listed_texts(log, limit=0) == []


def test_buttons_and_lone_files_are_no_messages(log: Connection) -> None:
    add_turn(log, "a", "where is my parcel", minute=1)
    add_turn(log, "b", '/choose_answer{"qa_id": "17"}', minute=2)
    add_turn(log, "c", " /restart", minute=3)
    add_turn(log, "d", "", minute=4)
    add_turn(log, "e", "!!", minute=5)
    assert listed_texts(log, limit=2) == [("a", "where is my parcel")]


def test_messages_are_streamed(log: Connection) -> None:
    for number in range(5):
        add_turn(log, f"t{number}", f"message {number}", minute=number)
    turns = last_texts(log, limit=5)
    assert next(turns)[0] == "t4"
    assert [turn_id for turn_id, _ in turns] == ["t3", "t2", "t1", "t0"]


def test_texts_are_found_by_their_turns_until_they_are_erased(log: Connection) -> None:
    for number in range(3):
        add_turn(log, f"t{number}", f"message {number}", minute=number)
    log.execute(delete(tables.turn).where(tables.turn.c.id == "t1"))
    wanted = ["t0", "t1", "t2", "unknown"]
    assert texts_of(log, turn_ids=wanted) == {"t0": "message 0", "t2": "message 2"}
    assert texts_of(log, turn_ids=[]) == {}
