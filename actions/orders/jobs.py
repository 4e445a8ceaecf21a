"""The actions at the end of the four forms: track, cancel, return, change the address."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.clock import shop_time
from actions.handoff import People, hand_off, offer_withdrawn
from actions.orders import wording
from actions.orders.desk import OrderDesk, Outcome
from actions.orders.forms import BAD_TRIES
from actions.orders.order import Order, same_email
from actions.orders.rules import can_change, lateness, return_refusal
from actions.sympathy import with_acknowledgement
from actions.turn import Turn, read_turn

ORDER_SLOTS = (
    "order_number",
    "email",
    "cancel_confirmed",
    "return_reason",
    "return_confirmed",
    "new_address",
    "address_confirmed",
)
_INCOMPLETE = "I don't have all I need for that, so nothing has been changed."


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a form's action does with the customer's own order."""

    name: str
    work: Callable[[Turn, Order], Awaitable[Outcome]]
    # Why a person has to go on, or None
    needs_person: Callable[[Order], bool] = lambda order: False


class OrderAction(Action):  # type: ignore[misc]
    """Does a job for the order that a form has established."""

    def __init__(self, job: Job, desk: OrderDesk, people: People) -> None:
        self._job = job
        self._desk = desk
        self._people = people

    def name(self) -> str:
        """The name in Rasa's domain."""
        return self._job.name

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Says what came of it; brings in a person when the form failed."""
        turn = read_turn(tracker)
        order = await self._own_order(turn)
        if order is None:
            if turn.failures >= BAD_TRIES:
                return hand_off(dispatcher, turn, self._people, "repeated_failure")
            dispatcher.utter_message(text=_INCOMPLETE)
            return offer_withdrawn(turn)
        outcome = await self._job.work(turn, order)
        text = with_acknowledgement(turn, outcome.text)
        if self._job.needs_person(order):
            return hand_off(dispatcher, turn, self._people, "business_rule", first=text)
        dispatcher.utter_message(text=text)
        return [*offer_withdrawn(turn), SlotSet("failures", 0)]

    async def _own_order(self, turn: Turn) -> Order | None:
        """The order, if number and e-mail belong together (again checked: slots can be set)."""
        number, email = turn.slot_text("order_number"), turn.slot_text("email")
        if number is None or email is None:
            return None
        order = await self._desk.find(number)
        return order if order is not None and same_email(order.email, email) else None


class ResetOrderSlots(Action):  # type: ignore[misc]
    """Forgets the order, so that the next job asks which one it is about."""

    def name(self) -> str:
        """The name in Rasa's domain."""
        return "action_reset_order_slots"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[EventType]:
        """Empties the slots of the forms that are set."""
        return [SlotSet(name, None) for name in ORDER_SLOTS if tracker.slots.get(name) is not None]


def order_actions(desk: OrderDesk, people: People) -> list[Action]:
    """The four jobs and the reset."""

    def is_lost(order: Order) -> bool:
        return lateness(order, shop_time(desk.clock()).date()) == "lost"

    async def track(turn: Turn, order: Order) -> Outcome:
        return Outcome(done=True, text=wording.tracking(order, shop_time(desk.clock()).date()))

    async def cancel(turn: Turn, order: Order) -> Outcome:
        if turn.slots.get("cancel_confirmed") is not True and can_change(order):
            return Outcome(done=False, text=wording.kept(order.number))
        return await desk.cancel(order.number, turn.key)

    async def give_back(turn: Turn, order: Order) -> Outcome:
        refusal = return_refusal(order, shop_time(desk.clock()).date())
        if turn.slots.get("return_confirmed") is not True and refusal is None:
            return Outcome(done=False, text=wording.kept(order.number))
        reason = turn.slot_text("return_reason") or ""
        return await desk.register_return(order.number, turn.key, reason)

    async def change_address(turn: Turn, order: Order) -> Outcome:
        address = turn.slot_text("new_address")
        if can_change(order) and (turn.slots.get("address_confirmed") is not True or not address):
            return Outcome(done=False, text=wording.kept(order.number))
        return await desk.change_address(order.number, turn.key, address or "")

    jobs = (
        Job(name="action_track_order", work=track, needs_person=is_lost),
        Job(name="action_cancel_order", work=cancel),
        Job(name="action_return_order", work=give_back),
        Job(name="action_change_address", work=change_address),
    )
    return [*(OrderAction(job, desk, people) for job in jobs), ResetOrderSlots()]
