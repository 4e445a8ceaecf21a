"""All that is held of a customer, as one ZIP: their right of access."""

import io
import json
import re
import zipfile
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from actions.tables import QaVariant
from bot.log import exports, exposure, holdings
from bot.log.customers import Customer

_BATCH = 200
README = """What is held of a customer.

customer.json   all rows, by table; moments are in UTC. Names and addresses of the
                company's own tables are explained in docs/guide/log.md.
files/          what was sent, under the names of the rows in `file`.
"""


def gather(connection: Connection, *, customer: Customer, now: datetime) -> bytes:
    """The ZIP of a customer: rows of all tables, files, and where else their words went."""
    ids = customer.conversations
    files: list[tuple[str, bytes]] = []
    content: dict[str, Any] = {
        "made_at": now.isoformat(),
        "conversations": list(ids),
        "tables": {},
        "wordings_in_the_answer_store": _wordings(connection, ids),
        "models_trained_on_it": exposure.versions_of(connection, ids),
        "models_that_understood_it": exposure.understood_by(connection, ids),
        "exports_that_may_hold_it": [
            {key: row[key] for key in ("id", "kind", "format", "actor", "path", "made_at")}
            for row in exports.touching(connection, ids=ids)
        ],
    }
    for table, rows in holdings.rows(connection, ids=ids):
        if table.name == "file":
            for row in rows:
                row["stored_as"] = f"{row['id']}-{_safe(row['name'])}"
                files.append((row["stored_as"], row.pop("data")))
        content["tables"][table.name] = rows
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        dumped = json.dumps(content, ensure_ascii=False, indent=1, default=_plain)
        archive.writestr("customer.json", dumped)
        for name, data in files:
            archive.writestr(f"files/{name}", data)
    return out.getvalue()


def _wordings(connection: Connection, ids: tuple[str, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for start in range(0, len(ids), _BATCH):
        rows = connection.execute(
            select(QaVariant.pair_id, QaVariant.text, QaVariant.conversation_id).where(
                QaVariant.conversation_id.in_(ids[start : start + _BATCH])
            )
        )
        found += [dict(row) for row in rows.mappings()]
    return found


def _safe(name: str) -> str:
    """A name that stays in its folder wherever the ZIP is opened."""
    return re.sub(r"[^\w.-]", "_", name)[-80:].lstrip(".") or "file"


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)
