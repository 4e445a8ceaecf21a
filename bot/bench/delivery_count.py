"""What the log holds at the end of the delivery benchmark, against what its customers did."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sqlalchemy import func, select

from bot.bench.delivery_load import ANSWER_TIMEOUT_S, Client
from bot.log.database import open_engine
from bot.log.tables import message, turn

POLL_S = 0.25


@dataclass(slots=True, kw_only=True)
class _Logged:
    # (seq, message id, state, row id) of what the customer sent
    inbound: list[tuple[int, str, str, str]] = field(default_factory=list)
    # by row id of the inbound message: when each of its turns was committed
    turns: dict[str, list[Any]] = field(default_factory=dict)
    # sequence number of every message, in both directions
    seqs: list[int] = field(default_factory=list)
    # by turn: the sequence numbers of its replies
    replies: dict[str, list[int]] = field(default_factory=dict)


async def wait_for_answers(database_url: str) -> None:
    """Wait until no message is still to be answered."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    waiting = select(func.count()).where(message.c.state == "accepted")
    engine = open_engine(database_url)
    try:
        while time.monotonic() < deadline:
            with engine.connect() as connection:
                if connection.execute(waiting).scalar_one() == 0:
                    return
            await asyncio.sleep(POLL_S)
    finally:
        engine.dispose()


def count(database_url: str, clients: Sequence[Client]) -> dict[str, int]:
    """Accepted, answered, logged, lost, doubled and out of order; all of the last three are 0."""
    logged = _read(database_url)
    totals = dict.fromkeys(
        ("accepted", "answered", "failed", "logged", "lost", "doubled", "out_of_order"), 0
    )
    for client in clients:
        held = logged[client.conversation_id]
        ids = [id_ for _, id_, _, _ in held.inbound]
        turns = [held.turns.get(row, []) for _, _, _, row in held.inbound]
        totals["accepted"] += len(ids)
        totals["answered"] += sum(state == "answered" for _, _, state, _ in held.inbound)
        totals["failed"] += sum(state == "failed" for _, _, state, _ in held.inbound)
        totals["logged"] += sum(1 for one in turns if one)
        answered = {id_ for id_, one in zip(ids, turns, strict=True) if one}
        totals["lost"] += sum(id_ not in answered for step in client.steps for id_ in step)
        totals["doubled"] += (
            len(ids) - len(set(ids)) + sum(len(one) - 1 for one in turns if one) + client.renumbered
        )
        totals["out_of_order"] += _out_of_order(client, held)
    return totals


def _out_of_order(client: Client, held: _Logged) -> int:
    """Numbers that skip or repeat; messages or answers before one that was sent earlier."""
    wrong: int = sum(seq != number for number, seq in enumerate(sorted(held.seqs), 1))
    stored = {id_: seq for seq, id_, _, _ in held.inbound}
    wrong += sum(stored.get(id_) != seq for id_, seq in client.seqs.items())
    for earlier, later in pairwise(client.steps):
        if max(client.seqs[id_] for id_ in earlier) > min(client.seqs[id_] for id_ in later):
            wrong += 1
    rows = [row for _, _, _, row in sorted(held.inbound)]
    times = [held.turns[row][0] for row in rows if held.turns.get(row)]
    wrong += sum(late < early for early, late in pairwise(times))
    said = [held.replies[row] for row in rows if held.replies.get(row)]
    wrong += sum(max(early) > min(late) for early, late in pairwise(said))
    return wrong


def _read(database_url: str) -> dict[str, _Logged]:
    found: dict[str, _Logged] = defaultdict(_Logged)
    columns = message.c
    engine = open_engine(database_url)
    try:
        with engine.connect() as connection:
            of_turn: dict[str, str] = {}
            for done in connection.execute(
                select(turn.c.id, turn.c.conversation_id, turn.c.inbound_id, turn.c.created_at)
            ):
                turns = found[done.conversation_id].turns
                turns.setdefault(done.inbound_id, []).append(done.created_at)
                of_turn[done.id] = done.inbound_id
            for row in connection.execute(
                select(
                    columns.conversation_id,
                    columns.seq,
                    columns.direction,
                    columns.message_id,
                    columns.state,
                    columns.id,
                    columns.turn_id,
                )
            ):
                held = found[row.conversation_id]
                held.seqs.append(row.seq)
                if row.direction == "in":
                    held.inbound.append((row.seq, row.message_id, row.state, row.id))
                elif row.turn_id in of_turn:
                    held.replies.setdefault(of_turn[row.turn_id], []).append(row.seq)
    finally:
        engine.dispose()
    return found
