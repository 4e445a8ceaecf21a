"""An order as a value, and the order number and address as customers write them."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

_SIX_DIGITS = r"(\d(?:[\s\-]?\d){5})"
_WITH_PREFIX = re.compile(rf"\bhp[\s\-#:.]*{_SIX_DIGITS}(?![\s\-]?\d)", re.IGNORECASE)
_BARE = re.compile(rf"(?<![\d])(?<!\d[\s\-]){_SIX_DIGITS}(?![\s\-]?\d)")
_EMAIL = re.compile(r"[^\s@<>()\",;:]+@[^\s@<>()\",;:]+\.[^\s@<>()\",;:.]{2,}")
_WORD = re.compile(r"[^\W\d_]{2,}")
MIN_ADDRESS, MAX_ADDRESS = 10, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of an order."""

    name: str
    quantity: int
    unit_price_pence: int
    kind: str = ""  # furniture, personalised, candle, food, gift_card, gas, or ordinary


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of the shop."""

    number: str
    email: str
    customer_name: str
    status: str
    placed_at: datetime
    promised_on: date | None
    delivered_on: date | None
    carrier: str
    tracking: str | None
    method: str
    address: str
    country: str
    items: tuple[Item, ...]


def normalised_number(text: str) -> str | None:
    """HP-482913 from "hp482913", "#482913", "it's 482 913 I think"; None without six digits.

    Longer numbers (a telephone number, a card) hold no order number.
    """
    plain = unicodedata.normalize("NFKC", text)
    found = _WITH_PREFIX.search(plain) or _BARE.search(plain)
    return "HP-" + re.sub(r"\D", "", found[1]) if found else None


def email_in(text: str) -> str | None:
    """The first e-mail address of a text, in lower case."""
    found = _EMAIL.search(text)
    return found[0].strip(".'").casefold() if found else None


def same_email(first: str, second: str) -> bool:
    """Whether two addresses are one; nobody remembers how they capitalised it."""
    return first.strip().casefold() == second.strip().casefold()


def plausible_address(text: str) -> str | None:
    """The address tidied to one line, or None of what a parcel could not be sent to."""
    tidy = " ".join(unicodedata.normalize("NFC", text).split()).strip(" ,.")
    if not MIN_ADDRESS <= len(tidy) <= MAX_ADDRESS or "?" in tidy or email_in(tidy):
        return None
    # A street and a town, and a house number or postcode.
    has_words = len(_WORD.findall(tidy)) >= 2
    return tidy if has_words and any(sign.isdigit() for sign in tidy) else None


def items_from_json(items: list[dict[str, Any]]) -> tuple[Item, ...]:
    """The lines of an order as the database holds them."""
    return tuple(
        Item(
            name=str(item["name"]),
            quantity=int(item["quantity"]),
            unit_price_pence=int(item["unit_price_pence"]),
            kind=str(item.get("kind", "")),
        )
        for item in items
    )
