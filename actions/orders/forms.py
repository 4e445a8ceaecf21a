"""validate_<form>: checks what the forms have collected.

These are plain actions and not rasa-sdk's FormValidationAction: that one walks the domain at every
call, and with `selective_domain` there is none to walk. What they return is the same.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.clock import shop_time
from actions.orders.desk import OrderDesk
from actions.orders.order import (
    Order,
    email_in,
    normalised_number,
    plausible_address,
    same_email,
)
from actions.orders.rules import can_change, return_refusal

log = logging.getLogger(__name__)

BAD_TRIES = 3  # then a person is brought in
MAX_REASON = 300

Refusal = Callable[[Order], bool]


class FormCheck:
    """One validation: the slots as they become, and what was wrong with them."""

    def __init__(self, slots: dict[str, Any], candidates: dict[str, Any]) -> None:
        self.candidates = candidates
        self.known = {**slots, **candidates}
        self.results: dict[str, Any] = {}
        self.complaints: list[str] = []

    def accept(self, slot: str, value: Any) -> None:
        """Keeps a value, perhaps tidied."""
        self.known[slot] = self.results[slot] = value

    def reject(self, slot: str, complaint: str) -> None:
        """Empties the slot, so that the form asks again."""
        self.accept(slot, None)
        self.complaints.append(complaint)


class ValidateForm(Action):  # type: ignore[misc]
    """Checks the candidates for the slots of one form."""

    def __init__(self, form: str, desk: OrderDesk, futile: Refusal | None = None) -> None:
        self._form = form
        self._desk = desk
        self._futile = futile  # the rules forbid it anyway, so no more is to be asked
        self._checks: dict[str, Callable[[FormCheck], Awaitable[None]]] = {
            "order_number": self._order_number,
            "email": self._email,
            "new_address": self._new_address,
            "return_reason": self._return_reason,
        }

    def name(self) -> str:
        """The name in Rasa's domain."""
        return f"validate_{self._form}"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Slot events for every candidate; ends the form when it is futile to go on."""
        candidates = tracker.slots_to_validate()
        candidates.pop("requested_slot", None)
        check = FormCheck(tracker.slots, candidates)
        for slot, value in candidates.items():
            if slot not in self._checks:
                check.accept(slot, value)
        for slot, validate in self._checks.items():  # the number before the e-mail
            if candidates.get(slot) is not None:
                await validate(check)
        if check.complaints:
            return self._bad_try(check, tracker, dispatcher)
        if await self._is_futile(check):
            check.accept("requested_slot", None)
        return [SlotSet(slot, value) for slot, value in check.results.items()]

    def _bad_try(
        self, check: FormCheck, tracker: Tracker, dispatcher: CollectingDispatcher
    ) -> list[EventType]:
        dispatcher.utter_message(text=check.complaints[0])
        failures = int(tracker.slots.get("failures") or 0) + 1
        check.accept("failures", failures)
        if failures >= BAD_TRIES:
            check.accept("requested_slot", None)  # ends the form; its action brings in a person
        log.info("form_bad_try form=%s failures=%d", self._form, failures)
        return [SlotSet(slot, value) for slot, value in check.results.items()]

    async def _is_futile(self, check: FormCheck) -> bool:
        number, email = check.known.get("order_number"), check.known.get("email")
        just_now = "order_number" in check.results or "email" in check.results
        if self._futile is None or not (number and email and just_now):
            return False
        order = await self._desk.find(number)
        return order is not None and self._futile(order)

    async def _order_number(self, check: FormCheck) -> None:
        number = normalised_number(str(check.candidates["order_number"]))
        if number is None:
            check.reject(
                "order_number", "I couldn't find an order number in that: HP- and six digits."
            )
            return
        order = await self._desk.find(number)
        if order is None:
            check.reject("order_number", f"I can't find an order {number}.")
            return
        check.accept("order_number", number)
        email = check.known.get("email")
        if email and "email" not in check.candidates and not same_email(email, order.email):
            check.accept("email", None)  # of another order; the form asks for this one's

    async def _email(self, check: FormCheck) -> None:
        email = email_in(str(check.candidates["email"]))
        if email is None:
            check.reject("email", "That doesn't look like an e-mail address.")
            return
        number = check.known.get("order_number")
        order = await self._desk.find(number) if number else None
        if order is not None and not same_email(email, order.email):
            # Says only that the two don't belong together: nobody is to learn whose order it is.
            check.reject("email", "That e-mail address and that order don't belong together.")
            return
        check.accept("email", email)

    async def _new_address(self, check: FormCheck) -> None:
        address = plausible_address(str(check.candidates["new_address"]))
        if address is None:
            check.reject(
                "new_address", "I need a complete address, with street and number, town, postcode."
            )
        else:
            check.accept("new_address", address)

    async def _return_reason(self, check: FormCheck) -> None:
        reason = " ".join(str(check.candidates["return_reason"]).split())[:MAX_REASON]
        if len(reason) < 2 or reason.startswith("/"):
            check.reject("return_reason", "I didn't get the reason.")
        else:
            check.accept("return_reason", reason)


def form_validations(desk: OrderDesk) -> list[ValidateForm]:
    """The validation of each of the four forms."""

    def not_returnable(order: Order) -> bool:
        return return_refusal(order, shop_time(desk.clock()).date()) is not None

    def not_changeable(order: Order) -> bool:
        return not can_change(order)

    return [
        ValidateForm("track_order_form", desk),
        ValidateForm("cancel_order_form", desk, not_changeable),
        ValidateForm("return_order_form", desk, not_returnable),
        ValidateForm("change_address_form", desk, not_changeable),
    ]
