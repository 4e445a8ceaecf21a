"""`kefu data`: the versions of the training data, what is in them and what differs."""

import json
from collections.abc import Mapping
from typing import Any

import click

from bot.learning.datasets.diff import KINDS, TAUGHT, Change, changes, difference
from bot.learning.datasets.errors import DatasetBroken, DatasetMissing
from bot.learning.datasets.manifest import FILE, Manifest
from bot.learning.datasets.store import DatasetStore
from bot.log import dataset_versions
from bot.log.opened import opened_log
from bot.settings import Settings

# Of a list on the terminal.
MOST_LINES = 20
_SIGNS = {"added": "+", "removed": "-", "relabelled": "~"}


@click.group()
def data() -> None:
    """Versions of the training data that the log taught: list, show, diff, verify."""


@data.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(as_json: bool) -> None:
    """Show the versions, oldest first."""
    store = _store()
    found = [store.manifest(version) for version in store.versions()]
    if as_json:
        click.echo(json.dumps({"versions": [_short(one) for one in found]}, ensure_ascii=False))
        return
    if not found:
        click.echo("no versions yet; a run of the learning loop makes one (`kefu learn --once`)")
    for one in found:
        parts = ", ".join(f"{number} {name}" for name, number in one.counts["source"].items())
        erased = f", {one.erased} erased since" if one.erased else ""
        click.echo(f"{one.version}  {one.rows} rows ({parts or 'none'}){erased}")


@data.command()
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def show(version: str | None, as_json: bool) -> None:
    """Show what is in VERSION; the newest without one. No words of customers."""
    store = _store()
    one = store.manifest(version or _newest(store))
    if as_json:
        click.echo(json.dumps(one.as_json(), ensure_ascii=False))
        return
    click.echo(f"version  {one.version}")
    click.echo(f"parent   {one.parent or 'none'}")
    click.echo(f"sealed   {one.created_at.isoformat()}, of the log up to {one.until.isoformat()}")
    click.echo(f"run      {one.run_id or 'none'}")
    click.echo(f"rows     {one.rows}" + (f", {one.erased} erased since" if one.erased else ""))
    for name, counts in one.counts.items():
        _print_counts(f"by {name}", counts)
    click.echo(f"folder   {store.folder(one.version)}")


@data.command()
@click.argument("left", required=False)
@click.argument("right", required=False)
@click.option("--rows", is_flag=True, help="Each row that differs, too.")
@click.option("--texts", is_flag=True, help="With the customers' words, as they were redacted.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object; a line each of --rows."
)
def diff(left: str | None, right: str | None, rows: bool, texts: bool, as_json: bool) -> None:
    """Show what differs between LEFT and RIGHT.

    With one version: between its parent and it. With none: the same of the newest.
    """
    store = _store()
    if right is None:
        right = left or _newest(store)
        left = store.manifest(right).parent
        if left is None:
            raise click.UsageError(f"{right} has no parent; name the two versions to compare")
    assert left is not None
    found = difference(store, left, right)
    if as_json:
        click.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        click.echo(f"{left} ({found.rows[left]} rows) > {right} ({found.rows[right]} rows)")
        for kind in KINDS:
            click.echo(f"{_SIGNS[kind]} {found.changes[kind]} {kind}")
            _print_counts("  by source", found.by_source[kind])
            _print_counts("  by intent", found.by_intent[kind])
        _print_counts("intents that changed", found.moved)
    if rows or texts:
        for change in changes(store, left, right):
            click.echo(_as_json(change, texts=texts) if as_json else _line(change, texts=texts))


@data.command()
@click.argument("versions", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def verify(context: click.Context, versions: tuple[str, ...], as_json: bool) -> None:
    """Check the files of VERSIONS, of all without one, against their hashes and the database."""
    store = _store()
    wanted = versions or tuple(store.versions())
    with opened_log() as connection:
        known = {
            version: row["sha256"]
            for version in wanted
            if (row := dataset_versions.find(connection, version=version)) is not None
        }
        missing = [] if versions else dataset_versions.names(connection)
    faults = {version: _faults(store, version, known.get(version)) for version in wanted}
    for version in missing:
        faults.setdefault(version, ["its folder is missing here"])
    if as_json:
        click.echo(json.dumps({"versions": faults}, ensure_ascii=False))
    else:
        for version, wrong in faults.items():
            click.echo(f"{version}  " + ("; ".join(wrong) or "whole"))
        if not faults:
            click.echo("no versions yet")
    if any(faults.values()):
        context.exit(1)


def _store() -> DatasetStore:
    return DatasetStore(Settings().state_dir)


def _newest(store: DatasetStore) -> str:
    versions = store.versions()
    if not versions:
        raise DatasetMissing("newest", store.root)
    return versions[-1]


def _faults(store: DatasetStore, version: str, registered: str | None) -> list[str]:
    faults = store.verify(version)
    try:
        manifest = store.manifest(version)
    except DatasetBroken:
        return faults
    if registered is not None and registered != manifest.sha256:
        faults.append(f"{FILE}: it is not the one that the database knows")
    return faults


def _short(one: Manifest) -> dict[str, Any]:
    found = one.as_json()
    names = ("version", "parent", "created_at", "until", "run_id", "rows", "erased")
    return {name: found[name] for name in names} | {"sources": found["counts"]["source"]}


def _print_counts(title: str, counts: Mapping[str, int]) -> None:
    if not counts:
        return
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{number} {name or 'no intent'}" for name, number in most[:MOST_LINES])
    more = f", and {len(most) - MOST_LINES} more" if len(most) > MOST_LINES else ""
    click.echo(f"{title}: {shown}{more}")


def _line(change: Change, *, texts: bool) -> str:
    row = change.row
    if change.kind == "relabelled":
        said = ", ".join(f"{name} {old} > {new}" for name, (old, new) in change.labels().items())
    else:
        labels = {name: getattr(row, name) for name in TAUGHT if name != "split"}
        said = ", ".join(f"{name} {value}" for name, value in labels.items() if value is not None)
    line = f"{_SIGNS[change.kind]} {row.turn_id}  {row.source}: {said}"
    return f"{line}  | {row.text}" if texts else line


def _as_json(change: Change, *, texts: bool) -> str:
    shown: dict[str, Any] = {
        "change": change.kind,
        "turn_id": change.row.turn_id,
        "source": change.row.source,
        "labels": {name: list(pair) for name, pair in change.labels().items()},
    }
    if texts:
        shown["text"] = change.row.text
    return json.dumps(shown, ensure_ascii=False)
