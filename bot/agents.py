"""The people who take conversations over: who they are, by a token that is kept as a hash only."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from bot.errors import RequestError
from bot.log.journal import Journal
from bot.log.tables import agent as _agent

# agent: takes conversations; reviewer: reads them; administrator: also releases those of others.
Role = Literal["agent", "reviewer", "administrator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Who acts."""

    id: str
    name: str
    role: Role

    @property
    def may_take(self) -> bool:
        """Whether they talk to customers, and do not only read."""
        return self.role != "reviewer"


class Agents:
    """Tells an agent by the token of a request."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def identify(self, token: str) -> Agent | None:
        """The agent of a token; None when there is none, or no longer."""
        if not token:
            return None
        return await self._journal.read(partial(find, token_hash=hash_token(token)))

    async def authenticate(self, header: str | None) -> Agent:
        """The bearer of an Authorization header; raises RequestError (401)."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise RequestError(
                401,
                "Authorization",
                "no bearer token was sent",
                "send 'Authorization: Bearer TOKEN' with the token of `kefu agent add`",
            )
        agent = await self.identify(token.strip())
        if agent is None:
            raise RequestError(
                401,
                "Authorization",
                "the token is no agent's, or no longer",
                "ask an administrator for a new one (`kefu agent add`)",
                audit="unknown_agent_token",
            )
        return agent


def hash_token(token: str) -> str:
    """What is kept of a token. It is random and long, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def find(connection: Connection, *, token_hash: str) -> Agent | None:
    """The agent with this token."""
    row = connection.execute(
        select(_agent.c.id, _agent.c.name, _agent.c.role).where(
            _agent.c.token_hash == token_hash, _agent.c.disabled_at.is_(None)
        )
    ).one_or_none()
    return None if row is None else Agent(id=row.id, name=row.name, role=row.role)


def add(
    connection: Connection, *, id_: str, name: str, role: Role, now: datetime
) -> tuple[Agent, str] | None:
    """A new agent, or a removed one of this name again, and the token; None when the name is taken.

    The token is in nobody's hands but the caller's.
    """
    token = secrets.token_urlsafe(32)
    values: dict[str, Any] = {"role": role, "token_hash": hash_token(token), "disabled_at": None}
    earlier = connection.execute(
        select(_agent.c.id, _agent.c.disabled_at, _agent.c.token_hash).where(_agent.c.name == name)
    ).one_or_none()
    if earlier is None:
        connection.execute(insert(_agent), {"id": id_, "name": name, "created_at": now, **values})
        return Agent(id=id_, name=name, role=role), token
    if earlier.disabled_at is None and earlier.token_hash is not None:
        return None
    connection.execute(update(_agent).where(_agent.c.id == earlier.id).values(**values))
    return Agent(id=earlier.id, name=name, role=role), token


def remove(connection: Connection, *, name: str, now: datetime) -> bool:
    """Take an agent's access away; what they wrote keeps their name. False when there is none."""
    removed = connection.execute(
        update(_agent)
        .where(_agent.c.name == name, _agent.c.disabled_at.is_(None))
        .values(disabled_at=now, token_hash=None)
    )
    return bool(removed.rowcount)


def everyone(connection: Connection) -> list[dict[str, Any]]:
    """All agents that have access, by name."""
    rows = connection.execute(
        select(_agent.c.id, _agent.c.name, _agent.c.role, _agent.c.created_at)
        .where(_agent.c.disabled_at.is_(None))
        .order_by(_agent.c.name)
    )
    return [dict(row) for row in rows.mappings()]
