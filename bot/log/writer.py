"""The one thread that writes: what is queued shares a transaction, and so a sync to the disk."""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, SQLAlchemyError

from bot.errors import NotStorable, StorageError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# PostgreSQL's word for two transactions that wait for each other, and for one that came too late.
_COLLIDED = ("40P01", "40001")
_TRIES = 3


@dataclass(slots=True, kw_only=True)
class _Work:
    unit: Callable[[Connection], Any]
    done: asyncio.Future[Any]
    then: Callable[[Any], None] | None


class Writer:
    """Runs units of work in the order given, many to a commit, and resolves them after it.

    No timer gathers a batch: while one commit syncs, the next units queue up behind it. A unit may
    run twice (once with the batch, once alone), so it must touch nothing but its connection.
    """

    def __init__(self, engine: Engine, *, max_batch: int = 256) -> None:
        self._engine = engine
        self._max_batch = max_batch
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the thread; results come back on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether writes are being taken."""
        return self._thread is not None and self._thread.is_alive()

    def submit(
        self, unit: Callable[[Connection], T], then: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """Queue a unit; the future resolves once it is on disk, after `then` ran on the loop.

        The future raises StorageError when the database did not take it, NotStorable when it never
        will, or what the unit raised.
        """
        assert self._loop is not None
        done: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Work(unit=unit, done=done, then=then))
        return done

    async def close(self) -> None:
        """Write what is queued, then stop."""
        if self._thread is None:
            return
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    def _run(self) -> None:
        assert self._loop is not None
        connection: Connection | None = None
        open_ = True
        while open_:
            batch: list[_Work] = []
            item = self._queue.get()
            while True:
                if item is None:
                    open_ = False
                    break
                batch.append(item)
                if len(batch) == self._max_batch or self._queue.empty():
                    break
                item = self._queue.get()
            if not batch:
                break
            try:
                if connection is None:
                    connection = self._engine.connect()
                outcomes = _commit(connection, batch)
            except Exception as error:
                # Whatever it is, who waits must hear of it and the thread must go on.
                outcomes = [_unreachable(error)] * len(batch)
            failed = [one for one in outcomes if isinstance(one, StorageError)]
            if failed:
                logger.warning(
                    "write failed", extra={"units": len(failed), "error": failed[0].reason}
                )
                _discard(connection)
                connection = None
            self._loop.call_soon_threadsafe(_deliver, batch, outcomes)
        _discard(connection)


def _commit(connection: Connection, batch: list[_Work]) -> list[Any]:
    """Run the batch in one transaction; where a unit fails, again with each on its own."""
    try:
        with connection.begin():
            return [work.unit(connection) for work in batch]
    except Exception as error:
        if len(batch) == 1 and not _collided(error):
            return [_failure(error)]
    if connection.dialect.name == "postgresql":
        # A transaction each: one that held the rows of several conversations could wait for
        # another gateway that waits for it.
        return _each_alone(connection, batch)
    with connection.begin():
        return [_alone(connection, work, connection.begin_nested) for work in batch]


def _each_alone(connection: Connection, batch: list[_Work]) -> list[Any]:
    outcomes: list[Any] = []
    for work in batch:
        outcomes.append(_alone(connection, work, connection.begin))
        if connection.invalidated:
            # The server is gone: the rest need not wait for it one by one.
            return outcomes + [outcomes[-1]] * (len(batch) - len(outcomes))
    return outcomes


def _alone(connection: Connection, work: _Work, begin: Callable[[], Any]) -> Any:
    for attempt in range(_TRIES):
        try:
            with begin():
                return work.unit(connection)
        except Exception as error:
            if not _collided(error) or attempt == _TRIES - 1:
                return _failure(error)
    raise AssertionError("not reached")


def _collided(error: Exception) -> bool:
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _COLLIDED


def _failure(error: Exception) -> Exception:
    """What whoever waits is told: the database's errors as ours, a unit's own as they are."""
    if not isinstance(error, SQLAlchemyError):
        return error
    reason = (str(getattr(error, "orig", None) or error).splitlines() or ["no reason given"])[0]
    return NotStorable(reason) if isinstance(error, DataError) else StorageError(reason)


def _unreachable(error: Exception) -> Exception:
    """What all are told when no connection could be had, or none of them came to its turn."""
    failure = _failure(error)
    return failure if isinstance(failure, StorageError) else StorageError(repr(failure))


def _discard(connection: Connection | None) -> None:
    """Drop a connection that may be broken; the next batch opens a new one."""
    if connection is not None:
        try:
            connection.invalidate()
            connection.close()
        except SQLAlchemyError:
            logger.debug("connection was already gone")


def _deliver(batch: list[_Work], outcomes: list[Any]) -> None:
    for work, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, Exception):
            if not work.done.done():
                work.done.set_exception(outcome)
            continue
        if work.then is not None:
            try:
                work.then(outcome)
            except Exception:
                # It is on disk, and the units behind it wait for their own word.
                logger.exception("commit not followed up")
        if not work.done.done():
            work.done.set_result(outcome)
