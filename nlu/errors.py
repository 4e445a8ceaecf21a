"""Errors of the understanding package; each message names the place and the remedy."""

from pathlib import Path


class NluError(Exception):
    """Base of every error that the understanding package raises on purpose."""


class DataError(NluError):
    """Training or test data that cannot be read."""

    def __init__(self, message: str, *, path: Path | None = None, line: int | None = None) -> None:
        self.path = path
        self.line = line
        place = "" if path is None else f"{path}:{line}: " if line else f"{path}: "
        super().__init__(place + message)


class EncoderMissing(NluError):
    """The base encoder cannot be found."""


class TrainingFailed(NluError):
    """The data can be read but no model can be trained from them."""


class BundleError(NluError):
    """A trained bundle that is missing, damaged or made by another version."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"model bundle {path}: {problem}")


class UnknownVersion(NluError):
    """A model version that no folder holds."""

    def __init__(self, version: str, known: list[str]) -> None:
        self.version = version
        have = ", ".join(known) if known else "none; run `kefu train`"
        super().__init__(f"no model version {version!r}; there are: {have}")


class VersionInUse(NluError):
    """A model version that cannot be removed."""

    def __init__(self, version: str) -> None:
        self.version = version
        super().__init__(
            f"{version} serves, is on trial, or is what a roll-back goes to: it stays on disk"
        )


class BadTrial(NluError):
    """A trial of a version that cannot be: says which of its fields is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"trial: {field} {problem}")


class EngineFailed(NluError):
    """No rung of the ladder could answer."""


class BadRequest(NluError):
    """A request body that is not as the route expects."""

    def __init__(self, field: str, problem: str, *, status: int = 400) -> None:
        self.field = field
        self.problem = problem
        self.status = status
        super().__init__(f"{field}: {problem}")


class Overloaded(NluError):
    """More tokens are queued than the service admits."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many texts are waiting; try again in {retry_after_s} s")
