"""Groups what was not understood when somebody asks for it, beside everything else."""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Literal

from bot.errors import KefuError
from bot.learning.unknowns import Refreshed, UnknownTerms, refresh
from bot.log.journal import Journal
from bot.log.review_ranking import CannotEmbed, Embedding
from bot.world import World

logger = logging.getLogger(__name__)

# In a gateway: so many hold its interpreter for a fifth of a second.
MOST = 3_000
State = Literal["idle", "running", "done", "away", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What became of it: `away` where the understanding service did not answer."""

    state: State = "idle"
    found: Refreshed | None = None


class UnknownJob:
    """One at a time in this process; what another one finds takes the place of it."""

    def __init__(
        self,
        journal: Journal,
        embedding: Embedding,
        world: World,
        terms: UnknownTerms | None = None,
    ) -> None:
        self._journal = journal
        self._embedding = embedding
        self._world = world
        self._terms = terms or replace(UnknownTerms(), most=MOST)
        self._task: asyncio.Task[None] | None = None
        self.progress = Progress()

    def begin(self) -> bool:
        """Begin to group; False while it is being done."""
        if self._task is not None and not self._task.done():
            return False
        self.progress = Progress(state="running")
        self._task = asyncio.create_task(self._run())
        return True

    async def close(self) -> None:
        """Stop what goes on; the groups stay as they are."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            found = await refresh(self._journal, self._embedding, self._world, self._terms)
            self.progress = Progress(state="done", found=found)
        except CannotEmbed:
            self.progress = Progress(state="away")
        except (KefuError, TimeoutError) as error:
            logger.warning("unknown messages not grouped", extra={"reason": str(error)})
            self.progress = Progress(state="failed")
        except Exception:
            logger.exception("unknown messages not grouped")
            self.progress = Progress(state="failed")
