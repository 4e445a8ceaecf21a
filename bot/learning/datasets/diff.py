"""What differs between two versions of the training data: counts, and the rows one by one."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.learning.datasets.row import Row
from bot.learning.datasets.store import DatasetStore

Kind = Literal["added", "removed", "relabelled"]
KINDS: tuple[Kind, ...] = ("added", "removed", "relabelled")
# What a row teaches. What the model thought of it, and its weight, are no labels.
TAUGHT = ("intent", "emotion", "entities", "pair_id", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A turn that is in one of the versions only, or teaches something else in the other."""

    kind: Kind
    before: Row | None
    after: Row | None

    @property
    def row(self) -> Row:
        """The newer of the two."""
        found = self.after or self.before
        assert found is not None
        return found

    def labels(self) -> dict[str, tuple[Any, Any]]:
        """What is different, by label: before and after; of an added row all it teaches."""
        pairs = {
            name: tuple(
                None if row is None else getattr(row, name) for row in (self.before, self.after)
            )
            for name in TAUGHT
        }
        return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two versions beside each other: how many rows, by kind of change and then by label."""

    left: str
    right: str
    rows: Mapping[str, int]  # of both versions
    changes: Mapping[str, int]  # by kind
    by_intent: Mapping[str, Mapping[str, int]]  # by kind, then by intent; "" where there is none
    by_source: Mapping[str, Mapping[str, int]]
    moved: Mapping[str, int]  # "one > another": of the rows whose intent changed

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "left": self.left,
            "right": self.right,
            "rows": dict(self.rows),
            "changes": dict(self.changes),
            "by_intent": {kind: dict(counts) for kind, counts in self.by_intent.items()},
            "by_source": {kind: dict(counts) for kind, counts in self.by_source.items()},
            "moved": dict(self.moved),
        }


def changes(store: DatasetStore, left: str, right: str) -> Iterator[Change]:
    """The rows that differ: removed and relabelled ones in the order of `left`, then added ones.

    Holds two hashes for each row of `right`, and the rows that were relabelled. Raises
    DatasetMissing, DatasetBroken.
    """
    there = {_key(row): _labels(row) for row in store.rows(right)}
    changed: dict[bytes, Row] = {}
    for row in store.rows(left):
        labels = there.pop(_key(row), None)
        if labels is None:
            yield Change(kind="removed", before=row, after=None)
        elif labels != _labels(row):
            changed[_key(row)] = row
    for row in store.rows(right):
        key = _key(row)
        if key in changed:
            yield Change(kind="relabelled", before=changed[key], after=row)
        elif key in there:
            yield Change(kind="added", before=None, after=row)


def difference(store: DatasetStore, left: str, right: str) -> Difference:
    """The difference in numbers; raises DatasetMissing, DatasetBroken."""
    by_intent: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    by_source: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    moved: Counter[str] = Counter()
    for change in changes(store, left, right):
        by_intent[change.kind][change.row.intent or ""] += 1
        by_source[change.kind][change.row.source] += 1
        if change.kind == "relabelled" and "intent" in change.labels():
            old, new = change.labels()["intent"]
            moved[f"{old or ''} > {new or ''}"] += 1
    return Difference(
        left=left,
        right=right,
        rows={version: store.manifest(version).rows for version in (left, right)},
        changes={kind: by_source[kind].total() for kind in KINDS},
        by_intent={kind: dict(by_intent[kind].most_common()) for kind in KINDS},
        by_source={kind: dict(by_source[kind].most_common()) for kind in KINDS},
        moved=dict(moved.most_common()),
    )


def _key(row: Row) -> bytes:
    return hashlib.blake2b(row.turn_id.encode(), digest_size=16).digest()


def _labels(row: Row) -> bytes:
    said = json.dumps([getattr(row, name) for name in TAUGHT], sort_keys=True)
    return hashlib.blake2b(said.encode(), digest_size=8).digest()
