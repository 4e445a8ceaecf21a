"""Orders: what customers write, the shop's rules, seeding, and operations that happen once."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from actions.clock import working_days_after
from actions.database import Database
from actions.errors import DataFileError
from actions.orders.desk import OrderDesk
from actions.orders.order import (
    Item,
    Order,
    email_in,
    normalised_number,
    plausible_address,
    same_email,
)
from actions.orders.rules import can_change, lateness, return_deadline, return_refusal
from actions.orders.seed import move_seed_orders, read_seed_orders, seed_orders
from actions.orders.wording import tracking
from actions.tables import OrderOperation, ShopOrder

NOW = datetime(2026, 6, 17, 10, 30, tzinfo=UTC)
TODAY = NOW.date()
ORDERS = Path(__file__).parents[3] / "data" / "orders.csv"

ORDER = Order(
    number="HP-100200",
    email="a@b.example",
    customer_name="A B",
    status="dispatched",
    placed_at=NOW - timedelta(days=6),
    promised_on=TODAY,
    delivered_on=None,
    carrier="DPD",
    tracking="155",
    method="standard",
    address="1 Road, Town",
    country="United Kingdom",
    items=(Item(name="Mug", quantity=1, unit_price_pence=900),),
)


@pytest.mark.parametrize(
    "text",
    [
        "HP-482913",
        "hp482913",
        "HP 482 913",
        "it's #482913 I think",
        "order 482913, please",
        "48-29-13",
        "HP-482913.",
        "４８２９１３",
        "on 3 June I ordered hp-482913",
    ],
)
def test_an_order_number_is_found_as_customers_write_it(text: str) -> None:
    assert normalised_number(text) == "HP-482913"


@pytest.mark.parametrize(
    "text",
    ["", "no idea", "HP-48291", "07700 900 123", "4111 1111 1111 1111", "HP-4829134", "12 345 67"],
)
def test_other_numbers_are_no_order_number(text: str) -> None:
    assert normalised_number(text) is None


@given(st.text())
def test_any_text_can_be_looked_through(text: str) -> None:
    number = normalised_number(text)
    assert number is None or len(number) == 9
    email_in(text)
    plausible_address(text)


@given(st.integers(0, 999_999), st.sampled_from(["HP-", "hp", "#", "order ", ""]))
def test_every_order_number_is_recognised(number: int, prefix: str) -> None:
    assert normalised_number(f"{prefix}{number:06d}") == f"HP-{number:06d}"


def test_an_email_is_taken_out_of_a_sentence() -> None:
    assert email_in("it's Jo@Mail.Example, thanks") == "jo@mail.example"
    assert email_in("jo at mail") is None
    assert same_email("Jo@Mail.Example ", "jo@mail.example")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("  12 Quay Street,  Bristol BS1 4DJ. ", True),
        ("Gartenstraße 14, 50678 Köln", True),
        ("Bristol", False),
        ("my mother's house please", False),
        ("1234567890123", False),
        ("what is the address of 12 Quay Street?", False),
        ("send it to jo@mail.example 12 x street", False),
        ("1 Road " * 100, False),
    ],
)
def test_an_address_needs_street_number_and_town(text: str, good: bool) -> None:
    assert (plausible_address(text) is not None) is good


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (date(2026, 6, 12), date(2026, 6, 12), 0),
        (date(2026, 6, 12), date(2026, 6, 14), 0),  # Friday to Sunday
        (date(2026, 6, 12), date(2026, 6, 15), 1),
        (date(2026, 6, 12), date(2026, 6, 26), 10),
        (date(2026, 6, 15), date(2026, 6, 12), 0),
    ],
)
def test_working_days(start: date, end: date, days: int) -> None:
    assert working_days_after(start, end) == days


@pytest.mark.parametrize(
    ("days_over", "state"),
    [(0, "on_time"), (1, "on_time"), (2, "late"), (13, "late"), (14, "lost")],
)
def test_a_parcel_is_late_after_two_working_days_and_lost_after_ten(
    days_over: int, state: str
) -> None:
    order = replace(ORDER, promised_on=date(2026, 6, 3))  # a Wednesday
    assert lateness(order, date(2026, 6, 3) + timedelta(days=days_over)) == state


def test_only_an_order_that_is_not_packed_can_be_changed() -> None:
    changeable = [
        s
        for s in ("placed", "payment_held", "packed", "dispatched", "delivered", "cancelled")
        if can_change(replace(ORDER, status=s))
    ]
    assert changeable == ["placed", "payment_held"]


def test_returns_end_after_thirty_days_or_at_the_end_of_january() -> None:
    delivered = replace(ORDER, status="delivered", delivered_on=TODAY - timedelta(days=30))
    assert return_refusal(delivered, TODAY) is None
    assert return_refusal(delivered, TODAY + timedelta(days=1)) == "too_late"
    present = replace(
        delivered,
        placed_at=datetime(2026, 11, 3, 12, tzinfo=UTC),
        delivered_on=date(2026, 11, 6),
    )
    assert return_deadline(present) == date(2027, 1, 31)


def test_what_was_made_to_order_stays() -> None:
    engraved = Item(name="Board", quantity=1, unit_price_pence=4500, kind="personalised")
    order = replace(ORDER, status="delivered", delivered_on=TODAY, items=(engraved,))
    assert return_refusal(order, TODAY) == "not_returnable"
    mixed = replace(order, items=(engraved, *ORDER.items))
    assert return_refusal(mixed, TODAY) is None


def test_every_seed_order_can_be_told_about() -> None:
    rows = read_seed_orders(ORDERS, NOW)
    assert len(rows) >= 60
    assert len({row["order_number"] for row in rows}) == len(rows)
    assert all(normalised_number(row["order_number"]) == row["order_number"] for row in rows)
    assert len({row["status"] for row in rows}) >= 9


async def test_every_status_has_words_of_its_own(desk: OrderDesk, database: Database) -> None:
    numbers = database.reading(
        lambda c: (
            c.execute(select(func.min(ShopOrder.order_number)).group_by(ShopOrder.status))
            .scalars()
            .all()
        )
    )
    told = {tracking(await desk.find(number), TODAY).replace(number, "") for number in numbers}
    assert len(told) == len(numbers)


def test_seeding_fills_only_an_empty_table(database: Database) -> None:
    first = database.writing(lambda c: seed_orders(c, ORDERS, NOW))
    again = database.writing(lambda c: seed_orders(c, ORDERS, NOW))
    assert (first > 0, again) == (True, 0)


async def test_seed_orders_move_with_the_calendar(desk: OrderDesk, database: Database) -> None:
    before = await desk.find("HP-482913")
    moved = database.writing(lambda c: move_seed_orders(c, NOW + timedelta(days=30)))
    after = await desk.find("HP-482913")
    assert moved > 0
    assert after.promised_on - before.promised_on == timedelta(days=30)
    assert after.placed_at - before.placed_at == timedelta(days=30)
    assert database.writing(lambda c: move_seed_orders(c, NOW + timedelta(days=30))) == 0


def test_a_broken_seed_file_is_named_with_its_line(tmp_path: Path) -> None:
    lines = ORDERS.read_text().splitlines()
    file = tmp_path / "orders.csv"
    file.write_text("\n".join([lines[0], lines[1].replace("dispatched,-13", "dispatched,soon")]))
    with pytest.raises(DataFileError, match=r"orders.csv:2"):
        read_seed_orders(file, NOW)


async def test_an_order_is_cancelled_once_for_one_message(
    desk: OrderDesk, database: Database
) -> None:
    first = await desk.cancel("HP-310277", "c-1:m-1")
    retried = await desk.cancel("HP-310277", "c-1:m-1")
    later = await desk.cancel("HP-310277", "c-1:m-2")
    assert first.done
    assert retried == first
    assert not later.done
    assert "already" in later.text
    count = database.reading(lambda c: c.execute(select(func.count(OrderOperation.id))).scalar())
    assert count == 2


async def test_a_packed_order_is_neither_cancelled_nor_redirected(desk: OrderDesk) -> None:
    cancelled = await desk.cancel("HP-118540", "k")
    moved = await desk.change_address("HP-118540", "k", "1 New Road, Bath")
    assert (cancelled.done, moved.done) == (False, False)
    order = await desk.find("HP-118540")
    assert (order.status, order.address.startswith("Flat 3")) == ("packed", True)


async def test_an_address_is_changed_before_packing(desk: OrderDesk) -> None:
    outcome = await desk.change_address("HP-763428", "k", "1 New Road, Bath BA1 1AA")
    assert outcome.done
    assert (await desk.find("HP-763428")).address == "1 New Road, Bath BA1 1AA"


async def test_a_return_says_what_is_left_out_and_what_it_costs(desk: OrderDesk) -> None:
    furniture = await desk.register_return("HP-937714", "k", "too big")
    faulty = await desk.register_return("HP-204418", "k", "the zip broke")
    mixed = await desk.register_return("HP-572310", "k", "wrong colour")
    assert "£20" in furniture.text
    assert "photo" in faulty.text
    assert "Not included" in mixed.text
    assert (await desk.find("HP-204418")).status == "return_registered"
