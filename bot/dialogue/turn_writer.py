"""Appends turns in a thread of its own, many conversations' turns in one transaction.

A commit waits for the disk. Done on the event loop, each would hold up every conversation; done
one by one, the disk would set the pace. While a commit runs, the turns that finish are collected
and go into the next one together. A turn is answered only after its commit.
"""

import asyncio
import queue
import threading
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bot.dialogue.errors import TurnNotSaved
from bot.dialogue.turn_table import Turn, insert_turns

LARGEST_BATCH = 200
COMMIT_TIMEOUT_S = 20.0

Waiting = tuple[Turn, "asyncio.Future[None]"]


class TurnWriter:
    """The one writer of the turn table."""

    def __init__(self, engine: sa.engine.Engine) -> None:
        self._engine = engine
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="turn-writer", daemon=True)
        self._thread.start()

    async def append(self, turn: Turn) -> None:
        """Write a turn; it is on disk when this returns. Raises TurnNotSaved."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((turn, done))
        try:
            await asyncio.wait_for(done, COMMIT_TIMEOUT_S)
        except asyncio.TimeoutError:
            raise TurnNotSaved(f"no commit within {COMMIT_TIMEOUT_S:g} s") from None

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            batch: list[Waiting] = []
            # While it waits it holds no turn that was written: that may be erased meanwhile.
            item: Waiting | None = None
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if len(batch) == LARGEST_BATCH or self._queue.empty():
                    break
                item = self._queue.get()
            if batch:
                self._commit(batch)
            if item is None:
                return

    def _commit(self, batch: Sequence[Waiting]) -> None:
        failure = self._try([turn for turn, _ in batch])
        if failure is None or len(batch) == 1:
            self._tell(batch, failure)
            return
        for waiting in batch:  # one turn is at fault: find it, and keep the others
            self._tell([waiting], self._try([waiting[0]]))

    def _try(self, batch: Sequence[Turn]) -> TurnNotSaved | None:
        try:
            with self._engine.begin() as connection:
                insert_turns(connection, batch)
        except SQLAlchemyError as error:
            return TurnNotSaved(type(error).__name__)
        return None

    def _tell(self, batch: Sequence[Waiting], failure: TurnNotSaved | None) -> None:
        def settle() -> None:
            for _, done in batch:
                if done.done():
                    continue
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)

        batch[0][1].get_loop().call_soon_threadsafe(settle)
