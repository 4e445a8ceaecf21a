"""A trial: a second version that answers a share of the conversations."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from nlu.errors import BadTrial

MOST_SALT_CHARS = 200
_WHOLE = 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Which version is tried, on how many of the conversations, 0 to 1.

    Another salt draws other conversations, so that not the same ones bear every trial.
    """

    version: str
    share: float
    salt: str

    def covers(self, conversation_id: str) -> bool:
        """Whether the conversation falls to the trial: the same answer in every process."""
        key = f"{self.salt}\0{conversation_id}".encode("utf-8", "surrogatepass")
        drawn = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        return drawn < self.share * _WHOLE


def read_trial(raw: str) -> Trial:
    """The trial that a file tells of; raises BadTrial."""
    try:
        fields = json.loads(raw)
    except (json.JSONDecodeError, RecursionError):
        raise BadTrial("file", "is not JSON") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("version"), str):
        raise BadTrial("version", "is missing; name the version that is tried")
    return checked_trial(fields["version"], fields.get("share"), fields.get("salt"))


def checked_trial(version: str, share: Any, salt: Any) -> Trial:
    """A trial of given fields; raises BadTrial naming the one that is wrong."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise BadTrial("share", "must be a number between 0 and 1, such as 0.1")
    if not isinstance(salt, str) or not 0 < len(salt) <= MOST_SALT_CHARS:
        raise BadTrial("salt", f"must be a text of 1 to {MOST_SALT_CHARS} characters")
    return Trial(version=version, share=float(share), salt=salt)
