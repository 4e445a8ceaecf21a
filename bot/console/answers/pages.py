"""The pages of the answers: list, one answer with its history, the form, a test of the search."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from actions.qa.index import Hit
from actions.qa.listing import (
    STATES,
    Row,
    Wanted,
    read_facets,
    read_known,
    read_listed,
    read_numbers,
    read_same,
)
from actions.qa.live import Findings
from actions.qa.revisions import Content, Revision
from bot.console.answers.difference import FieldChange, changes_between
from bot.console.answers.form import Checks, Draft, checked
from bot.console.answers.store import AnswerChanged, AnswerStore
from bot.console.routes import REVIEWING
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.log.answer_usage import Usage, usage_of
from bot.log.journal import Journal
from bot.world import World

PAGE = 30
USAGE_DAYS = 30
MOST_TESTED = 10
MAX_QUESTION = 1_000


class AnswerPages:
    """Reading for everyone; writing for reviewers and administrators."""

    def __init__(self, store: AnswerStore, journal: Journal, world: World) -> None:
        self._store = store
        self._journal = journal
        self._world = world

    async def list(self, visit: Visit) -> web.Response:
        """The answers that the filters leave, by id or by how near they are to a text."""
        fields = visit.query
        wanted = Wanted(
            text=fields.get("q", "").strip()[:MAX_QUESTION],
            intent=fields.get("intent", ""),
            category=fields.get("category", ""),
            source=fields.get("source", ""),
            state=fields.get("state", "active") if fields.get("state") in STATES else "active",
            after=fields.get("after", ""),
        )
        meaning = bool(wanted.text) and fields.get("by") == "meaning"
        rows = await (self._nearest(wanted) if meaning else self._listed(wanted))
        more = None
        if not meaning and len(rows) > PAGE:
            rows = rows[:PAGE]
            kept = {name: value for name, value in fields.items() if name != "notice"}
            more = "/console/answers?" + urlencode(kept | {"after": rows[-1]["id"]})
        facets = await self._journal.browse(read_facets)
        return visit.page(
            "answers/list.html",
            rows=[{**row, "href": href(row["id"])} for row in rows],
            usage=await self._usage([row["id"] for row in rows]),
            intents=_choices(facets.intents),
            categories=_choices(facets.categories),
            sources=_choices(facets.sources),
            state_choices=[(name, visit.words(f"answers.state_{name}")) for name in STATES],
            numbers=await self._journal.browse(read_numbers),
            wanted=wanted,
            meaning=meaning,
            more=more,
            days=USAGE_DAYS,
            editor=is_editor(visit),
        )

    async def show(self, visit: Visit) -> web.Response:
        """One answer: the form, or what is in it for who may not write; usage and history."""
        stored = await self._store.get(visit.param("pair_id"))
        if stored is None:
            raise RequestError(
                404, "pair_id", "there is no such answer", "look for it in the list of answers"
            )
        return await self._one(visit, Draft.of(stored.pair, stored.revision))

    async def new(self, visit: Visit) -> web.Response:
        """The empty form; `question` of the address is put in."""
        draft = Draft(
            question=visit.query.get("question", "")[:MAX_QUESTION],
            intent=visit.query.get("intent", ""),
            id=self._world.new_id(),
        )
        return await self._form(visit, draft, Checks())

    async def add(self, visit: Visit) -> web.Response:
        """Keep a new answer, or show the form again with what is wrong."""
        draft = Draft.read(await visit.form())
        pair_id = f"answer-{draft.id or self._world.new_id()}"
        stored = await self._store.get(pair_id)
        if stored is not None and stored.pair == draft.pair(pair_id):
            # The second of two clicks.
            return visit.redirect(path_of(pair_id), notice="answers.saved")
        if stored is not None:
            # Gone back to the form and written another one.
            draft = replace(draft, id=self._world.new_id())
            pair_id = f"answer-{draft.id}"
        checks = await self._checked(draft, pair_id, known=())
        if checks.problems:
            return await self._form(visit, draft, checks)
        pair = draft.pair(pair_id)
        try:
            await self._store.save(
                pair, actor=visit.agent.name, note=draft.note or None, expected=0
            )
        except AnswerChanged as told:
            # The first click was under way still.
            if told.stored.pair != pair:
                raise
        await self._note(visit, "save_answer", pair_id)
        return visit.redirect(path_of(pair_id), notice="answers.saved")

    async def save(self, visit: Visit) -> web.Response:
        """Keep a changed answer; with another's change in between, show both versions."""
        pair_id = visit.param("pair_id")
        stored = await self._store.get(pair_id)
        draft = Draft.read(await visit.form())
        known = () if stored is None else stored.pair.wordings
        checks = await self._checked(draft, pair_id, known)
        if stored is None or checks.problems:
            return await self._one(visit, draft, checks=checks, status=422)
        try:
            await self._store.save(
                draft.pair(pair_id),
                actor=visit.agent.name,
                note=draft.note or None,
                expected=draft.revision,
            )
        except AnswerChanged as told:
            mine = replace(draft, revision=told.stored.revision)
            wanted = Content(pair=draft.pair(pair_id), active=told.stored.active)
            theirs = changes_between(told.stored.content, wanted)
            return await self._one(visit, mine, conflict=theirs, status=409)
        await self._note(visit, "save_answer", pair_id)
        notice = "answers.saved" if stored.active else "answers.saved_retired"
        return visit.redirect(path_of(pair_id), notice=notice)

    async def retire(self, visit: Visit) -> web.Response:
        """Take an answer out of the search."""
        pair_id = visit.param("pair_id")
        await self._store.retire(pair_id, visit.agent.name)
        return visit.redirect(path_of(pair_id), notice="answers.retired")

    async def restore(self, visit: Visit) -> web.Response:
        """Make an answer what it was at a revision."""
        pair_id, revision = visit.param("pair_id"), await visit.field("revision_id")
        if not (revision.isascii() and revision.isdigit()):
            raise RequestError(422, "revision_id", "is not a number", "reload the page")
        await self._store.restore(pair_id, int(revision), visit.agent.name)
        return visit.redirect(path_of(pair_id), notice="answers.restored")

    async def test(self, visit: Visit) -> web.Response:
        """What the bot would do with a question."""
        question = (await visit.field("question"))[:MAX_QUESTION]
        if not question:
            raise RequestError(422, "question", "is empty", "type a question to test")
        findings = await self._store.find(question, MOST_TESTED)
        return visit.page(
            "answers/test.html",
            question=question,
            findings=findings,
            decision=decision_of(findings),
            hits=[_shown(hit) for hit in findings.hits[:MOST_TESTED]],
            editor=is_editor(visit),
        )

    async def _form(self, visit: Visit, draft: Draft, checks: Checks) -> web.Response:
        return visit.page(
            "answers/new.html",
            status=422 if checks.problems else 200,
            draft=draft,
            problems=checks.problems,
            facets=await self._journal.browse(read_facets),
        )

    async def _one(
        self,
        visit: Visit,
        draft: Draft,
        *,
        checks: Checks | None = None,
        conflict: Sequence[FieldChange] = (),
        status: int = 200,
    ) -> web.Response:
        pair_id = visit.param("pair_id")
        stored = await self._store.get(pair_id)
        if stored is None:
            raise RequestError(
                404, "pair_id", "there is no such answer", "look for it in the list of answers"
            )
        usage = await self._usage([pair_id])
        return visit.page(
            "answers/one.html",
            status=status,
            stored=stored,
            href=href(pair_id),
            draft=draft,
            problems={} if checks is None else checks.problems,
            conflict=conflict,
            history=_told(await self._store.history(pair_id)),
            usage=usage.get(pair_id, Usage()),
            days=USAGE_DAYS,
            facets=await self._journal.browse(read_facets),
            editor=is_editor(visit),
        )

    async def _listed(self, wanted: Wanted) -> Sequence[Row]:
        return await self._journal.browse(partial(read_listed, wanted=wanted, limit=PAGE + 1))

    async def _nearest(self, wanted: Wanted) -> Sequence[Row]:
        hits = await self._store.search(wanted.text, PAGE)
        known = await self._journal.browse(partial(read_known, ids=[hit.pair.id for hit in hits]))
        rows = [{**known[hit.pair.id], "score": hit.score} for hit in hits if hit.pair.id in known]
        return [
            row
            for row in rows
            if all(
                not value or row[name] == value
                for name, value in (
                    ("intent", wanted.intent),
                    ("category", wanted.category),
                    ("source", wanted.source),
                )
            )
        ]

    async def _usage(self, pair_ids: Sequence[str]) -> dict[str, Usage]:
        since = self._world.now() - timedelta(days=USAGE_DAYS)
        return await self._journal.browse(partial(usage_of, pair_ids=pair_ids, since=since))

    async def _checked(self, draft: Draft, pair_id: str, known: Sequence[str]) -> Checks:
        """All that is wrong with a draft; wordings that it had already may be elsewhere too."""
        checks = checked(draft)
        texts = [text for text in (draft.question, *draft.variants) if text and text not in known]
        if not checks.problems:
            same = await self._journal.browse(partial(read_same, texts=texts, but=pair_id))
            for text, other in same.items():
                field = "question" if text == draft.question else "wordings"
                checks.add(field, "answers.problem.elsewhere", text=text[:80], other=other)
        return checks

    async def _note(self, visit: Visit, action: str, target: str) -> None:
        await self._journal.audit(visit.agent.id, action, target)


def path_of(pair_id: str) -> str:
    """The page of an answer, below /console."""
    return f"/answers/{quote(pair_id, safe='')}"


def href(pair_id: str) -> str:
    """The address of an answer's page."""
    return "/console" + path_of(pair_id)


def is_editor(visit: Visit) -> bool:
    """Whether the visitor may change answers."""
    return visit.agent.role in REVIEWING


def decision_of(findings: Findings) -> str:
    """What the bot does with what it found: answer, offer or nothing."""
    if findings.sure is not None:
        return "answer"
    return "offer" if findings.offered else "nothing"


def _choices(values: Sequence[str]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


def _shown(hit: Hit) -> dict[str, Any]:
    return {"pair": hit.pair, "score": hit.score, "href": href(hit.pair.id)}


def _told(history: Sequence[Revision]) -> list[dict[str, Any]]:
    """Each revision with what it changed; the newest first."""
    earlier: Sequence[Revision | None] = [*history, None][1:]
    return [
        {
            "revision": one,
            "changes": changes_between(None if old is None else old.content, one.content),
        }
        for one, old in zip(history, earlier, strict=True)
    ]
