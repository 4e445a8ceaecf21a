"""A customer to an administrator: found, looked at, given what is held, erased."""

from functools import partial
from typing import Any, cast, get_args

from aiohttp import web
from sqlalchemy import Connection

from bot.console.visit import Visit
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.log import customers, erasures, exports, exposure, holdings
from bot.log.customers import Customer, Scope
from bot.log.exports import Export
from bot.privacy import access
from bot.privacy.eraser import Wish

MOST_FOUND = 50
MOST_SHOWN = 100
MAX_REASON = 300


class CustomerPages:
    """/privacy/customers/{conversation_id}: of the customer whose conversation it is."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def find(self, visit: Visit) -> web.StreamResponse:
        """Conversations by what was typed: a customer's id, an account, a conversation's id."""
        text = await visit.field("text")
        if not text:
            raise RequestError(400, "text", "nothing was typed", "type an id or an account")
        found = await self._gateway.journal.browse(
            partial(customers.find, text=text, most=MOST_FOUND)
        )
        return visit.page("privacy/found.html", text=text, found=found, most=MOST_FOUND)

    async def show(self, visit: Visit) -> web.StreamResponse:
        """What would go, and the form that makes it go."""
        customer = await self._customer(visit)
        ids = customer.conversations

        def read(connection: Connection) -> dict[str, Any]:
            return {
                "conversations": customers.describe(connection, ids=ids[:MOST_SHOWN]),
                "counts": holdings.count(connection, ids=ids),
                "trained_on": exposure.versions_of(connection, ids),
                "exports": exports.touching(connection, ids=ids),
                "requests": erasures.of_target(
                    connection, target_hash=self._gateway.eraser.hash_of(customer)
                ),
            }

        held = await self._gateway.journal.browse(read)
        return visit.page(
            "privacy/customer.html",
            customer=customer,
            conversation_id=visit.param("conversation_id"),
            max_reason=MAX_REASON,
            **held,
        )

    async def export(self, visit: Visit) -> web.StreamResponse:
        """All that is held, as a ZIP; the register keeps that it was given."""
        customer = await self._customer(visit)
        world, journal = self._gateway.world, self._gateway.journal
        now = world.now()
        content = await journal.browse(partial(access.gather, customer=customer, now=now))
        record = Export(
            id=world.new_id(),
            kind="customer",
            format="zip",
            actor=visit.agent.name,
            made_at=now,
            count=len(customer.conversations),
            conversations=customer.conversations,
        )
        await journal.write(lambda connection: exports.record(connection, record))
        return web.Response(
            body=content,
            content_type="application/zip",
            headers={"Content-Disposition": 'attachment; filename="customer.zip"'},
        )

    async def erase(self, visit: Visit) -> web.StreamResponse:
        """Begin the erasure, if the id was typed as it is."""
        customer = await self._customer(visit)
        if await visit.field("confirm") != customer.name:
            raise RequestError(
                422,
                "confirm",
                "this is not the id of the customer shown",
                "go back and type the id exactly as it is shown",
            )
        reason = (await visit.field("reason"))[:MAX_REASON]
        request_id = await self._gateway.eraser.request(
            Wish(
                customer=customer,
                actor=visit.agent.name,
                reason=self._gateway.redact(reason) or None,
            )
        )
        return visit.redirect(f"/privacy/requests/{request_id}")

    async def _customer(self, visit: Visit) -> Customer:
        scope = visit.query.get("scope", "customer")
        if scope not in get_args(Scope):
            raise RequestError(400, "scope", "there is no such scope", "follow a link of the page")
        found = await self._gateway.journal.browse(
            partial(
                customers.of_conversation,
                conversation_id=visit.param("conversation_id"),
                scope=cast(Scope, scope),
            )
        )
        if found is None:
            raise RequestError(
                404,
                "conversation_id",
                "there is no such conversation (any more)",
                "search for the customer again",
            )
        return found
