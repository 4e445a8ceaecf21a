"""Checks who signed a platform's request: on the raw bytes, in constant time, before parsing."""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from bot.errors import RequestError

MAX_AGE_S = 300


def check_token(given: str | None, expected: str, field: str) -> None:
    """Raise RequestError (401) unless a header carries the secret that both sides know."""
    if not same(given, expected):
        raise unsigned(field, "the secret token is missing or wrong")


def check_hub_signature(raw: bytes, header: str | None, secret: str) -> None:
    """Raise RequestError (401) unless Meta's `X-Hub-Signature-256` is that of the body."""
    if not same(header, "sha256=" + _hmac(secret, raw)):
        raise unsigned("X-Hub-Signature-256", "the signature is missing or not of this body")


def check_slack_signature(
    raw: bytes, signature: str | None, timestamp: str | None, *, secret: str, now: datetime
) -> None:
    """Raise RequestError (401) unless Slack's `X-Slack-Signature` fits, and is fresh."""
    moment = check_timestamp(timestamp, now, "X-Slack-Request-Timestamp")
    if not same(signature, slack_signature(raw, moment, secret)):
        raise unsigned("X-Slack-Signature", "the signature is missing or not of this body")


def slack_signature(raw: bytes, timestamp: str, secret: str) -> str:
    """Slack's signature, version 0: `v0=` and HMAC-SHA256 of `v0:timestamp:body`."""
    return "v0=" + _hmac(secret, b"v0:" + timestamp.encode() + b":" + raw)


def check_kefu_signature(
    raw: bytes,
    signature: str | None,
    timestamp: str | None,
    *,
    secrets: Iterable[str],
    now: datetime,
) -> None:
    """Raise RequestError (401) unless one of the secrets made `Kefu-Signature`, and recently."""
    moment = check_timestamp(timestamp, now, "Kefu-Timestamp")
    # Every secret is tried, whichever fits: the time taken tells nothing.
    fits = [same(signature, kefu_signature(raw, moment, secret)) for secret in secrets]
    if not any(fits):
        raise unsigned("Kefu-Signature", "the signature is missing or not of this body")


def kefu_signature(raw: bytes, timestamp: str, secret: str) -> str:
    """The generic webhook's signature: `v1=` and HMAC-SHA256 of `timestamp.body`."""
    return "v1=" + _hmac(secret, timestamp.encode() + b"." + raw)


def check_timestamp(given: str | None, now: datetime, field: str) -> str:
    """The timestamp as it was sent; raises RequestError (401) when it is five minutes off."""
    if given is None or not (given.isascii() and given.isdigit() and len(given) <= 12):
        raise unsigned(field, "the timestamp is missing or not in whole seconds since 1970")
    if abs(now.timestamp() - int(given)) > MAX_AGE_S:
        raise unsigned(field, f"the timestamp is more than {MAX_AGE_S} seconds off")
    return given


def check_challenge(given: str | None, expected: str, field: str) -> None:
    """Raise RequestError (403) unless a platform's set-up request knows our token."""
    if not same(given, expected):
        raise RequestError(
            403,
            field,
            "the token is missing or wrong",
            "give the platform the token of the settings",
        )


def same(given: str | None, expected: str) -> bool:
    """Whether both are the same text, found out in a time that does not depend on where they
    differ; an empty secret fits nothing."""
    if not given or not expected:
        return False
    # aiohttp keeps a header's odd bytes as surrogates; compare_digest takes bytes of any kind.
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


def unsigned(field: str, message: str) -> RequestError:
    """The refusal of a request that nobody we know has signed."""
    return RequestError(
        401,
        field,
        message,
        "sign the body as it is sent, with the secret of the settings, now",
        audit="forged_signature",
    )


def _hmac(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
