"""What can go wrong with a proof; each message says what to do."""

from pathlib import Path

from bot.errors import KefuError


class ProofError(KefuError):
    """Base of the errors of `bot.learning.proof`."""


class ProofMissing(ProofError):
    """A proof that is not where it should be."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"no proof at {path}: {reason}; run `kefu prove VERSION` again")
        self.path = path
        self.reason = reason


class NothingToProve(ProofError):
    """A challenger that cannot be compared."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"nothing to prove: {reason}; {remedy}")
        self.reason = reason
