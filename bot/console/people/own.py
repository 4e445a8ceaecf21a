"""What is one's own: the password, open sessions, language and colours."""

from functools import partial

from aiohttp import web
from sqlalchemy import Connection

from bot import agents
from bot.console import cookies
from bot.console.passwords import MAX_CHARS, MIN_CHARS, check_new
from bot.console.people.browsers import browser_name
from bot.console.visit import Visit
from bot.console.words import LOCALES
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.http.client_address import network_of
from bot.log import audit, sessions

THEMES = ("light", "dark")


class Own:
    """The routes at /password and /preferences."""

    def __init__(self, gateway: Gateway) -> None:
        self._guard = gateway.guard
        self._journal = gateway.journal
        self._sessions = gateway.sessions
        self._world = gateway.world

    async def show(self, visit: Visit) -> web.Response:
        """The forms, and where one is signed in."""
        return await self._page(visit)

    async def change(self, visit: Visit) -> web.Response:
        """Another password; every session but a new one for this browser ends."""
        try:
            hashed = await self._checked(visit)
        except RequestError as error:
            if error.status == 429:
                raise
            return await self._page(visit, error)
        agent_id, now = visit.agent.id, self._world.now()

        def unit(connection: Connection) -> None:
            agents.set_password(
                connection, id_=agent_id, password_hash=hashed, must_change=False, now=now
            )
            self._note(connection, visit, "password_changed")

        await self._journal.write(unit)
        client = self._guard.admission.client(visit.request)
        browser = visit.request.headers.get("User-Agent", "")
        _, cookie = await self._sessions.open_for(agent_id, client, browser)
        path = "/inbox" if visit.session.must_change_password else "/password"
        response = visit.redirect(path, notice="people.password_changed")
        https = (self._guard.origins.own(visit.request) or "").startswith("https:")
        cookies.set_cookie(response, cookie, https=https, max_age_s=self._sessions.max_age_s)
        return response

    async def end_one(self, visit: Visit) -> web.Response:
        """Sign one of one's own browsers out."""
        ended = await self._journal.write(
            partial(self._end_one, visit=visit, id_=visit.param("session_id"))
        )
        if not ended:
            raise RequestError(404, "session", "it is over, or not yours", "reload the page")
        return visit.redirect("/password", notice="people.sessions_ended")

    async def end_others(self, visit: Visit) -> web.Response:
        """Sign all of one's own browsers out but this."""

        def unit(connection: Connection) -> None:
            sessions.end_all(connection, agent_id=visit.agent.id, but=visit.session.id)
            self._note(connection, visit, "sessions_ended")

        await self._journal.write(unit)
        return visit.redirect("/password", notice="people.sessions_ended")

    async def prefer(self, visit: Visit) -> web.Response:
        """Language and colours; empty: as the browser asks."""
        locale, theme = await visit.field("locale"), await visit.field("theme")
        for field, value, known in (("locale", locale, LOCALES), ("theme", theme, THEMES)):
            if value and value not in known:
                raise RequestError(
                    400, field, "there is no such choice", f"send one of {', '.join(known)}"
                )
        await self._journal.write(
            partial(
                agents.set_preferences,
                id_=visit.agent.id,
                locale=locale or None,
                theme=theme or None,
            )
        )
        return visit.redirect("/password", notice="people.preferences_kept")

    async def _page(self, visit: Visit, error: RequestError | None = None) -> web.Response:
        rows = await self._journal.browse(
            partial(
                sessions.open_of,
                agent_id=visit.agent.id,
                now=self._world.now(),
                terms=self._sessions.terms,
            )
        )
        return visit.page(
            "people/password.html",
            status=200 if error is None else error.status,
            error=error,
            sessions=rows,
            browser_name=browser_name,
            own=visit.session,
            min_chars=MIN_CHARS,
            max_chars=MAX_CHARS,
            locales=LOCALES,
            themes=THEMES,
        )

    async def _checked(self, visit: Visit) -> str:
        """The hash of the new password of the form; raises RequestError."""
        form = await visit.form()
        old, new, again = (
            value if isinstance(value := form.get(name, ""), str) else ""
            for name in ("current", "new", "again")
        )
        passwords = self._sessions.passwords
        kept = await self._journal.browse(partial(agents.password_hash_of, id_=visit.agent.id))
        # Who has to choose one has just typed the password that they were given.
        if not visit.session.must_change_password:
            network = network_of(self._guard.admission.client(visit.request))
            self._guard.limits.sign_in(network)
            if not await passwords.verify(kept, old):
                raise RequestError(400, "current", "it is not your password", "type it again")
            self._guard.limits.signed_in(network)
        new = check_new(new, visit.agent.name)
        if again != form.get("new", ""):
            raise RequestError(400, "again", "it differs from the new password", "type both again")
        if await passwords.verify(kept, new):
            raise RequestError(400, "new", "it is the one you have", "choose another one")
        return await passwords.hash(new)

    def _end_one(self, connection: Connection, visit: Visit, id_: str) -> bool:
        if not sessions.end_one(connection, agent_id=visit.agent.id, id_=id_):
            return False
        self._note(connection, visit, "sessions_ended")
        return True

    def _note(self, connection: Connection, visit: Visit, action: str) -> None:
        audit.note(
            connection,
            id_=self._world.new_id(),
            who=(visit.agent.id, action, visit.agent.id),
            detail=None,
            now=self._world.now(),
        )
