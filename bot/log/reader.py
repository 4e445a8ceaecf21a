"""What is read from the log: messages to show, turns to review, work left over from a crash."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, Select, bindparam, event, select
from sqlalchemy.exc import SQLAlchemyError

from bot.cards import buttons_under
from bot.errors import StorageError
from bot.log import annotations, tables
from bot.log.records import Accepted, Finished, Inbound

T = TypeVar("T")

_conversation = tables.conversation
_message = tables.message
_turn = tables.turn
_CONVERSATION = select(_conversation).where(_conversation.c.id == bindparam("conversation"))


# Of SQLite's steps, between two looks at the clock: less than a millisecond.
_STEPS = 20_000
_LIMIT = "kefu_statement_timeout_ms"


class Reader:
    """Reads on connections and threads of its own: nobody else waits for a slow query."""

    def __init__(
        self, engine: Engine, *, name: str = "read", threads: int = 6, timeout_s: float = 20.0
    ) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._closed = False

    async def run(self, query: Callable[[Connection], T]) -> T:
        """Run a query in a thread; raises StorageError when the database does not answer.

        After the timeout the query ends in the database too, so that its thread is free again.
        """
        if self._closed:
            raise StorageError("the log is closed")
        deadline = time.monotonic() + self._timeout_s
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout_s):
            return await loop.run_in_executor(self._threads, self._read, query, deadline)

    async def close(self) -> None:
        """Take no more queries, and break off those that run."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def _read(self, query: Callable[[Connection], T], deadline: float) -> T:
        def over() -> bool:
            return self._closed or time.monotonic() > deadline

        try:
            with self._engine.connect() as connection, self._limited(connection, over):
                return query(connection)
        except SQLAlchemyError as error:
            raise StorageError(str(getattr(error, "orig", error)).splitlines()[0]) from error

    @contextmanager
    def _limited(self, connection: Connection, over: Callable[[], bool]) -> Iterator[None]:
        if connection.dialect.name == "sqlite":
            driver = cast(sqlite3.Connection, connection.connection.dbapi_connection)
            driver.set_progress_handler(over, _STEPS)
            try:
                yield
            finally:
                driver.set_progress_handler(None, 0)
            return
        # The server breaks off one statement that takes too long, the check a series of them.
        limit_ms = int(self._timeout_s * 1000)
        if connection.info.get(_LIMIT) != limit_ms:
            connection.exec_driver_sql(f"SET statement_timeout = {limit_ms}")
            connection.commit()
            connection.info[_LIMIT] = limit_ms

        def check(*_: Any) -> None:
            if over():
                raise StorageError("the query took too long")

        event.listen(connection, "before_cursor_execute", check)
        yield


def messages_after(
    connection: Connection, *, conversation_id: str, after: int, limit: int
) -> tuple[str, list[dict[str, Any]]] | None:
    """The conversation's status and its next messages; None when there is no such conversation."""
    status = connection.execute(
        select(_conversation.c.status).where(_conversation.c.id == conversation_id)
    ).scalar_one_or_none()
    if status is None:
        return None
    rows = connection.execute(
        select(_message)
        .where(_message.c.conversation_id == conversation_id, _message.c.seq > after)
        .order_by(_message.c.seq)
        .limit(limit)
    )
    return status, [dict(row) for row in rows.mappings()]


def conversation(connection: Connection, *, conversation_id: str) -> dict[str, Any] | None:
    """A conversation's row; None when there is none."""
    row = connection.execute(_CONVERSATION, {"conversation": conversation_id}).mappings()
    found = row.one_or_none()
    return None if found is None else dict(found)


def accepted_unanswered(
    connection: Connection,
    *,
    conversation_id: str | None = None,
    through: int | None = None,
    before: datetime | None = None,
) -> list[Accepted]:
    """What was promised an answer and has none, oldest first within each conversation.

    Of one conversation and up to the sequence number `through`, or of all and accepted `before`.
    """
    query = (
        select(_message, _conversation.c.status)
        .join(_conversation, _conversation.c.id == _message.c.conversation_id)
        .where(_message.c.state == "accepted")
        .order_by(_message.c.conversation_id, _message.c.seq)
    )
    if conversation_id is not None:
        query = query.where(_message.c.conversation_id == conversation_id)
    if through is not None:
        query = query.where(_message.c.seq <= through)
    if before is not None:
        query = query.where(_message.c.created_at < before)
    return [
        Accepted(
            id=row.id,
            inbound=Inbound(
                conversation_id=row.conversation_id,
                channel=row.channel,
                account=row.account,
                message_id=row.message_id,
                text=row.text,
                attachments=tuple(row.attachments or ()),
            ),
            seq=row.seq,
            status=row.status,
            state="accepted",
            created_at=row.created_at,
        )
        for row in connection.execute(query)
    ]


def replies_of(turn_id: str) -> Select[Any]:
    """The rows a turn sent out, in order."""
    return (
        select(_message)
        .where(_message.c.turn_id == turn_id, _message.c.direction == "out")
        .order_by(_message.c.seq)
    )


def finished(connection: Connection, *, message_row: str) -> Finished | None:
    """The committed turn of an inbound message; None while it has none."""
    row = connection.execute(
        select(_message.c.turn_id, _message.c.state).where(_message.c.id == message_row)
    ).one_or_none()
    if row is None or row.turn_id is None:
        return None
    replies = [dict(reply) for reply in connection.execute(replies_of(row.turn_id)).mappings()]
    return Finished(turn_id=row.turn_id, state=row.state, replies=replies)


def offered_buttons(connection: Connection, *, conversation_id: str) -> list[dict[str, Any]]:
    """The buttons under the bot's last words in the conversation, in their order."""
    last = connection.execute(
        select(_message.c.turn_id)
        .where(_message.c.conversation_id == conversation_id, _message.c.author == "bot")
        .order_by(_message.c.seq.desc())
        .limit(1)
    ).scalar_one_or_none()
    if last is None:
        return []
    return [
        button
        for reply in connection.execute(replies_of(last))
        for button in buttons_under(reply.buttons, reply.extra)
    ]


def turns(
    connection: Connection, *, conversation_id: str | None = None, since: datetime | None = None
) -> Iterator[dict[str, Any]]:
    """Turns in the order they were committed, each with what people said of it.

    `review`: labelled, rejected, disputed, or None; `annotation`: the record that holds, or None.
    """
    query = select(_turn, _conversation.c.channel).join(
        _conversation, _conversation.c.id == _turn.c.conversation_id
    )
    if conversation_id is not None:
        query = query.where(_turn.c.conversation_id == conversation_id)
    if since is not None:
        query = query.where(_turn.c.created_at >= since)
    said = annotations.all_effective(connection, conversation_id=conversation_id, since=since)
    for row in connection.execute(query.order_by(_turn.c.created_at, _turn.c.id)).mappings():
        found = said.get(row["id"])
        yield {
            **row,
            "review": None if found is None else found.state,
            "annotation": None if found is None else found.labels,
        }
