"""Rows of a candidates file one by one, and what the model that answered thought of them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from bot.learning.datasets.row import Row
from bot.learning.guard.errors import CandidateUnreadable
from bot.log.review_scores import FALLBACK


def lines_of(path: Path) -> Iterator[tuple[str, Row]]:
    """The lines and their rows in their order. Raises CandidateUnreadable."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = Row.of_line(line)
            except (ValueError, TypeError, KeyError) as error:
                # A parser's words may quote the line: its kind is all that is told.
                raise CandidateUnreadable(path, number, type(error).__name__) from None
            yield line, row


def rows_of(path: Path) -> Iterator[Row]:
    """The rows alone."""
    return (row for _, row in lines_of(path))


def code(*parts: str | None) -> int:
    """A number of 64 bits in place of names: they are counted by the million, and not kept."""
    joined = "\x1f".join(part or "" for part in parts)
    digest = hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def is_labelled(row: Row) -> bool:
    """Whether somebody says what the customer wanted: a person, not the model itself."""
    return row.intent is not None and row.source != "pseudo"


def leaning(row: Row) -> str | None:
    """The intent that the model held for likeliest, its fallback aside; None: nothing is known."""
    known = {name: value for name, value in row.ranking.items() if name != FALLBACK}
    if known:
        return max(known, key=lambda name: known[name])
    return None if row.predicted == FALLBACK else row.predicted


def given_probability(row: Row) -> float:
    """What the model gave the label; 0 where its ranking does not name it."""
    return 0.0 if row.intent is None else float(row.ranking.get(row.intent, 0.0))


def is_contradicted(row: Row) -> bool:
    """Whether the model held another intent for likelier than the label."""
    taken_for = leaning(row)
    return is_labelled(row) and taken_for is not None and taken_for != row.intent
