"""Shows how far a training is: a bar on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
_EVERY_S = 10.0


class Progress:
    """Writes to standard error; nothing when quiet."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet

    def say(self, line: str) -> None:
        """One line of news."""
        if not self._quiet:
            tqdm.write(line, file=self._stream)
            self._stream.flush()

    def steps(self, items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
        """The items, shown as they pass."""
        if not self._quiet and self._stream.isatty():
            yield from tqdm(items, total=total, desc=what, file=self._stream, leave=False)
            return
        said = time.monotonic()
        for number, item in enumerate(items, 1):
            yield item
            if time.monotonic() - said >= _EVERY_S:
                said = time.monotonic()
                self.say(f"{what}: {number} of {total} batches")
