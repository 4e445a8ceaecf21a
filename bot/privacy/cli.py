"""`kefu log erase`: a conversation or a customer, everywhere, with the report."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import aiohttp
import click

from bot.errors import ConversationMissing, KefuError
from bot.http.guard import open_tokens
from bot.log import customers, database, erasures
from bot.log.journal import Journal
from bot.log.opened import opened_log
from bot.privacy.eraser import Wish
from bot.privacy.opened import open_eraser
from bot.settings import Settings
from bot.turner import Services
from bot.turns import HttpDialogue, HttpUnderstanding
from bot.world import World

ACTOR = "cli"


class NobodyThere(KefuError):
    """The log knows nobody of this name."""

    def __init__(self) -> None:
        super().__init__("the log has no such customer; ids and accounts are compared as they are")


@click.command()
@click.argument("conversation", required=False)
@click.option("--customer", help="All conversations of a customer, by your own proven id.")
@click.option("--channel", help="With --account: the channel of an account.")
@click.option("--account", help="Who has this account, and all else under the same proven id.")
@click.option("--reason", help="For the record, without names.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def erase(
    conversation: str | None,
    customer: str | None,
    channel: str | None,
    account: str | None,
    reason: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove a CONVERSATION, or a customer, everywhere; only the fact and a report stay."""
    ways = [way for way in (conversation, customer, account) if way is not None]
    if len(ways) != 1 or (channel is None) != (account is None):
        raise click.UsageError(
            "name one: CONVERSATION, --customer ID, or --channel NAME with --account ID"
        )
    with opened_log() as connection:
        if conversation is not None:
            found = customers.of_conversation(
                connection, conversation_id=conversation, scope="conversation"
            )
        elif customer is not None:
            found = customers.of_id(connection, customer_id=customer)
        else:
            assert channel is not None
            assert account is not None
            found = customers.of_account(connection, channel=channel, account=account)
    if found is None:
        raise NobodyThere if conversation is None else ConversationMissing(conversation)
    if conversation is None and not yes:
        click.confirm(f"Erase {len(found.conversations)} conversations for good?", abort=True)
    wish = Wish(customer=found, actor=ACTOR, reason=reason)
    # In a thread: whoever calls this may have a loop of their own.
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(asyncio.run, _erase(Settings(), wish)).result()
    if as_json:
        click.echo(json.dumps(_shown(request, conversation), ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(request, conversation)))


async def _erase(settings: Settings, wish: Wish) -> dict[str, Any]:
    """The request's row after one go at it; a gateway that runs goes on with what is left."""
    await asyncio.to_thread(database.upgrade, settings.database_url)
    world = World()
    journal = Journal(
        write_engine=database.open_engine(settings.database_url, writer=True),
        read_engine=database.open_engine(settings.database_url),
        world=world,
    )
    journal.start()
    try:
        async with aiohttp.ClientSession() as session:
            timeout_s = settings.turn_timeout_s
            services = Services(
                dialogue=HttpDialogue(session, settings.dialogue_url, timeout_s=timeout_s),
                understanding=HttpUnderstanding(session, settings.nlu_url, timeout_s=timeout_s),
            )
            hash_text = open_tokens(settings).hash_text
            eraser = open_eraser(settings, journal, services, hash_text, world)
            request_id = await eraser.request(wish)
            await eraser.run(request_id)
            row = await journal.read(partial(erasures.read, id_=request_id))
            assert row is not None
            return row
    finally:
        await journal.close()


def _removed(request: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = request["steps"]["found"].get("result", {}).get("rows", {})
    return found


def _shown(request: dict[str, Any], conversation: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {} if conversation is None else {"conversation_id": conversation}
    waiting = {name: step["error"] for name, step in request["steps"].items() if "error" in step}
    return shown | {
        "messages": _removed(request).get("message", 0),
        "request": request["id"],
        "state": request["state"],
        "waiting": waiting,
        "report": request["report"],
    }


def _lines(request: dict[str, Any], conversation: str | None) -> list[str]:
    removed = _removed(request)
    who = conversation or f"{removed.get('conversation', 0)} conversations"
    lines = [f"erased {who}: {removed.get('message', 0)} messages and their turns"]
    lines += [
        f"waits: {name} ({step['error']}); a running gateway tries again"
        for name, step in request["steps"].items()
        if "error" in step
    ]
    report = request["report"]
    if report is not None:
        if report["models"]["trained_on"]:
            versions = ", ".join(report["models"]["trained_on"])
            lines.append(f"trained on it, to be retired: {versions}")
        lines += [
            f"not reached: {left['code'].replace('_', ' ')} {left.get('what', '')}".rstrip()
            for left in report["not_reached"]
        ]
    lines.append(f"request {request['id']}, also on the console's page /privacy")
    return lines
