"""How long what is kept, and the register of what left the house."""

from functools import partial

from aiohttp import web

from bot.console.visit import Visit
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.log import exports, retention

MOST_EXPORTS = 200


class KeepingPages:
    """/privacy/retention and /privacy/exports."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def show(self, visit: Visit) -> web.StreamResponse:
        """The rules, and what the last run deleted."""
        return await self._page(visit)

    async def change(self, visit: Visit) -> web.StreamResponse:
        """Save the rules, or count what they would delete when that button was pressed."""
        days = await self._days(visit)
        if await visit.field("try"):
            return await self._page(
                visit, days=days, counts=await self._gateway.retention.count(days)
            )
        await self._gateway.retention.change(days, visit.agent.name)
        return visit.redirect("/privacy/retention", notice="privacy.rules_saved")

    async def run(self, visit: Visit) -> web.StreamResponse:
        """Apply the rules now."""
        removed = await self._gateway.retention.run(actor=visit.agent.id)
        if removed is None:
            raise RequestError(409, "run", "another run is going on", "wait until it is through")
        return visit.redirect("/privacy/retention", notice="privacy.rules_applied")

    async def exports(self, visit: Visit) -> web.StreamResponse:
        """The register."""
        found = await self._gateway.journal.browse(partial(exports.latest, most=MOST_EXPORTS))
        return visit.page("privacy/exports.html", exports=found, most=MOST_EXPORTS)

    async def _page(
        self,
        visit: Visit,
        *,
        days: dict[str, int] | None = None,
        counts: dict[str, int] | None = None,
    ) -> web.StreamResponse:
        rules = await self._gateway.journal.browse(retention.rules)
        return visit.page(
            "privacy/retention.html",
            rules=rules,
            days={kind: rule.days for kind, rule in rules.items()} | (days or {}),
            counts=counts,
            last=await self._gateway.journal.browse(retention.last_run),
            most=retention.MOST_DAYS,
        )

    async def _days(self, visit: Visit) -> dict[str, int]:
        found = {}
        for kind in retention.DEFAULTS:
            typed = await visit.field(kind)
            if not typed.isascii() or not typed.isdigit() or len(typed) > 6:
                raise RequestError(
                    400,
                    kind,
                    f"{typed[:20]!r} is not a number of days",
                    f"write 0 (for ever) to {retention.MOST_DAYS}",
                )
            found[kind] = int(typed)
        return found
