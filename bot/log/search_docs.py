"""Keeps the words of what was said, and finds them again: FTS5 on SQLite, GIN on PostgreSQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Executable, Text, bindparam, cast, insert, select, text
from sqlalchemy.dialects.postgresql import TSVECTOR

from bot.log import tables
from bot.log.search_terms import Term, matches, words_of

_doc = tables.search_doc

_ADD: dict[str, Executable] = {
    "sqlite": insert(_doc),
    "postgresql": insert(_doc).values(
        conversation_id=bindparam("conversation_id"),
        message_id=bindparam("message_id"),
        words=cast(bindparam("words", type_=Text), TSVECTOR),
    ),
}


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that has all the words; a larger number was written later."""

    id: int
    conversation_id: str
    message_id: str


def keep_words(
    connection: Connection,
    *,
    conversation_id: str,
    message_id: str,
    texts: Iterable[str | None],
) -> None:
    """Let a search find a message by the words of these texts, which hold no personal data."""
    words = words_of(texts)
    if not words:
        return
    dialect = connection.dialect.name
    row = {"conversation_id": conversation_id, "message_id": message_id}
    connection.execute(_ADD[dialect], row | {"words": column_of(dialect, words)})


def column_of(dialect: str, words: Sequence[str]) -> str:
    """Words as the column of the dialect takes them; they are letters and digits only."""
    return "'" + "' '".join(words) + "'" if dialect == "postgresql" else " ".join(words)


class Finder:
    """One search, on one database; at least one term."""

    # Words with more hits than this are many's.
    FEW = 5000

    def __init__(self, connection: Connection, terms: Sequence[Term]) -> None:
        self._connection = connection
        self._terms = terms
        self._shared = connection.dialect.name == "postgresql"

    def few(self) -> list[Hit] | None:
        """All hits, the newest first, where there are few of them; None where there are many."""
        found = self._connection.execute(
            _FEW_POSTGRESQL if self._shared else _FEW_SQLITE,
            {"query": self._query(), "most": self.FEW + 1},
        )
        hits = [Hit(*row) for row in found]
        return _newest_first(hits) if len(hits) <= self.FEW else None

    def among(self, conversation_ids: Sequence[str]) -> list[Hit]:
        """All hits in these conversations, the newest first."""
        if self._shared:
            rows = self._connection.execute(
                _AMONG_POSTGRESQL, {"ids": list(conversation_ids), "query": self._query()}
            )
            return _newest_first([Hit(*row) for row in rows])
        found = self._connection.execute(
            select(_doc.c.id, _doc.c.conversation_id, _doc.c.message_id, _doc.c.words).where(
                _doc.c.conversation_id.in_(conversation_ids)
            )
        )
        hits = [Hit(*row[:3]) for row in found if matches(self._terms, row[3].split())]
        return _newest_first(hits)

    def _query(self) -> str:
        """What is looked for in the words of the database; terms are letters and digits only."""
        if self._shared:
            return " & ".join(f"'{term.word}'{':*' * term.starts}" for term in self._terms)
        return " AND ".join(f'"{term.word}"{"*" * term.starts}' for term in self._terms)


def _newest_first(hits: list[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.id)


# No order: a database that is asked for one may read far more to have it.
_FEW_SQLITE = text(
    """
    SELECT d.id, d.conversation_id, d.message_id
    FROM (
        SELECT rowid FROM search_words WHERE search_words MATCH :query LIMIT :most
    ) s JOIN search_doc d ON d.id = s.rowid
    """
)
_FEW_POSTGRESQL = text(
    """
    SELECT id, conversation_id, message_id FROM search_doc
    WHERE words @@ CAST(:query AS tsquery) LIMIT :most
    """
)
_AMONG_POSTGRESQL = text(
    """
    SELECT id, conversation_id, message_id FROM search_doc
    WHERE conversation_id = ANY(:ids) AND words @@ CAST(:query AS tsquery)
    """
)
