"""Addresses of stored files: signed, good for a while, and the same for some time so that browsers
keep what they loaded."""

import hmac
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from bot.errors import RequestError

PATH = "/api/v1/files"
# An address changes once in so many seconds.
_STEP_S = 3600
_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")
_MOMENT = re.compile(r"[0-9]{1,12}")
# Shown of an attachment; its `reference` on the platform and whatever else is kept stay inside.
_SHOWN = ("kind", "name", "content_type", "size", "text")


class FileLinks:
    """Makes and checks addresses; `base_url` makes them absolute. `hash_text` is a keyed hash."""

    def __init__(
        self,
        hash_text: Callable[[str], str],
        now: Callable[[], datetime],
        *,
        good_for_s: int = 24 * 3600,
        base_url: str | None = None,
    ) -> None:
        self._hash_text = hash_text
        self._now = now
        self._good_for_s = good_for_s
        self._base_url = (base_url or "").rstrip("/")

    def address(self, file_id: str) -> str:
        """An address that is good for at least `good_for_s` seconds from now."""
        now_s = int(self._now().timestamp())
        expires = (now_s // _STEP_S + 1) * _STEP_S + self._good_for_s
        signature = self._sign(file_id, str(expires))
        return f"{self._base_url}{PATH}/{file_id}?expires={expires}&signature={signature}"

    def check(self, file_id: str, expires: str, signature: str) -> int:
        """The seconds that the address is still good for; raises RequestError (403) for an address
        that we did not make or that is too old."""
        whole = _ID.fullmatch(file_id) and _MOMENT.fullmatch(expires) and signature.isascii()
        if not whole or not hmac.compare_digest(self._sign(file_id, expires), signature):
            raise RequestError(
                403,
                "signature",
                "the file's address was not made here, or was changed",
                "take the address from the conversation's messages",
                audit="forged_file_link",
            )
        left_s = int(expires) - int(self._now().timestamp())
        if left_s <= 0:
            raise RequestError(
                403,
                "expires",
                "the file's address is too old",
                "read the conversation's messages again for a new one",
            )
        return left_s

    def show(self, attachments: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Attachments as everyone outside sees them: what we store has an `id` and a `url`."""
        shown = []
        for one in attachments:
            item = {name: one[name] for name in _SHOWN if name in one}
            if "id" in one:
                item |= {"id": one["id"], "url": self.address(one["id"])}
            shown.append(item)
        return shown

    def _sign(self, file_id: str, expires: str) -> str:
        # No customer's text can be this: texts have no NUL.
        return self._hash_text(f"\0kefu.file\0{file_id}\0{expires}")
