"""How often answers were given, and what customers thought of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, func, select

from bot.log import tables

_turn = tables.turn
_feedback = tables.feedback


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Of one answer since a moment."""

    given: int = 0
    up: int = 0
    down: int = 0


def usage_of(
    connection: Connection, pair_ids: Sequence[str], *, since: datetime
) -> dict[str, Usage]:
    """The usage of each pair; those that were never given are left out."""
    given = connection.execute(
        select(_turn.c.qa_pair_id, func.count())
        .where(_turn.c.qa_pair_id.in_(pair_ids), _turn.c.created_at >= since)
        .group_by(_turn.c.qa_pair_id)
    ).all()
    thumbs = connection.execute(
        select(
            _turn.c.qa_pair_id,
            func.sum(case((_feedback.c.score > 0, 1), else_=0)),
            func.sum(case((_feedback.c.score < 0, 1), else_=0)),
        )
        .join(_turn, _turn.c.id == _feedback.c.turn_id)
        .where(
            _feedback.c.kind == "thumb",
            # A thumb comes after its turn: the newer ones are few, and have an index.
            _feedback.c.created_at >= since,
            _turn.c.created_at >= since,
            _turn.c.qa_pair_id.in_(pair_ids),
        )
        .group_by(_turn.c.qa_pair_id)
    ).all()
    votes = {pair_id: (int(up), int(down)) for pair_id, up, down in thumbs}
    return {
        pair_id: Usage(
            given=count, up=votes.get(pair_id, (0, 0))[0], down=votes.get(pair_id, (0, 0))[1]
        )
        for pair_id, count in given
    }
