"""The page of turns to review: the next one, what is said of it, undo."""

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from aiohttp import web
from sqlalchemy import Connection

from bot.console.review.understanding import Labels
from bot.console.review.words_of import letters_for, words_of
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.log import audit, review_items, review_queue, reviews
from bot.log.annotations import ANSWERS, REJECT_REASONS, Answer, Judgement
from bot.log.journal import Journal
from bot.log.review_items import Item
from bot.log.review_queue import Wanted
from bot.log.review_ranking import Ranking
from bot.log.review_scores import OPENED, RANDOM, REASONS
from bot.log.reviews import Progress, Reviewed
from bot.world import World

MAX_HELD = 10
_REASONS = frozenset((*REASONS, RANDOM, OPENED))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskParts:
    """What reviewing works with."""

    journal: Journal
    ranking: Ranking
    labels: Labels
    world: World


class ReviewDesk:
    """Gives turns to reviewers and keeps what they say."""

    def __init__(self, parts: DeskParts) -> None:
        self._journal = parts.journal
        self._ranking = parts.ranking
        self._labels = parts.labels
        self._world = parts.world

    async def show(self, visit: Visit) -> web.StreamResponse:
        """The page with the next turn on it."""
        item = await self._next(visit, frozenset())
        progress, waiting = await self._journal.browse(
            lambda connection: (self._progress(connection, visit), reviews.waiting(connection))
        )
        return visit.page(
            "review/page.html",
            **await self._shown(visit, item, queued=True),
            progress=progress,
            waiting=waiting,
        )

    async def next(self, visit: Visit) -> web.StreamResponse:
        """The next turn alone, for a page that holds some already."""
        form = await visit.form()
        held = frozenset(str(id_) for id_ in form.getall("holding", [])[:MAX_HELD])
        item = await self._next(visit, held)
        return visit.page("review/item.html", **await self._shown(visit, item, queued=True))

    async def open(self, visit: Visit) -> web.StreamResponse:
        """One turn, whoever asks for it and whyever."""
        item = await self._read(visit, settling=False)
        return visit.page("review/turn.html", **await self._shown(visit, item, queued=False))

    async def settle(self, visit: Visit) -> web.StreamResponse:
        """A disputed turn with what each has said of it."""
        item = await self._read(visit, settling=True)
        self._check_third(visit, item)
        shown = await self._shown(visit, item, queued=False, settling=True)
        return visit.page("review/turn.html", **shown)

    async def record(self, visit: Visit) -> web.StreamResponse:
        """Keep what the form says of the turn."""
        reviewed, progress = await self._record(visit, settles=False)
        if visit.wants_json:
            return visit.json(_told(reviewed, progress))
        queued = await visit.field("queued") == "1"
        back = "/review" if queued else f"/review/turns/{reviewed.record['turn_id']}"
        return visit.redirect(back, notice="review.saved")

    async def record_settled(self, visit: Visit) -> web.StreamResponse:
        """Keep the word that ends a dispute."""
        self._check_third(visit, await self._read(visit, settling=True))
        reviewed, progress = await self._record(visit, settles=True)
        if visit.wants_json:
            return visit.json(_told(reviewed, progress))
        return visit.redirect("/review/agreement", notice="review.settled")

    async def skip(self, visit: Visit) -> web.StreamResponse:
        """Leave the turn to others."""
        turn_id, now = _turn_id(visit), self._world.now()

        def unit(connection: Connection) -> bool:
            if review_items.exists(connection, turn_id):
                review_queue.skip(connection, turn_id=turn_id, agent_id=visit.agent.id, now=now)
            return True

        await self._journal.write(unit)
        return visit.json({}) if visit.wants_json else visit.redirect("/review")

    async def undo(self, visit: Visit) -> web.StreamResponse:
        """Take the named record back, or the newest of one's own; the turn is shown again."""
        annotation_id = await visit.field("annotation_id") or None
        id_, now = self._world.new_id(), self._world.now()

        def unit(connection: Connection) -> Reviewed:
            reviewed = reviews.undo(
                connection,
                annotation_id=annotation_id,
                agent_id=visit.agent.id,
                id_=id_,
                now=now,
            )
            if reviewed.state in ("first", "second"):
                reviews.retake(connection, reviewed=reviewed, terms=self._ranking.terms, now=now)
            return reviewed

        reviewed = await self._journal.write(unit)
        if not visit.wants_json:
            return visit.redirect(
                f"/review/turns/{reviewed.record['turn_id']}", notice="review.undone"
            )
        progress = await self._journal.browse(partial(self._progress, visit=visit))
        return visit.json(_told(reviewed, progress))

    async def names(self, visit: Visit) -> web.StreamResponse:
        """The labels to choose from."""
        names = await self._labels.names()
        return visit.json({"intents": names.intents, "entities": names.entities})

    async def _next(self, visit: Visit, held: frozenset[str]) -> Item | None:
        item = await self._take(visit, held)
        if item is None and await self._ranking.look():
            item = await self._take(visit, held)
        return item

    async def _take(self, visit: Visit, held: frozenset[str]) -> Item | None:
        """Lease the next turn, with the look at it on record."""
        terms, now = self._ranking.terms, self._world.now()
        order = review_queue.order_by_lot(self._world.chance, terms)
        wanted = Wanted(agent_id=visit.agent.id, order=order, holding=held)
        audit_id = self._world.new_id()

        def unit(connection: Connection) -> Item | None:
            row = review_queue.take_next(connection, wanted=wanted, terms=terms, now=now)
            if row is None:
                return None
            who = (visit.agent.id, "read_turn", row["turn_id"])
            audit.note(connection, id_=audit_id, who=who, detail={"queue": row["reason"]}, now=now)
            return review_items.read_item(
                connection, turn_id=row["turn_id"], agent_id=visit.agent.id
            )

        return await self._journal.write(unit)

    async def _read(self, visit: Visit, *, settling: bool) -> Item:
        item = await self._journal.browse(
            partial(
                review_items.read_item,
                turn_id=_turn_id(visit),
                agent_id=visit.agent.id,
                settling=settling,
            )
        )
        if item is None:
            raise reviews.unknown_turn()
        return item

    async def _record(self, visit: Visit, *, settles: bool) -> tuple[Reviewed, Progress]:
        judgement = await _judgement(visit, settles=settles)
        queued = await visit.field("queued") == "1"
        id_, now = self._world.new_id(), self._world.now()

        def unit(connection: Connection) -> tuple[Reviewed, Progress]:
            reviewed = reviews.record(
                connection, judgement=judgement, queued=queued, id_=id_, now=now
            )
            return reviewed, self._progress(connection, visit)

        return await self._journal.write(unit)

    async def _shown(
        self, visit: Visit, item: Item | None, *, queued: bool, settling: bool = False
    ) -> dict[str, Any]:
        names = await self._labels.names()
        return {
            "item": item,
            "queued": queued,
            "settling": settling,
            "words": [] if item is None else words_of(item.turn["text"]),
            "intents": names.intents,
            "emotions": names.emotions,
            "emotion_letters": letters_for(names.emotions),
            "entity_names": names.entities,
            "reject_reasons": REJECT_REASONS,
        }

    def _progress(self, connection: Connection, visit: Visit) -> Progress:
        day = self._world.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return reviews.progress(connection, agent_id=visit.agent.id, since=day)

    def _check_third(self, visit: Visit, item: Item) -> None:
        if not item.disputed:
            raise RequestError(
                409, "turn", "nobody contradicts anybody on this turn", "open it as any other"
            )
        if item.mine is not None and visit.agent.role != "administrator":
            raise RequestError(
                403,
                "turn",
                "you are one of the two who disagree",
                "leave it to another reviewer or an administrator",
            )


