"""`kefu bench sockets`: many open sockets, each with a message now and then."""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import click
import psutil

from bot.bench.report import emit, machine, percentile, progress
from bot.bench.socket_client import Customer
from bot.bench.system import PrivateSystem, private_system
from bot.bench.texts import SMALL_TALK, examples_of, wordings_of
from bot.settings import Settings

CONNECTING_AT_ONCE = 20
LAST_ANSWERS_S = 60.0
REQUEST_TIMEOUT_S = 30.0


@click.command()
@click.option(
    "--sockets",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Open sockets, a conversation each.",
)
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Seconds between two messages of a conversation.",
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Seconds during which messages are sent.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def sockets(*, sockets: int, every_s: float, duration_s: float, as_json: bool) -> None:
    """Open many sockets, send from each at its own pace, and time the pushed answers."""
    settings = {"KEFU_MAX_SOCKETS_PER_ADDRESS": str(2 * sockets)}
    with (
        tempfile.TemporaryDirectory(prefix="kefu-sockets-") as folder,
        private_system(Path(folder), settings) as system,
    ):
        figures = asyncio.run(run(system, sockets, (every_s, duration_s)))
        figures["exit_code_after_drain"] = system.stop()
    emit(
        {"bench": "sockets", "machine": machine(), "ratios": {}, "figures": figures},
        as_json=as_json,
    )
    if not is_clean(figures):
        raise click.exceptions.Exit(1)


def is_clean(figures: dict[str, Any]) -> bool:
    """Whether every message was answered once, in order, and no socket was lost."""
    wrong = ("dropped", "gaps", "doubled")
    return figures["sent"] == figures["answered"] and not any(figures[name] for name in wrong)


async def run(system: PrivateSystem, count: int, pace: tuple[float, float]) -> dict[str, Any]:
    """Connect `count` customers, let them write at `pace` = (every, for) seconds, and count."""
    every_s, duration_s = pace
    draw = random.Random(12)
    data_dir = Settings().data_dir
    examples = examples_of(data_dir / "test" / "nlu.yml")
    texts = [text for name in SMALL_TALK for text in examples[name]] + wordings_of(data_dir / "qa")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        customers = [
            Customer(session=session, url=system.url, draw=random.Random(draw.random()))
            for _ in range(count)
        ]
        await at_once(CONNECTING_AT_ONCE, [customer.open() for customer in customers])
        before_mb = system.resident_mb()["gateway"]
        started_s = time.monotonic()
        await at_once(CONNECTING_AT_ONCE, [customer.connect() for customer in customers])
        connected_s = time.monotonic() - started_s
        connected_mb = system.resident_mb()["gateway"]
        progress(f"{count} sockets are open")
        cpu_before = cpu_seconds(system)
        started_s = time.monotonic()
        await asyncio.gather(
            *(customer.converse(texts, every_s, duration_s) for customer in customers)
        )
        await settle(customers)
        elapsed_s = time.monotonic() - started_s
        cpu_after = cpu_seconds(system)
        memory = system.resident_mb()
        figures = summary(customers) | {
            "sockets": count,
            "every_s": every_s,
            "duration_s": duration_s,
            "connect_s": round(connected_s, 2),
            "gateway_mb_before": before_mb,
            "gateway_mb_connected": connected_mb,
            "gateway_kb_per_socket": round((connected_mb - before_mb) * 1000 / count, 1),
            "resident_mb_by_process": memory,
            "cores_by_process": {
                name: round((cpu_after[name] - cpu_before[name]) / elapsed_s, 2)
                for name in cpu_before
            },
        }
        await asyncio.gather(*(customer.close() for customer in customers))
    return figures


def summary(customers: Sequence[Customer]) -> dict[str, Any]:
    """What the customers saw together; latencies from sending to the pushed answer."""
    latencies = [latency for customer in customers for latency in customer.latencies_s]
    sent = sum(customer.sent for customer in customers)
    ranks = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99} if latencies else {}
    return {
        "sent": sent,
        "answered": len(latencies),
        "skipped": sum(customer.skipped for customer in customers),
        "refused": sum(customer.refused for customer in customers),
        "dropped": sum(customer.dropped for customer in customers),
        "gaps": sum(customer.gaps for customer in customers),
        "doubled": sum(customer.doubled for customer in customers),
        **{name: round(1000 * percentile(latencies, rank), 1) for name, rank in ranks.items()},
    }


async def settle(customers: Sequence[Customer]) -> None:
    """Wait for the last answers, but not forever."""
    deadline_s = time.monotonic() + LAST_ANSWERS_S
    while any(customer.waits for customer in customers) and time.monotonic() < deadline_s:
        await asyncio.sleep(0.1)


async def at_once(most: int, work: Sequence[Any]) -> None:
    """Run coroutines, `most` at a time."""
    slots = asyncio.Semaphore(most)

    async def one(item: Any) -> None:
        async with slots:
            await item

    await asyncio.gather(*(one(item) for item in work))


def cpu_seconds(system: PrivateSystem) -> dict[str, float]:
    """Processor time that each process has used, and this one, the load generator."""
    found = {"load generator": psutil.Process().cpu_times()}
    for name, pid in system.pids().items():
        if pid is not None:
            found[name] = psutil.Process(pid).cpu_times()
    return {name: times.user + times.system for name, times in found.items()}
