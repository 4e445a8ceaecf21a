"""Signatures: the platforms' own examples, and that nothing but the signed bytes passes."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.signatures import (
    check_challenge,
    check_hub_signature,
    check_kefu_signature,
    check_slack_signature,
    check_token,
    kefu_signature,
    slack_signature,
)
from bot.errors import RequestError

# The worked example of https://docs.slack.dev/authentication/verifying-requests-from-slack
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_TIMESTAMP = "1531420618"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
    b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
    b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
    b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
# The worked example of
# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries, whose
# X-Hub-Signature-256 is the one that Meta sends.
HUB_SECRET = "It's a Secret to Everybody"
HUB_BODY = b"Hello, World!"
HUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

NOW_S = 1531420618


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def refused(check: Callable[[], object]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        check()
    return caught.value


def check_slack(
    body: bytes = SLACK_BODY,
    signature: str | None = SLACK_SIGNATURE,
    timestamp: str | None = SLACK_TIMESTAMP,
    now_s: float = NOW_S + 30,
) -> None:
    check_slack_signature(body, signature, timestamp, secret=SLACK_SECRET, now=at(now_s))


def test_slacks_own_example_passes() -> None:
    assert slack_signature(SLACK_BODY, SLACK_TIMESTAMP, SLACK_SECRET) == SLACK_SIGNATURE
    check_slack()


def test_hub_signatures_own_example_passes() -> None:
    check_hub_signature(HUB_BODY, HUB_SIGNATURE, HUB_SECRET)


@pytest.mark.parametrize("off_s", [-300, 300])
def test_five_minutes_off_just_pass(off_s: int) -> None:
    check_slack(now_s=NOW_S + off_s)


@pytest.mark.parametrize("off_s", [-301, 301, 10**6])
def test_more_than_five_minutes_off_is_refused(off_s: int) -> None:
    error = refused(lambda: check_slack(now_s=NOW_S + off_s))
    assert (error.status, error.field) == (401, "X-Slack-Request-Timestamp")


@pytest.mark.parametrize(
    "timestamp",
    [None, "", "soon", "-1531420618", "1531420618.0", " 1531420618", "１５３１４２０６１８"],
)
def test_a_timestamp_that_is_none_is_refused(timestamp: str | None) -> None:
    assert refused(lambda: check_slack(timestamp=timestamp)).status == 401


def test_a_missing_signature_is_refused() -> None:
    assert refused(lambda: check_slack(signature=None)).status == 401
    assert refused(lambda: check_slack(signature="")).status == 401
    assert refused(lambda: check_hub_signature(HUB_BODY, None, HUB_SECRET)).status == 401


def test_every_bit_of_body_and_signature_counts() -> None:
    for index in range(len(SLACK_BODY) * 8):
        assert refused(lambda: check_slack(body=flip(SLACK_BODY, index))).status == 401  # noqa: B023
    raw = SLACK_SIGNATURE.encode()
    for index in range(len(raw) * 8):
        changed = flip(raw, index).decode("utf-8", "surrogateescape")
        assert refused(lambda: check_slack(signature=changed)).status == 401  # noqa: B023
    raw = SLACK_TIMESTAMP.encode()
    for index in range(len(raw) * 8):
        changed = flip(raw, index).decode("utf-8", "surrogateescape")
        assert refused(lambda: check_slack(timestamp=changed)).status == 401  # noqa: B023
    raw = HUB_SIGNATURE.encode()
    for index in range(len(raw) * 8):
        changed = flip(raw, index).decode("utf-8", "surrogateescape")
        error = refused(lambda: check_hub_signature(HUB_BODY, changed, HUB_SECRET))  # noqa: B023
        assert error.status == 401


def flip(raw: bytes, index: int) -> bytes:
    changed = bytearray(raw)
    changed[index // 8] ^= 1 << index % 8
    return bytes(changed)


@given(st.binary(max_size=200), st.text(min_size=1), st.integers(0, 10**11), st.data())
def test_kefus_signature_fits_its_body_and_time_only(
    body: bytes, secret: str, moment: int, data: st.DataObject
) -> None:
    signature = kefu_signature(body, str(moment), secret)

    def check(raw: bytes, timestamp: str, secrets: list[str]) -> None:
        check_kefu_signature(raw, signature, timestamp, secrets=secrets, now=at(moment))

    check(body, str(moment), [secret])
    check(body, str(moment), ["another", secret])
    other = data.draw(st.binary(max_size=200).filter(lambda raw: raw != body))
    assert refused(lambda: check(other, str(moment), [secret])).status == 401
    assert refused(lambda: check(body, str(moment + 1), [secret])).status == 401
    assert refused(lambda: check(body, str(moment), [secret + "x"])).status == 401
    assert refused(lambda: check(body, str(moment), [])).status == 401


@given(st.text(), st.text())
def test_a_token_fits_itself_only(given_: str, secret: str) -> None:
    if given_ == secret and secret:
        check_token(given_, secret, "X-Token")
    else:
        assert refused(lambda: check_token(given_, secret, "X-Token")).field == "X-Token"


def test_an_empty_secret_fits_nothing() -> None:
    assert refused(lambda: check_token("", "", "X-Token")).status == 401
    assert refused(lambda: check_challenge("", "", "hub.verify_token")).status == 403


def test_the_refusal_says_what_to_do_and_is_audited() -> None:
    error = refused(lambda: check_token("wrong", "right", "X-Token"))
    assert error.remedy
    assert error.audit == "forged_signature"
    assert "right" not in str(error)
