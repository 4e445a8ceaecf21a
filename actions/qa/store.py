"""The QA store in the database: what is written when importing and read when searching."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, insert, select, update

from actions.qa.calibration import Calibration, Scale, scale_from_dict
from actions.qa.embedders import keep_calibration
from actions.qa.index import Corpus
from actions.qa.pairs import Pair
from actions.qa.vectors import carry_vectors, read_vectors_of, with_vectors, write_embeddings
from actions.tables import QaPair, QaSource, QaState, QaVariant, QaVector
from actions.understanding import FloatArray

STATE_ID = 1
DOCUMENT = -1  # the position, among a pair's variants, of question and answer together
_BATCH = 200  # keys in one IN (...)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that pairs come from, and the digest of its content."""

    name: str
    kind: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The store's version, whose embeddings it is searched by, and its calibration."""

    version: int
    embedder: str
    full: Scale
    lexical: Scale
    calibration: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A pair as the store knows it."""

    fingerprint: str
    source: str
    active: bool
    edited: bool = False  # a person changed it: files no longer do


def read_state(connection: Connection) -> State | None:
    """The state, or None of a store that was never filled."""
    table = QaState.__table__
    row = connection.execute(select(table).where(table.c.id == STATE_ID)).mappings().first()
    if row is None:
        return None
    return State(
        version=row["version"],
        embedder=row["embedder"],
        full=scale_from_dict(row["calibration"]["full"]),
        lexical=scale_from_dict(row["calibration"]["lexical"]),
        calibration=row["calibration"],
    )


def read_version(connection: Connection) -> int:
    """The version alone, 0 of a store that was never filled: cheap enough to ask often."""
    version = connection.execute(select(QaState.version).where(QaState.id == STATE_ID)).scalar()
    return version or 0


def read_sources(connection: Connection) -> dict[str, str]:
    """The digest of each source that was imported."""
    return {row.name: row.sha256 for row in connection.execute(select(QaSource.__table__))}


def read_stored(connection: Connection) -> dict[str, Stored]:
    """What is known of every pair, active or not."""
    columns = (QaPair.id, QaPair.fingerprint, QaPair.source, QaPair.active, QaPair.edited)
    return {
        row.id: Stored(
            fingerprint=row.fingerprint,
            source=row.source,
            active=row.active,
            edited=row.edited,
        )
        for row in connection.execute(select(*columns))
    }


def read_pairs(connection: Connection) -> list[Pair]:
    """All active pairs with their wordings, by id."""
    wordings: dict[str, list[str]] = {}
    columns = (QaVariant.pair_id, QaVariant.text)
    for row in connection.execute(select(*columns).order_by(QaVariant.pair_id, QaVariant.position)):
        wordings.setdefault(row.pair_id, []).append(row.text)
    table = QaPair.__table__
    rows = connection.execute(select(table).where(table.c.active).order_by(table.c.id))
    return [
        Pair(
            id=row.id,
            intent=row.intent,
            category=row.category,
            question=row.question,
            variants=tuple(wordings.get(row.id, [])[1:]),
            answer=row.answer,
        )
        for row in rows
    ]


def read_corpus(connection: Connection, embedder: str) -> Corpus:
    """All active pairs, with the vectors of this embedder.

    A text without one (an edit while the understanding service was away) counts by its spelling,
    and a pair whose document has none goes by the middle of its wordings.
    """
    columns = (QaVariant.pair_id, QaVariant.position, QaVariant.text, QaVector.embedding)
    query = select(*columns).join(QaPair, QaPair.id == QaVariant.pair_id).where(QaPair.active)
    rows = connection.execute(with_vectors(query, embedder)).all()
    found = {row.pair_id for row in rows}
    pairs = tuple(pair for pair in read_pairs(connection) if pair.id in found)
    place = {pair.id: i for i, pair in enumerate(pairs)}
    # Sorted here, because databases sort texts in different ways.
    rows = sorted(rows, key=lambda row: (place[row.pair_id], row.position))
    vectors = _matrix([row.embedding for row in rows])
    is_wording = np.asarray([row.position > DOCUMENT for row in rows], dtype=np.bool_)
    owners = np.asarray([place[row.pair_id] for row in rows], dtype=np.int32)
    documents = np.zeros((len(pairs), vectors.shape[1]), dtype=np.float32)
    documents[owners[~is_wording]] = vectors[~is_wording]
    corpus = Corpus(
        pairs=pairs,
        documents=documents,
        owners=owners[is_wording],
        texts=tuple(row.text for row in rows if row.position > DOCUMENT),
        vectors=vectors[is_wording],
        embedder=embedder,
    )
    _stand_in(corpus)
    return corpus


def _stand_in(corpus: Corpus) -> None:
    """Give documents without a vector the direction of their wordings'."""
    for place in np.flatnonzero(~corpus.documents.any(axis=1)):
        middle = corpus.vectors[corpus.owners == place].sum(axis=0)
        corpus.documents[place] = middle / max(float(np.linalg.norm(middle)), 1e-6)


