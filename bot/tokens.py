"""Conversation tokens: signed, good for one conversation only, and for a time."""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from itsdangerous import BadData, BadSignature, SignatureExpired, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode

from bot.errors import RequestError

DAY_S = 86_400
_MAX_TOKEN_CHARS = 512


class Tokens:
    """Issues and checks tokens, and hashes texts.

    `previous` are earlier secrets, the oldest first: what they signed passes, and new tokens are
    signed with `secret`.
    """

    def __init__(
        self,
        secret: str,
        *,
        previous: Sequence[str] = (),
        days: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signer = _Signer([*previous, secret], clock)
        self._max_age_s = round(days * DAY_S)
        # The oldest: a message repeated across a change of the secret is still known again.
        oldest = previous[0] if previous else secret
        self._hash_key = hashlib.sha256(b"kefu.text" + oldest.encode()).digest()

    def issue(self, conversation_id: str) -> str:
        """The token of a conversation."""
        return self._signer.sign(conversation_id).decode()

    def check(self, header: str | None, conversation_id: str) -> None:
        """Pass only the bearer of the conversation's token; raises RequestError (401 or 403)."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RequestError(
                401,
                "Authorization",
                "no bearer token was sent",
                "send 'Authorization: Bearer TOKEN' with the token of POST /api/v1/conversations",
            )
        bound = self._bound_to(token.strip(" "))
        if not hmac.compare_digest(bound, conversation_id.encode("utf-8", "replace")):
            raise RequestError(
                403,
                "Authorization",
                "the token belongs to another conversation",
                "use the token that came with this conversation's id",
                audit="foreign_token",
            )

    def hash_text(self, text: str) -> str:
        """A keyed hash that tells equal texts apart from others without keeping them."""
        return hmac.digest(self._hash_key, text.encode(), "sha256").hex()

    def _bound_to(self, token: str) -> bytes:
        raw = token.encode("utf-8", "replace")
        try:
            if len(raw) > _MAX_TOKEN_CHARS or not _is_canonical(raw.rpartition(b".")[2]):
                raise BadSignature("not as it was issued")
            return self._signer.unsign(raw, max_age=self._max_age_s)
        except SignatureExpired:
            raise RequestError(
                401,
                "Authorization",
                "the token has expired",
                "open a conversation with POST /api/v1/conversations; with the identity of a "
                "logged-in customer it is the same one",
                audit="expired_token",
            ) from None
        except BadSignature:
            raise RequestError(
                401,
                "Authorization",
                "the token is forged or was signed with another key",
                "start a new conversation with POST /api/v1/conversations",
                audit="forged_token",
            ) from None


class _Signer(TimestampSigner):
    """Signs with the last of the secrets, by a clock that a test can set."""

    def __init__(self, secret_keys: list[str], clock: Callable[[], float]) -> None:
        super().__init__(
            secret_keys, salt="kefu.conversation", digest_method=hashlib.sha256, sep="."
        )
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


def _is_canonical(signature: bytes) -> bool:
    # The last character of base64 has bits that mean nothing; with them a token has several forms.
    try:
        return base64_encode(base64_decode(signature)) == signature
    except BadData:
        return False


def load_secret(state_dir: Path) -> str:
    """The key kept in the state folder, made on first use and readable by its owner only."""
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / "secret"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    secret = secrets.token_urlsafe(48)
    with os.fdopen(handle, "w") as file:
        file.write(secret)
    return secret
