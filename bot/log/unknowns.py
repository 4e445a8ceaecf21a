"""Groups of messages that nothing was known for, and what people made of them.

Kept are ids and figures; what a group is about is read from its turns whenever it is shown.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.errors import RequestError
from bot.log import annotations, reviews, tables
from bot.log.annotations import MAX_LABEL, Judgement
from bot.log.review_scores import FALLBACK
from bot.log.said_turns import WRITER

_BATCH = 500  # keys in one IN (...)
# A name that a button's payload (`/intent{...}`), a YAML key and a file's name can all carry.
_NAME = re.compile(r"[^\W\d][\w.-]*")

_cluster = tables.unknown_cluster
_conversation = tables.conversation
_member = tables.unknown_member
_turn = tables.turn

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A group: how alike its turns are, and how near each is to its middle (turn id, cosine).

    `worth`: where it stands among the others. `labels`: what people have called others that are
    like its turns, and how many of them.
    """

    cohesion: float
    worth: float
    members: Sequence[tuple[str, float]]
    labels: Mapping[str, int]


def replace_open(
    connection: Connection, *, found: Sequence[Found], now: datetime, new_id: Callable[[], str]
) -> int:
    """Put the groups in the place of the open ones; returns how many are open then.

    A group that has at least half of its turns, or of those of an open one, in common with that one
    is the same group with other turns, and keeps its id.
    """
    before: dict[str, set[str]] = {}
    rows = connection.execute(
        select(_member.c.cluster_id, _member.c.turn_id)
        .join(_cluster, _cluster.c.id == _member.c.cluster_id)
        .where(_cluster.c.state == "open")
    )
    for row in rows:
        before.setdefault(row.cluster_id, set()).add(row.turn_id)
    there = _there(connection, [turn_id for one in found for turn_id, _ in one.members])
    ids = _same_as(before, [{turn_id for turn_id, _ in one.members} for one in found])
    open_ids = select(_cluster.c.id).where(_cluster.c.state == "open")
    connection.execute(delete(_member).where(_member.c.cluster_id.in_(open_ids)))
    kept = [id_ for id_ in ids if id_ is not None]
    connection.execute(
        delete(_cluster).where(_cluster.c.state == "open", _cluster.c.id.not_in(kept))
    )
    open_now = 0
    for one, id_ in zip(found, ids, strict=True):
        members = [(turn_id, likeness) for turn_id, likeness in one.members if turn_id in there]
        if members:
            _put(connection, id_, one, members, now, new_id)
            open_now += 1
    return open_now


def count_open(connection: Connection) -> int:
    """How many groups wait for a name."""
    query = select(func.count()).select_from(_cluster).where(_cluster.c.state == "open")
    return connection.execute(query).scalar_one()


