"""The last messages that customers wrote, for trying a version on them; texts by their turns."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from bot.log import tables
from bot.log.review_scores import is_reviewable

_turn = tables.turn
_BATCH = 500  # rows read, or keys in one IN (...), at a time


def last_texts(connection: Connection, *, limit: int) -> Iterator[tuple[str, str]]:
    """(turn id, text) of the last turns with words in them, the newest first.

    Pressed buttons and lone files are no messages that a model reads. Streamed: read it while the
    connection is open.
    """
    if limit <= 0:
        return
    query = (
        select(_turn.c.id, _turn.c.text)
        .order_by(_turn.c.created_at.desc(), _turn.c.id.desc())
        .execution_options(yield_per=_BATCH)
    )
    found = 0
    with connection.execute(query) as rows:
        for row in rows:
            if is_reviewable(row.text):
                yield row.id, row.text
                found += 1
                if found == limit:
                    return


def listed_texts(connection: Connection, *, limit: int) -> list[tuple[str, str]]:
    """The same as a list, for a journal's readers."""
    return list(last_texts(connection, limit=limit))


def texts_of(connection: Connection, *, turn_ids: Sequence[str]) -> dict[str, str]:
    """The texts of turns by their ids; what was erased meanwhile is not among them."""
    found: dict[str, str] = {}
    for start in range(0, len(turn_ids), _BATCH):
        rows = connection.execute(
            select(_turn.c.id, _turn.c.text).where(
                _turn.c.id.in_(list(turn_ids[start : start + _BATCH]))
            )
        )
        found |= {row.id: row.text for row in rows}
    return found
