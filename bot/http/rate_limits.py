"""How often one client, customer or channel may ask: token buckets in bounded memory."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from bot.errors import RequestError
from bot.settings import Settings

# Per kind of bucket; a forgotten key starts full again.
MOST_KEYS = 50_000


class Buckets:
    """One bucket a key: it holds a minute's worth and refills evenly.

    Full buckets are as good as unknown ones, so the least recently used are forgotten first.
    """

    def __init__(
        self, per_min: int, *, clock: Callable[[], float], most_keys: int = MOST_KEYS
    ) -> None:
        self._per_min = per_min
        self._clock = clock
        self._most_keys = most_keys
        # key -> tokens left, at which moment
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, key: str) -> float:
        """Take one token: 0, or the seconds until there is one."""
        now_s = self._clock()
        tokens, at_s = self._left.pop(key, (float(self._per_min), now_s))
        tokens = min(self._per_min, tokens + (now_s - at_s) * self._per_min / 60)
        taken = tokens >= 1
        self._left[key] = (tokens - 1 if taken else tokens, now_s)
        if len(self._left) > self._most_keys:
            self._left.popitem(last=False)
        return 0.0 if taken else (1 - tokens) * 60 / self._per_min

    def give_back(self, key: str) -> None:
        """Undo one `take`."""
        if key in self._left:
            tokens, at_s = self._left[key]
            self._left[key] = (min(self._per_min, tokens + 1), at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How many a minute, by what is counted."""

    api: int
    open: int
    upload: int
    customer: int
    channel: int
    refused: int
    sign_in: int = 20

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return cls(
            api=settings.rate_api_per_min,
            open=settings.rate_open_per_min,
            upload=settings.rate_upload_per_min,
            customer=settings.rate_customer_per_min,
            channel=settings.rate_channel_per_min,
            refused=settings.rate_refused_per_min,
            sign_in=settings.rate_sign_in_per_min,
        )


class RateLimits:
    """The limits of this gateway; each method takes one token or raises RequestError (429)."""

    def __init__(self, rates: Rates, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = Buckets(rates.api, clock=clock)
        self._open = Buckets(rates.open, clock=clock)
        self._upload = Buckets(rates.upload, clock=clock)
        self._customer = Buckets(rates.customer, clock=clock)
        self._channel = Buckets(rates.channel, clock=clock)
        self._refused = Buckets(rates.refused, clock=clock)
        self._sign_in = Buckets(rates.sign_in, clock=clock)

    def request(self, network: str) -> None:
        """A request to the API from a network."""
        _take(self._api, network, "address", "too many requests come from this address")

    def opening(self, network: str) -> None:
        """A conversation started from a network."""
        _take(self._open, network, "address", "too many conversations start from this address")

    def upload(self, network: str) -> None:
        """A file sent from a network."""
        _take(self._upload, network, "address", "too many files come from this address")

    def customer(self, channel: str, account: str) -> None:
        """A message or another change by a customer, whose address has been proved."""
        key = f"{channel} {account}"
        _take(self._customer, key, "conversation", "too many requests come from this customer")

    def message(self, channel: str) -> None:
        """A message on a channel, whoever wrote it."""
        _take(self._channel, channel, "channel", f"too many messages come from {channel}")

    def refusal(self, network: str) -> None:
        """A forged signature or token from a network."""
        _take(self._refused, network, "address", "too many forged requests from this address")

    def sign_in(self, network: str) -> None:
        """A password sent from a network, to the console."""
        _take(self._sign_in, network, "address", "too many wrong passwords from this address")

    def signed_in(self, network: str) -> None:
        """It was right, and does not count."""
        self._sign_in.give_back(network)


def _take(buckets: Buckets, key: str, field: str, message: str) -> None:
    wait_s = buckets.take(key)
    if wait_s:
        raise RequestError(
            429,
            field,
            message,
            "send it again after the seconds in Retry-After",
            retry_after_s=max(1, math.ceil(wait_s)),
            audit="rate_limited",
        )
