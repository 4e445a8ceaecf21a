"""Answers that agents keep ready, in the company's languages, with places for names."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, insert, select, update

from bot.errors import RequestError
from bot.log import audit, tables

_canned = tables.canned_answer
_SHORTCUT = re.compile(r"[\w-]{1,30}")
# What a text may have filled in.
PLACES = ("customer", "agent")
_PLACE = re.compile(r"\{([^{}\s]*)\}")
MOST_TITLE, MOST_TEXT = 120, 4000
MOST_ANSWERS = 1000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Canned:
    """An answer as an agent writes it: checked by `of`."""

    shortcut: str
    title: str
    text_en: str
    text_zh: str

    @classmethod
    def of(cls, *, shortcut: str, title: str, text_en: str, text_zh: str) -> Self:
        """Trimmed and checked; raises RequestError (422) naming the field."""
        canned = cls(
            # In one form, or what is typed after the slash would not be found.
            shortcut=unicodedata.normalize("NFKC", shortcut).strip().removeprefix("/").casefold(),
            title=" ".join(title.split()),
            text_en=_lines(text_en),
            text_zh=_lines(text_zh),
        )
        if not _SHORTCUT.fullmatch(canned.shortcut):
            raise RequestError(
                422,
                "shortcut",
                "it is not 1 to 30 letters, digits, - or _",
                "write one short word, such as refund",
            )
        if not 1 <= len(canned.title) <= MOST_TITLE:
            raise RequestError(
                422, "title", f"it is not 1 to {MOST_TITLE} characters", "write a short title"
            )
        if not (canned.text_en or canned.text_zh):
            raise RequestError(
                422, "text_en", "there is no text in any language", "write at least one"
            )
        if "\0" in canned.title:
            raise RequestError(422, "title", "it contains NUL", "remove the character U+0000")
        for field, text in (("text_en", canned.text_en), ("text_zh", canned.text_zh)):
            _check_text(field, text)
        return canned


def save(
    connection: Connection, *, id_: str, canned: Canned, who: tuple[str, str], now: datetime
) -> str:
    """Keep an answer under an id, new or changed; `who` is (agent id, id of the audit row).

    Raises RequestError: 409 when another answer in use has the shortcut, 404 for a retired one.
    """
    actor, audit_id = who
    other = connection.execute(
        select(_canned.c.title).where(
            _canned.c.shortcut == canned.shortcut,
            _canned.c.retired_at.is_(None),
            _canned.c.id != id_,
        )
    ).scalar_one_or_none()
    if other is not None:
        raise RequestError(
            409, "shortcut", f'"{other}" has this shortcut', "choose another, or retire that one"
        )
    values = {
        "shortcut": canned.shortcut,
        "title": canned.title,
        "text_en": canned.text_en,
        "text_zh": canned.text_zh,
        "updated_by": actor,
        "updated_at": now,
    }
    earlier = connection.execute(
        select(_canned.c.retired_at).where(_canned.c.id == id_).with_for_update()
    ).one_or_none()
    if earlier is None:
        connection.execute(insert(_canned), {"id": id_, "created_at": now, **values})
    elif earlier.retired_at is not None:
        raise _missing()
    else:
        connection.execute(update(_canned).where(_canned.c.id == id_).values(values))
    action = "add_canned_answer" if earlier is None else "edit_canned_answer"
    detail = {"shortcut": canned.shortcut}
    audit.note(connection, id_=audit_id, who=(actor, action, id_), detail=detail, now=now)
    return id_


def retire(connection: Connection, *, id_: str, who: tuple[str, str], now: datetime) -> bool:
    """Offer an answer no longer; raises RequestError (404) when it is not in use."""
    actor, audit_id = who
    done = connection.execute(
        update(_canned)
        .where(_canned.c.id == id_, _canned.c.retired_at.is_(None))
        .values(retired_at=now, updated_at=now, updated_by=actor)
    )
    if not done.rowcount:
        raise _missing()
    who_did = (actor, "retire_canned_answer", id_)
    audit.note(connection, id_=audit_id, who=who_did, detail=None, now=now)
    return True


def everything(connection: Connection) -> list[Row]:
    """The answers in use, by shortcut."""
    rows = connection.execute(
        select(_canned)
        .where(_canned.c.retired_at.is_(None))
        .order_by(_canned.c.shortcut, _canned.c.id)
        .limit(MOST_ANSWERS)
    )
    return [dict(row) for row in rows.mappings()]


def one(connection: Connection, *, id_: str) -> Row:
    """An answer in use; raises RequestError (404) for any other."""
    row = connection.execute(
        select(_canned).where(_canned.c.id == id_, _canned.c.retired_at.is_(None))
    ).mappings()
    found = row.one_or_none()
    if found is None:
        raise _missing()
    return dict(found)


def fill(text: str, names: dict[str, str]) -> str:
    """The text with the names in their places; all else stays as it is."""
    return _PLACE.sub(lambda found: names.get(found[1], found[0]), text)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _check_text(field: str, text: str) -> None:
    if "\0" in text:
        raise RequestError(422, field, "it contains NUL", "remove the character U+0000")
    if len(text) > MOST_TEXT:
        raise RequestError(422, field, f"it is longer than {MOST_TEXT} characters", "shorten it")
    for name in _PLACE.findall(text):
        if name not in PLACES:
            raise RequestError(
                422,
                field,
                f"{{{name}}} is no place that is filled in",
                "write {customer} or {agent}, or leave the braces out",
            )


def _missing() -> RequestError:
    return RequestError(
        404, "answer_id", "there is no such canned answer", "choose one from the list"
    )
