"""What the bot says about an order."""

from datetime import date, timedelta

from actions.clock import spoken_date
from actions.orders.order import Item, Order
from actions.orders.rules import ONLY_UNOPENED, lateness, return_deadline, returnable

COLLECTION_DAYS = 10
_OUR_FAULT = ("broken", "broke", "damage", "faulty", "defect", "wrong", "crack", "smash", "missing")


def tracking(order: Order, today: date) -> str:
    """Where an order is, for each of its states."""
    told = {
        "payment_held": _payment_held,
        "placed": _placed,
        "packed": _packed,
        "dispatched": _underway,
        "out_for_delivery": _underway,
        "ready_to_collect": _ready_to_collect,
        "delivered": _delivered,
        "cancelled": _cancelled,
        "return_registered": _return_registered,
        "refunded": _refunded,
    }
    return told.get(order.status, _placed)(order, today)


def _payment_held(order: Order, today: date) -> str:
    return (
        f"Order {order.number} is on hold because the payment failed. We keep it for 24 hours: "
        "pay under account > Orders and it goes on its way."
    )


def _placed(order: Order, today: date) -> str:
    return f"Order {order.number} is in and waiting to be packed. {_promise(order, today)}".strip()


def _packed(order: Order, today: date) -> str:
    sentence = f"Order {order.number} is packed and waits for {order.carrier} to pick it up."
    return f"{sentence} {_promise(order, today)}".strip()


def _underway(order: Order, today: date) -> str:
    state = lateness(order, today)
    number = f" (tracking {order.tracking})" if order.tracking else ""
    if state == "lost":
        return (
            f"Order {order.number} should have been with you on {_day(order.promised_on)}, and "
            f"that is so long ago that we treat the parcel{number} as lost. I'm sorry. We send "
            "everything again or refund it, as you prefer; a colleague will arrange it."
        )
    if state == "late":
        return (
            f"Order {order.number} should have been with you on {_day(order.promised_on)}; it is "
            f"late, and I'm sorry about that. It is with {order.carrier}{number}. If it hasn't "
            "come 10 working days after that date we send it again or refund it."
        )
    if order.status == "out_for_delivery":
        sentence = f"Good news: order {order.number} is out for delivery today"
        return f"{sentence} with {order.carrier}{number}."
    sentence = f"Order {order.number} is on its way with {order.carrier}{number}."
    return f"{sentence} {_promise(order, today)}".strip()


def _ready_to_collect(order: Order, today: date) -> str:
    until = ""
    if order.promised_on is not None:
        until = f" until {spoken_date(order.promised_on + timedelta(days=COLLECTION_DAYS))}"
    return f"Order {order.number} is ready for you at {order.address}. It is kept there{until}."


def _delivered(order: Order, today: date) -> str:
    return (
        f"Order {order.number} was delivered on {_day(order.delivered_on)} to {order.address}. "
        "If it isn't there, look with the neighbours and in your safe place, then tell me that it "
        "says delivered but you don't have it."
    )


def _cancelled(order: Order, today: date) -> str:
    return f"Order {order.number} is cancelled, and nothing was charged."


def _return_registered(order: Order, today: date) -> str:
    return (
        f"A return is registered for order {order.number}. Once the parcel is at our warehouse, "
        "the refund takes up to 5 working days."
    )


def _refunded(order: Order, today: date) -> str:
    return (
        f"Order {order.number} came back to us and is refunded to the way you paid. Your bank may "
        "take 3 more days to show it."
    )


def _promise(order: Order, today: date) -> str:
    if order.promised_on is None or order.promised_on < today:
        return "It should reach you any day now."
    if order.promised_on == today:
        return "It should reach you today."
    return f"It should reach you by {spoken_date(order.promised_on)}."


def cancelled(order: Order) -> str:
    """After a cancellation."""
    return (
        f"Done: order {order.number} is cancelled. Nothing was charged; a reservation on your "
        "card drops off within 5 working days."
    )


def cannot_cancel(order: Order) -> str:
    """Why an order stays."""
    if order.status == "cancelled":
        return f"Order {order.number} is cancelled already."
    if order.status in ("return_registered", "refunded"):
        return f"Order {order.number} is being returned already, so there is nothing to cancel."
    if order.status in ("delivered", "ready_to_collect"):
        return (
            f"Order {order.number} has arrived, so it can't be cancelled any more. You can return "
            'it within 30 days of delivery: just write "return my order".'
        )
    return (
        f"Order {order.number} is packed already, so it can't be cancelled any more. You can "
        "refuse the parcel at the door, or return it free of charge within 30 days of delivery."
    )


def kept(order_number: str) -> str:
    """After "no" to a change."""
    return f"All right, order {order_number} stays as it is."


def address_changed(order: Order, address: str) -> str:
    """After a change of address."""
    return f"Done: order {order.number} goes to {address}."


def cannot_change_address(order: Order) -> str:
    """Why the address stays."""
    if order.status in ("cancelled", "delivered", "return_registered", "refunded"):
        state = order.status.replace("_", " ")
        return f"The address of order {order.number} can't be changed: it is {state} already."
    return (
        f"Order {order.number} is packed already, so its address can't be changed any more. You "
        "can refuse the parcel at the door and it comes back to us, or see what the link in the "
        f"dispatch e-mail lets you choose with {order.carrier}."
    )


def return_registered(order: Order, reason: str) -> str:
    """After a return was registered: what goes back, how, and what it costs."""
    items = returnable(order)
    lines = [f"Done: the return of order {order.number} is registered ({_names(items)})."]
    excluded = [item for item in order.items if item not in items]
    if excluded:
        lines.append(f"Not included, because it can't be returned: {_names(tuple(excluded))}.")
    if any(item.kind in ONLY_UNOPENED for item in items):
        lines.append("Candles and food must be unopened.")
    faulty = any(word in reason.casefold() for word in _OUR_FAULT)
    if any(item.kind == "furniture" for item in items):
        price = "free of charge, as it is our fault" if faulty else "for £20"
        lines.append(f"We collect furniture {price}; you get a mail with the days to choose from.")
    else:
        lines.append(
            "You get a free label and a QR code by e-mail; hand it in at any ParcelShop, unused "
            "and in the original packaging."
        )
    if faulty:
        lines.append("Please add a photo to that mail; we refund the delivery fee as well.")
    lines.append("The refund follows within 5 working days of its arrival at our warehouse.")
    return " ".join(lines)


def cannot_return(order: Order, refusal: str) -> str:
    """Why an order cannot be returned."""
    if refusal == "return_registered":
        return f"A return of order {order.number} is registered already; the label is in your mail."
    if refusal in ("refunded", "cancelled"):
        return f"Order {order.number} is {refusal} already, so there is nothing to return."
    if refusal == "not_delivered":
        return (
            f"Order {order.number} hasn't been delivered yet. You can return it from the day it "
            "arrives, or refuse the parcel at the door."
        )
    if refusal == "too_late":
        return (
            f"Order {order.number} could be returned until {_day(return_deadline(order))}, so I "
            "can't register a return any more. If something is broken, the guarantee may help: "
            "2 years on everything, longer on tents, backpacks and cast iron."
        )
    return (
        f"What is in order {order.number} can't be returned ({_names(order.items)}): personalised "
        "articles, gift cards and gas canisters are excluded."
    )


def _names(items: tuple[Item, ...]) -> str:
    return ", ".join(
        item.name if item.quantity == 1 else f"{item.quantity} x {item.name}" for item in items
    )


def _day(day: date | None) -> str:
    return spoken_date(day) if day is not None else "an unknown day"
