"""Which model versions were trained on whose turns."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from bot.log.tables import model_exposure as _exposure
from bot.log.tables import turn as _turn

_BATCH = 200


def record(
    connection: Connection,
    *,
    model_version: str,
    turn_ids: Iterable[str],
    now: datetime | None = None,
) -> int:
    """Note that a version was trained on these turns; returns of how many conversations.

    Turns that are not in the log (any more) are passed over. Noting the same again changes nothing
    but the count of turns.
    """
    counts: Counter[str] = Counter()
    wanted = list(dict.fromkeys(turn_ids))
    for start in range(0, len(wanted), _BATCH):
        rows = connection.execute(
            select(_turn.c.conversation_id, func.count())
            .where(_turn.c.id.in_(wanted[start : start + _BATCH]))
            .group_by(_turn.c.conversation_id)
        )
        for conversation_id, number in rows:
            counts[conversation_id] += number
    known = set(
        connection.execute(
            select(_exposure.c.conversation_id).where(_exposure.c.model_version == model_version)
        ).scalars()
    )
    for conversation_id in sorted(counts):
        if conversation_id in known:
            connection.execute(
                update(_exposure)
                .where(
                    _exposure.c.model_version == model_version,
                    _exposure.c.conversation_id == conversation_id,
                )
                .values(turns=counts[conversation_id])
            )
            continue
        connection.execute(
            insert(_exposure).values(
                model_version=model_version,
                conversation_id=conversation_id,
                turns=counts[conversation_id],
                created_at=now or datetime.now(UTC),
            )
        )
    return len(counts)


def versions_of(connection: Connection, conversation_ids: Sequence[str]) -> dict[str, int]:
    """By version that was trained on turns of these conversations: on how many."""
    return _summed(
        connection,
        lambda batch: (
            select(_exposure.c.model_version, func.sum(_exposure.c.turns))
            .where(_exposure.c.conversation_id.in_(batch))
            .group_by(_exposure.c.model_version)
        ),
        conversation_ids,
    )


def understood_by(connection: Connection, conversation_ids: Sequence[str]) -> dict[str, int]:
    """By version that understood messages of these conversations: how many. They keep nothing."""
    return _summed(
        connection,
        lambda batch: (
            select(_turn.c.model_version, func.count())
            .where(_turn.c.conversation_id.in_(batch), _turn.c.model_version.is_not(None))
            .group_by(_turn.c.model_version)
        ),
        conversation_ids,
    )


def _summed(
    connection: Connection,
    query: Callable[[Sequence[str]], Select[Any]],
    conversation_ids: Sequence[str],
) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for start in range(0, len(conversation_ids), _BATCH):
        for version, number in connection.execute(query(conversation_ids[start : start + _BATCH])):
            counts[version] += int(number)
    return dict(sorted(counts.items()))
