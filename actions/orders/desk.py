"""The order desk: finds orders and carries out operations, each once a message."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from actions.clock import Clock, shop_time
from actions.database import Database, as_utc
from actions.orders import wording
from actions.orders.order import Order, items_from_json
from actions.orders.rules import can_change, return_refusal
from actions.tables import OrderOperation, ShopOrder

_ORDER = ShopOrder.__table__
_OPERATION = OrderOperation.__table__
_BY_NUMBER = select(_ORDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an operation came to, in the words for the customer."""

    done: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an operation is to do to an order's row (nothing if refused), and the outcome."""

    changes: dict[str, Any]
    outcome: Outcome


class OrderDesk:
    """The shop's orders, by number."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.clock = clock

    async def find(self, number: str) -> Order | None:
        """The order with this number (HP-482913)."""
        return await self._database.read(lambda c: read_order(c, number))

    async def cancel(self, number: str, key: str) -> Outcome:
        """Cancels it, if it is not packed yet."""
        return await self._operate("cancel", number, key, _cancel)

    async def change_address(self, number: str, key: str, address: str) -> Outcome:
        """Sends it elsewhere, if it is not packed yet."""
        return await self._operate(
            "change_address", number, key, lambda order, _: _change_address(order, address)
        )

    async def register_return(self, number: str, key: str, reason: str) -> Outcome:
        """Registers a return, if the rules allow one."""
        return await self._operate(
            "return", number, key, lambda order, now: _return(order, now, reason)
        )

    async def _operate(
        self, operation: str, number: str, key: str, decide: Callable[[Order, datetime], Decision]
    ) -> Outcome:
        now = self.clock()
        key = f"{number} {key}"  # one message may only ever speak of one order, but be sure

        def work(connection: Connection) -> Outcome:
            # The lock on the row (on SQLite: on the database) puts two deliveries of one message
            # in a row; the second then finds what the first came to.
            order = read_order(connection, number, for_update=True)
            earlier = connection.execute(
                select(_OPERATION.c.result).where(
                    _OPERATION.c.operation == operation, _OPERATION.c.key == key
                )
            ).scalar()
            if earlier is not None:
                return Outcome(done=earlier["done"], text=earlier["text"])
            if order is None:
                return Outcome(done=False, text=f"I can't find an order {number}.")
            decision = decide(order, now)
            if decision.changes:
                connection.execute(
                    update(ShopOrder)
                    .where(ShopOrder.order_number == number)
                    .values(**decision.changes)
                )
            connection.execute(
                insert(OrderOperation).values(
                    order_number=number,
                    operation=operation,
                    key=key,
                    result=asdict(decision.outcome),
                    created_at=now,
                )
            )
            return decision.outcome

        return await self._database.write(work)


def read_order(connection: Connection, number: str, *, for_update: bool = False) -> Order | None:
    """The order with this number, locked until the transaction ends if it is to be changed."""
    query = _BY_NUMBER.where(_ORDER.c.order_number == number)
    row = connection.execute(query.with_for_update() if for_update else query).first()
    return _from_row(row) if row is not None else None


def _from_row(row: Row[Any]) -> Order:
    return Order(
        number=row.order_number,
        email=row.email,
        customer_name=row.customer_name,
        status=row.status,
        placed_at=as_utc(row.placed_at),
        promised_on=row.promised_on,
        delivered_on=row.delivered_on,
        carrier=row.carrier,
        tracking=row.tracking,
        method=row.method,
        address=row.address,
        country=row.country,
        items=items_from_json(row.items),
    )


def _cancel(order: Order, now: datetime) -> Decision:
    if not can_change(order):
        return _refused(wording.cannot_cancel(order))
    return _done({"status": "cancelled"}, wording.cancelled(order))


def _change_address(order: Order, address: str) -> Decision:
    if not can_change(order):
        return _refused(wording.cannot_change_address(order))
    return _done({"address": address}, wording.address_changed(order, address))


def _return(order: Order, now: datetime, reason: str) -> Decision:
    refusal = return_refusal(order, shop_time(now).date())
    if refusal is not None:
        return _refused(wording.cannot_return(order, refusal))
    return _done({"status": "return_registered"}, wording.return_registered(order, reason))


def _done(changes: dict[str, Any], text: str) -> Decision:
    return Decision(changes=changes, outcome=Outcome(done=True, text=text))


def _refused(text: str) -> Decision:
    return Decision(changes={}, outcome=Outcome(done=False, text=text))
