"""The shop's rules: what may be done with an order, and how a parcel is doing."""

from datetime import date, timedelta

from actions.clock import shop_time, working_days_after
from actions.orders.order import Item, Order

PACKABLE = frozenset({"placed", "payment_held"})  # can still be changed
UNDERWAY = frozenset({"dispatched", "out_for_delivery"})
RETURN_DAYS = 30
LATE_AFTER, LOST_AFTER = 2, 10  # working days after the promised day
NEVER_RETURNED = frozenset({"personalised", "gift_card", "gas"})
ONLY_UNOPENED = frozenset({"candle", "food"})


def can_change(order: Order) -> bool:
    """Whether it can be cancelled or sent elsewhere: until it is packed."""
    return order.status in PACKABLE


def lateness(order: Order, today: date) -> str:
    """on_time, late (2 working days over) or lost (10), for a parcel that is on its way."""
    if order.status not in UNDERWAY or order.promised_on is None:
        return "on_time"
    over = working_days_after(order.promised_on, today)
    if over >= LOST_AFTER:
        return "lost"
    return "late" if over >= LATE_AFTER else "on_time"


def return_deadline(order: Order) -> date | None:
    """The last day to return it; what was bought from 1 Nov to 24 Dec has until 31 January."""
    if order.delivered_on is None:
        return None
    deadline = order.delivered_on + timedelta(days=RETURN_DAYS)
    bought = shop_time(order.placed_at).date()
    if date(bought.year, 11, 1) <= bought <= date(bought.year, 12, 24):
        deadline = max(deadline, date(bought.year + 1, 1, 31))
    return deadline


def returnable(order: Order) -> tuple[Item, ...]:
    """The lines that may come back, opened or not decided here."""
    return tuple(item for item in order.items if item.kind not in NEVER_RETURNED)


def return_refusal(order: Order, today: date) -> str | None:
    """Why it cannot be returned, as a word, or None if it can."""
    if order.status in ("return_registered", "refunded", "cancelled"):
        return order.status
    if order.status != "delivered":
        return "not_delivered"
    deadline = return_deadline(order)
    if deadline is not None and today > deadline:
        return "too_late"
    return None if returnable(order) else "not_returnable"
