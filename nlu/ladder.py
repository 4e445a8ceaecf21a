"""Answers with the best engine that works: GPU, then CPU, then the lexical fallback."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from nlu.engine import Engine, Floats, Query
from nlu.errors import EngineFailed

Result = TypeVar("Result")
RETRY_S = 30.0

log = logging.getLogger(__name__)


class Ladder:
    """Engines from best to last; one that fails rests for `retry_s` before it is tried again.

    Used by one thread at a time, as every engine is.
    """

    def __init__(
        self,
        rungs: Sequence[Engine],
        *,
        retry_s: float = RETRY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rungs = list(rungs)
        self._resting_until = [0.0] * len(rungs)
        self._retry_s = retry_s
        self._clock = clock

    @property
    def mode(self) -> str:
        """The mode of the engine that would answer now."""
        return self._rungs[self._usable()[0]].mode

    def run(self, work: Callable[[Engine], Result]) -> tuple[Result, Engine]:
        """What `work` returns with the first engine that does it, and that engine.

        Raises EngineFailed when none does.
        """
        failure: Exception | None = None
        for number in self._usable():
            engine = self._rungs[number]
            try:
                return work(engine), engine
            except EngineFailed as error:  # this rung cannot do such work at all
                failure = failure or error
            except Exception as error:  # drivers and runtimes raise classes of their own
                log.exception("engine_failed mode=%s", engine.mode)
                self._resting_until[number] = self._clock() + self._retry_s
                failure = error
        raise EngineFailed(f"no engine could answer: {failure}") from failure

    def classify(self, batch: Sequence[Query]) -> tuple[dict[str, Floats], Engine]:
        """Logits of the batch and who computed them."""
        return self.run(lambda engine: engine.classify(batch))

    def embed(self, batch: Sequence[Query]) -> tuple[Floats, Engine]:
        """Embeddings of the batch and who computed them."""
        return self.run(lambda engine: engine.embed(batch))

    def _usable(self) -> list[int]:
        now = self._clock()
        awake = [n for n, until in enumerate(self._resting_until) if until <= now]
        # When all rest, waiting helps nobody: try them all the same.
        return awake or list(range(len(self._rungs)))
