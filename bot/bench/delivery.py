"""`kefu bench delivery`: nothing lost, doubled or out of order, also under SIGKILL."""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import click
from sqlalchemy import func, select

from bot.bench.report import emit, machine, progress
from bot.bench.system import PROCESSES, PrivateSystem, private_system
from bot.bench.texts import SMALL_TALK, examples_of, wordings_of
from bot.log.database import open_engine
from bot.log.tables import message, turn
from bot.settings import Settings

DUPLICATE_SHARE = 0.05
ANSWER_TIMEOUT_S = 240.0
RETRY_S = 0.2
POLL_S = 0.25
REQUEST_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One customer: the conversation, its token, and what is said in it, in order."""

    conversation_id: str
    token: str
    texts: list[str]


@click.command()
@click.option(
    "--messages",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Messages in each of two parts.",
)
@click.option(
    "--conversations",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Clients at once.",
)
@click.option("--database-url", default=None, help="Default: SQLite in a new folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def delivery(*, messages: int, conversations: int, database_url: str | None, as_json: bool) -> None:
    """Send messages from many conversations at once, then again under SIGKILL of each process."""
    with tempfile.TemporaryDirectory(prefix="kefu-delivery-") as folder:
        url = database_url or f"sqlite:///{folder}/kefu.db"
        settings = {"KEFU_DATABASE_URL": url}
        with private_system(Path(folder), settings) as system:
            calm = asyncio.run(run_part(system, url, (messages, conversations), kill=False))
            killed = asyncio.run(run_part(system, url, (messages, conversations), kill=True))
            killed["restarts"] = system.restarts()
            exit_code = system.stop()
    figures = {"calm": calm, "killed": killed, "exit_code_after_drain": exit_code}
    emit(
        {"bench": "delivery", "machine": machine(), "ratios": {}, "figures": figures},
        as_json=as_json,
    )
    bad = [part for part in (calm, killed) if not is_clean(part)]
    if bad:
        raise click.exceptions.Exit(1)


def is_clean(part: dict[str, object]) -> bool:
    """Whether everything accepted was logged and answered once and in order."""
    whole = part["accepted"] == part["answered"] == part["logged"] == part["sent"]
    return whole and part["lost"] == part["doubled"] == part["out_of_order"] == 0


async def run_part(
    system: PrivateSystem, database_url: str, size: tuple[int, int], *, kill: bool
) -> dict[str, object]:
    """Send `size` = (messages, conversations), wait for the answers, count what the log holds."""
    messages, conversations = size
    draw = random.Random(11 if kill else 10)
    data_dir = Settings().data_dir
    examples = examples_of(data_dir / "test" / "nlu.yml")
    texts = [text for name in SMALL_TALK for text in examples[name]] + wordings_of(data_dir / "qa")
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=2 * conversations)
    started = time.monotonic()
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        shares = [
            messages // conversations + (number < messages % conversations)
            for number in range(conversations)
        ]
        plans = [[draw.choice(texts) for _ in range(share)] for share in shares]
        conversing = [
            asyncio.create_task(converse(session, system.url, plan, random.Random(draw.random())))
            for plan in plans
        ]
        killer = asyncio.create_task(kill_each(system, draw)) if kill else None
        clients = await asyncio.gather(*conversing)
        accepted_s = time.monotonic() - started
        if killer is not None:
            await killer
    await wait_for_answers(database_url, clients)
    elapsed_s = time.monotonic() - started
    return {
        "sent": messages,
        **count(database_url, clients),
        "killed": list(PROCESSES) if kill else [],
        "accept_s": round(accepted_s, 2),
        "total_s": round(elapsed_s, 2),
        "messages_per_s": round(messages / elapsed_s, 1),
    }


async def converse(
    session: aiohttp.ClientSession, url: str, texts: list[str], draw: random.Random
) -> Client:
    """One client: send each text until it is accepted, some of them twice."""
    opened = await _until_taken(session, f"{url}/api/v1/conversations", {}, {})
    client = Client(conversation_id=opened["conversation_id"], token=opened["token"], texts=texts)
    address = f"{url}/api/v1/conversations/{client.conversation_id}/messages"
    headers = {"Authorization": f"Bearer {client.token}"}
    for number, text in enumerate(texts):
        for _ in range(2 if draw.random() < DUPLICATE_SHARE else 1):
            await _until_taken(session, address, headers, {"id": f"m{number}", "text": text})
    return client


async def _until_taken(
    session: aiohttp.ClientSession, address: str, headers: dict[str, str], body: dict[str, str]
) -> dict[str, Any]:
    """As a client that lost its connection does: the same request again until it is taken."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while True:
        try:
            async with session.post(address, headers=headers, json=body) as response:
                if response.status < 400:
                    found = await response.json()
                    assert isinstance(found, dict)
                    return found
                if response.status < 500 and response.status != 429:
                    raise RuntimeError(f"{address}: {await response.text()}")
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{address} did not answer")
        await asyncio.sleep(RETRY_S)