def listing(connection: Connection, *, limit: int) -> list[Row]:
    """The open groups that have turns left, those first that are most worth a look."""
    left = func.count(_member.c.turn_id)
    rows = connection.execute(
        select(_cluster, left.label("left"))
        .join(_member, _member.c.cluster_id == _cluster.c.id)
        .where(_cluster.c.state == "open")
        .group_by(*_cluster.c)
        .order_by(_cluster.c.worth.desc(), _cluster.c.id)
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def find(connection: Connection, *, cluster_id: str) -> Row | None:
    """One group, whatever its state; `left` is how many turns it has now."""
    left = select(func.count()).where(_member.c.cluster_id == _cluster.c.id).scalar_subquery()
    row = connection.execute(
        select(_cluster, left.label("left")).where(_cluster.c.id == cluster_id)
    ).mappings()
    found = row.one_or_none()
    return None if found is None else dict(found)


def group_of(connection: Connection, *, turn_id: str) -> Row | None:
    """The open group that a turn is in: its `id` and how many turns it has left."""
    row = connection.execute(
        select(_cluster.c.id)
        .join(_member, _member.c.cluster_id == _cluster.c.id)
        .where(_member.c.turn_id == turn_id, _cluster.c.state == "open")
    ).one_or_none()
    return None if row is None else find(connection, cluster_id=row.id)


def members(connection: Connection, *, cluster_id: str, limit: int) -> list[Row]:
    """A group's turns with their texts and what the model took them for, the most typical first."""
    rows = connection.execute(
        select(
            _turn.c.id,
            _turn.c.conversation_id,
            _turn.c.text,
            _turn.c.intent,
            _turn.c.confidence,
            _turn.c.ranking,
            _turn.c.created_at,
            _member.c.likeness,
            WRITER.label("customer"),
        )
        .join(_member, _member.c.turn_id == _turn.c.id)
        .join(_conversation, _conversation.c.id == _turn.c.conversation_id)
        .where(_member.c.cluster_id == cluster_id)
        .order_by(_member.c.likeness.desc(), _turn.c.id)
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def name(
    connection: Connection,
    *,
    cluster_id: str,
    intent: str,
    agent_id: str,
    turn_ids: Sequence[str],
    now: datetime,
    new_id: Callable[[], str],
) -> int:
    """Label turns of an open group with an intent, new or known; returns how many.

    What was not chosen leaves the group and may come up in another; what somebody has spoken of
    meanwhile keeps what they said. Raises RequestError: 404, 409 for a group that is decided on,
    422 for a name or a choice that cannot be.
    """
    check_name(intent)
    _decide(connection, cluster_id, state="named", intent=intent, by=agent_id, now=now)
    count = 0
    for turn_id in _keep(connection, cluster_id, turn_ids):
        if annotations.effective_of(connection, turn_id) is not None:
            continue
        judgement = Judgement(turn_id=turn_id, agent_id=agent_id, intent=intent)
        reviews.record(connection, judgement=judgement, queued=False, id_=new_id(), now=now)
        count += 1
    return count


def dismiss(
    connection: Connection,
    *,
    cluster_id: str,
    agent_id: str,
    turn_ids: Sequence[str],
    now: datetime,
) -> int:
    """Have turns of an open group not shown in another; returns how many.

    What was not chosen leaves the group and may come up in another. Raises RequestError: 404, 409
    for a group that is decided on, 422 for a choice that cannot be.
    """
    _decide(connection, cluster_id, state="dismissed", intent=None, by=agent_id, now=now)
    return len(_keep(connection, cluster_id, turn_ids))


def check_name(intent: str) -> None:
    """Raises RequestError (422) for what no intent can be called."""
    if intent == FALLBACK:
        raise RequestError(
            422, "intent", f"{FALLBACK} is no intent of a customer's", "say what they wanted"
        )
    if len(intent) > MAX_LABEL or _NAME.fullmatch(intent) is None:
        raise RequestError(
            422,
            "intent",
            "it is no name of an intent",
            "begin with a letter; go on with letters, digits, _, - and dots, at most "
            f"{MAX_LABEL} in all",
        )


def _decide(
    connection: Connection,
    cluster_id: str,
    *,
    state: str,
    intent: str | None,
    by: str,
    now: datetime,
) -> None:
    changed = connection.execute(
        update(_cluster)
        .where(_cluster.c.id == cluster_id, _cluster.c.state == "open")
        .values(state=state, intent=intent, decided_by=by, decided_at=now)
    )
    if changed.rowcount:
        return
    if find(connection, cluster_id=cluster_id) is None:
        raise RequestError(
            404, "cluster", "there is no such group; it may be another by now", "reload the list"
        )
    raise RequestError(409, "cluster", "somebody has decided on this group", "reload the list")


def _keep(connection: Connection, cluster_id: str, turn_ids: Sequence[str]) -> list[str]:
    """The chosen turns of a group, which the others leave. Raises RequestError (422)."""
    chosen = set(turn_ids)
    there = list(
        connection.execute(
            select(_member.c.turn_id)
            .where(_member.c.cluster_id == cluster_id)
            .order_by(_member.c.turn_id)
        ).scalars()
    )
    kept = [turn_id for turn_id in there if turn_id in chosen]
    if not kept:
        raise RequestError(422, "turn", "no message is chosen", "tick those that belong together")
    for batch in _batches([turn_id for turn_id in there if turn_id not in chosen]):
        connection.execute(delete(_member).where(_member.c.turn_id.in_(batch)))
    return kept


def _same_as(before: Mapping[str, set[str]], found: Sequence[set[str]]) -> list[str | None]:
    """For each group the open one that it is; each of those once, the most alike first."""
    overlaps = []
    for index, turns in enumerate(found):
        for id_, earlier in before.items():
            share = len(turns & earlier) / min(len(turns), len(earlier))
            if share >= 0.5:
                overlaps.append((share, len(turns & earlier), id_, index))
    ids: list[str | None] = [None] * len(found)
    taken: set[str] = set()
    for _, _, id_, index in sorted(overlaps, reverse=True):
        if ids[index] is None and id_ not in taken:
            ids[index] = id_
            taken.add(id_)
    return ids


def _put(
    connection: Connection,
    id_: str | None,
    one: Found,
    members: Sequence[tuple[str, float]],
    now: datetime,
    new_id: Callable[[], str],
) -> None:
    values: Row = {
        "size": len(members),
        "cohesion": one.cohesion,
        "worth": one.worth,
        "labels": dict(one.labels),
    }
    if id_ is None:
        id_ = new_id()
        connection.execute(
            insert(_cluster), values | {"id": id_, "state": "open", "created_at": now}
        )
    else:
        connection.execute(update(_cluster).where(_cluster.c.id == id_).values(**values))
    connection.execute(
        _ADD[connection.dialect.name],
        [
            {"turn_id": turn_id, "cluster_id": id_, "likeness": likeness}
            for turn_id, likeness in members
        ],
    )


def _there(connection: Connection, turn_ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for batch in _batches(turn_ids):
        found |= set(connection.execute(select(_turn.c.id).where(_turn.c.id.in_(batch))).scalars())
    return found


def _batches(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))


# A turn that somebody has decided on meanwhile stays where it is.
_ADD = {
    name_: dialect.insert(_member).on_conflict_do_nothing()
    for name_, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
