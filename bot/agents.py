"""The people who work here, and their tokens, passwords and roles; of secrets only hashes."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, insert, select, update

from bot.errors import RequestError
from bot.log import sessions
from bot.log.journal import Journal
from bot.log.tables import agent as _agent

# agent: takes conversations; reviewer: reads them; administrator: also releases those of others.
Role = Literal["agent", "reviewer", "administrator"]
MAX_NAME_CHARS = 80


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who acts for longer than one request, and how to look again whether they still may."""

    agent: Agent
    identify: Callable[[], Awaitable[Agent | None]]


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
    return _one(connection, _agent.c.token_hash == token_hash)


def add(
    connection: Connection,
    *,
    id_: str,
    name: str,
    role: Role,
    now: datetime,
    password_hash: str | None = None,
) -> tuple[Agent, str] | None:
    """A new agent, or a removed one of this name again, and the token; None when the name is taken.

    The token is in nobody's hands but the caller's. A password given here is for once: it must be
    changed at the first sign-in.
    """
    token = secrets.token_urlsafe(32)
    values: dict[str, Any] = {
        "role": role,
        "token_hash": hash_token(token),
        "disabled_at": None,
        **_password(password_hash, must_change=True, now=now),
    }
    earlier = connection.execute(
        select(
            _agent.c.id, _agent.c.disabled_at, _agent.c.token_hash, _agent.c.password_hash
        ).where(_agent.c.name == name)
    ).one_or_none()
    if earlier is None:
        connection.execute(insert(_agent), {"id": id_, "name": name, "created_at": now, **values})
        return Agent(id=id_, name=name, role=role), token
    if earlier.disabled_at is None and (earlier.token_hash or earlier.password_hash) is not None:
        return None
    connection.execute(update(_agent).where(_agent.c.id == earlier.id).values(**values))
    return Agent(id=earlier.id, name=name, role=role), token


def remove(connection: Connection, *, name: str, now: datetime) -> bool:
    """Take an agent's access away; what they wrote keeps their name. False when there is none."""
    found = named(connection, name=name)
    if found is None:
        return False
    connection.execute(
        update(_agent)
        .where(_agent.c.id == found.id)
        .values(disabled_at=now, token_hash=None, **_password(None, must_change=False, now=None))
    )
    sessions.end_all(connection, agent_id=found.id)
    return True


def named(connection: Connection, *, name: str) -> Agent | None:
    """The agent of this name who has access."""
    return _one(connection, _agent.c.name == name)


def by_id(connection: Connection, *, id_: str) -> Agent | None:
    """The agent of this id who has access."""
    return _one(connection, _agent.c.id == id_)


def set_password(
    connection: Connection, *, id_: str, password_hash: str, must_change: bool, now: datetime
) -> None:
    """Give an agent another password; it ends the pause after wrong ones, and all sessions.

    One that must be changed came from somebody else: no network is known to be the agent's then.
    """
    values = _password(password_hash, must_change=must_change, now=now)
    if not must_change:
        del values["known_networks"]
    connection.execute(update(_agent).where(_agent.c.id == id_).values(**values))
    sessions.end_all(connection, agent_id=id_)


def password_hash_of(connection: Connection, *, id_: str) -> str | None:
    """What is kept of an agent's password."""
    return connection.execute(
        select(_agent.c.password_hash).where(_agent.c.id == id_, _agent.c.disabled_at.is_(None))
    ).scalar_one_or_none()


def set_preferences(
    connection: Connection, *, id_: str, locale: str | None, theme: str | None
) -> None:
    """How an agent sees the console; None: as the browser asks."""
    connection.execute(update(_agent).where(_agent.c.id == id_).values(locale=locale, theme=theme))


def set_role(connection: Connection, *, id_: str, role: Role) -> None:
    """Give an agent another role, which holds from the next request on."""
    connection.execute(update(_agent).where(_agent.c.id == id_).values(role=role))


def new_token(connection: Connection, *, id_: str) -> str:
    """A new token for the agents' API in place of the one before."""
    token = secrets.token_urlsafe(32)
    connection.execute(
        update(_agent).where(_agent.c.id == id_).values(token_hash=hash_token(token))
    )
    return token


def revoke_token(connection: Connection, *, id_: str) -> None:
    """Take an agent's token away; the console stays open to them."""
    connection.execute(update(_agent).where(_agent.c.id == id_).values(token_hash=None))


def is_last_administrator(connection: Connection, *, id_: str) -> bool:
    """Whether nobody else could administrate; holds off changes that would make it so meanwhile."""
    administrators = connection.execute(
        select(_agent.c.id)
        .where(
            _agent.c.role == "administrator",
            _agent.c.disabled_at.is_(None),
            _agent.c.password_hash.is_not(None),
        )
        .order_by(_agent.c.id)
        .with_for_update()
    ).scalars()
    return list(administrators) == [id_]


def clean_name(name: str) -> str | None:
    """A name as customers may read it; None for what is none."""
    name = " ".join(name.split())
    return name if name and len(name) <= MAX_NAME_CHARS and name.isprintable() else None


def everyone(connection: Connection) -> list[dict[str, Any]]:
    """All agents that have access, by name."""
    rows = connection.execute(
        select(_agent.c.id, _agent.c.name, _agent.c.role, _agent.c.created_at)
        .where(_agent.c.disabled_at.is_(None))
        .order_by(_agent.c.name)
    )
    return [dict(row) for row in rows.mappings()]


def _one(connection: Connection, which: ColumnElement[bool]) -> Agent | None:
    row = connection.execute(
        select(_agent.c.id, _agent.c.name, _agent.c.role).where(
            which, _agent.c.disabled_at.is_(None)
        )
    ).one_or_none()
    return None if row is None else Agent(id=row.id, name=row.name, role=row.role)


def _password(
    password_hash: str | None, *, must_change: bool, now: datetime | None
) -> dict[str, Any]:
    return {
        "password_hash": password_hash,
        "password_changed_at": now if password_hash is not None else None,
        "must_change_password": must_change and password_hash is not None,
        "failed_sign_ins": 0,
        "locked_until": None,
        "known_networks": None,
    }
