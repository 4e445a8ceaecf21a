"""`kefu log`: read the conversation log, write it out, erase a conversation."""

import json
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bot.errors import ConversationMissing
from bot.log import corrections, exports, reader
from bot.log.corrections import noted
from bot.log.export import (
    as_json,
    write_corrected_jsonl,
    write_corrected_rasa,
    write_jsonl,
    write_rasa,
)
from bot.log.exports import Export
from bot.log.opened import opened_log
from bot.log.seed_cli import seed
from bot.privacy.cli import erase
from bot.world import sortable_id, utc_now


@click.group()
def log() -> None:
    """Read, export or erase what was said."""


log.add_command(seed)


@log.command()
@click.argument("conversation", required=False)
@click.option(
    "--last", type=click.IntRange(1), default=20, show_default=True, help="Turns to show."
)
@click.option("--json", "as_json_", is_flag=True, help="One JSON object a line.")
def show(conversation: str | None, last: int, as_json_: bool) -> None:
    """Show the last turns, of one CONVERSATION or of all."""
    with opened_log() as connection:
        turns = deque(reader.turns(connection, conversation_id=conversation), maxlen=last)
    if conversation is not None and not turns:
        raise ConversationMissing(conversation)
    for turn in turns:
        click.echo(as_json(turn) if as_json_ else _paragraph(turn))


@log.command()
@click.option(
    "--format",
    "format_",
    type=click.Choice(["jsonl", "rasa"]),
    required=True,
    help="jsonl: every turn; rasa: NLU examples by intent.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write; replaced if it is there.",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Only turns from this moment on (UTC).",
)
@click.option(
    "--corrected",
    is_flag=True,
    help="Only what reviewers labelled, with their labels; --since is then the label's moment.",
)
@click.option("--json", "as_json_", is_flag=True, help="Print the result as JSON.")
def export(
    format_: str, out: Path, since: datetime | None, corrected: bool, as_json_: bool
) -> None:
    """Write turns to a file, personal data redacted."""
    moment = since.replace(tzinfo=UTC) if since is not None else None
    conversations: set[str] | None = set() if corrected else None
    record = Export(
        id=sortable_id(),
        kind="corrections" if corrected else "turns",
        format=format_,
        actor="cli",
        made_at=utc_now(),
        count=0,
        path=str(out.resolve()),
        since=None if corrected else moment,
    )
    try:
        with opened_log() as connection, out.open("w", encoding="utf-8") as file:
            # Before anything is in the file: of one that is cut off somebody has to know.
            with opened_log(writer=True) as register:
                exports.record(register, record)
            if conversations is not None:
                turns = noted(corrections.corrected(connection, since=moment), conversations)
                write = write_corrected_rasa if format_ == "rasa" else write_corrected_jsonl
                count = write(turns, file)
            else:
                write = write_rasa if format_ == "rasa" else write_jsonl
                count = write(reader.turns(connection, since=moment), file)
    except OSError as error:
        raise click.ClickException(f"--out {out}: {error.strerror}; name a writable file") from None
    with opened_log(writer=True) as connection:
        exports.complete(
            connection,
            id_=record.id,
            count=count,
            conversations=None if conversations is None else sorted(conversations),
            made_at=utc_now(),
        )
    if as_json_:
        click.echo(json.dumps({"format": format_, "out": str(out), "written": count}))
    else:
        click.echo(f"{count} {'examples' if format_ == 'rasa' else 'turns'} written to {out}")


log.add_command(erase)


def _paragraph(turn: dict[str, Any]) -> str:
    """A turn for a person to read."""
    head = f"{turn['created_at']:%Y-%m-%d %H:%M:%S}  {turn['conversation_id']}  {turn['channel']}"
    lines = [click.style(head, dim=True), f"  > {_printable(turn['text'])}"]
    understood = [
        f"{turn[label]} {turn[confidence]:.2f}"
        for label, confidence in (("intent", "confidence"), ("emotion", "emotion_confidence"))
        if turn[label] is not None and turn[confidence] is not None
    ]
    understood += [
        f"{entity['entity']}={_printable(str(entity.get('value')))}"
        for entity in turn["entities"] or ()
    ]
    did = list(turn["actions"] or ())
    if turn["qa_pair_id"] is not None:
        did.append(f"answer {turn['qa_pair_id']} {turn['qa_score'] or 0:.2f}")
    for part in (understood, did):
        if part:
            lines.append(click.style("    " + ", ".join(part), dim=True))
    lines += [f"  < {_printable(reply.get('text') or '')}" for reply in turn["replies"] or ()]
    if turn["error"] is not None:
        lines.append(click.style(f"    error: {turn['error']}", fg="red"))
    total = ", ".join(f"{stage} {spent:g} ms" for stage, spent in (turn["timings"] or {}).items())
    lines.append(click.style(f"    {turn['model_version'] or 'no model'}; {total}", dim=True))
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Keep a customer's escape sequences away from the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