def _matrix(blobs: list[bytes | None]) -> FloatArray:
    """One row a blob, (blobs, dim); zeros where there is none."""
    width = next((len(blob) for blob in blobs if blob is not None), 0)
    empty = bytes(width)
    joined = b"".join(empty if blob is None else blob for blob in blobs)
    return np.frombuffer(joined, dtype="<f4").reshape(len(blobs), width // 4)


def write_source(connection: Connection, source: SourceFile, pairs: int, now: datetime) -> None:
    """Notes that a source was read, anew or again."""
    values = {"kind": source.kind, "sha256": source.sha256, "pairs": pairs, "imported_at": now}
    changed = connection.execute(
        update(QaSource).where(QaSource.name == source.name).values(**values)
    )
    if not changed.rowcount:
        connection.execute(insert(QaSource).values(name=source.name, **values))


def write_pair(
    connection: Connection,
    pair: Pair,
    source: str,
    now: datetime,
    origins: Mapping[str, str] | None = None,
) -> None:
    """Puts a pair in, or in the place of the one with its id; unchanged wordings stay embedded.

    origins: of wordings that a customer wrote, the conversation; None keeps what is known.
    """
    values = {
        "intent": pair.intent,
        "category": pair.category,
        "question": pair.question,
        "answer": pair.answer,
        "source": source,
        "fingerprint": pair.fingerprint,
        "active": True,
        "updated_at": now,
    }
    if not connection.execute(update(QaPair).where(QaPair.id == pair.id).values(**values)).rowcount:
        connection.execute(insert(QaPair).values(id=pair.id, created_at=now, **values))
    old = {
        row.text: row
        for row in connection.execute(
            select(QaVariant.__table__).where(QaVariant.pair_id == pair.id)
        )
    }
    vectors = read_vectors_of(connection, pair.id)
    if origins is None:
        origins = {text: row.conversation_id for text, row in old.items()}
    connection.execute(delete(QaVariant).where(QaVariant.pair_id == pair.id))
    texts = (pair.document, *pair.wordings)
    rows = [
        {
            "pair_id": pair.id,
            "position": position,
            "text": text,
            "conversation_id": origins.get(text),
        }
        for position, text in enumerate(texts, DOCUMENT)
    ]
    connection.execute(insert(QaVariant), rows)
    carry_vectors(connection, pair.id, vectors)


def write_inactive(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    """Takes pairs out of the search; they stay on record, because the log names them."""
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        connection.execute(
            update(QaPair).where(QaPair.id.in_(batch)).values(active=False, updated_at=now)
        )


def write_vectors(
    connection: Connection, pair_id: str, vectors: Mapping[str, FloatArray], embedder: str
) -> None:
    """Stores the vectors, (dim,) each, of those texts of a pair that have none of this embedder."""
    query = select(QaVariant.id, QaVariant.text).where(QaVariant.pair_id == pair_id)
    rows = connection.execute(with_vectors(query, embedder).where(QaVector.variant_id.is_(None)))
    missing = [(row.id, row.text) for row in rows if row.text in vectors]
    if missing:
        found = np.stack([vectors[text] for _, text in missing])
        write_embeddings(connection, missing, found, embedder)


def write_version(connection: Connection, now: datetime) -> None:
    """Moves the version, so that every process that searches reads the store again."""
    connection.execute(
        update(QaState)
        .where(QaState.id == STATE_ID)
        .values(version=QaState.version + 1, updated_at=now)
    )


def write_state(
    connection: Connection, embedder: str, calibration: Calibration, now: datetime
) -> int:
    """Stores the calibration under a new version, which it returns; searches go by this embedder.

    Kept with it are the sets of the embedders before it, for a roll-back.
    """
    keep_calibration(connection, embedder, calibration.as_dict(), now)
    return write_use(connection, embedder, calibration.as_dict(), now)


def write_use(
    connection: Connection, embedder: str, calibration: Mapping[str, Any], now: datetime
) -> int:
    """Makes an embedder with its calibration the one to search by; returns the new version."""
    version = read_version(connection) + 1
    values: Mapping[str, object] = {
        "version": version,
        "embedder": embedder,
        "answer_threshold": calibration["full"]["answer"],
        "offer_threshold": calibration["full"]["offer"],
        "calibration": dict(calibration),
        "updated_at": now,
    }
    changed = connection.execute(update(QaState).where(QaState.id == STATE_ID).values(**values))
    if not changed.rowcount:
        connection.execute(insert(QaState).values(id=STATE_ID, **values))
    return version
