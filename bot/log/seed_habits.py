"""How the made-up customers are: where and when they write, what they want, how they feel."""

import random
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

CHANNELS = {"api": 62, "whatsapp": 14, "wechat": 10, "telegram": 7, "messenger": 4, "slack": 3}
LOCALES = {"en": 66, "en-GB": 12, "de": 9, "fr": 6, "zh-CN": 3, None: 4}
# How often customers want what; what is not here, once.
INTENTS = {
    "track_order": 12,
    "ask_return_policy": 7,
    "ask_refund_status": 7,
    "ask_delivery_time": 7,
    "report_damaged": 5,
    "report_not_received": 5,
    "return_order": 4,
    "ask_exchange": 3,
    "ask_human": 3,
    "make_complaint": 3,
    "report_payment_problem": 3,
    "ask_price_match": 0.15,
    "ask_newsletter": 0.3,
}
# Said within a conversation about something, not what it is about.
BETWEEN = ("greet", "thank", "affirm", "deny", "inform", "goodbye", "insult")
CALM = {"neutral": 64, "confused": 12, "anxious": 9, "disappointed": 6, "happy": 6, "angry": 3}
UPSET = {"neutral": 36, "confused": 7, "anxious": 15, "disappointed": 23, "happy": 1, "angry": 18}
FURIOUS = {"neutral": 12, "disappointed": 26, "angry": 62}
PLEASED = {"neutral": 28, "happy": 70, "confused": 2}
FEELINGS = {
    **dict.fromkeys(("thank", "praise", "goodbye"), PLEASED),
    **dict.fromkeys(("make_complaint", "insult"), FURIOUS),
}
HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 13, 12, 12, 12, 12, 12, 13, 14, 14, 12, 8, 4, 2)
OUTCOMES = ("resolved", "resolved", "resolved", "unresolved", "callback")


def busy_hours(first: datetime, last: datetime) -> Iterator[datetime]:
    """The hours between two moments, each as often as much is going on in it."""
    hour = first.replace(minute=0, second=0, microsecond=0)
    while hour <= last:
        share = HOURS[hour.hour] * (0.6 if hour.weekday() >= 5 else 1)
        yield from (hour for _ in range(max(1, round(share))))
        hour += timedelta(hours=1)


def pick(draw: random.Random, weights: Mapping[T, float]) -> T:
    """One of the names, each as often as its weight says."""
    return draw.choices(list(weights), list(weights.values()))[0]