async def kill_each(system: PrivateSystem, draw: random.Random) -> None:
    """SIGKILL each process once, in random order, while messages flow."""
    for name in draw.sample(PROCESSES, len(PROCESSES)):
        await asyncio.sleep(draw.uniform(0.3, 0.8))
        progress(f"killing {name}")
        system.kill(name)


async def wait_for_answers(database_url: str, clients: Sequence[Client]) -> None:
    """Wait until no message of these clients is still to be answered."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    waiting = select(func.count()).where(message.c.state == "accepted")
    waiting = waiting.where(message.c.conversation_id.in_([one.conversation_id for one in clients]))
    engine = open_engine(database_url)
    try:
        while time.monotonic() < deadline:
            with engine.connect() as connection:
                if connection.execute(waiting).scalar_one() == 0:
                    return
            await asyncio.sleep(POLL_S)
    finally:
        engine.dispose()


def count(database_url: str, clients: Sequence[Client]) -> dict[str, int]:
    """What the log holds of these clients' messages, against what they sent."""
    ids = [one.conversation_id for one in clients]
    inbound = select(
        message.c.conversation_id, message.c.seq, message.c.message_id, message.c.state
    ).where(message.c.direction == "in", message.c.conversation_id.in_(ids))
    answers = (
        select(
            message.c.conversation_id,
            message.c.message_id,
            func.count(turn.c.id),
            func.min(turn.c.created_at),
        )
        .join(turn, turn.c.inbound_id == message.c.id)
        .where(message.c.conversation_id.in_(ids))
        .group_by(message.c.conversation_id, message.c.message_id)
    )
    engine = open_engine(database_url)
    try:
        with engine.connect() as connection:
            rows = connection.execute(inbound.order_by(message.c.seq)).all()
            turns = connection.execute(answers).all()
    finally:
        engine.dispose()
    sent = Counter(
        (one.conversation_id, f"m{number}") for one in clients for number in range(len(one.texts))
    )
    logged = Counter((row.conversation_id, row.message_id) for row in rows)
    answered = {(row[0], row[1]): row[2] for row in turns}
    return {
        "accepted": len(rows),
        "answered": sum(1 for row in rows if row.state == "answered"),
        "failed": sum(1 for row in rows if row.state == "failed"),
        "logged": len(answered),
        "lost": len(set(sent) - set(answered)),
        "doubled": sum(n - 1 for n in logged.values()) + sum(n - 1 for n in answered.values()),
        "out_of_order": _out_of_order(clients, rows, {(row[0], row[1]): row[3] for row in turns}),
    }


def _out_of_order(
    clients: Sequence[Client], rows: Sequence[Any], answered_at: Mapping[tuple[str, str], Any]
) -> int:
    """Messages logged or answered before one that the same client had sent earlier."""
    wrong = 0
    for client in clients:
        logged = [row.message_id for row in rows if row.conversation_id == client.conversation_id]
        wrong += sum(1 for number, message_id in enumerate(logged) if message_id != f"m{number}")
        times = [
            answered_at[client.conversation_id, message_id]
            for message_id in logged
            if (client.conversation_id, message_id) in answered_at
        ]
        wrong += sum(1 for early, late in pairwise(times) if late < early)
    return wrong
