"""The pages of what was not understood: groups with examples, to be named or dismissed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from bot.console.learning.typical import typical_words
from bot.console.review.understanding import Labels
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.learning.unknown_job import UnknownJob
from bot.log import unknowns
from bot.log.journal import Journal
from bot.log.review_scores import probabilities
from bot.world import World

SHOWN = 20  # groups
EXAMPLES = 5  # of a group in the list
READ = 40  # of a group, to tell its words by
MOST = 300  # of one group on its page
GUESSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a form says of a group: which of its messages, and what they want."""

    turn_ids: list[str]
    intent: str

    @classmethod
    async def of(cls, visit: Visit) -> "Choice":
        """As it was filled in."""
        ticked = (await visit.form()).getall("turn", [])[:MOST]
        return cls(turn_ids=[str(value) for value in ticked], intent=await visit.field("intent"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group as it is shown; nothing of it is kept."""

    row: unknowns.Row
    members: list[unknowns.Row]
    words: list[str]
    # What the model took its messages for, most often first, with their shares.
    guesses: list[tuple[str, float]]
    customers: int

    @property
    def labels(self) -> list[tuple[str, int]]:
        """What people have called messages like these, with how many of them, most often first."""
        found: Counter[str] = Counter(self.row["labels"] or {})
        return found.most_common()

    @property
    def proposal(self) -> Choice:
        """All of them, called what most messages like these are; no name where none are."""
        name = self.labels[0][0] if self.labels else ""
        return Choice(turn_ids=[one["id"] for one in self.members], intent=name)


class UnknownPages:
    """Groups to look at for who reviews."""

    def __init__(self, journal: Journal, job: UnknownJob, labels: Labels, world: World) -> None:
        self._journal = journal
        self._job = job
        self._labels = labels
        self._world = world

    async def list(self, visit: Visit) -> web.Response:
        """The groups that wait for a name, the largest and most alike first."""
        groups, waiting = await self._journal.browse(_read_groups)
        return visit.page(
            "learning/unknowns.html",
            groups=groups,
            waiting=waiting,
            examples=EXAMPLES,
            progress=self._job.progress,
        )

    async def status(self, visit: Visit) -> web.Response:
        """A fragment: whether they are being grouped anew."""
        return visit.page("learning/grouping.html", progress=self._job.progress)

    async def refresh(self, visit: Visit) -> web.Response:
        """Group anew."""
        if not self._job.begin():
            raise RequestError(409, "groups", "they are being made just now", "wait a moment")
        return visit.redirect("/learning/unknowns", notice="learning.grouping_begun")

    async def show(self, visit: Visit) -> web.Response:
        """One group with all of its messages, each to be left out."""
        return await self._form(visit)

    async def name(self, visit: Visit) -> web.Response:
        """Label the chosen messages with an intent, known or new."""
        choice = await Choice.of(visit)
        try:
            count = await self._journal.write(
                partial(
                    unknowns.name,
                    cluster_id=visit.param("cluster_id"),
                    intent=choice.intent,
                    agent_id=visit.agent.id,
                    turn_ids=choice.turn_ids,
                    now=self._world.now(),
                    new_id=self._world.new_id,
                )
            )
        except RequestError as error:
            return await self._refuse(visit, choice, error)
        notice = "learning.named" if count else "learning.named_none"
        return visit.redirect("/learning/unknowns", notice=notice)

    async def dismiss(self, visit: Visit) -> web.Response:
        """Have the chosen messages of a group not shown again."""
        choice = await Choice.of(visit)
        try:
            await self._journal.write(
                partial(
                    unknowns.dismiss,
                    cluster_id=visit.param("cluster_id"),
                    agent_id=visit.agent.id,
                    turn_ids=choice.turn_ids,
                    now=self._world.now(),
                )
            )
        except RequestError as error:
            return await self._refuse(visit, choice, error)
        return visit.redirect("/learning/unknowns", notice="learning.dismissed")

    async def _refuse(self, visit: Visit, choice: Choice, error: RequestError) -> web.Response:
        """The form again as it was filled in, or what came of the group."""
        if error.status != 422:
            raise error
        # It shows customers' words, so it is a look like any other.
        await self._journal.audit(visit.agent.id, "read_unknown", visit.param("cluster_id"))
        return await self._form(visit, choice, error)

    async def _form(
        self, visit: Visit, choice: Choice | None = None, error: RequestError | None = None
    ) -> web.Response:
        cluster_id = visit.param("cluster_id")
        group = await self._journal.browse(partial(_read_group, cluster_id=cluster_id))
        if group is None:
            raise RequestError(
                404, "cluster", "there is no such group; it may be another by now", "see the list"
            )
        names = await self._labels.names()
        return visit.page(
            "learning/unknown.html",
            status=error.status if error else 200,
            group=group,
            intents=names.intents,
            choice=choice or group.proposal,
            error=error,
        )


def _read_groups(connection: Connection) -> tuple[list[Group], int]:
    rows = unknowns.listing(connection, limit=SHOWN)
    members = [unknowns.members(connection, cluster_id=row["id"], limit=READ) for row in rows]
    return _groups(rows, members), unknowns.count_open(connection)


def _read_group(connection: Connection, cluster_id: str) -> Group | None:
    row = unknowns.find(connection, cluster_id=cluster_id)
    if row is None or row["state"] != "open":
        return None
    # Beside the others, so that its words tell it from them.
    others = [one for one in unknowns.listing(connection, limit=SHOWN) if one["id"] != cluster_id]
    rows = [row, *others]
    members = [
        unknowns.members(connection, cluster_id=one["id"], limit=MOST if one is row else EXAMPLES)
        for one in rows
    ]
    return _groups(rows, members)[0] if members[0] else None


def _groups(rows: Sequence[unknowns.Row], members: Sequence[list[unknowns.Row]]) -> list[Group]:
    words = typical_words([[one["text"] for one in group] for group in members])
    return [
        Group(
            row=row,
            members=group,
            words=telling,
            guesses=_guesses(group),
            customers=len({one["customer"] for one in group}),
        )
        for row, group, telling in zip(rows, members, words, strict=True)
    ]


def _guesses(members: Sequence[unknowns.Row]) -> list[tuple[str, float]]:
    best: Counter[str] = Counter()
    for one in members:
        ranked: dict[str, Any] = probabilities(one["ranking"])
        if ranked:
            best[max(ranked, key=lambda intent: ranked[intent])] += 1
    return [(intent, count / len(members)) for intent, count in best.most_common(GUESSES)]
