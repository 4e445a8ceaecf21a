"""Signing in to the console and staying so: new sessions, their rotation and their end.

Guessing is slowed down twice. Wrong passwords from a network use up its bucket, in each gateway;
wrong passwords for a name make the name pause, in the database and so in all gateways. The pause
does not hold for a network that the person has signed in from before: who guesses from elsewhere
makes nobody's own office wait, and a colleague in a new place waits a quarter of an hour at most
between tries, or asks an administrator for a new password, which ends the pause.
"""

import hashlib
import math
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from sqlalchemy import Connection

from bot.agents import Agent
from bot.console.passwords import Passwords
from bot.errors import RequestError
from bot.http.client_address import Address, network_of
from bot.http.guard import Guard
from bot.http.refusals import network_shown
from bot.log import audit
from bot.log import sessions as kept
from bot.log.journal import Journal
from bot.log.sessions import Terms
from bot.settings import Settings
from bot.world import World

_MAX_NAME_CHARS = 80
_MAX_COOKIE_CHARS = 128
_MAX_USER_AGENT_CHARS = 160
_MOST_STRANGERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is signed in."""

    id: str
    key_hash: str
    agent: Agent
    csrf: str
    locale: str | None
    theme: str | None
    must_change_password: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A session by its cookie; `cookie` is the new value to set after a rotation, else None."""

    session: Session
    cookie: str | None


class Sessions:
    """Who is signed in, for the console's pages and its socket."""

    def __init__(self, journal: Journal, guard: Guard, terms: Terms, world: World) -> None:
        self._journal = journal
        self._guard = guard
        self._world = world
        self._strangers = _Strangers()
        self.terms = terms
        self.passwords = Passwords()

    @classmethod
    def of(cls, settings: Settings, journal: Journal, guard: Guard, world: World) -> Self:
        """As the settings say."""
        terms = Terms(
            idle=timedelta(minutes=settings.console_idle_min),
            longest=timedelta(hours=settings.console_session_h),
        )
        return cls(journal, guard, terms, world)

    @property
    def max_age_s(self) -> int:
        """Seconds after which a browser may forget the cookie."""
        return int(self.terms.longest.total_seconds())

    async def sign_in(
        self, name: str, password: str, client: Address | None, user_agent: str
    ) -> tuple[Session, str]:
        """A new session and its cookie; raises RequestError (401, or 429 with Retry-After)."""
        name = " ".join(name.split())
        network = network_of(client)
        self._guard.limits.sign_in(network)
        seen_from = self._guard.tokens.hash_text(f"network {network}")
        begun = await self._begin_try(name, seen_from)
        if begun.pause_s:
            self._refuse(name, client)
            raise _paused(begun.pause_s)
        right = await self.passwords.verify(begun.password_hash, password)
        if begun.agent_id is None or not right:
            self._refuse(name, client)
            raise _wrong()
        renewed = await self._renewed(begun.password_hash, password)
        entry = kept.Entry(
            agent_id=begun.agent_id,
            password_hash=begun.password_hash,
            renewed_hash=renewed,
            network=seen_from,
        )
        opened = await self._open(begun.agent_id, client, user_agent, entry=entry)
        if opened is None:
            raise _wrong()
        self._guard.limits.signed_in(network)
        return opened

    async def open_for(
        self, agent_id: str, client: Address | None, user_agent: str
    ) -> tuple[Session, str]:
        """A new session of somebody who has proved who they are; raises RequestError (401)."""
        opened = await self._open(agent_id, client, user_agent)
        if opened is None:
            raise _wrong()
        return opened

    async def find(self, cookie: str | None, *, active: bool = True) -> Found | None:
        """The session of a cookie; None when there is none, or no longer.

        What the browser does by itself, such as a socket that connects again, is not `active`: it
        neither keeps a session alive nor rotates it.
        """
        if not cookie or len(cookie) > _MAX_COOKIE_CHARS or not cookie.isascii():
            return None
        now, key_hash = self._world.now(), _hash(cookie)
        row = await self._journal.read(
            partial(kept.find, key_hash=key_hash, now=now, terms=self.terms)
        )
        if row is None:
            return None
        values, fresh = self._due(row, key_hash, now) if active else ({}, None)
        if values:
            changed = await self._journal.write(
                partial(kept.change, id_=row["id"], key_hash=row["key_hash"], values=values)
            )
            # Of requests at the same time one changes the cookie.
            fresh = fresh if changed else None
        return Found(session=_session(row), cookie=fresh)

    async def still_open(self, id_: str) -> Session | None:
        """A session found before, whatever its cookie is by now; None when it is over."""
        row = await self._journal.read(
            partial(kept.find_by_id, id_=id_, now=self._world.now(), terms=self.terms)
        )
        return None if row is None else _session(row)

    async def sign_out(self, cookie: str | None) -> None:
        """End the session of a cookie."""
        if not cookie:
            return
        now, key_hash = self._world.now(), _hash(cookie)

        def unit(connection: Connection) -> bool:
            agent_id = kept.end(connection, key_hash=key_hash)
            if agent_id is None:
                return False
            self._note(connection, (agent_id, "sign_out", agent_id), None, now)
            return True

        await self._journal.write(unit)

    async def end_all(self, agent_id: str, *, but: str | None = None) -> int:
        """End all sessions of a person, but the one with the id `but`; returns how many."""
        return await self._journal.write(partial(kept.end_all, agent_id=agent_id, but=but))

    def close(self) -> None:
        """Let go of the threads that hash."""
        self.passwords.close()

    async def _begin_try(self, name: str, network: str) -> kept.Try:
        now = self._world.now()
        if not name or len(name) > _MAX_NAME_CHARS or not name.isprintable():
            return kept.Try(agent_id=None)
        begun = await self._journal.write(
            partial(kept.begin_try, name=name, network=network, now=now)
        )
        if begun.agent_id is None:
            # Nobody is to learn from a pause which names there are.
            return kept.Try(agent_id=None, pause_s=self._strangers.begin_try(name, now))
        return begun

    async def _renewed(self, old: str | None, password: str) -> str | None:
        """A new hash in place of one made with yesterday's parameters."""
        if old is None or not self.passwords.is_outdated(old):
            return None
        return await self.passwords.hash(password)

    async def _open(
        self,
        agent_id: str,
        client: Address | None,
        user_agent: str,
        *,
        entry: kept.Entry | None = None,
    ) -> tuple[Session, str] | None:
        now, cookie = self._world.now(), secrets.token_urlsafe(32)
        key_hash = _hash(cookie)
        row: dict[str, Any] = {
            "id": self._world.new_id(),
            "key_hash": key_hash,
            "previous_hash": None,
            "previous_until": None,
            "agent_id": agent_id,
            "csrf": secrets.token_urlsafe(32),
            "created_at": now,
            "seen_at": now,
            "rotated_at": now,
            "expires_at": now + self.terms.longest,
            "network": network_shown(client),
            "user_agent": _shorten(user_agent),
        }

        def unit(connection: Connection) -> dict[str, Any] | None:
            if entry is not None:
                if not kept.admit(connection, entry, now=now):
                    return None
                detail = {"network": row["network"]}
                self._note(connection, (agent_id, "sign_in", agent_id), detail, now)
            kept.forget(connection, now=now, idle=self.terms.idle)
            kept.open_session(connection, row)
            return kept.find(connection, key_hash=key_hash, now=now, terms=self.terms)

        found = await self._journal.write(unit)
        return None if found is None else (_session(found), cookie)

    def _due(
        self, row: dict[str, Any], key_hash: str, now: datetime
    ) -> tuple[dict[str, Any], str | None]:
        """What of a session this request changes, and the new cookie if it gets one."""
        values: dict[str, Any] = {}
        is_current = row["key_hash"] == key_hash
        if now - row["seen_at"] >= self.terms.seen_every:
            values["seen_at"] = now
        if is_current and row["previous_hash"] is not None and row["previous_until"] is None:
            # The new cookie has arrived: the old one passes a little longer and then no more.
            values["previous_until"] = now + kept.GRACE
        elif is_current and now - row["rotated_at"] >= self.terms.rotate_every:
            return self._rotated(values, key_hash, now)
        elif (
            not is_current
            and row["previous_until"] is None
            and now - row["rotated_at"] >= kept.GRACE
        ):
            # The new cookie never reached the browser: it gets another one.
            return self._rotated(values, key_hash, now)
        return values, None

    def _rotated(
        self, values: dict[str, Any], key_hash: str, now: datetime
    ) -> tuple[dict[str, Any], str]:
        cookie = secrets.token_urlsafe(32)
        changed = {
            "key_hash": _hash(cookie),
            "previous_hash": key_hash,
            "previous_until": None,
            "rotated_at": now,
            "seen_at": now,
        }
        return values | changed, cookie

    def _refuse(self, name: str, client: Address | None) -> None:
        # A name that was mistyped may be a password: only its keyed hash is kept.
        hashed = self._guard.tokens.hash_text(f"name {name}")[:16]
        self._guard.refusals.note("sign_in_refused", client, f"name {hashed}")

    def _note(
        self,
        connection: Connection,
        who: tuple[str, str, str],
        detail: dict[str, Any] | None,
        now: datetime,
    ) -> None:
        audit.note(connection, id_=self._world.new_id(), who=who, detail=detail, now=now)


