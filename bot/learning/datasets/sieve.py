"""Chooses among the turns that teach something: no doubles, few of a customer's, few of a kind.

What is known of each lies in a file, not in memory: a million turns are no more than a thousand.
There is no text in it, and the file has no name: it is gone when its process is, however that ends.
"""

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.learning.datasets.row import SOURCES, Row, Source

CACHE_KB = 32_000
PSEUDO = SOURCES.index("pseudo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A turn and what teaches it; `why` says why it may not be used, which its text may."""

    turn_id: str
    rank: int  # in SOURCES
    at_us: int  # of the turn, microseconds since 1970
    said_us: int  # when it was taught: of one kind the last word counts
    customer: str
    text_key: str
    lot: float  # where chance decides
    is_test: bool = False
    intent: str | None = None  # what the model took it for
    # Somebody gave it an intent that the company's test set has no texts of, and the model another.
    is_mixed_up: bool = False
    pair_id: str | None = None
    author: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A turn that goes into the data, and what the log does not say of it in one place."""

    turn_id: str
    source: Source
    customer: str
    is_test: bool
    pair_id: str | None
    author: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How many at most."""

    per_customer: int
    per_source: int
    pseudo_share: float  # turns that nobody spoke of, for each that somebody corrected


class Sieve:
    """Takes what is found, in any order, and gives what is chosen, oldest first."""

    def __init__(self, beside: Path) -> None:
        path = beside.with_name(f".{beside.name}.sieve")
        path.unlink(missing_ok=True)
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KB}"):
            self._base.execute(f"PRAGMA {pragma}")
        self._base.execute(_FOUND)
        self._base.execute(_BEFORE)
        # Open all the same: what is in it goes with this process.
        path.unlink()
        self._replaced = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._base.close()

    def add(self, found: Iterable[Found]) -> None:
        """Take what is found; of one turn what is most believed counts, then what was said last."""
        rows = [astuple(one) for one in found]
        if not rows:
            return
        before = self._size()
        self._base.execute("BEGIN")
        self._base.executemany(_ADD, rows)
        self._base.execute("COMMIT")
        self._replaced += len(rows) - (self._size() - before)

    def remember(self, rows: Iterable[Row]) -> None:
        """Take the rows of the version before, to tell what came of them."""
        self._base.execute("BEGIN")
        self._base.executemany(
            "INSERT OR IGNORE INTO earlier VALUES (?)",
            ((row.turn_id,) for row in rows if row.source != "pseudo"),
        )
        self._base.execute("COMMIT")

    def choose(self, caps: Caps) -> None:
        """Mark what is not used, and why."""
        # A test text is never trained on: where a text has several turns, the test's is the one.
        self._keep(
            1, "duplicate", of="text_key", first="is_test DESC, rank, at_us DESC, turn_id DESC"
        )
        # Other messages of a new intent are taken for the same ones, as surely as ever.
        self._base.execute(
            "UPDATE found SET why = 'mixed_up' WHERE why IS NULL AND rank = ? AND intent IN"
            " (SELECT intent FROM found WHERE why IS NULL AND is_mixed_up)",
            (PSEUDO,),
        )
        newest = "at_us DESC, turn_id DESC"
        self._keep(caps.per_customer, "customer", of="customer", first=f"rank, {newest}")
        self._keep(caps.per_source, "source", of="rank", first=newest, where=f"rank < {PSEUDO}")
        corrected = self._count("why IS NULL AND rank = 0")
        budget = min(caps.per_source, math.floor(corrected * caps.pseudo_share + 1e-9))
        sure = f"rank = {PSEUDO}"
        intents = self._count(f"why IS NULL AND {sure}", what="DISTINCT intent")
        share = math.ceil(budget / max(1, intents))
        self._keep(share, "share", of="intent", first="lot, turn_id", where=sure)
        self._keep(budget, "share", of="rank", first="lot, turn_id", where=sure)

    def chosen(self, size: int) -> Iterator[list[Chosen]]:
        """What goes into the data, so many at a time, in the order of the turns."""
        names = ", ".join(field.name for field in fields(Chosen)).replace("source", "rank")
        query = f"SELECT {names} FROM found WHERE why IS NULL ORDER BY at_us, turn_id"
        with closing(self._base.execute(query)) as cursor:
            while rows := cursor.fetchmany(size):
                yield [
                    Chosen(
                        turn_id=turn_id,
                        source=SOURCES[rank],
                        customer=customer,
                        is_test=bool(is_test),
                        pair_id=pair_id,
                        author=author,
                    )
                    for turn_id, rank, customer, is_test, pair_id, author in rows
                ]

    def drop(self, turn_ids: Iterable[str], why: str) -> None:
        """Take out what was chosen and is of no use after all."""
        self._base.executemany(
            "UPDATE found SET why = ? WHERE turn_id = ?", [(why, id_) for id_ in turn_ids]
        )

    def dropped(self) -> dict[str, int]:
        """How much was left out, by reason."""
        rows = self._base.execute(
            "SELECT why, count(*) FROM found WHERE why IS NOT NULL GROUP BY 1"
        )
        found = Counter(dict(rows.fetchall()))
        found["duplicate"] += self._replaced
        return {why: number for why, number in sorted(found.items()) if number}

    def carried(self) -> tuple[int, int]:
        """How many rows of the version before are in this one too, and how many are not."""
        query = "SELECT count(*) FROM earlier JOIN found USING (turn_id) WHERE why IS NULL"
        kept = int(self._base.execute(query).fetchone()[0])
        return kept, int(self._base.execute("SELECT count(*) FROM earlier").fetchone()[0]) - kept

    def _keep(self, most: int, why: str, *, of: str, first: str, where: str = "1") -> None:
        """Of what is alike in a column only the first so many stay."""
        self._base.execute(
            f"UPDATE found SET why = ? WHERE rowid IN (SELECT id FROM (SELECT rowid AS id,"
            f" row_number() OVER (PARTITION BY {of} ORDER BY {first}) AS place"
            f" FROM found WHERE why IS NULL AND {where}) WHERE place > ?)",
            (why, most),
        )

    def _size(self) -> int:
        return int(self._base.execute("SELECT coalesce(max(rowid), 0) FROM found").fetchone()[0])

    def _count(self, where: str, what: str = "*") -> int:
        query = f"SELECT count({what}) FROM found WHERE {where}"
        return int(self._base.execute(query).fetchone()[0])


_FOUND = """
CREATE TABLE found (
    turn_id TEXT PRIMARY KEY, rank INTEGER, at_us INTEGER, said_us INTEGER, customer TEXT,
    text_key TEXT, lot REAL, is_test INTEGER, intent TEXT, is_mixed_up INTEGER,
    pair_id TEXT, author TEXT, why TEXT
)
"""
_BEFORE = "CREATE TABLE earlier (turn_id TEXT PRIMARY KEY)"
_NAMES = [field.name for field in fields(Found)]
_ADD = (
    f"INSERT INTO found VALUES ({', '.join('?' * len(_NAMES))})"
    " ON CONFLICT (turn_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _NAMES[1:])
    + " WHERE excluded.rank < rank OR (excluded.rank = rank AND excluded.said_us >= said_us)"
)
