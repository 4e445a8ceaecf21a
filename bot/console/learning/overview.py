"""The page of the learning loop: runs, what answers, what waits; and one run with its proof."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from bot.console.learning import shown
from bot.console.learning.held import count_waiting
from bot.console.routes import ADMINISTRATORS
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.learning.corrections import count_since
from bot.learning.errors import BadPeriod
from bot.learning.proof.errors import ProofError
from bot.learning.release.releases import Releases
from bot.learning.run_folder import RunFolder
from bot.learning.schedule import next_run, read_period
from bot.learning.versions import Versions
from bot.log import (
    dataset_versions,
    harvested,
    learning_runs,
    shadow_turns,
    training_runs,
    unknowns,
)
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World

RUNS = 10
LOOKED_BACK = 50  # runs, for when the last one succeeded
CHANGES = 10  # of the version that answers
VERSIONS = 20
SHADOW = 50  # changed predictions

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for somebody: turns held back, groups without a name; new corrections."""

    held_back: int
    unknowns: int
    corrections: int
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """The replay of real messages in one run's proof."""

    turns: int
    changed: int
    pairs: list[Row]
    # With the text that the log still has; None where it has none.
    rows: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningParts:
    """What the pages read."""

    journal: Journal
    releases: Releases
    versions: Versions
    settings: Settings
    world: World


class LearningPages:
    """Runs, releases and what waits, for everyone to read; a run's texts for who reviews."""

    def __init__(self, parts: LearningParts) -> None:
        self._parts = parts

    async def show(self, visit: Visit) -> web.Response:
        """Everything at a glance."""
        journal, releases = self._parts.journal, self._parts.releases
        catalogue = await self._parts.versions.catalogue()
        trial = await releases.open_trial()
        names = [str(model["version"]) for model in catalogue.models][:VERSIONS]
        return visit.page(
            "learning/page.html",
            runs=await journal.browse(partial(learning_runs.latest, limit=RUNS)),
            open_run=await journal.browse(training_runs.open_run),
            catalogue=catalogue,
            trial=trial,
            sides=[] if trial is None else shown.sides(trial),
            standing=None if trial is None else shown.standing(trial),
            harms=shown.HARMS,
            history=await releases.history(limit=CHANGES),
            waiting=await journal.browse(_waiting),
            every=self._parts.settings.learn_every,
            next_run=await journal.browse(self._next_run),
            release=self._parts.settings.learn_release,
            share=round(self._parts.settings.learn_canary_share * 100),
            versions=[(name, name) for name in names if name != catalogue.current],
            editor=visit.agent.role in ADMINISTRATORS,
        )

    async def runs(self, visit: Visit) -> web.Response:
        """A fragment: the runs, with the step of the one that goes on."""
        journal = self._parts.journal
        return visit.page(
            "learning/runs.html",
            runs=await journal.browse(partial(learning_runs.latest, limit=RUNS)),
            editor=visit.agent.role in ADMINISTRATORS,
        )

    async def run(self, visit: Visit) -> web.Response:
        """One run: its verdict, its data, and the predictions that would change."""
        run = await self._find(visit.param("run_id"))
        dataset, parent = await self._parts.journal.browse(
            partial(_data_of, version=run["dataset"])
        )
        counts = {} if dataset is None else dataset["counts"]
        before = None if parent is None else parent["counts"]
        intents, more = shown.changed_intents(shown.counted(counts, before, "intent"))
        return visit.page(
            "learning/run.html",
            run=run,
            findings=shown.findings(run["verdict"]),
            dataset=dataset,
            parent=parent,
            sources=shown.counted(counts, before, "source"),
            intents=intents,
            more_intents=more,
            shadow=await self._shadow(run["id"]),
            serving=self._parts.versions.serving(),
            editor=visit.agent.role in ADMINISTRATORS,
        )

    async def proof(self, visit: Visit) -> web.Response:
        """The whole proof of a run, with its plots."""
        from bot.learning.proof import page

        run = await self._find(visit.param("run_id"))
        proof = await self._kept(run["id"])
        if proof is None:
            raise RequestError(
                404, "proof", "this machine has no proof of this run", "look where it was proven"
            )
        texts = await self._texts(proof["shadow"]["changes"][: page.LISTED])
        text = await asyncio.to_thread(page.render, proof, text_of=texts.get)
        policy = {"Content-Security-Policy": page.policy()}
        return web.Response(text=text, content_type="text/html", headers=policy)

    def _next_run(self, connection: Connection) -> datetime | None:
        """When the loop runs by itself, as its process reckons; None when it does not."""
        try:
            period = read_period(self._parts.settings.learn_every)
        except BadPeriod:
            return None
        if period is None:
            return None
        return next_run(
            learning_runs.latest_made(connection, limit=LOOKED_BACK),
            period,
            self._parts.world.now(),
            first_turn=harvested.first_turn(connection),
        )

    async def _find(self, run_id: str) -> Row:
        run = await self._parts.journal.browse(partial(training_runs.find, run_id=run_id))
        if run is None or run["kind"] != learning_runs.KIND:
            raise RequestError(404, "run_id", "there is no such run", "see the list")
        return run

    async def _kept(self, run_id: str) -> Row | None:
        """A run's proof, if it is on this machine."""
        # Imported here: it loads what only few pages need.
        from bot.learning.proof.proof import read_proof

        folder = RunFolder(self._parts.settings.state_dir, run_id).proof
        try:
            return await asyncio.to_thread(read_proof, folder)
        except ProofError:
            return None

    async def _shadow(self, run_id: str) -> Shadow | None:
        """The changes of the proof, with the texts that are left."""
        proof = await self._kept(run_id)
        if proof is None:
            return None
        kept = proof["shadow"]
        changes = list(kept["changes"])[:SHADOW]
        texts = await self._texts(changes)
        return Shadow(
            turns=int(kept["turns"]),
            changed=int(kept["changed"]),
            pairs=list(kept["pairs"])[:CHANGES],
            rows=[one | {"text": texts.get(one["turn_id"])} for one in changes],
        )

    async def _texts(self, changes: Sequence[Row]) -> dict[str, str]:
        ids = [str(one["turn_id"]) for one in changes]
        return await self._parts.journal.browse(partial(shadow_turns.texts_of, turn_ids=ids))


def _waiting(connection: Connection) -> Waiting:
    last = learning_runs.last_learned(connection)
    since = None if last is None else last["started_at"]
    _, new = count_since(connection, since)
    return Waiting(
        held_back=count_waiting(connection),
        unknowns=unknowns.count_open(connection),
        corrections=new,
        since=since,
    )


def _data_of(connection: Connection, version: str | None) -> tuple[Row | None, Row | None]:
    """A version of the data and its parent."""
    if version is None:
        return None, None
    found = dataset_versions.find(connection, version=version)
    if found is None or found["parent"] is None:
        return found, None
    return found, dataset_versions.find(connection, version=found["parent"])
