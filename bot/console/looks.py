"""Which looks at a transcript are new: following one that is on record is the same look."""

import time
from collections import OrderedDict
from collections.abc import Callable

# A page that is left open is on record again so often, when something is read on it.
SAME_LOOK_S = 900.0
_MOST = 10_000


class Looks:
    """Who has looked at what of late, in this process; another one puts a look on record again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def is_new(self, agent_id: str, conversation_id: str) -> bool:
        """Whether this look is to be put on record; it is then known."""
        now = self._clock()
        key = (agent_id, conversation_id)
        earlier = self._seen.get(key)
        if earlier is not None and now - earlier < SAME_LOOK_S:
            return False
        self._seen[key] = now
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)
        return True
