"""`kefu agent`: who works in the console, and with the agents' API."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import click
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bot import agents
from bot.agents import Agent, Role
from bot.console.passwords import Passwords, check_new, one_time
from bot.errors import RequestError, StorageError
from bot.log import audit, database
from bot.settings import Settings
from bot.world import sortable_id, utc_now


@click.group()
def agent() -> None:
    """Give people access to the console and the agents' API, or take it away."""


@agent.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(get_args(Role)),
    default="agent",
    show_default=True,
    help="agent: takes conversations; reviewer: reads and corrects; administrator: everything.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def add(name: str, role: Role, as_json: bool) -> None:
    """Add NAME, as customers will read it; print a password and a token, both shown this once.

    The password is for the first sign-in to the console, where NAME chooses another one. The token
    is for programs that use the agents' API.
    """
    wanted = agents.clean_name(name)
    if wanted is None:
        raise click.ClickException(f"NAME: 1 to {agents.MAX_NAME_CHARS} printable characters")
    name = wanted
    word = one_time()
    hashed = Passwords().hash_now(word)
    with _database() as connection:
        added = agents.add(
            connection,
            id_=sortable_id(),
            name=name,
            role=role,
            now=utc_now(),
            password_hash=hashed,
        )
        if added is None:
            raise click.ClickException(
                f"NAME: {name} has access already; for a new token, `kefu agent remove` first, "
                "for a new password, `kefu agent password`"
            )
        found, token = added
        _audit(connection, "agent.add", found.id, {"role": role})
    if as_json:
        shown = {"id": found.id, "name": name, "role": role, "token": token, "password": word}
        click.echo(json.dumps(shown))
    else:
        click.echo(f"{name} may sign in at /console as {role}, at first with this password:")
        click.echo(word)
        click.echo("Programs use the agents' API with this token. Neither is shown again:")
        click.echo(token)


@agent.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def password(name: str, as_json: bool) -> None:
    """Give NAME the password on standard input, and end NAME's sessions."""
    if sys.stdin.isatty():
        word = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        word = sys.stdin.readline().rstrip("\r\n")
    try:
        word = check_new(word, name)
    except RequestError as error:
        raise click.ClickException(str(error)) from None
    hashed = Passwords().hash_now(word)
    with _database() as connection:
        found = _named(connection, name)
        agents.set_password(
            connection, id_=found.id, password_hash=hashed, must_change=False, now=utc_now()
        )
        _audit(connection, "password_changed", found.id, None)
    click.echo(
        json.dumps({"id": found.id, "name": found.name})
        if as_json
        else f"{found.name} signs in with the new password"
    )


@agent.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(get_args(Role)))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def role_(name: str, role: Role, as_json: bool) -> None:
    """Give NAME another ROLE, from the next request on."""
    with _database() as connection:
        found = _named(connection, name)
        agents.set_role(connection, id_=found.id, role=role)
        _audit(connection, "agent.role", found.id, {"role": role, "before": found.role})
    click.echo(
        json.dumps({"id": found.id, "name": found.name, "role": role})
        if as_json
        else f"{found.name} is {role} now"
    )


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
        found = _named(connection, name)
        agents.remove(connection, name=found.name, now=utc_now())
        _audit(connection, "agent.remove", found.id, None)
    if as_json:
        click.echo(json.dumps({"removed": name}))
    else:
        click.echo(f"{name} has no access any more")


def _named(connection: Connection, name: str) -> Agent:
    found = agents.named(connection, name=" ".join(name.split()))
    if found is None:
        raise click.ClickException(f"NAME: {name} has no access; `kefu agent list` shows who")
    return found


def _audit(connection: Connection, action: str, target: str, detail: dict[str, Any] | None) -> None:
    audit.note(
        connection,
        id_=sortable_id(),
        who=("cli", action, target),
        detail=detail,
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
