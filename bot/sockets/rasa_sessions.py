"""Session ids of Rasa's widgets: signed by us, and those of a logged-in customer hers alone."""

import hashlib
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.errors import RequestError
from bot.http.admission import Admission
from bot.http.client_address import is_local, network_of
from bot.identity import Identity
from bot.world import World

_CUSTOMER = "customer-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session: its signed id, and the account whose conversation it opens."""

    id: str
    account: str


class RasaSessions:
    """Opens sessions."""

    def __init__(self, identity: Identity, admission: Admission, world: World) -> None:
        self._identity = identity
        self._admission = admission
        self._world = world

    def customer_of(self, auth: Any) -> str | None:
        """The customer whom the JWT in `auth.token` proves; None for an anonymous one.

        Raises RequestError (401) for a JWT that proves nothing, or where one is required.
        """
        token = auth.get("token") if isinstance(auth, dict) else None
        has_key = self._identity.secret is not None or self._identity.public_key is not None
        if not isinstance(token, str) or not has_key:
            return self._identity.customer_of({})
        return self._identity.customer_of({"identity": {"jwt": token.removeprefix("Bearer ")}})

    def base_url(self, request: web.Request) -> str:
        """The gateway's address as the page knows it."""
        return self._admission.origins.own(request) or ""

    def open(self, named: str | None, customer_id: str | None) -> Session:
        """The session that `named` is, where the connection may have it; else a new one.

        A logged-in customer has one session, and nobody else can have it.
        """
        account = None if named is None else self._account_of(named)
        if customer_id is not None:
            digest = hashlib.sha256(customer_id.encode("utf-8", "replace")).hexdigest()
            own = _CUSTOMER + digest
            if named is not None and account == own:
                return Session(id=named, account=own)
            return Session(id=self._admission.tokens.issue(own), account=own)
        if named is not None and account is not None and not account.startswith(_CUSTOMER):
            return Session(id=named, account=account)
        account = self._world.new_id()
        return Session(id=self._admission.tokens.issue(account), account=account)

    def count(self, request: web.Request, session: Session, *, opens: bool) -> None:
        """Count a message, and the conversation that it `opens`; raises RequestError (429) beyond
        the rates."""
        admission = self._admission
        if is_local(request) and not admission.limit_loopback:
            return
        if opens:
            admission.limits.opening(network_of(admission.client(request)))
        admission.limits.customer("socketio", session.account)
        admission.limits.message("socketio")

    def _account_of(self, session_id: str) -> str | None:
        account = session_id.partition(".")[0]
        try:
            self._admission.tokens.check(f"Bearer {session_id}", account)
        except RequestError:
            return None
        return account
