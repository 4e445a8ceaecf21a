"""The steps of an erasure. Each may be done twice, and goes on where a crash has cut it off."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from actions.qa.origins import forget_origins
from bot.errors import TurnRefused, TurnUnavailable
from bot.learning.datasets.errors import DatasetBroken
from bot.learning.datasets.store import DatasetStore
from bot.log import (
    dataset_versions,
    erased_rows,
    exports,
    exposure,
    holdings,
    origins,
    remains,
    tables,
    training_runs,
)
from bot.log.journal import Journal
from bot.privacy import export_files, learning_files, log_files
from bot.privacy.export_files import NotCleaned, Words
from bot.privacy.log_files import Traces
from bot.privacy.work import NotYet, Work
from bot.push import AGENTS, QUEUE, STATUS
from bot.turns import Dialogue, Understanding
from bot.world import World

# In one request to the dialogue, and in one transaction.
CONVERSATIONS_AT_ONCE = 100
ACTIONS_TABLES = ("order_operation", "qa_pair", "qa_revision", "qa_variant")

Step = Callable[[Work], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where data lies."""

    database_url: str
    state_dir: Path


class Steps:
    """Does steps; each returns what it came to, for the report. Raises NotYet, StorageError."""

    def __init__(
        self,
        journal: Journal,
        dialogue: Dialogue,
        understanding: Understanding,
        places: Places,
        world: World,
    ) -> None:
        self._journal = journal
        self._dialogue = dialogue
        self._understanding = understanding
        self._places = places
        self._world = world

    def step(self, name: str) -> Step:
        """A step by its name."""
        found: Step = getattr(self, f"_do_{name}")
        return found

    async def _do_found(self, work: Work) -> dict[str, Any]:
        """What there is: afterwards nobody could count it any more."""
        ids = work.conversations
        known = await self._journal.read(partial(origins.read, ids=ids))
        work.notes["turns"] = known.turns
        work.notes["names"] = known.names
        # Once a training has ended nobody can say any more that it knew nothing of the customer.
        run = await self._journal.read(training_runs.open_run)
        if run is not None and not await self._uses(work, run):
            work.notes["apart"] = run["id"]
        return {
            "rows": await self._journal.read(partial(holdings.count, ids=ids)),
            "channels": known.channels,
        }

    async def _do_models(self, work: Work) -> dict[str, Any]:
        ids = work.conversations
        return {
            "trained_on": await self._journal.read(
                lambda connection: exposure.versions_of(connection, ids)
            ),
            "understood_by": await self._journal.read(
                lambda connection: exposure.understood_by(connection, ids)
            ),
        }

    async def _do_exports(self, work: Work) -> dict[str, Any]:
        ids = work.conversations
        known = await self._journal.read(partial(origins.read, ids=ids))
        words = Words.of(known.ids | set(ids), frozenset(known.texts))
        found = []
        for row in await self._journal.read(partial(exports.touching, ids=ids)):
            found.append(await asyncio.to_thread(_clean_export, row, words))
        return {"exports": found}

    async def _do_answers(self, work: Work) -> dict[str, Any]:
        done = await self._journal.write(
            partial(forget_origins, conversation_ids=work.conversations, now=self._world.now())
        )
        return {
            "wordings": done.wordings,
            "revisions": done.revisions,
            "pairs_changed": list(done.pairs_changed),
            "pairs_removed": list(done.pairs_removed),
        }

    async def _do_orders(self, work: Work) -> dict[str, Any]:
        removed = await self._journal.write(
            partial(origins.forget_operations, ids=work.conversations)
        )
        return {"operations": removed}

    async def _do_logs(self, work: Work) -> dict[str, Any]:
        known = await self._journal.read(partial(origins.read, ids=work.conversations))
        traces = Traces(
            ids=known.ids | set(work.conversations), names=known.names, texts=known.texts
        )
        paths = log_files.log_files(self._places.state_dir)
        try:
            return asdict(await asyncio.to_thread(log_files.overwrite, paths, traces))
        except OSError as error:
            raise NotYet(f"a log file cannot be written ({error.strerror})") from None

    async def _do_rows(self, work: Work) -> dict[str, Any]:
        conversations = 0
        # Of a retention: who has said something meanwhile is not touched.
        before = work.notes.get("before")
        before = None if before is None else datetime.fromisoformat(before)
        for start in range(0, len(work.conversations), CONVERSATIONS_AT_ONCE):
            ids = work.conversations[start : start + CONVERSATIONS_AT_ONCE]
            if before is None:
                await self._journal.write(partial(erased_rows.clear_details, ids=ids))
            thin_out = partial(erased_rows.thin_out, ids=ids, before=before)
            while await self._journal.write(thin_out):
                await self._world.sleep(0)
            trace = (work.actor, work.id, [self._world.new_id() for _ in ids])
            conversations += await self._journal.write(
                partial(
                    erased_rows.remove,
                    ids=ids,
                    trace=None if work.kind == "retention" else trace,
                    now=self._world.now(),
                    before=before,
                ),
                [*((id_, STATUS) for id_ in ids), (AGENTS, QUEUE)],
            )
        if work.notes.get("names"):
            await self._journal.write(partial(erased_rows.forget_names, names=work.notes["names"]))
        if before is not None:
            kept = await self._journal.read(partial(erased_rows.there, ids=work.conversations))
            work.conversations = tuple(id_ for id_ in work.conversations if id_ not in kept)
            return {"conversations": conversations}
        # What was saved between its own step and this one; by now nobody can add to it.
        await self._do_answers(work)
        left = await self._journal.read(partial(holdings.count, ids=work.conversations))
        if left:
            raise NotYet(f"rows came in between ({', '.join(left)})")
        return {"conversations": conversations}

    async def _do_index(self, work: Work) -> dict[str, Any]:
        failed = await asyncio.to_thread(remains.clean_index, self._places.database_url)
        return {"not_rebuilt": failed}

    async def _do_training(self, work: Work) -> dict[str, Any]:
        """A training that is going on with the customer's turns is cancelled.

        One that has ended since the request came is told of, unless it is known to be without them.
        """
        gone_at = datetime.fromisoformat(work.steps["rows"]["done_at"])
        versions = []
        for run in await self._journal.read(
            partial(training_runs.open_since, moment=work.created_at)
        ):
            late = run["started_at"] is not None and run["started_at"] > gone_at
            if late or run["id"] == work.notes.get("apart") or not await self._uses(work, run):
                continue
            if run["slot"] is not None:
                if work.notes.get("training") != run["id"]:
                    work.notes["training"] = run["id"]
                    await self._journal.write(
                        partial(training_runs.ask_cancel, run_id=run["id"], by=work.actor)
                    )
                raise NotYet("a training that uses the customer's turns is being stopped")
            if run["version"] is not None:
                versions.append(run["version"])
        return {"run": work.notes.get("training"), "versions": versions}

    async def _uses(self, work: Work, run: dict[str, Any]) -> bool:
        """Whether a training uses the customer's turns, as far as anybody can say."""
        turns = frozenset(work.notes.get("turns", ()))
        return await asyncio.to_thread(
            learning_files.turns_are_used, self._places.state_dir, run, turns
        )

    async def _do_datasets(self, work: Work) -> dict[str, Any]:
        """Versions of the training data, and what runs of the learning loop have in hand."""
        state_dir, ids = self._places.state_dir, set(work.conversations)
        try:
            if work.kind == "retention":
                ids = await self._gone()
                await self._wait_for_learning(ids)
            store = DatasetStore(state_dir)
            removed = await asyncio.to_thread(store.erase, ids) if ids else {}
            turns = work.notes.get("turns", ())
            in_hand = await asyncio.to_thread(learning_files.clean_runs, state_dir, ids, turns)
            # Of all: a crash may have come between an erasure and its note.
            for version in store.versions():
                with suppress(DatasetBroken):
                    row = store.manifest(version).as_row()
                    await self._journal.write(partial(dataset_versions.note_erased, row=row))
        except (DatasetBroken, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise NotYet(f"a version of the training data cannot be written ({reason})") from None
        known = await self._journal.read(dataset_versions.names)
        not_here = sorted(set(known) - set(store.versions()))
        return {"rows": removed, "in_hand": in_hand, "not_here": not_here}

    async def _gone(self) -> set[str]:
        """Of whom there are words in the training data, and no conversation in the log any more."""
        gone: set[str] = set()
        found = learning_files.conversations_in(self._places.state_dir)
        while (ids := await asyncio.to_thread(next, found, None)) is not None:
            left = sorted(ids - gone)
            there = await self._journal.browse(partial(erased_rows.there, ids=left))
            gone.update(set(left) - there)
        return gone

    async def _wait_for_learning(self, gone: Collection[str]) -> None:
        """A run is not stopped for words whose time is up: they go once it has ended."""
        run = await self._journal.read(training_runs.open_run)
        if gone and run is not None and run["kind"] == "learn":
            raise NotYet("a run of the learning loop is going on with older data")

    async def _do_dialogue(self, work: Work) -> dict[str, Any]:
        turns = 0
        for start in range(0, len(work.conversations), CONVERSATIONS_AT_ONCE):
            ids = work.conversations[start : start + CONVERSATIONS_AT_ONCE]
            try:
                turns += int((await self._dialogue.erase(ids)).get("turns", 0))
            except (TurnUnavailable, TurnRefused) as error:
                raise NotYet(f"the dialogue process: {error.reason}") from None
        return {"turns": turns}

    async def _do_understanding(self, work: Work) -> dict[str, Any]:
        try:
            return {"texts": await self._understanding.forget()}
        except TurnUnavailable as error:
            raise NotYet(f"the understanding service: {error.reason}") from None

    async def _do_files(self, work: Work) -> dict[str, Any]:
        """Last of all: what the others needed of the customer has left our own row by now."""
        if work.kind != "retention":
            # Somebody may have looked at a text since its own step.
            await self._do_understanding(work)
        names = [table.name for table in holdings.table_paths()]
        names += [tables.erasure_request.name, tables.audit.name, *ACTIONS_TABLES]
        failed = await asyncio.to_thread(remains.scrub, self._places.database_url, names)
        return {"not_vacuumed": failed}


def _clean_export(row: dict[str, Any], words: Words) -> dict[str, Any]:
    """An export for the report, with what came of its file."""
    shown = {
        "id": row["id"],
        "kind": row["kind"],
        "format": row["format"],
        "actor": row["actor"],
        "made_at": row["made_at"].isoformat(),
        "path": row["path"],
    }
    if row["path"] is None:
        return shown | {"state": "download"}
    try:
        removed = export_files.clean(Path(row["path"]), row["format"], words)
    except FileNotFoundError:
        return shown | {"state": "gone"}
    except NotCleaned as error:
        return shown | {"state": "not_cleaned", "why": str(error)}
    return shown | {"state": "cleaned", "removed": removed}
