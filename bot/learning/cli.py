"""`kefu learn`: the learning loop, on a schedule or once, and a look for drift."""

import asyncio
import json
import sys
from typing import Any

import click

from bot.errors import KefuError
from bot.learning.schedule import read_period
from bot.log.training_runs import Row
from bot.settings import Settings

_MARKS = {"promote": "+", "pass": "+", "note": " ", "hold": "?", "refuse": "-"}
_RELEASED = {
    "person": "it waits for you: `kefu models activate {version}` has it answer",
    "canary": "it answers a share of the conversations now, under the live guard",
    "everyone": "it answers everyone now",
    "none": "nothing was changed",
}


@click.command()
@click.option(
    "--every", help="Keep running the loop so often (12h, 7d, 2w); off: only the watches."
)
@click.option("--once", is_flag=True, help="Run it once, now, and end: for cron.")
@click.option(
    "--answers",
    is_flag=True,
    help="Prove the newest version again if people have labelled what it was asked about; for "
    "cron.",
)
@click.option("--drift", is_flag=True, help="Look for drift, print the figures, end.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def learn(*, every: str | None, once: bool, answers: bool, drift: bool, as_json: bool) -> None:
    """Harvest, guard, train, prove and release a better model.

    Without an option it stays and runs the loop as often as KEFU_LEARN_EVERY says, which is what
    `kefu up` does by itself.
    """
    if sum((every is not None, once, answers, drift)) > 1:
        raise click.UsageError("say one of --every, --once, --answers and --drift")
    settings = Settings()
    if once or answers:
        run = asyncio.run(_run(settings, only_answered=answers))
        if run is None:
            click.echo("null" if as_json else "no version waits for answers that are there")
        else:
            _print_run(run, as_json=as_json)
        return
    if drift:
        _print_drift(asyncio.run(_look(settings)), as_json=as_json)
        return
    from bot.learning.__main__ import run as keep

    period = read_period(settings.learn_every if every is None else every)
    if period is None and every is None:
        raise KefuError("KEFU_LEARN_EVERY is off: say --once, or --every 7d")
    keep(settings, period)


async def _run(settings: Settings, *, only_answered: bool) -> Row | None:
    """A run, to its end; None where only a proof is wanted and none can be decided."""
    from bot.learning.opened import opened_loop
    from bot.log import database
    from bot.log_lines import log_lines

    if sys.stderr.isatty():
        log_lines()
    await asyncio.to_thread(database.upgrade, settings.database_url)
    async with opened_loop(settings) as opened:
        await opened.loop.tidy()
        if only_answered:
            again = await opened.loop.answered()
            if again is None:
                return None
            run_id = await opened.loop.begin(actor="kefu learn", why="answers", again=again)
        else:
            run_id = await opened.loop.begin_or_take_up(actor="kefu learn", why="hand")
        return await opened.loop.drive(run_id)


async def _look(settings: Settings) -> dict[str, Any]:
    from actions.understanding import UnderstandingClient
    from bot.learning.drift import DriftTerms
    from bot.learning.drift_watch import watch
    from bot.learning.opened import opened_journal
    from bot.log.opened import opened_log
    from bot.world import World

    with opened_log():  # fails with one line where there is no log
        pass
    world = World()
    embedder = UnderstandingClient(settings.nlu_url, timeout_s=settings.embed_timeout_s)
    try:
        async with opened_journal(settings, world) as journal:
            return (await watch(journal, world, embedder, DriftTerms())).as_json()
    finally:
        await embedder.close()


def _print_run(run: Row, *, as_json: bool) -> None:
    if as_json:
        shown = {name: _plain(value) for name, value in run.items() if name not in _INNER}
        click.echo(json.dumps(shown, ensure_ascii=False))
    elif run["state"] == "succeeded":
        verdict = run["verdict"]
        of = f" {run['version']}" if run["version"] else ""
        click.echo(f"{verdict['decision'].replace('_', ' ')}{of}")
        for reason in verdict["reasons"]:
            click.echo(f"{_MARKS[reason['level']]} {reason['sentence']}")
        if run["version"]:
            click.echo(run["error"] or _RELEASED[verdict["release"]].format(**run))
    if run["state"] != "succeeded":
        by = f" by {run['cancel_by']}" if run["cancel_by"] else ""
        raise KefuError(run["error"] or f"the run was {run['state']}{by}")


# How a run is looked after: of no use to who asked for it.
_INNER = frozenset({"slot", "owner", "process_id", "process_since", "seen_at", "lines"})


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _print_drift(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for kind, scales in found["figures"].items():
        name = kind.replace("_", " ")
        if "skipped" in scales:
            click.echo(f"  {name}: not compared ({scales['skipped']})")
        for scale in ("day", "week"):
            if scale in scales:
                one = scales[scale]
                mark = "!" if one["alarm"] else " "
                click.echo(f"{mark} {name}, {scale}: {one['statistic']} (bound {one['bound']})")
    click.echo("drift: " + ", ".join(found["alarms"]) if found["alarms"] else "all as usual")
