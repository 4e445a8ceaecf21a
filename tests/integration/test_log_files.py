"""Files, feedback and pages of a conversation, and their erasure, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from bot.errors import RequestError
from bot.log import feedback, files, store, tables
from bot.log.database import open_engine, upgrade
from bot.log.feedback import Rating, Thumb
from bot.log.files import NewFile, Quota
from bot.log.pages import Page, conversation_of, read_page
from bot.log.records import Opening, Reply, Speech
from bot.world import utc_now

QUOTA = Quota(files=2, bytes=1000)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    upgrade(database_url)
    engine = open_engine(database_url, writer=True)
    with engine.begin() as connection:
        for id_ in ("c1", "c2"):
            opening = Opening(id=id_, channel="whatsapp", account=f"+44 {id_}")
            store.open_conversation(connection, conversation=opening, now=utc_now())
        yield connection
    engine.dispose()


def say(connection: Connection, *replies: Reply, conversation_id: str = "c1") -> None:
    store.say(
        connection,
        speech=Speech(conversation_id=conversation_id, replies=list(replies)),
        sending=frozenset({"whatsapp"}),
        now=utc_now(),
    )


def keep(connection: Connection, **changes: Any) -> dict[str, Any] | None:
    fields: dict[str, Any] = {
        "id": "f1",
        "conversation_id": "c1",
        "name": "Größe.txt",
        "content_type": "text/plain",
        "data": b"\x00\xff bytes",
        "sha256": "1",
    } | changes
    return files.keep(connection, file=NewFile(**fields), quota=QUOTA, now=utc_now())


def page_of(connection: Connection, after: int = 0, limit: int = 10) -> Page:
    page = read_page(connection, conversation_id="c1", after=after, limit=limit)
    assert page is not None
    return page


def test_a_file_is_kept_once_and_read_back(connection: Connection) -> None:
    described = {"id": "f1", "name": "Größe.txt", "content_type": "text/plain", "size": 8}
    assert keep(connection) == described
    assert keep(connection, id="f2") == described
    assert files.content(connection, id_="f1") == described | {"data": b"\x00\xff bytes"}
    assert files.content(connection, id_="f2") is None
    assert files.describe(connection, conversation_id="c1", ids=["f1", "f9"]) == {"f1": described}
    assert files.describe(connection, conversation_id="c2", ids=["f1"]) == {}
    assert keep(connection, conversation_id="unknown") is None


def test_a_full_conversation_takes_no_more(connection: Connection) -> None:
    keep(connection)
    with pytest.raises(RequestError, match="at most 2 files"):
        keep(connection, id="f2", sha256="2", data=b"x" * 993)
    assert keep(connection, id="f2", sha256="2", data=b"x" * 992)
    with pytest.raises(RequestError):
        keep(connection, id="f3", sha256="3", data=b"")
    assert keep(connection, id="f3", sha256="3", conversation_id="c2")


def test_feedback_is_replaced_and_shown_on_the_page(connection: Connection) -> None:
    connection.execute(
        insert(tables.agent),
        {"id": "a1", "name": "Mei", "role": "agent", "created_at": utc_now()},
    )
    say(
        connection,
        Reply(id="r1", text="one"),
        Reply(id="r2", text="two", author="agent", agent_id="a1"),
    )
    for score in (1, -1):
        thumb = Thumb(conversation_id="c1", message_id="r1", score=score)
        assert feedback.keep_thumb(connection, thumb=thumb, now=utc_now())
        rating = Rating(conversation_id="c1", score=3 + score, comment="fine")
        assert feedback.keep_rating(connection, rating=rating, now=utc_now())
    for conversation_id, message_id in (("c1", "r2"), ("c2", "r1"), ("c1", "unknown")):
        thumb = Thumb(conversation_id=conversation_id, message_id=message_id, score=1)
        assert not feedback.keep_thumb(connection, thumb=thumb, now=utc_now())
    unknown = Rating(conversation_id="unknown", score=1)
    assert not feedback.keep_rating(connection, rating=unknown, now=utc_now())
    page = page_of(connection)
    assert (page.status, page.rating) == ("bot", 2)
    assert [(row["seq"], row["feedback"], row["agent_name"]) for row in page.rows] == [
        (1, -1, None),
        (2, None, "Mei"),
    ]
    assert connection.execute(select(func.count()).select_from(tables.feedback)).scalar() == 2


def test_pages_follow_each_other(connection: Connection) -> None:
    say(connection, *(Reply(id=f"r{n}", text=str(n)) for n in range(5)))
    say(connection, Reply(id="other", text="of another"), conversation_id="c2")
    assert [row["text"] for row in page_of(connection, limit=2).rows] == ["0", "1"]
    assert [row["text"] for row in page_of(connection, after=2).rows] == ["2", "3", "4"]
    assert page_of(connection, after=5).rows == []
    assert page_of(connection, limit=0).rows == []
    assert read_page(connection, conversation_id="unknown", after=0, limit=1) is None
    assert conversation_of(connection, channel="whatsapp", account="+44 c1") == ("c1", 5)
    assert conversation_of(connection, channel="telegram", account="+44 c1") is None


def test_erasure_takes_files_feedback_and_outbox_along(connection: Connection) -> None:
    for id_ in ("c1", "c2"):
        keep(connection, id=f"file of {id_}", conversation_id=id_)
        say(connection, Reply(id=f"reply of {id_}", text="hello"), conversation_id=id_)
        thumb = Thumb(conversation_id=id_, message_id=f"reply of {id_}", score=1)
        assert feedback.keep_thumb(connection, thumb=thumb, now=utc_now())
        rating = Rating(conversation_id=id_, score=5)
        assert feedback.keep_rating(connection, rating=rating, now=utc_now())
    erased = store.erase(
        connection, conversation_id="c1", audit_id="e1", actor="test", now=utc_now()
    )
    assert erased == 1
    for table in (tables.file, tables.outbox, tables.feedback, tables.message):
        owners = set(connection.execute(select(table.c.conversation_id)).scalars())
        assert owners == {"c2"}, table.name
