"""`kefu outbox`: what messaging platforms did not take yet, or never will."""

import json
from collections.abc import Sequence
from typing import Any

import click
from sqlalchemy import Connection

from bot.errors import NotInOutbox
from bot.log import audit
from bot.log import outbox as rows
from bot.log.export import as_json
from bot.log.opened import opened_log
from bot.world import sortable_id, utc_now

# A customer's address in the channel may be a phone number: it stays in the database.
_SHOWN = (
    "id",
    "conversation_id",
    "channel",
    "seq",
    "state",
    "attempts",
    "error",
    "next_at",
    "created_at",
)


@click.group()
def outbox() -> None:
    """See, retry or drop messages that platforms did not take."""


@outbox.command(name="list")
@click.option(
    "--state",
    type=click.Choice(["failed", "queued", "sent"]),
    default="failed",
    show_default=True,
    help="failed: dead letters; queued: on their way; sent: done.",
)
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="Messages to show."
)
@click.option("--json", "as_json_", is_flag=True, help="One JSON object a line.")
def list_(state: str, limit: int, as_json_: bool) -> None:
    """Show messages of one state, the oldest first, without their texts."""
    with opened_log() as connection:
        found = rows.listing(connection, state=state, limit=limit)
        counts = rows.counts(connection)
    for row in found:
        click.echo(as_json({name: row[name] for name in _SHOWN}) if as_json_ else _line(row))
    if not as_json_:
        totals = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("failed", "queued", "sent"))
        click.echo(click.style(f"{len(found)} shown; {totals}", dim=True))


@outbox.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All dead letters.")
@click.option("--json", "as_json_", is_flag=True, help="Print the result as JSON.")
def retry(ids: tuple[str, ...], all_: bool, as_json_: bool) -> None:
    """Queue dead letters again, with a fresh 24 hours."""
    if all_ == bool(ids):
        raise click.UsageError("name the ids of dead letters, or say --all")
    with opened_log(writer=True) as connection:
        if not all_:
            _note(connection, "outbox.retry", _found(connection, ids, ("failed",)))
        count = rows.retry(connection, ids=None if all_ else ids, now=utc_now())
        if all_:
            _audit(connection, "outbox.retry", "all", {"messages": count})
    _tell("retried", count, as_json_=as_json_)


@outbox.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--json", "as_json_", is_flag=True, help="Print the result as JSON.")
def drop(ids: tuple[str, ...], as_json_: bool) -> None:
    """Give up messages that are queued or failed; they stay in their conversations."""
    with opened_log(writer=True) as connection:
        _note(connection, "outbox.drop", _found(connection, ids, ("failed", "queued")))
        count = rows.drop(connection, ids=ids)
    _tell("dropped", count, as_json_=as_json_)


def _found(
    connection: Connection, ids: Sequence[str], states: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The rows under the ids; raises NotInOutbox for one that is in none of the states."""
    found = {row["id"]: row for row in rows.find(connection, ids=ids) if row["state"] in states}
    for id_ in ids:
        if id_ not in found:
            raise NotInOutbox(id_, " or ".join(states))
    return list(found.values())


def _note(connection: Connection, action: str, found: list[dict[str, Any]]) -> None:
    for row in found:
        detail = {name: row[name] for name in ("conversation_id", "channel", "state")}
        _audit(connection, action, row["id"], detail)


def _audit(connection: Connection, action: str, target: str, detail: dict[str, Any]) -> None:
    who = ("cli", action, target)
    audit.note(connection, id_=sortable_id(), who=who, detail=detail, now=utc_now())


def _tell(did: str, count: int, *, as_json_: bool) -> None:
    if as_json_:
        click.echo(json.dumps({did: count}))
    else:
        click.echo(f"{did} {count} message{'' if count == 1 else 's'}")


def _line(row: dict[str, Any]) -> str:
    """A message for a person to read."""
    head = f"{row['id']}  {row['created_at']:%Y-%m-%d %H:%M:%S}  {row['channel']}"
    tries = f"{row['attempts']} {'try' if row['attempts'] == 1 else 'tries'}"
    about = f"{tries}, conversation {row['conversation_id']}"
    if row["state"] == "queued":
        about += f", next {row['next_at']:%H:%M:%S}"
    # What a platform gave as its reason is kept away from the terminal's control characters.
    reason = "".join(char if char.isprintable() else " " for char in row["error"] or "")
    return "\n".join([head, f"  {about}", *([f"  {reason}"] if reason else [])])
