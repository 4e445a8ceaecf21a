"""The pages of proposed answers: written, edited, approved into the answer store or rejected."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, cast

from aiohttp import web
from sqlalchemy import Connection

from actions.qa.pairs import Pair
from actions.qa.revisions import Change
from bot.console.answers.store import AnswerStore
from bot.console.review.understanding import Labels
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.log import proposals, review_items
from bot.log.journal import Journal
from bot.log.proposals import Decision, Draft, Kind, Row
from bot.world import World

_PAGE = 50

NEAREST = 8
MAX_QUERY = 500
# Of a new answer whose author named none.
CATEGORY = "reviewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalParts:
    """What the pages work with; `approval` is the setting's value."""

    journal: Journal
    answers: AnswerStore
    labels: Labels
    world: World
    redact: Callable[[str], str]
    approval: str


class Proposals:
    """Proposals of answers, and the search for an answer that there is."""

    def __init__(self, parts: ProposalParts) -> None:
        self._journal = parts.journal
        self._answers = parts.answers
        self._labels = parts.labels
        self._world = parts.world
        self._redact = parts.redact
        self._approval = parts.approval

    async def list(self, visit: Visit) -> web.StreamResponse:
        """The proposals in one state."""
        state = visit.query.get("state", "proposed")
        if state not in proposals.STATES:
            raise RequestError(
                400, "state", "it is not known", f"use one of {', '.join(proposals.STATES)}"
            )
        after = visit.query.get("after")
        if after is not None and not after.isprintable():
            after = None
        rows, counts = await self._journal.browse(
            lambda connection: (
                proposals.listed(connection, state=cast(Any, state), limit=_PAGE + 1, after=after),
                proposals.counts(connection),
            )
        )
        more = len(rows) > _PAGE
        rows = rows[:_PAGE]
        return visit.page(
            "review/answers.html",
            state=state,
            rows=rows,
            counts=counts,
            after=rows[-1]["id"] if more else None,
        )

    async def show(self, visit: Visit) -> web.StreamResponse:
        """One proposal, with the pair that it would change."""
        row = await self._find(visit)
        pair = None if row["pair_id"] is None else await self._answers.get(row["pair_id"])
        near = [] if row["kind"] != "new" else await self._answers.search(row["question"], 3)
        names = await self._labels.names()
        return visit.page(
            "review/answer.html",
            row=row,
            pair=None if pair is None else pair.pair,
            pair_revision=None if pair is None else pair.revision,
            near=near,
            intents=names.intents,
            may_decide=self._may_decide(visit, row),
            may_edit=self._may_edit(visit, row),
        )

    async def write(self, visit: Visit) -> web.StreamResponse:
        """The form for a new one: from a turn, or for the pair of `?pair=`."""
        turn_id, pair_id = visit.query.get("turn"), visit.query.get("pair")
        item = pair = None
        if turn_id is not None and turn_id.isprintable():
            item = await self._journal.browse(
                partial(review_items.read_item, turn_id=turn_id, agent_id=visit.agent.id)
            )
        if pair_id is not None and pair_id.isprintable():
            stored = await self._answers.get(pair_id)
            pair = None if stored is None else stored.pair
        names = await self._labels.names()
        return visit.page("review/write.html", item=item, pair=pair, intents=names.intents)

    async def propose(self, visit: Visit) -> web.StreamResponse:
        """Keep a new proposal."""
        kind = await visit.field("kind") or "new"
        if kind not in proposals.KINDS:
            raise RequestError(
                422, "kind", "it is not known", f"use one of {', '.join(proposals.KINDS)}"
            )
        pair_id = await visit.field("pair_id") or None
        if pair_id is not None and await self._answers.get(pair_id) is None:
            raise RequestError(422, "pair_id", "there is no such answer", "choose one of the list")
        draft = Draft(
            kind=cast(Kind, kind),
            # The customer's words, perhaps with what a reviewer has put back in.
            question=self._redact(await visit.field("question")),
            answer=await visit.field("answer"),
            intent=await visit.field("intent"),
            category=await visit.field("category"),
            pair_id=pair_id,
            turn_id=await visit.field("turn_id") or None,
        )
        id_, now = self._world.new_id(), self._world.now()
        kept = await self._journal.write(
            partial(proposals.propose, draft=draft, author_id=visit.agent.id, id_=id_, now=now)
        )
        if not kept:
            raise RequestError(
                404, "turn_id", "there is no such turn; it may have been erased", "leave it out"
            )
        if visit.wants_json:
            return visit.json({"id": id_}, status=201)
        return visit.redirect(f"/review/answers/{id_}", notice="review.proposed")

    async def edit(self, visit: Visit) -> web.StreamResponse:
        """Change what is proposed."""
        row = await self._find(visit)
        if not self._may_edit(visit, row):
            raise _not_yours()
        await self._change(visit, row)
        return visit.redirect(f"/review/answers/{row['id']}", notice="review.proposal_saved")

    async def approve(self, visit: Visit) -> web.StreamResponse:
        """Put it into the answer store, as the form has it; the bot then knows it."""
        row = await self._find(visit)
        if not self._may_decide(visit, row):
            raise _not_yours()
        row = await self._change(visit, row)
        pair, stored = await self._pair_of(row)
        seen = await visit.field("pair_revision")
        if row["kind"] == "edit" and seen.isascii() and seen.isdigit() and len(seen) < 10:
            # An edit replaces what its approver read, and nothing that came after.
            stored = int(seen)
        change = Change(
            actor=visit.agent.name,
            note=f"proposal {row['id']}",
            conversation_id=row["conversation_id"],
            expected=stored,
        )
        decision = Decision(
            state="approved", agent_id=visit.agent.id, revision=row["revision"], pair_id=pair.id
        )
        # Decided and stored at once: what another rejects meanwhile never becomes an answer.
        unit = partial(_decided, id_=row["id"], decision=decision, now=self._world.now())
        await self._answers.save_with(pair, change, unit)
        return visit.redirect("/review/answers", notice="review.approved")

    async def reject(self, visit: Visit) -> web.StreamResponse:
        """Close it with a reason."""
        row = await self._find(visit)
        if not self._may_decide(visit, row):
            raise _not_yours()
        why = await visit.field("reject_reason")
        if not why or len(why) > MAX_QUERY:
            raise RequestError(
                422, "reject_reason", "it is empty or too long", "say in a sentence why not"
            )
        decision = Decision(
            state="rejected",
            agent_id=visit.agent.id,
            revision=await _revision(visit),
            reject_reason=why,
        )
        now = self._world.now()
        await self._journal.write(partial(_decided, id_=row["id"], decision=decision, now=now))
        return visit.redirect("/review/answers", notice="review.rejected")

    async def pairs(self, visit: Visit) -> web.StreamResponse:
        """The answers nearest to a text, in the bot's own ranking."""
        text = visit.query.get("q", "").strip()[:MAX_QUERY]
        hits = await self._answers.search(text, NEAREST) if text else []
        return visit.json(
            {
                "pairs": [
                    {
                        "id": hit.pair.id,
                        "question": hit.pair.question,
                        "answer": hit.pair.answer[:200],
                        "intent": hit.pair.intent,
                        "score": round(hit.score, 3),
                    }
                    for hit in hits
                ]
            }
        )

    async def _change(self, visit: Visit, row: Row) -> Row:
        """Keep the form's texts where they differ; the row as it is then."""
        revision = await _revision(visit)
        texts = {}
        for name in ("question", "answer", "intent", "category"):
            form = await visit.form()
            texts[name] = await visit.field(name) if name in form else row[name]
        texts["question"] = self._redact(texts["question"])
        if row["state"] == "proposed" and all(texts[name] == row[name] for name in texts):
            if revision != row["revision"]:
                raise _meanwhile()
            return row
        draft = Draft(kind=row["kind"], pair_id=row["pair_id"], **texts)
        edited = await self._journal.write(
            partial(proposals.edit, id_=row["id"], revision=revision, draft=draft)
        )
        if not edited:
            raise _meanwhile()
        return row | texts | {"revision": revision + 1}

    async def _pair_of(self, row: Row) -> tuple[Pair, int | None]:
        """The pair as it is to be after approval, and the revision that it is made of.

        Raises RequestError when its pair is gone.
        """
        fields = {name: row[name] for name in ("question", "answer", "intent", "category")}
        if row["kind"] == "new":
            fields["category"] = fields["category"] or CATEGORY
            return Pair(id=f"proposal-{row['id']}", variants=(), **fields), None
        stored = await self._answers.get(row["pair_id"])
        if stored is None:
            raise RequestError(
                409, "pair_id", "the answer that it changes is gone", "reject the proposal"
            )
        if row["kind"] == "edit":
            return replace(stored.pair, **fields), stored.revision
        wordings = dict.fromkeys((*stored.pair.variants, row["question"]))
        return replace(stored.pair, variants=tuple(wordings)), stored.revision

    async def _find(self, visit: Visit) -> Row:
        id_ = visit.param("proposal_id")
        row = None
        if id_.isprintable():
            row = await self._journal.browse(lambda connection: proposals.find(connection, id_))
        if row is None:
            raise RequestError(
                404, "proposal", "there is no such proposal", "look for it in the list"
            )
        return row

    def _may_decide(self, visit: Visit, row: Row) -> bool:
        if row["state"] != "proposed" or visit.agent.role == "agent":
            return False
        if self._approval == "administrator":
            return visit.agent.role == "administrator"
        return self._approval == "anyone" or row["author_id"] != visit.agent.id

    def _may_edit(self, visit: Visit, row: Row) -> bool:
        own = row["author_id"] == visit.agent.id
        return row["state"] == "proposed" and (own or self._may_decide(visit, row))


def _decided(connection: Connection, *, id_: str, decision: Decision, now: datetime) -> None:
    if not proposals.decide(connection, id_=id_, decision=decision, now=now):
        raise _meanwhile()


async def _revision(visit: Visit) -> int:
    text = await visit.field("revision")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RequestError(422, "revision", "it is missing", "reload the page and try again")
    return int(text)


def _meanwhile() -> RequestError:
    return RequestError(
        409,
        "proposal",
        "somebody has edited or decided it meanwhile",
        "reload the page and read it again",
    )


def _not_yours() -> RequestError:
    return RequestError(
        403,
        "proposal",
        "it is not yours to decide, or no longer open",
        "ask another reviewer or an administrator",
    )
