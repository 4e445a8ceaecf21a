"""Messages that wait for the customer's next one: when it comes, they go first, at once."""

from functools import partial

from bot.log import undelivered
from bot.log.journal import Journal
from bot.world import World

_MAX_HELD = 50_000


class Held:
    """Whose messages a platform's quota holds back; kept in memory, the outbox tries anyway."""

    def __init__(self, journal: Journal, channel: str, world: World) -> None:
        self._journal = journal
        self._channel = channel
        self._world = world
        self._accounts: set[str] = set()

    def hold(self, account: str) -> None:
        """The platform takes nothing more for this customer for now."""
        if len(self._accounts) < _MAX_HELD:
            self._accounts.add(account)

    async def release(self, account: str) -> None:
        """The customer wrote: what waits is due now. Raises StorageError."""
        if account not in self._accounts:
            return
        await self._journal.write(
            partial(
                undelivered.hurry, channel=self._channel, account=account, now=self._world.now()
            )
        )
        self._accounts.discard(account)
        self._journal.on_outbox()
