"""The vectors of the QA store: one set an embedder, beside each other, never compared."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVarTuple

import numpy as np
from sqlalchemy import Connection, Select, and_, func, select
from sqlalchemy.dialects import postgresql, sqlite

from actions.tables import QaPair, QaVariant, QaVector
from actions.understanding import FloatArray

Columns = TypeVarTuple("Columns")

_BATCH = 200  # keys in one IN (...)


def with_vectors(query: Select[*Columns], embedder: str) -> Select[*Columns]:
    """A query of wordings joined with the vectors of an embedder; NULL where there is none."""
    same = and_(QaVector.variant_id == QaVariant.id, QaVector.embedder == embedder)
    return query.outerjoin(QaVector, same)


def texts_to_embed(connection: Connection, embedder: str) -> list[tuple[int, str]]:
    """The wordings (row id, text) of active pairs that this embedder has not embedded."""
    query = select(QaVariant.id, QaVariant.text).join(QaPair, QaPair.id == QaVariant.pair_id)
    query = with_vectors(query.where(QaPair.active), embedder)
    rows = connection.execute(query.where(QaVector.variant_id.is_(None)).order_by(QaVariant.id))
    return [(row.id, row.text) for row in rows]


def count_texts(connection: Connection) -> int:
    """How many texts of active pairs there are to embed, by any embedder."""
    query = select(func.count()).select_from(QaVariant)
    joined = query.join(QaPair, QaPair.id == QaVariant.pair_id).where(QaPair.active)
    return connection.execute(joined).scalar_one()


def write_embeddings(
    connection: Connection,
    texts: Sequence[tuple[int, str]],
    vectors: FloatArray,
    embedder: str,
) -> None:
    """Stores the embeddings, (wordings, dim), of wordings given by row id and text.

    A wording that was changed or deleted since it was read gets none: its row may by now be
    another's.
    """
    made = dict(zip(texts, np.asarray(vectors, dtype="<f4"), strict=True))
    ids = [row_id for row_id, _ in texts]
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        query = select(QaVariant.id, QaVariant.text).where(QaVariant.id.in_(batch))
        # On PostgreSQL a row must not go between this and the insert.
        there = connection.execute(query.with_for_update(read=True, key_share=True)).all()
        rows = [
            {
                "variant_id": row.id,
                "embedder": embedder,
                "embedding": made[row.id, row.text].tobytes(),
            }
            for row in there
            if (row.id, row.text) in made
        ]
        _insert(connection, rows)


def read_vectors_of(connection: Connection, pair_id: str) -> Mapping[str, list[tuple[str, bytes]]]:
    """The vectors of a pair's texts: text -> (embedder, embedding) of each."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    rows = connection.execute(
        select(QaVariant.text, QaVector.embedder, QaVector.embedding)
        .join(QaVector, QaVector.variant_id == QaVariant.id)
        .where(QaVariant.pair_id == pair_id)
    )
    for row in rows:
        found.setdefault(row.text, []).append((row.embedder, row.embedding))
    return found


def carry_vectors(
    connection: Connection, pair_id: str, vectors: Mapping[str, list[tuple[str, bytes]]]
) -> None:
    """Gives the rows of a pair that were written anew the vectors their texts had."""
    query = select(QaVariant.id, QaVariant.text).where(QaVariant.pair_id == pair_id)
    rows = [
        {"variant_id": row.id, "embedder": embedder, "embedding": embedding}
        for row in connection.execute(query)
        for embedder, embedding in vectors.get(row.text, ())
    ]
    _insert(connection, rows)


def dialect_of(connection: Connection) -> Any:
    """What has `insert` with a word on rows that are there already, as the database has it."""
    return postgresql if connection.dialect.name == "postgresql" else sqlite


def _insert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    # Another process may embed the same store: the vectors of one embedder are the same.
    if rows:
        insert = dialect_of(connection).insert(QaVector)
        connection.execute(insert.on_conflict_do_nothing(), rows)
