"""Administrators' pages of who works here: add, change, remove, and secrets shown once."""

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

from aiohttp import web
from sqlalchemy import Connection

from bot import agents
from bot.agents import Agent, Role
from bot.console.passwords import one_time
from bot.console.people.browsers import browser_name
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.log import audit, sessions, staff

ROLES: tuple[Role, ...] = get_args(Role)
Row = dict[str, Any]
# The change, under the row's own check; what it returns goes to the handler.
Change = Callable[[Connection, Agent], Any]


class Staff:
    """The routes below /people."""

    def __init__(self, gateway: Gateway) -> None:
        self._journal = gateway.journal
        self._sessions = gateway.sessions
        self._world = gateway.world

    async def list(self, visit: Visit) -> web.Response:
        """Everyone who has access."""
        return await self._listed(visit)

    async def add(self, visit: Visit) -> web.Response:
        """A new colleague, with a password that is shown this once."""
        raw, role = await visit.field("name"), await self._role(visit)
        name = agents.clean_name(raw)
        if name is None:
            error = RequestError(
                400, "name", "it is empty or not printable", "give the name that customers read"
            )
            return await self._listed(visit, error, raw)
        word = one_time()
        hashed = await self._sessions.passwords.hash(word)
        now, id_ = self._world.now(), self._world.new_id()

        def unit(connection: Connection) -> Agent | None:
            added = agents.add(
                connection, id_=id_, name=name, role=role, now=now, password_hash=hashed
            )
            if added is None:
                return None
            agents.revoke_token(connection, id_=added[0].id)
            self._note(connection, visit, "agent.add", added[0].id, {"role": role})
            return added[0]

        added = await self._journal.write(unit)
        if added is None:
            error = RequestError(
                409, "name", f"{name} has access already", "give another name, or open theirs"
            )
            return await self._listed(visit, error, raw)
        return visit.page("people/secret.html", person=added, kind="password", secret=word)

    async def show(self, visit: Visit) -> web.Response:
        """One person: role, ways in, open sessions."""
        id_ = visit.param("agent_id")
        person, rows = await self._journal.browse(
            lambda connection: (
                staff.one(connection, id_=id_, now=self._world.now(), terms=self._sessions.terms),
                sessions.open_of(
                    connection, agent_id=id_, now=self._world.now(), terms=self._sessions.terms
                ),
            )
        )
        if person is None:
            raise _nobody()
        return visit.page(
            "people/person.html",
            person=person,
            sessions=rows,
            browser_name=browser_name,
            roles=ROLES,
            now=self._world.now(),
            is_self=id_ == visit.agent.id,
        )

    async def set_role(self, visit: Visit) -> web.Response:
        """Another role, from the next request on."""
        role = await self._role(visit)

        def change(connection: Connection, person: Agent) -> Row:
            if role != "administrator":
                self._keep_one(connection, person)
            agents.set_role(connection, id_=person.id, role=role)
            return {"role": role, "before": person.role}

        await self._change(visit, "agent.role", change)
        if visit.param("agent_id") == visit.agent.id and role != "administrator":
            return visit.redirect("/password", notice="people.role_changed")
        return self._back(visit, "people.role_changed")

    async def reset_password(self, visit: Visit) -> web.Response:
        """A new password for once; the old one and all sessions end."""
        if visit.param("agent_id") == visit.agent.id:
            raise RequestError(
                409, "password", "this is your own", "change it under your name in the menu"
            )
        word = one_time()
        hashed = await self._sessions.passwords.hash(word)

        def change(connection: Connection, person: Agent) -> None:
            agents.set_password(
                connection,
                id_=person.id,
                password_hash=hashed,
                must_change=True,
                now=self._world.now(),
            )

        person = await self._change(visit, "agent.password", change)
        return visit.page("people/secret.html", person=person, kind="password", secret=word)

    async def issue_token(self, visit: Visit) -> web.Response:
        """A new token for the agents' API; the one before ends."""
        issued: list[str] = []

        def change(connection: Connection, person: Agent) -> None:
            issued[:] = [agents.new_token(connection, id_=person.id)]

        person = await self._change(visit, "agent.token", change)
        return visit.page("people/secret.html", person=person, kind="token", secret=issued[0])

    async def revoke_token(self, visit: Visit) -> web.Response:
        """No token any more."""
        await self._change(
            visit,
            "agent.token_revoked",
            lambda connection, person: agents.revoke_token(connection, id_=person.id),
        )
        return self._back(visit, "people.token_revoked")

    async def end_sessions(self, visit: Visit) -> web.Response:
        """Signed out everywhere; an administrator's own session stays."""

        def change(connection: Connection, person: Agent) -> Row:
            own = visit.session.id if person.id == visit.agent.id else None
            return {"sessions": sessions.end_all(connection, agent_id=person.id, but=own)}

        await self._change(visit, "agent.sessions_ended", change)
        return self._back(visit, "people.sessions_ended")

    async def remove(self, visit: Visit) -> web.Response:
        """No access any more; what they wrote keeps the name."""

        def change(connection: Connection, person: Agent) -> None:
            self._keep_one(connection, person)
            agents.remove(connection, name=person.name, now=self._world.now())

        await self._change(visit, "agent.remove", change)
        return visit.redirect("/people", notice="people.removed")

    async def _listed(
        self, visit: Visit, error: RequestError | None = None, name: str = ""
    ) -> web.Response:
        rows = await self._journal.browse(
            partial(staff.everyone, now=self._world.now(), terms=self._sessions.terms)
        )
        status = 200 if error is None else error.status
        context: Row = {"people": rows, "roles": ROLES, "error": error, "name": name}
        return visit.page("people/list.html", status=status, now=self._world.now(), **context)

    async def _change(self, visit: Visit, action: str, change: Change) -> Agent:
        """Do something to the person of the path, with its audit row; raises RequestError (404)."""
        id_ = visit.param("agent_id")

        def unit(connection: Connection) -> Agent | None:
            person = agents.by_id(connection, id_=id_)
            if person is None:
                return None
            self._note(connection, visit, action, id_, change(connection, person))
            return person

        person = await self._journal.write(unit)
        if person is None:
            raise _nobody()
        return person

    def _keep_one(self, connection: Connection, person: Agent) -> None:
        if agents.is_last_administrator(connection, id_=person.id):
            raise RequestError(
                409,
                "role",
                f"{person.name} is the last administrator",
                "make somebody else an administrator first",
            )

    def _note(
        self, connection: Connection, visit: Visit, action: str, target: str, detail: Row | None
    ) -> None:
        audit.note(
            connection,
            id_=self._world.new_id(),
            who=(visit.agent.id, action, target),
            detail=detail,
            now=self._world.now(),
        )

    def _back(self, visit: Visit, notice: str) -> web.Response:
        return visit.redirect(f"/people/{visit.param('agent_id')}", notice=notice)

    async def _role(self, visit: Visit) -> Role:
        sent = await visit.field("role")
        for role in ROLES:
            if sent == role:
                return role
        raise RequestError(400, "role", "there is no such role", f"send one of {', '.join(ROLES)}")


def _nobody() -> RequestError:
    return RequestError(404, "person", "nobody with access is there", "go back to the list")
