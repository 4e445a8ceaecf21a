"""Conversation tokens: signed, and good for one conversation only."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from itsdangerous import BadSignature, Signer

from bot.errors import RequestError


class Tokens:
    """Issues and checks tokens, and hashes texts, with one key."""

    def __init__(self, secret: str) -> None:
        self._signer = Signer(
            secret, salt="kefu.conversation", digest_method=hashlib.sha256, sep="."
        )
        self._hash_key = hashlib.sha256(b"kefu.text" + secret.encode()).digest()

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
        try:
            bound = self._signer.unsign(token.strip().encode("utf-8", "replace"))
        except BadSignature:
            raise RequestError(
                401,
                "Authorization",
                "the token is forged or was signed with another key",
                "start a new conversation with POST /api/v1/conversations",
            ) from None
        if not hmac.compare_digest(bound, conversation_id.encode("utf-8", "replace")):
            raise RequestError(
                403,
                "Authorization",
                "the token belongs to another conversation",
                "use the token that came with this conversation's id",
            )

    def hash_text(self, text: str) -> str:
        """A keyed hash that tells equal texts apart from others without keeping them."""
        return hmac.digest(self._hash_key, text.encode(), "sha256").hex()


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
