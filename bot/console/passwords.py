"""Passwords of the people who work in the console: argon2id, hashed beside the event loop."""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from bot.errors import RequestError

T = TypeVar("T")

MIN_CHARS = 12
MAX_CHARS = 256
# Each takes 64 MiB and four threads for about a tenth of a second.
_AT_ONCE = 2
# Beyond, who wants to sign in is told to come back instead of waiting without end.
_MOST_WAITING = 32
# No 0, O, 1, l or I: a one-time password is read aloud and typed.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
# The commonest of at least MIN_CHARS characters, and what people make of this product's name.
_COMMONEST = """
123456789012 1234567890123 12345678901234 123456789012345 1234567890123456 qwertyuiop123
qwertyuiop12 qwertyuiopas qwertyuiop[] qwertyuiopasdf 1qaz2wsx3edc 1q2w3e4r5t6y 1q2w3e4r5t6y7u
password1234 password12345 password123456 passwordpassword password!234 password@123
administrator administrator1 adminadminadmin admin1234567 welcome12345 letmein12345
iloveyou1234 changeme1234 changemechangeme customerservice customerservice1 kefukefukefu
asdfghjkl123 zxcvbnm12345 abcdefghijkl abcdefghijklm abcd12345678 abc123456789 111111111111
000000000000 888888888888 666666666666 123123123123 112233445566 987654321098 correcthorse
correcthorsebatterystaple woaini123456 woaini1314520 5201314520131 qazwsxedcrfv
"""


def one_time() -> str:
    """A password for the first sign-in: 80 bits, in groups that can be read aloud."""
    letters = [secrets.choice(_LETTERS) for _ in range(16)]
    return "-".join("".join(letters[at : at + 4]) for at in range(0, 16, 4))


def check_new(password: str, name: str) -> str:
    """The password as it is kept; raises RequestError (400) for one that is easily guessed."""
    password = _normal(password)
    if len(password) < MIN_CHARS:
        raise _refused("it is too short", f"choose one of at least {MIN_CHARS} characters")
    if len(password) > MAX_CHARS:
        raise _refused("it is too long", f"choose one of at most {MAX_CHARS} characters")
    # Surrogates and NUL have no bytes that could be typed again elsewhere.
    if "\0" in password or any(0xD800 <= ord(char) <= 0xDFFF for char in password):
        raise _refused("it holds characters that no keyboard sends", "choose another one")
    plain = _bare(password)
    if len(set(plain)) < 4 or {plain, password.lower()} & set(_COMMONEST.split()):
        raise _refused("it is one of those tried first", "choose a few words that belong together")
    own = _bare(name)
    if own and plain.replace(own, "", 1).strip("0123456789") == "":
        raise _refused("it is your own name", "choose one that has nothing to do with your name")
    return password


class Passwords:
    """Makes and checks hashes, two at a time."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="password")
        self._waiting = 0
        # What unknown names are checked against, made when first needed.
        self._nobody: str | None = None

    def hash_now(self, password: str) -> str:
        """The hash of a password, for programs without an event loop."""
        return self._hasher.hash(_normal(password))

    async def hash(self, password: str) -> str:
        """The hash of a password; raises RequestError (429) when too many are waiting."""
        return await self._run(self.hash_now, password)

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether it is the password of the hash; for None, False after as long a time."""
        if len(password) > MAX_CHARS:
            return False
        return await self._run(self._verify_now, kept, password)

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify_now(self, kept: str | None, password: str) -> bool:
        if self._nobody is None:
            self._nobody = self._hasher.hash(secrets.token_urlsafe(24))
        try:
            self._hasher.verify(self._nobody if kept is None else kept, _normal(password))
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
        return kept is not None

    async def _run(self, work: Callable[..., T], *args: str | None) -> T:
        if self._waiting >= _MOST_WAITING:
            raise RequestError(
                429,
                "password",
                "too many people are signing in",
                "try again after the seconds in Retry-After",
                retry_after_s=3,
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, partial(work, *args)
            )
        finally:
            self._waiting -= 1


def _normal(password: str) -> str:
    # The same characters from another keyboard or system are the same password (NIST SP 800-63B).
    return unicodedata.normalize("NFKC", password)


def _bare(text: str) -> str:
    return "".join(char for char in _normal(text).lower() if char.isalnum())


def _refused(message: str, remedy: str) -> RequestError:
    return RequestError(400, "password", message, remedy)
