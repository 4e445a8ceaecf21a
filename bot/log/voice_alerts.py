"""The emotion watch in the log: what it looks at, its alerts, who has seen them, who mutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    table,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import tables
from bot.log.voice_labels import UPSET

_alert = tables.alert
_conversation = tables.conversation
_hour = tables.watch_hour
_mute = tables.alert_mute
_notice = tables.alert_notice
_state = tables.voice_state
_turn = tables.turn
_qa_pair = table("qa_pair", column("id"), column("category"))

Row = dict[str, Any]
Series = tuple[str, str]  # kind, name
MOST_EXAMPLES = 5
# Of a day each: the last one, then those before it, back to eight weeks.
WINDOWS = 57


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A series that a look found too upset."""

    id: str
    series: Series
    cases: int
    upset: int
    expected: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a look at the hours before `hour` (since 1970) changes."""

    hour: int
    opened: Sequence[Finding]
    seen: Sequence[Finding]
    over: Sequence[Series]


@dataclass(frozen=True, slots=True, kw_only=True)
class Muting:
    """No alerts of a series until a moment, and why."""

    series: Series
    reason: str
    until: datetime
    by: str


def windows(connection: Connection, *, before_hour: int) -> list[tuple[Series, int, int, int]]:
    """(series, window, cases, upset) of the WINDOWS, numbered back from `before_hour`."""
    number = (literal(before_hour - 1, BigInteger) - _hour.c.hour) // 24
    found = connection.execute(
        select(
            _hour.c.kind,
            _hour.c.name,
            number.label("number"),
            func.sum(_hour.c.cases),
            func.sum(_hour.c.upset),
        )
        .where(_hour.c.hour < before_hour, _hour.c.hour >= before_hour - 24 * WINDOWS)
        .group_by(_hour.c.kind, _hour.c.name, number)
    )
    return [((row[0], row[1]), int(row[2]), int(row[3]), int(row[4])) for row in found]


def quiet(connection: Connection, *, now: datetime, cooldown: timedelta) -> set[Series]:
    """Series that are to give no new alert: muted, or over only a while ago."""
    muted = connection.execute(select(_mute.c.kind, _mute.c.name).where(_mute.c.until > now))
    closed = connection.execute(
        select(_alert.c.kind, _alert.c.name).where(_alert.c.closed_at > now - cooldown)
    )
    return {(row.kind, row.name) for found in (muted, closed) for row in found}


def open_series(connection: Connection) -> set[Series]:
    """Series with an alert that is not over."""
    found = connection.execute(
        select(_alert.c.kind, _alert.c.name).where(_alert.c.closed_at.is_(None))
    )
    return {(row.kind, row.name) for row in found}


def keep_findings(
    connection: Connection, *, findings: Findings, now: datetime, notify: bool
) -> bool:
    """Keep what a look found; False when the hour was looked at before."""
    looked = connection.execute(
        update(_state)
        .where((_state.c.looked_hour.is_(None)) | (_state.c.looked_hour < findings.hour))
        .values(looked_hour=findings.hour)
    )
    if not looked.rowcount:
        return False
    until = datetime.fromtimestamp(findings.hour * 3600, UTC)
    for found in findings.opened:
        kind, name = found.series
        connection.execute(
            insert(_alert),
            {
                "id": found.id,
                "kind": kind,
                "name": name,
                "opened_at": now,
                "seen_at": now,
                "since": until - timedelta(days=1),
                **_figures(found),
            },
        )
        if notify:
            _add_notice(connection, found.id, "opened", now)
    for found in findings.seen:
        connection.execute(update(_alert).where(_is_open(found.series)).values(seen_at=now))
    for series in findings.over:
        id_ = connection.execute(select(_alert.c.id).where(_is_open(series))).scalar_one_or_none()
        connection.execute(update(_alert).where(_is_open(series)).values(closed_at=now))
        if notify and id_ is not None:
            _add_notice(connection, id_, "closed", now)
    return True


def listed(connection: Connection, *, limit: int = 100) -> list[Row]:
    """Alerts, open ones first, then the newest; each with the mute of its series, if any."""
    query = (
        select(
            _alert,
            tables.agent.c.name.label("acknowledged_name"),
            _mute.c.until.label("muted_until"),
            _mute.c.reason.label("muted_reason"),
        )
        .outerjoin(tables.agent, tables.agent.c.id == _alert.c.acknowledged_by)
        .outerjoin(_mute, (_mute.c.kind == _alert.c.kind) & (_mute.c.name == _alert.c.name))
        .order_by(_alert.c.closed_at.is_not(None), _alert.c.opened_at.desc(), _alert.c.id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def one(connection: Connection, *, alert_id: str) -> Row | None:
    """An alert's row; None when there is none."""
    row = connection.execute(select(_alert).where(_alert.c.id == alert_id)).mappings().one_or_none()
    return None if row is None else dict(row)


