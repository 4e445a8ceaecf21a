"""`kefu bench turns`: the same messages through a stock Rasa and through kefu, side by side."""

import asyncio
import statistics
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import click

from bot.bench import stock
from bot.bench.report import emit, machine, percentile, progress, ratio
from bot.bench.system import PrivateSystem, private_system, resident_mb
from bot.bench.texts import mixed_conversations, orders_of
from bot.settings import Settings

CONVERSATIONS = 30
LONG_CONVERSATIONS = 10
LONG_TURNS = 102
REQUEST_TIMEOUT_S = 120.0
# The rounds repeat their texts, as customers seldom do: nothing may be remembered of them.
NO_CACHE = {"KEFU_NLU_CACHE_SIZE": "0"}


@dataclass(slots=True, kw_only=True)
class Side:
    """What was measured of one of the two systems; latencies in seconds."""

    url: str
    one_client_s: list[float] = field(default_factory=list)
    many_clients_s: list[float] = field(default_factory=list)
    one_client_rates: list[float] = field(default_factory=list)
    many_clients_rates: list[float] = field(default_factory=list)
    unanswered: int = 0

    def figures(self) -> dict[str, object]:
        """Messages per second (medians of the rounds) and latencies in milliseconds."""
        return {
            "messages_per_s": round(statistics.median(self.many_clients_rates), 1),
            "messages_per_s_one_client": round(statistics.median(self.one_client_rates), 1),
            "p50_ms_one_client": round(1000 * percentile(self.one_client_s, 0.5), 1),
            "p95_ms_one_client": round(1000 * percentile(self.one_client_s, 0.95), 1),
            "p50_ms": round(1000 * percentile(self.many_clients_s, 0.5), 1),
            "p95_ms": round(1000 * percentile(self.many_clients_s, 0.95), 1),
            "unanswered": self.unanswered,
        }


@click.command()
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Times each side is measured.",
)
@click.option(
    "--stock-epochs",
    type=click.IntRange(1),
    help="Train the stock Rasa's networks for fewer epochs than its 100; speed stays the same.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def turns(*, rounds: int, stock_epochs: int | None, as_json: bool) -> None:
    """Messages/s, latency, memory and start-up of kefu against a stock Rasa on the same data."""
    settings = Settings()
    folder = settings.state_dir / "bench" / "stock"
    stock.build(settings, folder, stock_epochs)
    train_s = stock.train(settings, folder)
    orders = orders_of(settings.data_dir / "orders.csv")
    conversations = mixed_conversations(settings.data_dir, orders, count=CONVERSATIONS, seed=5)
    with (
        tempfile.TemporaryDirectory(prefix="kefu-turns-") as state,
        private_system(Path(state), NO_CACHE) as system,
        stock.running(settings, folder, system.address_of("actions")) as theirs,
    ):
        ours_side, stock_side = Side(url=system.url), Side(url=theirs.url)
        asyncio.run(measure(stock_side, ours_side, conversations, rounds))
        growth = asyncio.run(measure_growth(system, settings, orders))
        memory = system.resident_mb()
        figures = {
            "kefu": {
                **ours_side.figures(),
                "resident_mb": round(sum(memory.values()), 1),
                "resident_mb_by_process": memory,
                "start_s": round(system.start_s, 1),
            },
            "stock": {
                **stock_side.figures(),
                "resident_mb": round(resident_mb(theirs.pid) + memory["actions"], 1),
                "start_s": round(theirs.start_s, 1),
                "trained_now_s": round(train_s, 1),
                "epochs": stock_epochs or 100,
            },
            "growth": growth,
            "messages": sum(map(len, conversations)),
            "rounds": rounds,
        }
    ratios = {
        "messages_per_s": ratio(ours_side.many_clients_rates, stock_side.many_clients_rates),
        "p50_one_client": ratio(ours_side.one_client_s, stock_side.one_client_s),
        "turn_100_to_turn_5": growth["ratio"],
    }
    emit(
        {"bench": "turns", "machine": machine(), "ratios": ratios, "figures": figures},
        as_json=as_json,
    )


async def measure(theirs: Side, ours: Side, conversations: list[list[str]], rounds: int) -> None:
    """Each round drives one side, then the other; the first round warms both and is dropped."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for number in range(rounds + 1):
            progress(f"round {number} of {rounds}")
            for side in (theirs, ours):
                target = side if number else Side(url=side.url)
                await _drive_one(session, target, conversations)
                await _drive_many(session, target, conversations)


async def _drive_one(
    session: aiohttp.ClientSession, side: Side, conversations: list[list[str]]
) -> None:
    started = time.monotonic()
    for texts in conversations:
        side.one_client_s += await _converse(session, side, texts)
    total = sum(map(len, conversations))
    side.one_client_rates.append(total / (time.monotonic() - started))


async def _drive_many(
    session: aiohttp.ClientSession, side: Side, conversations: list[list[str]]
) -> None:
    started = time.monotonic()
    found = await asyncio.gather(*(_converse(session, side, texts) for texts in conversations))
    total = sum(map(len, conversations))
    side.many_clients_rates.append(total / (time.monotonic() - started))
    side.many_clients_s += [latency for one in found for latency in one]


async def _converse(session: aiohttp.ClientSession, side: Side, texts: list[str]) -> list[float]:
    """Say each text in one new conversation; seconds until each answer."""
    sender, found = uuid.uuid4().hex, []
    for text in texts:
        started = time.monotonic()
        body = {"sender": sender, "message": text}
        async with session.post(f"{side.url}/webhooks/rest/webhook", json=body) as response:
            response.raise_for_status()
            side.unanswered += not await response.json()
        found.append(time.monotonic() - started)
    return found


async def measure_growth(
    system: PrivateSystem, settings: Settings, orders: list[tuple[str, str]]
) -> dict[str, object]:
    """Long conversations: turns 98-102 against turns 3-7, which stand at the same place of a plan.

    Each conversation repeats small talk, a question and a whole form: five turns.
    """
    side = Side(url=system.url)
    early, late, fifth, hundredth = [], [], [], []
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    sampled = mixed_conversations(settings.data_dir, orders, count=3 * LONG_CONVERSATIONS, seed=6)[
        1::3
    ]
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for texts in sampled:
            said = (texts[:5] * (LONG_TURNS // 5 + 1))[:LONG_TURNS]
            latencies = await _converse(session, side, said)
            early += latencies[2:7]
            late += latencies[97:102]
            fifth.append(latencies[4])
            hundredth.append(latencies[99])
    return {
        "turns_3_to_7_ms": round(1000 * statistics.median(early), 2),
        "turns_98_to_102_ms": round(1000 * statistics.median(late), 2),
        "turn_5_ms": round(1000 * statistics.median(fifth), 2),
        "turn_100_ms": round(1000 * statistics.median(hundredth), 2),
        "ratio": ratio(late, early),
        "ratio_exact_turns": ratio(hundredth, fifth),
    }
