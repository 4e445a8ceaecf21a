"""Tells a webhook of alerts: signed as the generic webhook is, tried again, without texts."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp

from bot.channels.signatures import kefu_signature
from bot.errors import SettingError
from bot.log import voice_notices
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World

logger = logging.getLogger(__name__)

TIMEOUT_S = 15.0
_LEASE = timedelta(minutes=1)
_FIRST_DELAY_S = 30.0
_MOST_DELAY_S = 3600.0
# About two days of trying.
MOST_ATTEMPTS = 50
_FOR_GOOD = (400, 410, 413, 415, 422)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where alerts go, and what signs them."""

    url: str
    secret: str
    # Where the console is, for links in what is sent; None leaves paths.
    console: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Address | None":
        """None without an address; raises SettingError for one that cannot be used."""
        url, secret = settings.alert_webhook_url, settings.alert_webhook_secret
        if url is None:
            return None
        parts = urlsplit(url)
        on_this_machine = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and on_this_machine):
            raise SettingError(
                "KEFU_ALERT_WEBHOOK_URL",
                "has to be an https address (http on this machine only)",
            )
        if secret is None or len(secret.get_secret_value()) < 32:
            raise SettingError(
                "KEFU_ALERT_WEBHOOK_SECRET",
                "has to be 32 characters or more; try `openssl rand -hex 32`",
            )
        console = settings.public_url.rstrip("/") if settings.public_url else None
        return cls(url=url, secret=secret.get_secret_value(), console=console)


class Bell:
    """Sends what is due; each notice has an id by which the receiver knows one sent twice."""

    def __init__(
        self,
        journal: Journal,
        session: aiohttp.ClientSession,
        address: Address,
        world: World,
    ) -> None:
        self._journal = journal
        self._session = session
        self._address = address
        self._world = world

    async def once(self) -> int:
        """Send what is due; returns how many arrived. Raises StorageError or TimeoutError."""
        arrived = 0
        due = partial(voice_notices.due, now=self._world.now())
        for notice in await self._journal.browse(due):
            # The ones before may have taken long: a signature and a lease count from now.
            now = self._world.now()
            claim = partial(voice_notices.claim, notice=notice, now=now, lease=_LEASE)
            if await self._journal.write(claim):
                arrived += await self._send(notice, now)
        return arrived

    async def _send(self, notice: dict[str, Any], now: datetime) -> bool:
        raw = json.dumps(self._body(notice), ensure_ascii=False).encode()
        timestamp = str(int(now.timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": notice["notice_id"],
            "Kefu-Timestamp": timestamp,
            "Kefu-Signature": kefu_signature(raw, timestamp, self._address.secret),
        }
        error: str | None = None
        state = "sent"
        try:
            async with self._session.post(
                self._address.url,
                data=raw,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as response:
                status = response.status
            if not 200 <= status < 300:
                error = f"the webhook answered {status}"
                state = "failed" if status in _FOR_GOOD else "queued"
        except (aiohttp.ClientError, TimeoutError) as failure:
            error, state = f"the webhook cannot be reached ({type(failure).__name__})", "queued"
        tried = notice["attempts"] + 1
        if state == "queued" and tried >= MOST_ATTEMPTS:
            state = "failed"
        if error is not None:
            logger.warning("alert not told", extra={"notice": notice["notice_id"], "error": error})
        delay_s = min(_MOST_DELAY_S, _FIRST_DELAY_S * 2.0 ** (tried - 1))
        await self._journal.write(
            partial(
                voice_notices.settle,
                notice_id=notice["notice_id"],
                state=state,
                next_at=now + timedelta(seconds=delay_s),
                error=error,
            )
        )
        return state == "sent"

    def _body(self, notice: dict[str, Any]) -> dict[str, Any]:
        base = self._address.console or ""
        closed_at = notice["closed_at"] if notice["event"] == "closed" else None
        inbox = {"emotion": "angry", "from": notice["since"].date().isoformat()}
        if notice["kind"] in ("intent", "channel"):
            inbox[notice["kind"]] = notice["name"]
        return {
            "id": notice["notice_id"],
            "event": f"alert.{notice['event']}",
            "alert": {
                "id": notice["id"],
                "kind": notice["kind"],
                "name": notice["name"],
                "opened_at": notice["opened_at"].isoformat(),
                "closed_at": None if closed_at is None else closed_at.isoformat(),
                "since": notice["since"].isoformat(),
                "cases": notice["cases"],
                "upset": notice["upset"],
                "expected_share": round(notice["expected"], 4),
                "p_value": notice["p_value"],
            },
            "links": {
                "alert": f"{base}/console/alerts/{notice['id']}",
                "inbox": f"{base}/console/inbox?{urlencode(inbox)}",
            },
        }
