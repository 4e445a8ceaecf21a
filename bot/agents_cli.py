"""`kefu agent`: who may take conversations over."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import click
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bot import agents
from bot.agents import Role
from bot.errors import StorageError
from bot.log import audit, database
from bot.settings import Settings
from bot.world import sortable_id, utc_now

_MAX_NAME = 80


@click.group()
def agent() -> None:
    """Give people access to the conversations, or take it away."""


@agent.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(get_args(Role)),
    default="agent",
    show_default=True,
    help="agent: takes conversations; reviewer: reads them; administrator: also releases others'.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def add(name: str, role: Role, as_json: bool) -> None:
    """Add NAME, as customers will read it, and print the token: it is shown this once."""
    name = " ".join(name.split())
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise click.ClickException(f"NAME: 1 to {_MAX_NAME} printable characters")
    with _database() as connection:
        added = agents.add(connection, id_=sortable_id(), name=name, role=role, now=utc_now())
        if added is None:
            raise click.ClickException(
                f"NAME: {name} has access already; for a new token, `kefu agent remove` first"
            )
        found, token = added
        _audit(connection, "agent.add", found.id, role)
    if as_json:
        click.echo(json.dumps({"id": found.id, "name": name, "role": role, "token": token}))
    else:
        click.echo(f"{name} may sign in as {role} with this token, which is not shown again:")
        click.echo(token)


@agent.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(as_json: bool) -> None:
    """List who has access."""
    with _database() as connection:
        found = agents.everyone(connection)
    for one in found:
        since = one["created_at"]
        if as_json:
            click.echo(json.dumps({**one, "created_at": since.isoformat()}, ensure_ascii=False))
        else:
            click.echo(f"{one['name']}  {one['role']}  since {since:%Y-%m-%d}")


@agent.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def remove(name: str, as_json: bool) -> None:
    """Take NAME's access away at once; what they wrote keeps the name."""
    with _database() as connection:
        if not agents.remove(connection, name=name, now=utc_now()):
            raise click.ClickException(f"NAME: {name} has no access; `kefu agent list` shows who")
        _audit(connection, "agent.remove", name, None)
    if as_json:
        click.echo(json.dumps({"removed": name}))
    else:
        click.echo(f"{name} has no access any more")


def _audit(connection: Connection, action: str, target: str, role: str | None) -> None:
    audit.note(
        connection,
        id_=sortable_id(),
        who=("cli", action, target),
        detail=None if role is None else {"role": role},
        now=utc_now(),
    )


@contextmanager
def _database() -> Iterator[Connection]:
    """The database of the settings, made or brought up to date if need be."""
    url = Settings().database_url
    database.upgrade(url)
    engine = database.open_engine(url, writer=True)
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StorageError(str(getattr(error, "orig", error)).splitlines()[0]) from error
    finally:
        engine.dispose()
