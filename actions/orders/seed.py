"""Seed orders: read from CSV with days relative to today, and moved on with the calendar."""

import csv
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from actions.clock import shop_time
from actions.database import as_utc
from actions.errors import DataFileError
from actions.tables import ShopOrder

_COLUMNS = (
    "order_number",
    "email",
    "customer_name",
    "status",
    "placed",
    "promised",
    "delivered",
    "carrier",
    "tracking",
    "method",
    "address",
    "country",
    "items",
)


def read_seed_orders(path: Path, now: datetime) -> list[dict[str, Any]]:
    """The rows for `shop_order`; days in the file count from today.

    Items are `name * quantity @ price #kind`, parted by semicolons.
    """
    today = shop_time(now).date()
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise DataFileError(path, f"columns missing: {', '.join(missing)}")
        for row in reader:
            try:
                rows.append(_order(row, now, today))
            except (ValueError, AttributeError) as error:
                raise DataFileError(path, f"cannot read: {error}", line=reader.line_num) from None
    return rows


def seed_orders(connection: Connection, path: Path, now: datetime) -> int:
    """Fills an empty `shop_order` from the file; returns how many orders were written."""
    present = connection.execute(select(func.count()).select_from(ShopOrder)).scalar()
    if present or not path.exists():
        return 0
    rows = read_seed_orders(path, now)
    connection.execute(insert(ShopOrder), rows)
    return len(rows)


def move_seed_orders(connection: Connection, now: datetime) -> int:
    """Moves the dates of seed orders to today, so a demo of last month still shows today's news.

    Orders that a shop wrote itself have no `seeded_on` and are left alone.
    """
    today = shop_time(now).date()
    table = ShopOrder.__table__
    old = connection.execute(
        select(table).where(table.c.seeded_on.is_not(None), table.c.seeded_on != today)
    ).all()
    for row in old:
        by = today - row.seeded_on
        connection.execute(
            update(ShopOrder)
            .where(ShopOrder.order_number == row.order_number)
            .values(
                placed_at=as_utc(row.placed_at) + by,
                promised_on=row.promised_on and row.promised_on + by,
                delivered_on=row.delivered_on and row.delivered_on + by,
                seeded_on=today,
            )
        )
    return len(old)


def _order(row: dict[str, str], now: datetime, today: date) -> dict[str, Any]:
    def day(column: str) -> date | None:
        return today + timedelta(days=int(row[column])) if row[column].strip() else None

    return {
        "order_number": row["order_number"],
        "email": row["email"],
        "customer_name": row["customer_name"],
        "status": row["status"],
        "placed_at": now + timedelta(days=float(row["placed"])),
        "promised_on": day("promised"),
        "delivered_on": day("delivered"),
        "carrier": row["carrier"],
        "tracking": row["tracking"] or None,
        "method": row["method"],
        "address": row["address"],
        "country": row["country"],
        "items": [_item(text) for text in row["items"].split(";")],
        "seeded_on": today,
    }


def _item(text: str) -> dict[str, Any]:
    described, _, kind = text.partition("#")
    name, _, amount = described.rpartition("*")
    quantity, _, price = amount.partition("@")
    return {
        "name": name.strip(),
        "quantity": int(quantity),
        "unit_price_pence": round(float(price) * 100),
        "kind": kind.strip(),
    }
