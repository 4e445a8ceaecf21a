"""Puts the texts of many requests into batches for the one model thread."""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nlu.engine import Query
from nlu.errors import EngineFailed, Overloaded
from nlu.loading import LoadedModel
from nlu.tokens import token_batches

_MOST_ROWS = 64
# Until the first batch was timed: what two cores do at least.
_FIRST_RATE = 2000.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One kind of model run: a batch of queries in, one result for each out."""

    name: str
    run: Callable[[LoadedModel, Sequence[Query]], Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A result and what it took."""

    result: Any
    queue_ms: float
    model_ms: float


@dataclass(slots=True, kw_only=True, eq=False)
class _Job:
    work: Work
    model: LoadedModel
    query: Query
    future: "asyncio.Future[Answer]"
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """A queue with one model thread behind it.

    The thread takes all that is queued whenever it is idle: nothing waits for a timer, and the
    batches grow by themselves when messages come faster than the model answers.
    """

    def __init__(
        self,
        *,
        batch_tokens: int,
        queue_tokens: int,
        on_batch: Callable[[str, int, float], None] = lambda name, rows, seconds: None,
    ) -> None:
        self._batch_tokens = batch_tokens
        self._queue_tokens = queue_tokens
        self._on_batch = on_batch
        self._jobs: deque[_Job] = deque()
        self._ready = threading.Condition()
        self._stopping = False
        self._rate = _FIRST_RATE  # tokens a second, of late
        self.waiting_tokens = 0
        self._thread = threading.Thread(target=self._serve, name="model", daemon=True)

    def start(self) -> None:
        """Starts the model thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the model thread once everything queued is answered."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        if self._thread.is_alive():
            self._thread.join()

    async def submit(
        self, work: Work, model: LoadedModel, queries: Sequence[Query]
    ) -> list[Answer]:
        """The answers to queries, in their order.

        Raises Overloaded when too much is waiting already, EngineFailed when no engine answers.
        """
        tokens = sum(len(query.encoded.ids) for query in queries)
        loop = asyncio.get_running_loop()
        with self._ready:
            if self.waiting_tokens and self.waiting_tokens + tokens > self._queue_tokens:
                wait_s = self.waiting_tokens / max(self._rate, 1.0)
                raise Overloaded(max(1, math.ceil(wait_s)))
            jobs = [
                _Job(work=work, model=model, query=query, future=loop.create_future())
                for query in queries
            ]
            self.waiting_tokens += tokens
            self._jobs.extend(jobs)
            self._ready.notify()
        return list(await asyncio.gather(*(job.future for job in jobs)))

    def _serve(self) -> None:
        # No job is kept in a variable here: it would keep its model in memory until the next one.
        while self._has_work():
            self._work_off()

    def _has_work(self) -> bool:
        """Waits for work; False when there is none and none will come."""
        with self._ready:
            while not self._jobs and not self._stopping:
                self._ready.wait()
            return bool(self._jobs)

    def _work_off(self) -> None:
        with self._ready:
            jobs = list(self._jobs)
            self._jobs.clear()
        groups: dict[tuple[str, int], list[_Job]] = {}
        for job in jobs:
            if not job.future.cancelled():
                groups.setdefault((job.work.name, id(job.model)), []).append(job)
        for group in groups.values():
            lengths = [len(job.query.encoded.ids) for job in group]
            for chunk in token_batches(lengths, max_tokens=self._batch_tokens, max_rows=_MOST_ROWS):
                self._run([group[index] for index in chunk])
        with self._ready:
            self.waiting_tokens -= sum(len(job.query.encoded.ids) for job in jobs)

    def _run(self, jobs: list[_Job]) -> None:
        first = jobs[0]
        started = time.perf_counter()
        try:
            results = first.work.run(first.model, [job.query for job in jobs])
        except EngineFailed as error:
            outcome: list[Answer] | Exception = error
        except Exception as error:
            log.exception("batch_failed work=%s rows=%d", first.work.name, len(jobs))
            outcome = EngineFailed(f"the model run failed: {type(error).__name__}")
        else:
            seconds = time.perf_counter() - started
            outcome = [
                Answer(
                    result=result,
                    queue_ms=(started - job.since) * 1000,
                    model_ms=seconds * 1000,
                )
                for job, result in zip(jobs, results, strict=True)
            ]
            tokens = sum(len(job.query.encoded.ids) for job in jobs)
            self._rate += 0.1 * (tokens / max(seconds, 1e-6) - self._rate)
            self._on_batch(first.work.name, len(jobs), seconds)
        # One wake-up of the event loop for the whole batch.
        first.future.get_loop().call_soon_threadsafe(_settle, jobs, outcome)


def _settle(jobs: list[_Job], outcome: list[Answer] | Exception) -> None:
    for number, job in enumerate(jobs):
        if job.future.done():  # its request was cancelled
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome[number])
