"""The page of what the guard holds back: each turn with its reason in words, to be decided on."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from bot.console.visit import Visit
from bot.console.words import Words
from bot.errors import RequestError
from bot.log import audit, held_back
from bot.log.held_back import Decision
from bot.log.journal import Journal
from bot.world import World

PAGE = 50
# By the name that a button carries.
DECISIONS: Mapping[str, Decision] = {"approve": "approved", "reject": "rejected"}


class HeldBackPages:
    """Decisions of who reviews; nobody decides on a label of their own."""

    def __init__(self, journal: Journal, world: World) -> None:
        self._journal = journal
        self._world = world

    async def list(self, visit: Visit) -> web.Response:
        """What waits for a decision, the oldest first, of one reason or of all."""
        reason, after = visit.query.get("reason"), visit.query.get("after")
        if reason is not None and reason not in held_back.REASONS:
            raise RequestError(
                400, "reason", "it is not known", f"use one of {', '.join(held_back.REASONS)}"
            )
        if after is not None and not after.isprintable():
            after = None
        rows, counts = await self._journal.browse(
            lambda connection: (
                held_back.open_ones(connection, reason=reason, limit=PAGE + 1, after=after),
                held_back.counts(connection),
            )
        )
        more = len(rows) > PAGE
        rows = rows[:PAGE]
        return visit.page(
            "learning/held_back.html",
            rows=[
                row
                | {
                    "why": why_held(visit.words, row["reason"], row["detail"]),
                    "own": row["author"] == visit.agent.id,
                }
                for row in rows
            ],
            reason=reason,
            counts={name: states["open"] for name, states in counts.items()},
            after=rows[-1]["turn_id"] if more else None,
        )

    async def decide(self, visit: Visit) -> web.Response:
        """Approve or reject one turn, or all that are ticked."""
        form = await visit.form()
        decision, turn_ids = _decision(form)
        if not turn_ids:
            raise RequestError(422, "turn", "no message is chosen", "tick some, or use a button")
        count = await self._journal.write(
            partial(self._decide, turn_ids=turn_ids, decision=decision, by=visit.agent.id)
        )
        if not count:
            raise RequestError(
                409,
                "turn",
                "it is decided already, or the label is your own",
                "leave your own to somebody else",
            )
        reason = await visit.field("reason")
        back = f"?reason={reason}" if reason in held_back.REASONS else ""
        return visit.redirect(f"/learning/held-back{back}", notice=f"learning.{decision}")

    def _decide(
        self, connection: Connection, turn_ids: Sequence[str], decision: Decision, by: str
    ) -> int:
        count, now = 0, self._world.now()
        for turn_id in turn_ids:
            if held_back.decide(connection, turn_id=turn_id, decision=decision, by=by, now=now):
                count += 1
                audit.note(
                    connection,
                    id_=self._world.new_id(),
                    who=(by, "decide_held_back", turn_id),
                    detail={"decision": decision},
                    now=now,
                )
        return count


def count_waiting(connection: Connection) -> int:
    """How many turns wait for a decision."""
    return sum(states["open"] for states in held_back.counts(connection).values())


def why_held(words: Words, reason: str, detail: Mapping[str, Any]) -> str:
    """What the guard found, as a sentence; its figures by name where there is no sentence."""
    plain = {name: _plain(value) for name, value in detail.items()}
    for variant in _variants(reason, detail):
        key = f"learning.held.{variant}"
        if words.has(key):
            try:
                return words(key, **plain)
            except KeyError:
                break
    return ", ".join(f"{name}: {value}" for name, value in plain.items() if name != "also")


def _variants(reason: str, detail: Mapping[str, Any]) -> list[str]:
    """Names of sentences, the one that says most first."""
    named = [str(detail[key]) for key in ("kind", "by") if key in detail]
    if reason == "influence":
        named.append(
            "voice" if "contradicted" in detail else "intent" if "of" in detail else "many"
        )
    return [".".join([reason, *named]), reason]


def _plain(value: Any) -> str:
    """Shares as percent, the rest as it is."""
    if isinstance(value, float) and 0 <= value <= 1:
        return f"{value:.0%}" if value >= 0.1 or value == 0 else f"{value:.1%}"
    return "–" if value is None else str(value)


def _decision(form: Any) -> tuple[Decision, list[str]]:
    """What a button says: of its own turn, or of those that are ticked."""
    for name, decision in DECISIONS.items():
        if name in form:
            one = str(form[name])
            ticked = [str(value) for value in form.getall("turn", [])]
            return decision, ([one] if one else ticked)[:PAGE]
    raise RequestError(422, "decision", "nothing is decided", "use one of the buttons")