class _Strangers:
    """Tries of names that nobody has, counted as those of real ones are."""

    def __init__(self) -> None:
        # name -> how many, until when it pauses
        self._tries: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def begin_try(self, name: str, now: datetime) -> float:
        failed, until = self._tries.pop(name, (0, now))
        if until > now:
            self._tries[name] = (failed, until)
            return (until - now).total_seconds()
        if now - until > kept.FORGIVEN_AFTER:
            failed = 0
        failed += 1
        self._tries[name] = (failed, now + timedelta(seconds=kept.pause_after(failed)))
        if len(self._tries) > _MOST_STRANGERS:
            self._tries.popitem(last=False)
        return 0.0


def _session(row: dict[str, Any]) -> Session:
    return Session(
        id=row["id"],
        key_hash=row["key_hash"],
        agent=Agent(id=row["agent_id"], name=row["name"], role=row["role"]),
        csrf=row["csrf"],
        locale=row["locale"],
        theme=row["theme"],
        must_change_password=row["must_change_password"],
    )


def _hash(cookie: str) -> str:
    # Random and long, so a plain hash cannot be guessed back.
    return hashlib.sha256(cookie.encode("utf-8", "replace")).hexdigest()


def _shorten(user_agent: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in user_agent)
    return printable[:_MAX_USER_AGENT_CHARS]


def _wrong() -> RequestError:
    return RequestError(
        401, "password", "name and password do not belong together", "check both and try again"
    )


def _paused(pause_s: float) -> RequestError:
    return RequestError(
        429,
        "name",
        "too many wrong passwords for this name",
        "try again after the seconds in Retry-After, or ask an administrator for a new password",
        retry_after_s=max(1, math.ceil(pause_s)),
    )
