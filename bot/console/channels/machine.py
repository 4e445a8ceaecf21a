"""The gateway's own state, its database and its disk."""

import asyncio
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy.engine import make_url

from bot.errors import KefuError
from bot.gateway import Gateway
from bot.log.database import schema_version, sqlite_path

_NEEDED_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is under this gateway."""

    kefu: str
    pending: int  # messages that wait for an answer here
    max_pending: int
    database: str  # SQLite or PostgreSQL; never the address, which may hold a password
    schema: str
    is_newest: bool
    database_bytes: int | None  # of SQLite's files
    free_bytes: int
    problem: str | None

    @property
    def is_short(self) -> bool:
        """Whether the disk is nearly full."""
        return self.free_bytes < _NEEDED_BYTES


async def look(gateway: Gateway) -> Machine:
    """Look at all of it; what cannot be reached is a problem in words."""
    settings = gateway.settings
    url = settings.database_url
    problem, schema, newest = None, "–", False
    try:
        await gateway.journal.check()
        found, head = await asyncio.to_thread(schema_version, url)
        schema, newest = found or "–", found == head
    except (KefuError, TimeoutError) as error:
        problem = str(error)
    free_bytes = await asyncio.to_thread(_free, settings.state_dir)
    file = sqlite_path(url)
    return Machine(
        kefu=_kefu(),
        pending=gateway.delivery.pending,
        max_pending=settings.max_pending,
        database="SQLite" if make_url(url).get_backend_name() == "sqlite" else "PostgreSQL",
        schema=schema,
        is_newest=newest,
        database_bytes=None if file is None else _size(file),
        free_bytes=free_bytes,
        problem=problem,
    )


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder if folder.exists() else Path()).free


def _size(file: Path) -> int:
    files = (file, file.with_name(file.name + "-wal"))
    return sum(one.stat().st_size for one in files if one.exists())


def _kefu() -> str:
    try:
        return version("kefu")
    except PackageNotFoundError:
        return "–"
