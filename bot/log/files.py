"""Files of a conversation, kept in the database: they are backed up and erased with it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from bot.errors import RequestError
from bot.log import tables

_conversation = tables.conversation
_file = tables.file
_DESCRIPTION = (_file.c.id, _file.c.name, _file.c.content_type, _file.c.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file to keep; name and type are ours, not the sender's."""

    id: str
    conversation_id: str
    name: str
    content_type: str
    data: bytes
    # Hex digest of the data.
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What one conversation may keep."""

    files: int
    bytes: int


def keep(
    connection: Connection, *, file: NewFile, quota: Quota, now: datetime
) -> dict[str, Any] | None:
    """The kept file's `id`, `name`, `content_type` and `size`; None without such a conversation.

    The same bytes again in the same conversation are the same file. Raises RequestError (413) when
    the conversation is full.
    """
    held = connection.execute(
        # On PostgreSQL the row's lock makes two gateways count one after the other.
        select(_conversation.c.id)
        .where(_conversation.c.id == file.conversation_id)
        .with_for_update()
    ).one_or_none()
    if held is None:
        return None
    earlier = connection.execute(
        select(*_DESCRIPTION).where(
            _file.c.conversation_id == file.conversation_id,
            _file.c.sha256 == file.sha256,
            _file.c.content_type == file.content_type,
        )
    ).first()
    if earlier is not None:
        return dict(earlier._mapping)
    count, size = connection.execute(
        select(func.count(), func.coalesce(func.sum(_file.c.size), 0)).where(
            _file.c.conversation_id == file.conversation_id
        )
    ).one()
    if count >= quota.files or size + len(file.data) > quota.bytes:
        raise RequestError(
            413,
            "files",
            f"a conversation keeps at most {quota.files} files and {quota.bytes} bytes",
            "send fewer or smaller files",
        )
    described = {
        "id": file.id,
        "name": file.name,
        "content_type": file.content_type,
        "size": len(file.data),
    }
    connection.execute(
        insert(_file),
        described
        | {
            "conversation_id": file.conversation_id,
            "sha256": file.sha256,
            "data": file.data,
            "created_at": now,
        },
    )
    return described


def describe(
    connection: Connection, *, conversation_id: str, ids: list[str]
) -> dict[str, dict[str, Any]]:
    """Of the files of a conversation among `ids`: `id`, `name`, `content_type`, `size`, by id."""
    rows = connection.execute(
        select(*_DESCRIPTION).where(_file.c.conversation_id == conversation_id, _file.c.id.in_(ids))
    )
    return {row.id: dict(row._mapping) for row in rows}


def content(connection: Connection, *, id_: str) -> dict[str, Any] | None:
    """A file's `name`, `content_type`, `size` and `data`; None when it is gone."""
    row = connection.execute(
        select(*_DESCRIPTION, _file.c.data).where(_file.c.id == id_)
    ).one_or_none()
    return None if row is None else dict(row._mapping)
