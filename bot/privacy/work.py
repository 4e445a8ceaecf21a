"""One erasure while it runs: what its steps know and what they have come to."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.log.erasures import Kind

# All steps in their order; what needs the rows comes before they go.
ORDER = (
    "found",
    "models",
    "exports",
    "answers",
    "orders",
    "logs",
    "rows",
    "index",
    "training",
    "datasets",
    "dialogue",
    "understanding",
    "files",
)
# Of conversations whose time is up: nobody asked, so what was learnt from them stays.
OF_RETENTION = ("rows", "dialogue")
# Once after all batches of a retention: what deleted rows leave behind.
AFTER_RETENTION = ("index", "datasets", "files")


def in_order(names: Iterable[str]) -> list[str]:
    """Steps as they are done."""
    return sorted(names, key=ORDER.index)


class NotYet(Exception):
    """A step that cannot be done now; it is tried again. Says why, in words without anybody's."""


@dataclass(slots=True, kw_only=True)
class Work:
    """What a request is about. Everything in `notes` is kept until the request is done."""

    id: str
    kind: Kind
    actor: str
    conversations: tuple[str, ...]
    # By step: {"state": open|done, "tries", "error"?, "result"?}
    steps: dict[str, dict[str, Any]]
    created_at: datetime
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Work":
        """Of a request's row."""
        notes = dict(row["work"])
        return cls(
            id=row["id"],
            kind=row["kind"],
            actor=row["actor"],
            conversations=tuple(notes.pop("conversations")),
            # PostgreSQL keeps no order of keys.
            steps={name: dict(row["steps"][name]) for name in in_order(row["steps"])},
            created_at=row["created_at"],
            notes=notes,
        )

    def as_json(self) -> dict[str, Any]:
        """For the request's row."""
        return {"conversations": list(self.conversations), **self.notes}

    @property
    def is_open(self) -> bool:
        """Whether a step is left."""
        return any(step["state"] != "done" for step in self.steps.values())

    def may(self, name: str) -> bool:
        """Whether a step's turn has come.

        Those before `rows` find nothing once the rows are gone, those after it clean up what the
        rows left, `datasets` also what a training that is being stopped may still write; `files`
        cleans up after all. An outage in one that waits for nobody holds up
        only who waits for it.
        """
        if name == "files":
            needed = [other for other in self.steps if other != name]
        elif name == "datasets":
            needed = ["rows", "training"]
        elif ORDER.index(name) > ORDER.index("rows"):
            needed = ["rows"]
        elif name == "rows":
            needed = [one for one in self.steps if ORDER.index(one) < ORDER.index(name)]
        else:
            needed = []
        return all(self.steps[one]["state"] == "done" for one in needed if one in self.steps)

    def result(self, step: str) -> dict[str, Any]:
        """What a step came to; empty while it is not done."""
        found: dict[str, Any] = self.steps.get(step, {}).get("result") or {}
        return found
