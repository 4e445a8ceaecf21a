"""Where a request comes from: this machine, our own pages, an allowed site or a foreign one."""

from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import urlsplit

from aiohttp import web

from bot.errors import RequestError
from bot.http.client_address import TrustedProxies, is_local
from bot.settings import Access

Verdict = Literal["own", "allowed", "foreign", "absent"]
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Which web sites' pages may talk to the gateway."""

    public: str | None
    allowed: frozenset[str]
    proxies: TrustedProxies

    @classmethod
    def of(cls, public_url: str | None, allowed: list[str], proxies: TrustedProxies) -> Self:
        """From settings; raises ValueError for what is no origin."""
        return cls(
            public=None if public_url is None else origin_of(public_url),
            allowed=frozenset(map(parse_origin, allowed)),
            proxies=proxies,
        )

    def own(self, request: web.Request) -> str | None:
        """The gateway's own origin: KEFU_PUBLIC_URL, else what the request was sent to."""
        if self.public is not None:
            return self.public
        host = request.headers.get("Host", "")
        try:
            return parse_origin(f"{self.proxies.scheme(request)}://{host}")
        except ValueError:
            return None

    def verdict(self, request: web.Request) -> Verdict:
        """Whose page made the request, by its Origin header, compared exactly."""
        sent = request.headers.getall("Origin", [])
        if not sent:
            return "absent"
        try:
            (origin,) = map(parse_origin, sent)
        except ValueError:
            # Two headers, `null` (a sandbox, a file), or no origin at all.
            return "foreign"
        if origin == self.own(request):
            return "own"
        return "allowed" if origin in self.allowed else "foreign"

    def check(self, request: web.Request) -> Verdict:
        """The verdict; raises RequestError (403) for a foreign site. Without Origin it is no page
        of another site: a server, a command line, or the gateway's own page reading."""
        verdict = self.verdict(request)
        if verdict == "foreign":
            raise RequestError(
                403,
                "Origin",
                "the page comes from a site that may not use this gateway",
                "ask who runs the gateway to add the site to KEFU_ALLOWED_ORIGINS, or to set "
                "KEFU_PUBLIC_URL when it is the gateway's own",
                audit="foreign_origin",
            )
        return verdict

    def check_socket(self, request: web.Request) -> Verdict:
        """The verdict for a socket, which must say whose page opens it; raises RequestError (403).

        Browsers leave Origin out of a same-origin GET, which long polling is, and then say so in
        Sec-Fetch-Site, a header that no page can set.
        """
        verdict = self.check(request)
        same_origin = request.headers.get("Sec-Fetch-Site") == "same-origin"
        is_upgrade = "Upgrade" in request.headers
        if verdict == "absent" and (is_upgrade or not same_origin):
            raise RequestError(
                403,
                "Origin",
                "a socket is opened without an Origin header",
                "send the Origin of your page; a program sends the gateway's own address",
                audit="foreign_origin",
            )
        return verdict


def parse_origin(text: str) -> str:
    """An origin in its one form: scheme, host in lower case, port unless it is the scheme's own.

    Raises ValueError for anything else, `*` and `null` included.
    """
    parts = urlsplit(text)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is no origin: write scheme://host or scheme://host:port")
    return origin_of(text)


def origin_of(url: str) -> str:
    """The origin of an http or https address; raises ValueError when it is none."""
    parts = urlsplit(url)
    scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    if scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc or not _is_clean(url):
        raise ValueError(f"{url!r} is no address such as https://shop.example")
    if ":" in host:
        host = f"[{host}]"
    elif not all(char.isalnum() or char in "-._" for char in host):
        raise ValueError(f"{url!r} has no plain host name; wildcards are not taken")
    if port is None or port == _DEFAULT_PORTS[scheme]:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def require(request: web.Request, access: Access, field: str) -> None:
    """Raise RequestError (403) for a request that `access` does not let in."""
    if access == "on" or (access == "loopback" and is_local(request)):
        return
    raise RequestError(
        403,
        field,
        "it is switched off" if access == "off" else "it is for clients on this machine only",
        "ask who runs the gateway to set KEFU_REST_WEBHOOK or KEFU_DETAIL",
    )


def _is_clean(url: str) -> bool:
    # urlsplit drops control characters and blanks in silence; a browser sends names in punycode.
    return url.isascii() and url.isprintable() and " " not in url
