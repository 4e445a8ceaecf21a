"""What can go wrong with versions of the training data; each error says what to do."""

from pathlib import Path

from bot.learning.errors import LearningError


class DatasetMissing(LearningError):
    """There is no such version of the training data."""

    def __init__(self, version: str, where: Path) -> None:
        super().__init__(
            f"no version {version!r} of the training data in {where}; `kefu data list` shows "
            "which there are"
        )
        self.version = version


class DatasetBroken(LearningError):
    """A file of a version that cannot be read as what it should be."""

    def __init__(self, version: str, file: str, reason: str) -> None:
        super().__init__(
            f"version {version} of the training data: {file}: {reason}; restore it from a backup, "
            "or remove the folder: the next run makes a new version from the log"
        )
        self.version = version
        self.file = file
        self.reason = reason
