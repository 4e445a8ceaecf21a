"""`kefu log seed`: fill the log with made-up conversations."""

import json
import time
from datetime import datetime

import click
from sqlalchemy import Connection, insert, select

from bot.bench.report import progress
from bot.errors import KefuError
from bot.log import database, review_events, tables
from bot.log.seed import ACCOUNT, AGENTS, Plan, batches
from bot.log.seed_sink import bulk_sink
from bot.log.seed_texts import Material
from bot.settings import Settings
from bot.world import utc_now


@click.command()
@click.option(
    "--turns", type=click.IntRange(1), default=10_000, show_default=True, help="Turns to make up."
)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=90,
    show_default=True,
    help="Days before now that they are spread over.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="Another number, other ones.",
)
@click.option(
    "--into-existing",
    is_flag=True,
    help="Also where customers' conversations are; made-up accounts begin with seed-.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def seed(*, turns: int, days: int, seed: int, into_existing: bool, as_json: bool) -> None:
    """Fill the log with made-up conversations of the example business."""
    settings = Settings()
    started = time.monotonic()
    made = fill(
        settings.database_url,
        Material(settings.data_dir),
        plan=(turns, days, seed),
        into_existing=into_existing,
    )
    took_s = round(time.monotonic() - started, 1)
    if as_json:
        click.echo(json.dumps({"turns": turns, "conversations": made, "seconds": took_s}))
    else:
        click.echo(f"{turns} turns in {made} conversations made up in {took_s} s")


def fill(
    url: str, material: Material, *, plan: tuple[int, int, int], into_existing: bool = False
) -> int:
    """Fill the database at `url` as (turns, days, seed) say; returns how many conversations.

    Raises RealConversations where customers' conversations are, without `into_existing`.
    """
    database.upgrade(url)
    engine = database.open_engine(url, writer=True)
    now = utc_now()
    try:
        with engine.begin() as connection:
            real = _has_customers(connection)
            if real and not into_existing:
                raise RealConversations
            agent_ids = _agents(connection, now)
    finally:
        engine.dispose()
    turns, days, seed = plan
    made = 0
    whole = Plan(turns=turns, days=days, seed=seed, now=now, agent_ids=agent_ids)
    with bulk_sink(url, alone=not real, progress=progress) as sink:
        done = 0
        for batch in batches(whole, material):
            sink.add(batch)
            made += len(batch.rows["conversation"])
            done += len(batch.rows["turn"])
            progress(f"{done} of {turns} turns")
    engine = database.open_engine(url, writer=True)
    try:
        with engine.begin() as connection:
            # What reviewers are shown is found by time, and these turns are of the past.
            review_events.start_over(connection)
    finally:
        engine.dispose()
    return made


def _has_customers(connection: Connection) -> bool:
    """Whether there is a conversation that was not made up."""
    account = tables.conversation.c.account
    real = select(account).where(~account.startswith(ACCOUNT)).limit(1)
    return connection.execute(real).first() is not None


def _agents(connection: Connection, now: datetime) -> tuple[str, ...]:
    """The agents who had the conversations: without token and password, they cannot sign in."""
    ids = tuple(f"{ACCOUNT}agent-{number}" for number in range(len(AGENTS)))
    there = set(
        connection.execute(select(tables.agent.c.id).where(tables.agent.c.id.in_(ids))).scalars()
    )
    new = [
        {"id": id_, "name": f"Seed {name}", "role": "agent", "created_at": now}
        for id_, name in zip(ids, AGENTS, strict=True)
        if id_ not in there
    ]
    if new:
        connection.execute(insert(tables.agent), new)
    return ids


class RealConversations(KefuError):
    """A log that holds what customers said."""

    def __init__(self) -> None:
        super().__init__(
            "this log has customers' conversations; name another database in KEFU_DATABASE_URL,"
            " or give --into-existing to mix made-up ones in"
        )
