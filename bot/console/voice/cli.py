"""`kefu watch`: count and look now, beside the gateway or without one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import click

from bot.console.voice.job import VoiceJob
from bot.log import database
from bot.log.journal import Journal
from bot.log.opened import opened_log
from bot.log.voice_alerts import Finding, Findings
from bot.settings import Settings
from bot.world import World, utc_now


@click.command()
@click.option("--once", is_flag=True, help="Count, look, tell the webhook, end.")
@click.option(
    "--replay",
    type=click.IntRange(1, 40),
    help="Count, and show what the watch would have opened in so many last days; keeps nothing.",
)
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S"]),
    help="The moment to look from (UTC) instead of now: for trying it on logs of the past.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def watch(once: bool, replay: int | None, at: datetime | None, as_json: bool) -> None:
    """Count the voice of the customer and let the emotion watch look.

    The gateway does the same by itself; each full hour is looked at once, by whoever comes first.
    """
    if once == (replay is not None):
        raise click.UsageError("say either --once or --replay DAYS")
    # Fails with one line where there is no log.
    with opened_log():
        pass
    moment = None if at is None else at.replace(tzinfo=UTC)
    if replay is not None:
        _show_replay(asyncio.run(_replay(Settings(), moment, replay)), replay, as_json=as_json)
        return
    findings = asyncio.run(_look(Settings(), moment))
    if as_json:
        click.echo(json.dumps(_shown(findings)))
        return
    if findings is None:
        click.echo("nothing to look at: this hour was looked at, or a gateway is counting")
        return
    for word, found in (("alert", findings.opened), ("still", findings.seen)):
        for one in found:
            click.echo(
                f"{word}: {' '.join(one.series)}: {one.upset} of {one.cases} upset, "
                f"{one.expected:.0%} were to be expected"
            )
    for series in findings.over:
        click.echo(f"over: {' '.join(series)}")
    if not (findings.opened or findings.seen or findings.over):
        click.echo("all as usual")


async def _look(settings: Settings, at: datetime | None) -> Findings | None:
    async with _job(settings, at) as job:
        findings = await job.once()
        if job.bell is not None:
            await job.bell.once()
    return findings


async def _replay(settings: Settings, at: datetime | None, days: int) -> list[tuple[int, Finding]]:
    async with _job(settings, at) as job:
        await job.counting.once()
        return await job.watch.replay(24 * days)


@asynccontextmanager
async def _job(settings: Settings, at: datetime | None) -> AsyncIterator[VoiceJob]:
    await asyncio.to_thread(database.upgrade, settings.database_url)
    world = World(now=utc_now if at is None else lambda: at)
    journal = Journal(
        write_engine=database.open_engine(settings.database_url, writer=True),
        read_engine=database.open_engine(settings.database_url),
        world=world,
    )
    async with aiohttp.ClientSession() as session:
        job = VoiceJob.of(settings, journal, session, world)
        journal.start()
        try:
            yield job
        finally:
            await journal.close()


def _show_replay(found: list[tuple[int, Finding]], days: int, *, as_json: bool) -> None:
    moments = [(datetime.fromtimestamp(hour * 3600, UTC), one) for hour, one in found]
    if as_json:
        opened = [_finding(one) | {"at": at.isoformat()} for at, one in moments]
        click.echo(json.dumps({"days": days, "opened": opened}))
        return
    for at, one in moments:
        click.echo(f"{at:%Y-%m-%d %H:%M} {' '.join(one.series)}: {one.upset} of {one.cases} upset")
    click.echo(f"{len(found)} alerts in {days} days")


def _shown(findings: Findings | None) -> dict[str, object]:
    if findings is None:
        return {"looked": False, "opened": [], "seen": [], "over": []}
    return {
        "looked": True,
        "opened": [_finding(one) for one in findings.opened],
        "seen": [_finding(one) for one in findings.seen],
        "over": [{"kind": kind, "name": name} for kind, name in findings.over],
    }


def _finding(one: Finding) -> dict[str, object]:
    kind, name = one.series
    return {
        "kind": kind,
        "name": name,
        "cases": one.cases,
        "upset": one.upset,
        "expected": round(one.expected, 4),
        "p_value": one.p_value,
    }
