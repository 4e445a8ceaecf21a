"""Whose page a request comes from, and whose address it has behind proxies."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from bot.errors import RequestError
from bot.http.client_address import TrustedProxies, is_local, network_of
from bot.http.origin import Origins, origin_of, parse_origin

PROXIES = TrustedProxies.of(["10.0.0.0/8", "::1"])


def request_of(
    *headers: tuple[str, str], remote: str = "127.0.0.1", scheme: str = "http", path: str = "/"
) -> web.Request:
    made = make_mocked_request("POST", path, headers=CIMultiDict(headers))
    return made.clone(remote=remote, scheme=scheme)


def origins(public_url: str | None = None, *allowed: str) -> Origins:
    return Origins.of(public_url, list(allowed), PROXIES)


ALLOWED = "https://shop.example"
VERDICTS: list[Any] = [
    ("https://shop.example", "allowed"),
    ("HTTPS://Shop.Example", "allowed"),
    ("https://shop.example:443", "allowed"),
    ("http://shop.example", "foreign"),
    ("https://shop.example:8443", "foreign"),
    ("https://shop.example.evil.example", "foreign"),
    ("https://evil.example/https://shop.example", "foreign"),
    ("https://evil.example#https://shop.example", "foreign"),
    ("https://shop.example@evil.example", "foreign"),
    ("https://evilshop.example", "foreign"),
    ("https://sub.shop.example", "foreign"),
    ("https://shop.example.", "foreign"),
    ("https://shop.example\t", "foreign"),
    ("https://shop.exam\tple", "foreign"),
    ("https://sh\u043ep.example", "foreign"),
    ("null", "foreign"),
    ("", "foreign"),
    ("*", "foreign"),
    ("file://", "foreign"),
    ("javascript:alert(1)", "foreign"),
    ("https://shop.example:99999", "foreign"),
    ("https://[::1", "foreign"),
    ("http://chat.example:8080", "own"),
    ("http://chat.example", "foreign"),
]


@pytest.mark.parametrize(("sent", "verdict"), VERDICTS)
def test_an_origin_is_compared_exactly_in_its_one_form(sent: str, verdict: str) -> None:
    request = request_of(("Host", "chat.example:8080"), ("Origin", sent))
    assert origins(None, ALLOWED).verdict(request) == verdict


def test_a_request_with_two_origins_is_foreign() -> None:
    request = request_of(("Host", "c.example"), ("Origin", ALLOWED), ("Origin", ALLOWED))
    assert origins(None, ALLOWED).verdict(request) == "foreign"


def test_with_a_public_address_the_host_header_has_no_say() -> None:
    mine = origins("https://chat.shop.example/kefu/")
    rebound = request_of(("Host", "evil.example"), ("Origin", "http://evil.example"))
    assert mine.verdict(rebound) == "foreign"
    own = request_of(("Host", "internal:8080"), ("Origin", "https://chat.shop.example"))
    assert mine.verdict(own) == "own"


def test_the_scheme_of_a_trusted_proxy_counts_and_no_other() -> None:
    headers = (
        ("Host", "chat.example"),
        ("Origin", "https://chat.example"),
        ("X-Forwarded-Proto", "https"),
    )
    assert origins().verdict(request_of(*headers, remote="10.1.2.3")) == "own"
    assert origins().verdict(request_of(*headers, remote="203.0.113.5")) == "foreign"


NO_ORIGINS = (
    "",
    "*",
    "null",
    "shop.example",
    "ftp://a.example",
    "https://*.example",
    "https://a.example/x",
    "https://a.example?q",
    "https://u:p@a.example",
    "https:// a.example",
    "https://a.example:0x",
)


@pytest.mark.parametrize("written", NO_ORIGINS)
def test_a_setting_that_is_no_origin_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"origin|address|host|port|Port"):
        parse_origin(written)


@given(st.text(max_size=40))
def test_no_text_breaks_the_comparison(sent: str) -> None:
    try:
        once = parse_origin(sent)
    except ValueError:
        return
    assert parse_origin(once) == once == origin_of(once)


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ([], False),
        ([("Origin", ALLOWED)], True),
        ([("Origin", "https://evil.example")], False),
        ([("Sec-Fetch-Site", "same-origin")], True),
        ([("Sec-Fetch-Site", "cross-site")], False),
        ([("Sec-Fetch-Site", "none")], False),
        ([("Sec-Fetch-Site", "same-origin"), ("Upgrade", "websocket")], False),
        ([("Sec-Fetch-Site", "same-origin"), ("Origin", "https://evil.example")], False),
    ],
)
def test_a_socket_must_say_whose_page_opens_it(
    headers: list[tuple[str, str]], passes: bool
) -> None:
    request = request_of(("Host", "chat.example"), *headers)
    if passes:
        origins(None, ALLOWED).check_socket(request)
    else:
        with pytest.raises(RequestError) as refused:
            origins(None, ALLOWED).check_socket(request)
        assert (refused.value.status, refused.value.field) == (403, "Origin")


XFF = "X-Forwarded-For"
ADDRESSES: list[Any] = [
    # who connected, what was forwarded, whose request it is
    ("203.0.113.5", [], "203.0.113.5"),
    ("203.0.113.5", [(XFF, "198.51.100.1")], "203.0.113.5"),
    ("10.0.0.2", [(XFF, "198.51.100.1")], "198.51.100.1"),
    ("10.0.0.2", [(XFF, "6.6.6.6, 198.51.100.1")], "198.51.100.1"),
    ("10.0.0.2", [(XFF, "198.51.100.1, 10.9.9.9")], "198.51.100.1"),
    ("10.0.0.2", [(XFF, "6.6.6.6"), (XFF, "198.51.100.1")], "198.51.100.1"),
    ("10.0.0.2", [(XFF, "6.6.6.6, nonsense")], "10.0.0.2"),
    ("10.0.0.2", [(XFF, "6.6.6.6, nonsense, 10.3.3.3")], "10.3.3.3"),
    ("10.0.0.2", [(XFF, "")], "10.0.0.2"),
    ("10.0.0.2", [(XFF, "10.3.3.3, 10.4.4.4")], "10.3.3.3"),
    ("10.0.0.2", [(XFF, "198.51.100.1:5555")], "198.51.100.1"),
    ("10.0.0.2", [(XFF, "[2001:db8::7]:5555")], "2001:db8::7"),
    ("10.0.0.2", [(XFF, "::ffff:198.51.100.1")], "198.51.100.1"),
    ("::ffff:10.0.0.2", [(XFF, "198.51.100.1")], "198.51.100.1"),
    ("::1", [("Forwarded", 'for="[2001:db8::7]:80";proto=https')], "2001:db8::7"),
    ("10.0.0.2", [("Forwarded", "for=6.6.6.6, for=198.51.100.1")], "198.51.100.1"),
    ("10.0.0.2", [("Forwarded", "for=_hidden")], "10.0.0.2"),
    # A client adds the header that the proxy does not set: neither is believed.
    ("10.0.0.2", [("Forwarded", "for=6.6.6.6"), (XFF, "198.51.100.1")], "10.0.0.2"),
    ("10.0.0.2", [("Forwarded", "for=198.51.100.1"), (XFF, "198.51.100.1")], "198.51.100.1"),
    ("10.0.0.2", [(XFF, ", ".join(["198.51.100.1"] + ["10.0.0.3"] * 40))], "10.0.0.3"),
    ("", [(XFF, "198.51.100.1")], "None"),
]


@pytest.mark.parametrize(("remote", "headers", "client"), ADDRESSES)
def test_only_trusted_proxies_are_believed(
    remote: str, headers: list[tuple[str, str]], client: str
) -> None:
    assert str(PROXIES.client(request_of(*headers, remote=remote))) == client


def test_an_unknown_proxy_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    proxies = TrustedProxies.of([])
    for _ in range(3):
        proxies.client(request_of((XFF, "198.51.100.1")))
    assert caplog.text.count("KEFU_TRUSTED_PROXIES") == 1


def test_an_ipv6_host_counts_as_its_64() -> None:
    one, other = (
        network_of(PROXIES.client(request_of(remote=remote)))
        for remote in ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2")
    )
    assert one == other == "2001:db8:0:1::/64"
    assert network_of(PROXIES.client(request_of(remote="203.0.113.5"))) == "203.0.113.5"


@pytest.mark.parametrize(
    ("remote", "headers", "local"),
    [
        ("127.0.0.1", [("Host", "127.0.0.1:8080")], True),
        ("::1", [("Host", "[::1]:8080")], True),
        ("127.0.0.1", [("Host", "localhost")], True),
        ("127.0.0.1", [], True),
        ("127.0.0.1", [("Host", "evil.example")], False),
        ("127.0.0.1", [("Host", "localhost.evil.example")], False),
        ("127.0.0.1", [("Host", "localhost"), (XFF, "1.2.3.4")], False),
        ("203.0.113.5", [("Host", "localhost")], False),
        ("", [("Host", "localhost")], False),
    ],
)
def test_local_is_this_machine_by_its_own_name(
    remote: str, headers: list[tuple[str, str]], local: bool
) -> None:
    assert is_local(request_of(*headers, remote=remote)) is local