def count_open(connection: Connection) -> int:
    """How many alerts are open and nobody has seen."""
    counted = connection.execute(
        select(func.count())
        .select_from(_alert)
        .where(_alert.c.closed_at.is_(None), _alert.c.acknowledged_at.is_(None))
    )
    return int(counted.scalar_one())


def examples(connection: Connection, *, alert: Row) -> list[Row]:
    """Turns that an alert is about: upset ones of its series, a conversation each, newest first."""
    until = alert["closed_at"] or alert["seen_at"]
    query = (
        select(
            _turn.c.id,
            _turn.c.conversation_id,
            _turn.c.text,
            _turn.c.intent,
            _turn.c.emotion,
            _turn.c.created_at,
            _conversation.c.channel,
        )
        .join(_conversation, _conversation.c.id == _turn.c.conversation_id)
        .where(
            _turn.c.created_at >= alert["since"],
            _turn.c.created_at <= until,
            _turn.c.emotion.in_(sorted(UPSET)),
        )
        .order_by(_turn.c.created_at.desc(), _turn.c.id)
        .limit(MOST_EXAMPLES * 20)
    )
    name = alert["name"]
    if alert["kind"] == "intent":
        query = query.where(_turn.c.intent == name)
    elif alert["kind"] == "channel":
        query = query.where(_conversation.c.channel == name)
    else:
        query = query.join(_qa_pair, _qa_pair.c.id == _turn.c.qa_pair_id).where(
            _qa_pair.c.category == name
        )
    found: dict[str, Row] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["conversation_id"], dict(row))
    return list(found.values())[:MOST_EXAMPLES]


def acknowledge(connection: Connection, *, alert_id: str, agent_id: str, now: datetime) -> bool:
    """Someone has seen it; the first one stays. False when there is no such alert."""
    if one(connection, alert_id=alert_id) is None:
        return False
    connection.execute(
        update(_alert)
        .where(_alert.c.id == alert_id, _alert.c.acknowledged_at.is_(None))
        .values(acknowledged_by=agent_id, acknowledged_at=now)
    )
    return True


def mute(connection: Connection, *, muting: Muting, now: datetime) -> bool:
    """No alerts of a series until then; replaces an earlier mute."""
    kind, name = muting.series
    values = {
        "reason": muting.reason,
        "until": muting.until,
        "muted_by": muting.by,
        "muted_at": now,
    }
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    connection.execute(
        dialect.insert(_mute)
        .values(kind=kind, name=name, **values)
        .on_conflict_do_update(index_elements=[_mute.c.kind, _mute.c.name], set_=values)
    )
    return True


def unmute(connection: Connection, *, series: Series) -> bool:
    """Alerts of a series again; False when it was not muted."""
    kind, name = series
    gone = connection.execute(delete(_mute).where(_mute.c.kind == kind, _mute.c.name == name))
    return bool(gone.rowcount)


def mutes(connection: Connection, *, now: datetime) -> list[Row]:
    """The mutes in force."""
    query = (
        select(_mute, tables.agent.c.name.label("muted_name"))
        .outerjoin(tables.agent, tables.agent.c.id == _mute.c.muted_by)
        .where(_mute.c.until > now)
        .order_by(_mute.c.until)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _is_open(series: Series) -> Any:
    kind, name = series
    return (_alert.c.kind == kind) & (_alert.c.name == name) & _alert.c.closed_at.is_(None)


def _figures(found: Finding) -> Row:
    return {
        "cases": found.cases,
        "upset": found.upset,
        "expected": found.expected,
        "p_value": found.p_value,
    }


def _add_notice(connection: Connection, alert_id: str, event: str, now: datetime) -> None:
    connection.execute(
        insert(_notice),
        {
            "id": f"{alert_id}-{event}",
            "alert_id": alert_id,
            "event": event,
            "state": "queued",
            "attempts": 0,
            "next_at": now,
        },
    )
