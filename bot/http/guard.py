"""The gateway's outer security in one piece: what a request meets before any route."""

import time
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web
from aiohttp.typedefs import Middleware

from bot.errors import SettingError
from bot.http.admission import Admission
from bot.http.client_address import TrustedProxies
from bot.http.cors import answer_preflight
from bot.http.failures import answer_failures
from bot.http.headers import add_headers
from bot.http.origin import Origins
from bot.http.rate_limits import RateLimits, Rates
from bot.http.refusals import Refusals
from bot.identity import Identity
from bot.log.journal import Journal
from bot.settings import Settings
from bot.tokens import Tokens, load_secret

# What aiohttp's server is given: sizes of the address and the headers, seconds a connection may be
# silent or dawdle over its headers (longer than the usual minute of a reverse proxy's own), seconds
# the rest of a refused body is taken, and bodies as they were sent.
SERVER_LIMITS: dict[str, Any] = {
    "max_line_size": 8190,
    "max_field_size": 8190,
    "max_headers": 64,
    "keepalive_timeout": 75,
    "lingering_time": 2,
    "auto_decompress": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The parts, for who wires the gateway."""

    tokens: Tokens
    identity: Identity
    origins: Origins
    limits: RateLimits
    admission: Admission
    refusals: Refusals

    @classmethod
    def of(cls, settings: Settings, journal: Journal) -> Self:
        """As the settings say; raises SettingError naming the one that cannot be used."""
        tokens = open_tokens(settings)
        origins = open_origins(settings)
        limits = RateLimits(Rates.of(settings))
        return cls(
            tokens=tokens,
            identity=Identity.of(settings),
            origins=origins,
            limits=limits,
            admission=Admission(
                origins=origins,
                limits=limits,
                tokens=tokens,
                limit_loopback=settings.rate_loopback,
            ),
            refusals=Refusals(journal, hash_text=tokens.hash_text, clock=time.monotonic),
        )

    def middlewares(self) -> list[Middleware]:
        """In the order in which a request meets them."""
        return [
            answer_failures(self.refusals, self.admission.client),
            answer_preflight(self.origins),
            self.admission.middleware(),
        ]

    def protect(self, app: web.Application) -> None:
        """Put the headers on every answer of an application."""
        app.on_response_prepare.append(add_headers(self.origins))


def open_tokens(settings: Settings) -> Tokens:
    """The tokens of the settings' secrets, or of the one in the state folder."""
    secret = settings.token_secret
    return Tokens(
        load_secret(settings.state_dir) if secret is None else secret.get_secret_value(),
        previous=[one.get_secret_value() for one in settings.token_secrets_previous],
        days=settings.token_days,
    )


def open_origins(settings: Settings) -> Origins:
    """The origins and proxies of the settings; raises SettingError for what is none."""
    try:
        proxies = TrustedProxies.of(settings.trusted_proxies)
    except ValueError as error:
        raise SettingError("KEFU_TRUSTED_PROXIES", f"{error}") from None
    for variable, url, allowed in (
        ("KEFU_PUBLIC_URL", settings.public_url, []),
        ("KEFU_ALLOWED_ORIGINS", None, settings.allowed_origins),
    ):
        try:
            Origins.of(url, allowed, proxies)
        except ValueError as error:
            raise SettingError(variable, f"{error}") from None
    return Origins.of(settings.public_url, settings.allowed_origins, proxies)
