"""Whether the gateway is up, and whether it can do its job."""

from aiohttp import web

from bot.errors import StorageError
from bot.intake import Intake
from bot.log.journal import Journal
from bot.turns import Dialogue


class Health:
    """GET /healthz and GET /readyz."""

    def __init__(self, journal: Journal, intake: Intake, dialogue: Dialogue) -> None:
        self._journal = journal
        self._intake = intake
        self._dialogue = dialogue

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the routes into an application's router."""
        router.add_get("/healthz", self.up)
        router.add_get("/readyz", self.ready)

    async def up(self, request: web.Request) -> web.Response:
        """The process answers."""
        return web.json_response({"status": "up"})

    async def ready(self, request: web.Request) -> web.Response:
        """200 when a message would be kept and answered, else 503 with the reason."""
        reason = await self._reason()
        if reason is None:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "reason": reason}, status=503)

    async def _reason(self) -> str | None:
        if self._intake.closed:
            return "the gateway is going down"
        if not self._journal.alive:
            return "the log is not being written"
        try:
            await self._journal.check()
        except (StorageError, TimeoutError) as error:
            return str(error)
        return await self._dialogue.ready()