def _turn_id(visit: Visit) -> str:
    turn_id = visit.param("turn_id")
    # PostgreSQL takes no NUL, not even to look for it.
    if not turn_id.isprintable():
        raise reviews.unknown_turn()
    return turn_id


async def _judgement(visit: Visit, *, settles: bool) -> Judgement:
    """What the form says; raises RequestError (422)."""
    turn_id = _turn_id(visit)
    spent = await visit.field("spent_ms")
    spent_ms = min(int(spent), reviews.MAX_SPENT_MS) if re.fullmatch(r"[0-9]{1,9}", spent) else None
    reason = await visit.field("reason")
    about: dict[str, Any] = {
        "turn_id": turn_id,
        "agent_id": visit.agent.id,
        "settles": settles,
        "spent_ms": spent_ms,
        "reason": reason if reason in _REASONS else None,
    }
    rejected = await visit.field("reject_reason")
    if rejected:
        return Judgement(kind="reject", reject_reason=rejected, **about)
    answer = await visit.field("answer")
    if answer and answer not in ANSWERS:
        raise RequestError(422, "answer", "it is not known", f"use one of {', '.join(ANSWERS)}")
    return Judgement(
        # Without scripts a name is typed where scripts add a choice.
        intent=await visit.field("other_intent") or await visit.field("intent") or None,
        emotion=await visit.field("emotion") or None,
        entities=_entities(await visit.field("entities")),
        answer=cast(Answer, answer) if answer else None,
        answer_pair_id=(await visit.field("answer_pair_id") or None) if answer == "pair" else None,
        **about,
    )


def _entities(text: str) -> list[dict[str, Any]] | None:
    if not text:
        return None
    try:
        spans = json.loads(text)
    except ValueError:
        spans = None
    if not isinstance(spans, list) or not all(isinstance(span, dict) for span in spans):
        raise RequestError(422, "entities", "it is no list of spans", "send JSON, or leave it out")
    return spans


def _told(reviewed: Reviewed, progress: Progress) -> dict[str, Any]:
    return {
        "annotation_id": reviewed.record["id"],
        "turn_id": reviewed.record["turn_id"],
        "state": reviewed.state,
        "count": progress.count,
        "minutes": progress.minutes,
    }
