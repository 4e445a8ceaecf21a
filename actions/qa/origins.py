"""Wordings that customers wrote: how they leave the store when their conversation is erased."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from actions.qa.pairs import Pair
from actions.qa.revisions import Content, StoredPair, read_revisions, read_stored_pair
from actions.qa.store import write_inactive, write_pair, write_version
from actions.tables import QaPair, QaRevision, QaVariant

_BATCH = 200  # keys in one IN (...)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What left the store."""

    wordings: int = 0  # of pairs as they are now
    revisions: int = 0  # of pairs as they were
    pairs_changed: tuple[str, ...] = ()
    pairs_removed: tuple[str, ...] = ()  # nothing but the customer's words was asked in them


def read_origins(connection: Connection) -> list[str]:
    """The conversations that wordings of active pairs came from, in their order."""
    query = (
        select(QaVariant.conversation_id)
        .distinct()
        .join(QaPair, QaPair.id == QaVariant.pair_id)
        .where(QaPair.active, QaVariant.conversation_id.is_not(None))
    )
    return sorted(origin for origin in connection.execute(query).scalars() if origin)


def forget_origins(
    connection: Connection, conversation_ids: Collection[str], now: datetime
) -> Forgotten:
    """Take every wording out that came from these conversations, also out of the history.

    Vectors go with their wordings; running processes drop theirs when they see the new version.
    """
    unwanted = frozenset(conversation_ids)
    wordings, revisions = 0, 0
    changed: list[str] = []
    removed: list[str] = []
    for pair_id in sorted(_pairs_of(connection, unwanted)):
        stored = read_stored_pair(connection, pair_id, lock=True)
        if stored is None:
            continue
        wordings += sum(origin in unwanted for origin in stored.content.origins.values())
        revisions += _clean_history(connection, pair_id, unwanted)
        if _clean_pair(connection, stored, unwanted, now):
            changed.append(pair_id)
        else:
            removed.append(pair_id)
    if changed or removed:
        write_version(connection, now)
    return Forgotten(
        wordings=wordings,
        revisions=revisions,
        pairs_changed=tuple(changed),
        pairs_removed=tuple(removed),
    )


def _pairs_of(connection: Connection, conversation_ids: Iterable[str]) -> set[str]:
    ids, found = sorted(conversation_ids), set[str]()
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        for table in (QaVariant, QaRevision):
            query = select(table.pair_id).where(table.conversation_id.in_(batch))
            found.update(connection.execute(query).scalars())
    return found


def _clean_pair(
    connection: Connection, stored: StoredPair, unwanted: frozenset[str], now: datetime
) -> bool:
    """Whether something is left of the pair to ask."""
    content = _without(stored.content, unwanted)
    if content is None:
        connection.execute(delete(QaVariant).where(QaVariant.pair_id == stored.pair.id))
        connection.execute(delete(QaRevision).where(QaRevision.pair_id == stored.pair.id))
        connection.execute(delete(QaPair).where(QaPair.id == stored.pair.id))
        return False
    if content.pair != stored.pair:
        write_pair(connection, content.pair, stored.source, now, content.origins)
        # A form that was opened before still holds the words: saving it is a conflict.
        connection.execute(
            update(QaPair).where(QaPair.id == stored.pair.id).values(revision=stored.revision + 1)
        )
        if not content.active:
            write_inactive(connection, [content.pair.id], now)
    return True


def _clean_history(connection: Connection, pair_id: str, unwanted: frozenset[str]) -> int:
    """How many revisions had such wordings; one that had no other is deleted."""
    count = 0
    for revision in read_revisions(connection, pair_id):
        of_them = revision.change.conversation_id in unwanted
        if not of_them and not unwanted & set(revision.content.origins.values()):
            continue
        count += 1
        row = QaRevision.id == revision.id
        content = _without(revision.content, unwanted)
        if content is None:
            connection.execute(delete(QaRevision).where(row))
            continue
        values: dict[str, object] = {"content": content.as_dict()}
        if of_them:
            # A note on a correction may quote the customer.
            values |= {"conversation_id": None, "note": None}
        connection.execute(update(QaRevision).where(row).values(**values))
    return count


def _without(content: Content, unwanted: frozenset[str]) -> Content | None:
    """The content less the wordings from these conversations; None when no wording is left."""
    kept = [text for text in content.pair.wordings if content.origins.get(text) not in unwanted]
    if not kept:
        return None
    pair: Pair = replace(content.pair, question=kept[0], variants=tuple(kept[1:]))
    origins = {text: origin for text, origin in content.origins.items() if origin not in unwanted}
    return replace(content, pair=pair, origins=origins)
