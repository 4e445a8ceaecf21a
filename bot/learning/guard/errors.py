"""What can go wrong while candidates are inspected."""

from pathlib import Path

from bot.errors import KefuError


class CandidateUnreadable(KefuError):
    """A line of the candidates that is no row."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(
            f"{path}, line {line}: not a row ({reason}); remove the file and run the harvest again"
        )
        self.path = path
        self.line = line
