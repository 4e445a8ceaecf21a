"""The manifest of a version of the training data: what is in it, its parent, and its hashes."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from bot.learning.datasets.row import Row

FILE = "manifest.json"
ROWS = "rows.jsonl"
FORMAT = 1
COUNTED = ("source", "intent", "emotion", "split")

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a version is; `files` has the sha256 and the bytes of each file by its name."""

    version: str
    parent: str | None
    until: datetime  # the log was read up to here
    created_at: datetime
    run_id: str | None
    rows: int
    counts: Counts  # of COUNTED: how many rows have which value
    files: Mapping[str, Mapping[str, Any]]
    erased: int = 0  # rows that erasures have taken out of it since

    @property
    def sha256(self) -> str:
        """The hash of the manifest itself, in hex."""
        return hashlib.sha256(self.as_bytes()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        plain = asdict(self)
        moments = {name: getattr(self, name).isoformat() for name in ("until", "created_at")}
        return plain | moments | {"format": FORMAT}

    def as_bytes(self) -> bytes:
        """The file; the same manifest gives the same bytes."""
        dumped = json.dumps(self.as_json(), ensure_ascii=False, sort_keys=True, indent=1)
        return (dumped + "\n").encode()

    def as_row(self) -> dict[str, Any]:
        """The row of the table dataset_version."""
        return {
            "version": self.version,
            "parent": self.parent,
            "run_id": self.run_id,
            "sha256": self.sha256,
            "rows": self.rows,
            "counts": {name: dict(self.counts[name]) for name in ("source", "intent")},
            "until": self.until,
            "created_at": self.created_at,
            "erased": self.erased,
        }

    @classmethod
    def of_bytes(cls, content: bytes) -> "Manifest":
        """Raises ValueError, TypeError or KeyError for what is no manifest of ours."""
        found = json.loads(content)
        if found.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}, which this version of kefu reads")
        moments = {name: datetime.fromisoformat(found[name]) for name in ("until", "created_at")}
        return cls(**{**found, **moments})


class Tally:
    """Counts rows as they pass."""

    def __init__(self) -> None:
        self.rows = 0
        self._found: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}

    def add(self, row: Row) -> None:
        """Count a row; a label that it does not have is not counted."""
        self.rows += 1
        for name, counter in self._found.items():
            value = getattr(row, name)
            if value is not None:
                counter[value] += 1

    def counts(self) -> dict[str, dict[str, int]]:
        """By kind: how many rows have which value."""
        return {name: dict(sorted(counter.items())) for name, counter in self._found.items()}
