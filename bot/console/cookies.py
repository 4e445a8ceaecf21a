"""The session's cookie: for this host alone, out of reach of scripts."""

from http.cookies import CookieError, SimpleCookie

from aiohttp import web

_NAME = "kefu_session"


def cookie_name(*, https: bool) -> str:
    """With https the browser itself sees to it that no other host has set the cookie."""
    return f"__Host-{_NAME}" if https else _NAME


def read_cookie(header: str, *, https: bool) -> str | None:
    """The session's cookie from a Cookie header."""
    try:
        found = SimpleCookie(header).get(cookie_name(https=https))
    except CookieError:
        return None
    return None if found is None else found.value


def set_cookie(response: web.StreamResponse, value: str, *, https: bool, max_age_s: int) -> None:
    """Give the browser a session."""
    response.set_cookie(
        cookie_name(https=https),
        value,
        max_age=max_age_s,
        path="/",
        secure=https,
        httponly=True,
        samesite="Lax",
    )


def drop_cookie(response: web.StreamResponse, *, https: bool) -> None:
    """Take the session from the browser."""
    response.set_cookie(
        cookie_name(https=https),
        "",
        max_age=0,
        path="/",
        secure=https,
        httponly=True,
        samesite="Lax",
    )
