"""What administrators do about learning: runs begun and stopped, versions tried and taken back."""

import re
from functools import partial

from aiohttp import web

from bot.console.visit import Visit
from bot.errors import RequestError
from bot.learning.by_hand import ByHand
from bot.learning.release.releases import Releases
from bot.log import training_runs
from bot.log.journal import Journal

MOST_PERCENT = 50


class LearningActs:
    """Each leaves an audit row that names the run or the version."""

    def __init__(self, journal: Journal, releases: Releases, by_hand: ByHand) -> None:
        self._journal = journal
        self._releases = releases
        self._by_hand = by_hand

    async def run_now(self, visit: Visit) -> web.Response:
        """Have the loop run now."""
        run_id = await self._by_hand.ask()
        await self._journal.audit(visit.agent.id, "run_learning", run_id)
        return visit.redirect("/learning", notice="learning.run_begun")

    async def cancel(self, visit: Visit) -> web.Response:
        """Stop a run that is going on."""
        unit = partial(training_runs.ask_cancel, run_id=visit.param("run_id"), by=visit.agent.name)
        if not await self._journal.write(unit):
            raise RequestError(409, "run", "this run has ended", "reload the page")
        return visit.redirect("/learning", notice="learning.cancelling")

    async def start_canary(self, visit: Visit) -> web.Response:
        """Have a version answer a share of the conversations."""
        version, share = await visit.field("version"), await visit.field("share")
        if re.fullmatch("[1-9][0-9]?", share) is None or int(share) > MOST_PERCENT:
            raise RequestError(
                422, "share", "it is no share in percent", f"use 1 to {MOST_PERCENT}"
            )
        await self._releases.start_canary(version, share=int(share) / 100, actor=visit.agent.name)
        await self._journal.audit(visit.agent.id, "start_canary", version, {"percent": int(share)})
        return visit.redirect("/learning", notice="learning.canary_begun")

    async def promote_trial(self, visit: Visit) -> web.Response:
        """Have what is on trial answer everyone."""
        version = await self._releases.end(actor=visit.agent.name, keep="b")
        await self._journal.audit(visit.agent.id, "promote_model", version)
        return visit.redirect("/learning", notice="learning.promoted")

    async def end_trial(self, visit: Visit) -> web.Response:
        """Give all conversations to the version that serves."""
        version = await self._releases.end(actor=visit.agent.name)
        await self._journal.audit(visit.agent.id, "end_trial", version)
        return visit.redirect("/learning", notice="learning.trial_ended")

    async def roll_back(self, visit: Visit) -> web.Response:
        """Have the version before serve again."""
        reason = (await visit.field("reason"))[:200] or None
        version = await self._releases.roll_back(actor=visit.agent.name, reason=reason)
        await self._journal.audit(visit.agent.id, "roll_back_model", version)
        return visit.redirect("/learning", notice="learning.rolled_back")
