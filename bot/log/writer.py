"""The one thread that writes: what is queued shares a transaction, and so a sync to the disk."""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from bot.errors import StorageError

logger = logging.getLogger(__name__)

T = TypeVar("T")


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

        The future raises StorageError when the database did not take it, or what the unit raised.
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
            except SQLAlchemyError as error:
                logger.warning("write failed", extra={"units": len(batch), "error": str(error)})
                outcomes = [StorageError(str(getattr(error, "orig", error)).splitlines()[0])] * len(
                    batch
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
    except SQLAlchemyError:
        if len(batch) == 1:
            raise
    except Exception as error:
        if len(batch) == 1:
            return [error]
    with connection.begin():
        return [_alone(connection, work) for work in batch]


def _alone(connection: Connection, work: _Work) -> Any:
    try:
        with connection.begin_nested():
            return work.unit(connection)
    except SQLAlchemyError as error:
        return StorageError(str(getattr(error, "orig", error)).splitlines()[0])
    except Exception as error:
        return error


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
            work.then(outcome)
        if not work.done.done():
            work.done.set_result(outcome)
