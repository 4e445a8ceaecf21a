"""Sends the parts of one message in order; a later try goes on where the one before stopped."""

from collections.abc import Awaitable, Callable, Sequence

Part = Callable[[], Awaitable[object]]
_MAX_REMEMBERED = 10_000


class Parts:
    """How far each message got whose sending broke off between two of its parts.

    Kept in memory: after a crash the parts that had been sent are sent again.
    """

    def __init__(self) -> None:
        self._sent: dict[str, int] = {}

    async def send(self, id_: str, parts: Sequence[Part]) -> None:
        """Send what has not been sent yet of message `id_`; the parts of an id never change."""
        sent = self._sent.pop(id_, 0)
        try:
            for part in parts[sent:]:
                await part()
                sent += 1
        finally:
            if 0 < sent < len(parts):
                if len(self._sent) >= _MAX_REMEMBERED:
                    # The one longest ago: dicts keep the order of entry.
                    del self._sent[next(iter(self._sent))]
                self._sent[id_] = sent
