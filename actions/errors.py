"""Errors of the action server and the QA store; each message says what to do."""

from pathlib import Path


class ActionsError(Exception):
    """Base of everything this package raises on purpose."""


class DataFileError(ActionsError):
    """A data file cannot be read as what it should be."""

    def __init__(self, path: Path, problem: str, *, line: int | None = None) -> None:
        self.path = path
        self.problem = problem
        self.line = line
        where = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{where}: {problem}")


class UnderstandingError(ActionsError):
    """The understanding service did not answer as it should."""

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        self.problem = problem
        super().__init__(
            f"understanding service at {url}: {problem}; start it with `python -m nlu` "
            "or set KEFU_NLU_URL"
        )


class StoreError(ActionsError):
    """The database cannot be used as the QA store."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"QA store: {problem}; check KEFU_DATABASE_URL and create the tables with `kefu up`"
        )


class EmptyStoreError(ActionsError):
    """A search was asked of a store without a single pair."""

    def __init__(self) -> None:
        super().__init__("the QA store is empty; fill it with `kefu qa import data/qa`")
