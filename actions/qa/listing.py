"""The store as a list: filtered, a page at a time, with what the filters can be set to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select

from actions.database import as_utc
from actions.qa.store import DOCUMENT
from actions.tables import QaPair, QaSource, QaVariant

_BATCH = 200  # keys in one IN (...)
_ESCAPE = "\\"

STATES = ("active", "edited", "retired", "all")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which pairs; an empty field wants any."""

    text: str = ""  # somewhere in a wording or the answer, whatever the case
    intent: str = ""
    category: str = ""
    source: str = ""
    state: str = "active"
    after: str = ""  # the id that the page before ended with


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """What pairs can be told apart by."""

    intents: list[str]
    categories: list[str]
    sources: list[str]


def read_listed(connection: Connection, wanted: Wanted, limit: int) -> list[Row]:
    """Up to `limit` pairs in the order of their ids; each with the number of its wordings."""
    query = (
        select(
            QaPair.id,
            QaPair.question,
            QaPair.answer,
            QaPair.intent,
            QaPair.category,
            QaPair.source,
            QaPair.active,
            QaPair.edited,
            QaPair.updated_at,
        )
        .where(*_conditions(wanted))
        .order_by(QaPair.id)
        .limit(limit)
    )
    rows = [dict(row) for row in connection.execute(query).mappings()]
    counts = _wordings(connection, [row["id"] for row in rows])
    return [
        {**row, "updated_at": as_utc(row["updated_at"]), "wordings": counts.get(row["id"], 0)}
        for row in rows
    ]


def read_facets(connection: Connection) -> Facets:
    """All intents, categories and sources that pairs have."""

    def values(column: Any) -> list[str]:
        found = connection.execute(select(column).distinct()).scalars()
        return sorted(str(value) for value in found if value)

    return Facets(
        intents=values(QaPair.intent),
        categories=values(QaPair.category),
        sources=sorted(connection.execute(select(QaSource.name)).scalars()),
    )


def read_numbers(connection: Connection) -> dict[str, int]:
    """How many pairs are active, edited (active or not) and retired."""
    rows = connection.execute(
        select(QaPair.active, QaPair.edited, func.count()).group_by(QaPair.active, QaPair.edited)
    ).all()
    return {
        "active": sum(count for active, _, count in rows if active),
        "edited": sum(count for _, edited, count in rows if edited),
        "retired": sum(count for active, _, count in rows if not active),
    }


def read_known(connection: Connection, ids: Sequence[str]) -> dict[str, Row]:
    """The rows of these pairs by id, as `read_listed` gives them; unknown ids are left out."""
    query = select(QaPair.__table__).where(QaPair.id.in_(ids))
    counts = _wordings(connection, ids)
    return {
        row["id"]: {
            **row,
            "updated_at": as_utc(row["updated_at"]),
            "wordings": counts.get(row["id"], 0),
        }
        for row in connection.execute(query).mappings()
    }


def read_same(connection: Connection, texts: Sequence[str], but: str) -> dict[str, str]:
    """Of texts, those that another active pair than `but` has as a wording: text -> pair id."""
    wanted = {text.lower(): text for text in texts}
    lowered, found = sorted(wanted), dict[str, str]()
    for start in range(0, len(lowered), _BATCH):
        rows = connection.execute(
            select(QaVariant.text, QaVariant.pair_id)
            .join(QaPair, QaPair.id == QaVariant.pair_id)
            .where(
                QaPair.active,
                QaPair.id != but,
                QaVariant.position > DOCUMENT,
                func.lower(QaVariant.text).in_(lowered[start : start + _BATCH]),
            )
        )
        for row in rows:
            text = wanted.get(row.text.lower())
            if text is not None:
                found[text] = row.pair_id
    return found


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.state == "active":
        conditions.append(QaPair.active.is_(True))
    elif wanted.state == "retired":
        conditions.append(QaPair.active.is_(False))
    elif wanted.state == "edited":
        conditions.append(QaPair.edited.is_(True))
    for column, value in (
        (QaPair.intent, wanted.intent),
        (QaPair.category, wanted.category),
        (QaPair.source, wanted.source),
    ):
        if value:
            conditions.append(column == value)
    if wanted.after:
        conditions.append(QaPair.id > wanted.after)
    if wanted.text:
        pattern = f"%{_escaped(wanted.text.lower())}%"
        of_variants = select(QaVariant.pair_id).where(
            QaVariant.position > DOCUMENT,
            func.lower(QaVariant.text).like(pattern, escape=_ESCAPE),
        )
        conditions.append(
            or_(
                func.lower(QaPair.answer).like(pattern, escape=_ESCAPE),
                QaPair.id.in_(of_variants),
            )
        )
    return conditions


def _escaped(text: str) -> str:
    for char in (_ESCAPE, "%", "_"):
        text = text.replace(char, _ESCAPE + char)
    return text


def _wordings(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    rows = connection.execute(
        select(QaVariant.pair_id, func.count())
        .where(QaVariant.pair_id.in_(ids), QaVariant.position > DOCUMENT)
        .group_by(QaVariant.pair_id)
    )
    return {row.pair_id: row[1] for row in rows}
