"""`kefu models`: what understanding's own commands do, on record; canary, A/B, history."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bot.errors import KefuError, RequestError
from nlu import cli as understanding
from nlu.bundle import BundleStore, open_bundle
from nlu.settings import NluSettings

# What needs the log is imported in the commands: a roll-back moves the pointer before that.
if TYPE_CHECKING:
    from bot.learning.release.releases import Releases

ACTOR = "cli"
RECORD_S = 10.0  # what a switch that has been made waits to be put on record
Result = TypeVar("Result")
Row = dict[str, Any]


@click.group()
def models() -> None:
    """Trained understanding models: which one serves, which is tried, and which did before."""


models.add_command(understanding.list_models)


@models.command()
@click.argument("version")
@click.option("--reason", help="For the record.")
def activate(version: str, reason: str | None) -> None:
    """Serve VERSION; a running service loads it within seconds. A trial ends."""
    store = BundleStore(NluSettings().models_dir)

    async def switch(releases: "Releases") -> None:
        await releases.promote(version, actor=ACTOR, reason=reason)

    try:
        _with_releases(switch)
    except RequestError:
        raise
    except (KefuError, TimeoutError) as error:
        # What serves must not depend on the log.
        if store.current() != version:
            open_bundle(store.folder(version))
            store.activate(version)
        _warn(error)
    click.echo(f"current is {version}")


@models.command()
@click.option("--reason", help="For the record.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def rollback(reason: str | None, as_json: bool) -> None:
    """Serve the version before the current one again, within seconds; a trial ends."""
    store = BundleStore(NluSettings().models_dir)
    left = store.current()
    version = store.roll_back()

    async def record(releases: "Releases") -> None:
        await releases.record_roll_back(version, left, actor=ACTOR, reason=reason)

    noted = True
    try:
        _with_releases(record, within_s=RECORD_S)
    except (KefuError, TimeoutError) as error:
        noted = False
        _warn(error)
    if as_json:
        click.echo(json.dumps({"current": version, "before": left, "on_record": noted}))
        return
    click.echo(f"current is {version}; before it was {left}")
    if noted:
        click.echo("`kefu models history` shows it; `kefu models list` marks it with a star")


@models.command()
@click.argument("version", required=False)
@click.option(
    "--share",
    type=click.FloatRange(0, 0.5, min_open=True),
    help="Of the conversations; default: KEFU_LEARN_CANARY_SHARE.",
)
@click.option("--stop", is_flag=True, help="End the canary; the current version has everyone.")
@click.option("--reason", help="Why it is stopped, for the record.")
@click.option("--json", "as_json", is_flag=True, help="Print the canary as JSON.")
def canary(
    version: str | None, share: float | None, stop: bool, reason: str | None, as_json: bool
) -> None:
    """Try VERSION on a share of the conversations; without VERSION show how the canary does."""
    if stop and version is not None:
        raise click.UsageError("name a VERSION to start a canary, or say --stop")

    async def do(releases: "Releases") -> Row | None:
        if version is not None:
            await releases.start_canary(version, share=share, actor=ACTOR)
        elif stop:
            await _of_kind(releases, "canary")
            await releases.end(actor=ACTOR, reason=reason)
            return None
        return await _of_kind(releases, "canary")

    row = _with_releases(do)
    if as_json:
        click.echo(_json(row or {"state": "ended"}))
    elif row is None:
        click.echo("the canary has ended; the current version has all conversations")
    else:
        click.echo("\n".join(_canary_lines(row)))


@models.group()
def ab() -> None:
    """Two versions side by side, each with a share of the conversations."""


@ab.command("start")
@click.argument("version")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Of the conversations that VERSION answers.",
)
def start_ab(version: str, share: float) -> None:
    """Compare VERSION (b) with the current one (a)."""
    row = _with_releases(lambda releases: _start_ab(releases, version, share))
    click.echo(
        f"a is {row['previous']}, b is {version} with {share:.0%} of the conversations; "
        "`kefu models ab show` compares them"
    )


@ab.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show_ab(as_json: bool) -> None:
    """Compare both versions by what has happened so far."""
    row = _with_releases(lambda releases: _of_kind(releases, "ab"))
    click.echo(_json(row) if as_json else "\n".join(_ab_lines(row["report"]["comparison"])))


@ab.command("end")
@click.option(
    "--keep",
    type=click.Choice(["a", "b"]),
    default="a",
    show_default=True,
    help="Who has all conversations then.",
)
@click.option("--reason", help="For the record.")
def end_ab(keep: str, reason: str | None) -> None:
    """End the A/B."""

    async def do(releases: "Releases") -> str:
        await _of_kind(releases, "ab")
        return await releases.end(actor=ACTOR, keep=keep, reason=reason)

    click.echo(f"current is {_with_releases(do)}")


@models.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Most rows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def history(limit: int, as_json: bool) -> None:
    """Show which version served when, on whose word, and what was tried; the newest first."""
    found = _with_releases(lambda releases: releases.history(limit=limit))
    for row in found:
        click.echo(_json(row) if as_json else _history_line(row))
    if not found and not as_json:
        click.echo("no version was released yet; `kefu models activate` and a canary leave a row")


@models.command()
@click.option("--dry-run", is_flag=True, help="Only name what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def prune(dry_run: bool, as_json: bool) -> None:
    """Remove versions that the learning loop made and nobody will come back to.

    The loop does it by itself after each run; KEFU_LEARN_KEEP says how many stay.
    """
    from bot.learning.opened import opened_journal
    from bot.learning.pruning import prune as remove
    from bot.log.opened import opened_log
    from bot.settings import Settings
    from bot.world import World

    settings = Settings()
    with opened_log():  # fails with one line where there is no log
        pass

    async def opened() -> list[str]:
        async with opened_journal(settings, World()) as journal:
            return await remove(journal, settings, dry_run=dry_run)

    removed = _run(opened)
    if as_json:
        click.echo(json.dumps({"removed": removed, "dry_run": dry_run}))
        return
    for version in removed:
        click.echo(f"{'would remove' if dry_run else 'removed'} {version}")
    if not removed:
        click.echo("nothing to remove")


async def _start_ab(releases: "Releases", version: str, share: float) -> Row:
    await releases.start_ab(version, share=share, actor=ACTOR)
    return await _of_kind(releases, "ab")


async def _of_kind(releases: "Releases", kind: str) -> Row:
    """The open trial with its figures of now."""
    row = await releases.open_trial()
    if row is None or row["kind"] != kind:
        name = "A/B" if kind == "ab" else "canary"
        raise RequestError(404, kind, f"no {name} is open", "`kefu models history` shows the past")
    return row | {"report": await releases.report(row)}


def _with_releases(
    do: Callable[["Releases"], Awaitable[Result]], *, within_s: float | None = None
) -> Result:
    from bot.learning.release.opened import opened_releases
    from bot.settings import Settings

    async def opened() -> Result:
        async with opened_releases(Settings()) as releases, asyncio.timeout(within_s):
            return await do(releases)

    return _run(opened)


def _run(do: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    # In a thread: whoever calls this may have a loop of their own.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, do()).result()


def _json(row: Row) -> str:
    from bot.log.export import as_json

    return as_json(row)


def _warn(error: Exception) -> None:
    reason = str(error) or "the log does not answer"
    click.echo(f"kefu: not on record: {reason}", err=True)


def _canary_lines(row: Row) -> list[str]:
    report = row["report"]
    active, tried = report["sides"]["active"], report["sides"]["trial"]
    lines = [
        f"{row['version']} has {row['share']:.0%} of the conversations since "
        f"{row['created_at']:%Y-%m-%d %H:%M} UTC, beside {row['previous']}",
        f"  {tried['conversations']} conversations beside {active['conversations']}; "
        f"{report['standing']}",
    ]
    for harm, value in report["evidence"].items():
        lines.append(
            f"  {harm:<11} {tried['harms'][harm]:>6} beside {active['harms'][harm]:>6}"
            f"  evidence {value:.3g}"
        )
    lines.append(
        f"  together {report['evidence_together']:.3g}; it is rolled back at {report['bound']:g}"
    )
    return lines


def _ab_lines(comparison: dict[str, Any]) -> list[str]:
    lines = [
        f"a {comparison['a']}: {comparison['conversations_a']} conversations",
        f"b {comparison['b']}: {comparison['conversations_b']} conversations",
    ]
    for one in comparison["figures"]:
        shown = "{:.1%}" if one["kind"] == "share" else "{:.3g}"
        a, b, difference, low, high = (
            shown.format(one[name]) for name in ("a", "b", "difference", "low", "high")
        )
        mark = f"  {one['better']} is better" if one["better"] else ""
        lines.append(
            f"  {one['metric']:<16} a {a:>7}  b {b:>7}  b-a {difference} [{low}, {high}]  "
            f"p {one['p']:.3g}, corrected {one['corrected_p']:.3g}{mark}"
        )
    return [*lines, comparison["conclusion"]]


def _history_line(row: Row) -> str:
    what = {"full": "for everyone", "rollback": "roll-back"}.get(
        row["kind"], f"{row['kind']} {row['share']:.0%}"
    )
    line = (
        f"{row['created_at']:%Y-%m-%d %H:%M:%S}  {row['version']}  {what}, {row['state']}, "
        f"by {row['actor']}"
    )
    if row["previous"]:
        line += f", before: {row['previous']}"
    reason = "".join(char if char.isprintable() else " " for char in row["reason"] or "")
    return f"{line}\n  {reason}" if reason else line
