"""A pair's history: every change kept under a number, and the pair as it is now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from actions.database import as_utc
from actions.qa.pairs import Pair
from actions.qa.store import (
    DOCUMENT,
    SourceFile,
    write_inactive,
    write_pair,
    write_source,
    write_version,
)
from actions.tables import QaPair, QaRevision, QaSource, QaVariant

CONSOLE = "console"  # the source of pairs that were written in the console
IMPORT = "import"  # who changed it, when a file did
ADDED, CHANGED, SAME = "added", "changed", "same"  # what became of a pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that a change of a pair may change."""

    pair: Pair
    active: bool = True
    origins: Mapping[str, str] = field(default_factory=dict)  # a customer's wording -> conversation

    def as_dict(self) -> dict[str, Any]:
        """For the database; the pair's id is known from the row."""
        pair, texts = self.pair, set(self.pair.wordings)
        return {
            "intent": pair.intent,
            "category": pair.category,
            "question": pair.question,
            "variants": list(pair.wordings[1:]),
            "answer": pair.answer,
            "active": self.active,
            "origins": {text: origin for text, origin in self.origins.items() if text in texts},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPair:
    """A pair with what the store knows of it."""

    content: Content
    source: str
    edited: bool
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def pair(self) -> Pair:
        """The pair itself."""
        return self.content.pair

    @property
    def active(self) -> bool:
        """Whether it is searched."""
        return self.content.active


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who changes a pair, and why."""

    actor: str
    note: str | None = None
    # The conversation that the new wordings are from, when a customer wrote them.
    conversation_id: str | None = None
    # The number that the editor has seen; None takes whatever is there.
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What a pair was from one change on."""

    id: int
    number: int
    content: Content
    change: Change
    created_at: datetime


class PairChanged(Exception):
    """Somebody else changed the pair since the editor looked at it."""

    def __init__(self, stored: StoredPair) -> None:
        super().__init__(f"pair {stored.pair.id} is at revision {stored.revision}")
        self.stored = stored


def read_stored_pair(
    connection: Connection, pair_id: str, *, lock: bool = False
) -> StoredPair | None:
    """The pair under an id, active or not; with `lock`, others who change it wait."""
    query = select(QaPair.__table__).where(QaPair.id == pair_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        return None
    wordings = connection.execute(
        select(QaVariant.text, QaVariant.conversation_id)
        .where(QaVariant.pair_id == pair_id, QaVariant.position > DOCUMENT)
        .order_by(QaVariant.position)
    ).all()
    pair = Pair(
        id=row.id,
        intent=row.intent,
        category=row.category,
        question=row.question,
        variants=tuple(wording.text for wording in wordings if wording.text != row.question),
        answer=row.answer,
    )
    origins = {wording.text: wording.conversation_id for wording in wordings}
    return StoredPair(
        content=Content(
            pair=pair,
            active=row.active,
            origins={text: origin for text, origin in origins.items() if origin is not None},
        ),
        source=row.source,
        edited=row.edited,
        revision=row.revision,
        created_at=as_utc(row.created_at),
        updated_at=as_utc(row.updated_at),
    )


def read_revisions(connection: Connection, pair_id: str) -> list[Revision]:
    """The history of a pair, the newest first."""
    rows = connection.execute(
        select(QaRevision.__table__)
        .where(QaRevision.pair_id == pair_id)
        .order_by(QaRevision.number.desc())
    )
    return [_revision(row) for row in rows]


def change_pair(
    connection: Connection,
    pair: Pair,
    change: Change,
    now: datetime,
    *,
    active: bool | None = None,
) -> int:
    """Write a pair as a person wants it; returns its revision's number.

    Files leave it alone from now on. Origins go on with rephrased wordings. What is as it was
    makes no revision. Without `active` a retired pair stays retired, and a new one is searched.
    Raises PairChanged.
    """
    outcome, number = _change(connection, pair, change, now, active)
    if outcome != SAME:
        write_version(connection, now)
    return number


def change_many(
    connection: Connection, pairs: Sequence[Pair], change: Change, now: datetime
) -> Counter[str]:
    """Write pairs as `change_pair` does; returns how many were ADDED, CHANGED or the SAME.

    The version stays: whoever writes many portions moves it once, after the last of them.
    """
    return Counter(_change(connection, pair, change, now, None)[0] for pair in pairs)


def _change(
    connection: Connection, pair: Pair, change: Change, now: datetime, active: bool | None
) -> tuple[str, int]:
    """What became of a pair, and its revision's number."""
    old = read_stored_pair(connection, pair.id, lock=True)
    origins = {} if old is None else _carried(old.content, pair)
    if change.conversation_id is not None:
        known = set() if old is None else set(old.pair.wordings)
        origins |= {text: change.conversation_id for text in pair.wordings if text not in known}
    if active is None:
        active = old is None or old.active
    content = Content(pair=pair, active=active, origins=origins)
    number = _write(connection, old, content, change, now)
    if old is None:
        return ADDED, number
    return SAME if number == old.revision else CHANGED, number


def _carried(old: Content, pair: Pair) -> dict[str, str]:
    """The known origins; a customer's wording that was rephrased is still the customer's.

    Of several that vanished, the nearest one lends its origin to a wording that is new.
    """
    origins, texts = dict(old.origins), set(pair.wordings)
    gone = [text for text in old.pair.wordings if text in origins and text not in texts]
    for text in texts.difference(old.pair.wordings) if gone else ():
        matcher = SequenceMatcher(b=text, autojunk=False)
        likeness = {}
        for earlier in gone:
            matcher.set_seq1(earlier)
            likeness[earlier] = matcher.ratio()
        origins[text] = origins[max(gone, key=likeness.__getitem__)]
    return origins


def restore_pair(
    connection: Connection, pair_id: str, revision_id: int, change: Change, now: datetime
) -> int | None:
    """Make a pair what it was at a revision; None when the pair has no such revision."""
    row = connection.execute(
        select(QaRevision.__table__).where(
            QaRevision.id == revision_id, QaRevision.pair_id == pair_id
        )
    ).first()
    if row is None:
        return None
    old = read_stored_pair(connection, pair_id, lock=True)
    number = _write(connection, old, _revision(row).content, change, now)
    if old is None or number != old.revision:
        write_version(connection, now)
    return number


def import_pair(connection: Connection, pair: Pair, source: str, now: datetime) -> None:
    """Write a pair as its file has it; what it was before stays in the history."""
    old = read_stored_pair(connection, pair.id, lock=True)
    if old is not None:
        _keep_first(connection, old)
    write_pair(connection, pair, source, now)
    if old is not None:
        content = Content(pair=pair, origins=old.content.origins)
        _add(connection, content, Change(actor=IMPORT, note=source), now, edited=False)


def _write(
    connection: Connection,
    old: StoredPair | None,
    content: Content,
    change: Change,
    now: datetime,
) -> int:
    pair = content.pair
    if old is not None and change.expected not in (None, old.revision):
        raise PairChanged(old)
    if old is None:
        _make_source(connection, now)
    elif old.active == content.active and old.pair.fingerprint == pair.fingerprint:
        return old.revision
    else:
        _keep_first(connection, old)
    write_pair(connection, pair, CONSOLE if old is None else old.source, now, content.origins)
    if not content.active:
        write_inactive(connection, [pair.id], now)
    return _add(connection, content, change, now, edited=True)


def _keep_first(connection: Connection, old: StoredPair) -> None:
    """Before the first change of a pair: what it was until then, as number 0."""
    if old.revision > 0:
        return
    change = Change(actor=IMPORT, note=old.source)
    _insert(connection, 0, old.content, change, old.updated_at)


def _add(
    connection: Connection, content: Content, change: Change, now: datetime, *, edited: bool
) -> int:
    pair_id = content.pair.id
    last = connection.execute(
        select(func.max(QaRevision.number)).where(QaRevision.pair_id == pair_id)
    ).scalar()
    # An erasure moves the number of a pair without a row of its history.
    moved = connection.execute(select(QaPair.revision).where(QaPair.id == pair_id)).scalar()
    number = 1 + max(last or 0, moved or 0)
    connection.execute(
        update(QaPair).where(QaPair.id == pair_id).values(revision=number, edited=edited)
    )
    _insert(connection, number, content, change, now)
    return number


def _insert(
    connection: Connection, number: int, content: Content, change: Change, now: datetime
) -> None:
    connection.execute(
        insert(QaRevision).values(
            pair_id=content.pair.id,
            number=number,
            content=content.as_dict(),
            actor=change.actor,
            note=change.note,
            conversation_id=change.conversation_id,
            created_at=now,
        )
    )


def _revision(row: Any) -> Revision:
    content = row.content
    return Revision(
        id=row.id,
        number=row.number,
        content=Content(
            pair=Pair(
                id=row.pair_id,
                intent=content["intent"],
                category=content["category"],
                question=content["question"],
                variants=tuple(content["variants"]),
                answer=content["answer"],
            ),
            active=content["active"],
            origins=content["origins"],
        ),
        change=Change(actor=row.actor, note=row.note, conversation_id=row.conversation_id),
        created_at=as_utc(row.created_at),
    )


def _make_source(connection: Connection, now: datetime) -> None:
    if connection.execute(select(QaSource.name).where(QaSource.name == CONSOLE)).first() is None:
        write_source(connection, SourceFile(name=CONSOLE, kind=CONSOLE, sha256=""), 0, now)
