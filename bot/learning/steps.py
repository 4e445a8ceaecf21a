"""The real steps of a learning run, each in a process of its own: what they read and leave.

All may be done again: what a step that was killed had left is written anew, or found.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.errors import KefuError
from bot.learning.datasets.manifest import Manifest
from bot.learning.datasets.row import Row as DataRow
from bot.learning.datasets.store import DatasetStore
from bot.learning.errors import NoChampion, StepFailed
from bot.learning.forgotten import KEY as FORGOTTEN
from bot.learning.forgotten import Forgotten, forgotten
from bot.learning.loop_parts import bundle_of
from bot.learning.opened import opened_journal
from bot.learning.proof.questions import KEY, LEAST, Questions, by_lot
from bot.learning.run_folder import RunFolder
from bot.log import dataset_versions, held_back, learning_runs, proof_questions, training_runs
from bot.log.journal import Journal
from bot.log.review_candidates import Terms
from bot.log.training_runs import Row
from bot.settings import Settings
from bot.world import World
from nlu.examples import Example

if TYPE_CHECKING:
    from bot.learning.proof.proof import Proof
    from nlu.bundle import BundleStore

Report = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What a step works with."""

    settings: Settings
    journal: Journal
    world: World
    run: Row
    folder: RunFolder
    store: DatasetStore
    # The version of the data that the last run learned from.
    parent: Manifest | None

    def parent_rows(self) -> Iterable[DataRow]:
        """The rows of that version, anew at each call."""
        return () if self.parent is None else self.store.rows(self.parent.version)


async def harvest(place: Workplace) -> Report:
    """From the log: what its turns up to the begin of the run can teach."""
    from bot.learning.datasets.harvest import HarvestTerms
    from bot.learning.datasets.harvest import harvest as gather
    from bot.learning.proof.sets import frozen_intents

    tested = await asyncio.to_thread(frozen_intents, place.settings.data_dir)
    report = await gather(
        place.journal,
        HarvestTerms.of(place.settings, tested=tested),
        parent=place.parent,
        parent_rows=place.parent_rows,
        until=place.run["created_at"],
        out=place.folder.candidates,
    )
    return report.as_json()


async def guard(place: Workplace) -> Report:
    """Hold back what is to be looked at first; tell what is kept, and what of it is new."""
    from bot.learning.guard.guard import inspect
    from bot.learning.guard.terms import GuardTerms

    held = await asyncio.to_thread(
        inspect,
        place.folder.candidates,
        place.folder.kept,
        parent_rows=place.parent_rows,
        decided=await place.journal.browse(held_back.decisions),
        terms=GuardTerms.of(place.settings),
    )
    for start in range(0, len(held), 500):
        await place.journal.write(
            partial(
                held_back.keep,
                held=held[start : start + 500],
                run_id=place.run["id"],
                now=place.world.now(),
            )
        )
    kept, new = await asyncio.to_thread(count_new, rows_of(place.folder.kept), place.parent_rows())
    reasons: dict[str, int] = {}
    for one in held:
        reasons[one.reason] = reasons.get(one.reason, 0) + 1
    return {"kept": kept, "new": new, "held": reasons}


async def seal(place: Workplace) -> Report:
    """Make a version of the data of what was kept."""

    manifest = await asyncio.to_thread(
        place.store.seal,
        rows_of(place.folder.kept),
        parent=None if place.parent is None else place.parent.version,
        until=place.run["created_at"],
        now=place.world.now(),
        run_id=place.run["id"],
    )
    await place.journal.write(partial(dataset_versions.register, row=manifest.as_row()))
    return {"dataset": manifest.version, "rows": manifest.rows, "counts": manifest.counts}


async def prove(place: Workplace) -> Report:
    """Try the new version against the one that serves now."""
    from bot.learning.proof.errors import NothingToProve
    from bot.learning.proof.proof import ProofOrder
    from bot.learning.proof.proof import prove as try_out
    from bot.learning.proof.sets import frozen_examples, new_examples, out_of_scope_texts
    from bot.learning.proof.terms import ProofTerms
    from bot.log.shadow_turns import listed_texts
    from nlu.bundle import BundleStore, read_labels

    settings, bundles = place.settings, BundleStore(place.settings.models_dir)
    champion = bundles.current()
    if champion is None:
        raise NoChampion
    frozen = frozen_examples(settings.data_dir)
    known = read_labels(bundles.folder(champion)).intent
    rows = place.store.rows(str(place.run["dataset"]))
    new = new_examples(rows, champion=champion, known=known)
    if not frozen and not new:
        raise NothingToProve(
            f"there is no test text in {settings.data_dir / 'test'}, and no corrected turn was "
            "kept from training",
            "write nlu.yml there, or set KEFU_LEARN_TEST_SHARE",
        )
    # A run that proves again: people were asked.
    questions = Questions.of(place.run["options"].get(KEY))
    answered: list[Example] = []
    if questions is not None and questions.champion == champion:
        answered = await _answered(place, questions)
    shadow = await place.journal.browse(partial(listed_texts, limit=settings.learn_shadow_turns))
    order = ProofOrder(
        champion=bundles.folder(champion),
        challenger=bundles.folder(str(place.run["version"])),
        frozen=frozen,
        new=new,
        out_of_scope=out_of_scope_texts([*frozen, *new]),
        asked=answered,
        asked_of=(0, 0) if questions is None else (questions.differ, questions.replayed),
        grown=await asyncio.to_thread(_grown, place, bundles, champion),
        shadow=shadow,
        terms=ProofTerms.of(settings),
        threads=threads(),
        fallback_threshold=settings.fallback_threshold,
    )
    proof = await asyncio.to_thread(try_out, order, say=_say)
    asks = await _ask(place, proof, again=questions is not None)
    told = (Forgotten.of(place.run["options"].get(FORGOTTEN)), asks)
    reasons = [*proof.verdict.reasons, *(one.as_reason() for one in told if one is not None)]
    proof = replace(proof, verdict=replace(proof.verdict, reasons=reasons))
    await asyncio.to_thread(proof.write, place.folder.proof)
    if proof.verdict.decision == "promote":
        await _prepare_answers(place)
    kept = {} if asks is None else {KEY: asks.as_json()}
    return {"champion": champion, **proof.verdict.as_json(), **kept}


def _grown(place: Workplace, bundles: "BundleStore", champion: str) -> frozenset[str]:
    """The intents of which this run's version has learned many more texts than the champion."""
    from bot.learning.proof.grown import grown_intents
    from nlu.learned import read_learned
    from nlu.rasa_yaml import read_rasa_nlu

    settings = place.settings
    dataset = place.store.folder(str(place.run["dataset"]))
    examples = list(read_learned(dataset, with_pseudo=False))
    if (settings.data_dir / "nlu.yml").is_file():
        examples += read_rasa_nlu(settings.data_dir / "nlu.yml").examples
    return grown_intents(
        examples,
        champion=bundles.folder(champion),
        challenger=bundles.folder(str(place.run["version"])),
    )


async def _answered(place: Workplace, questions: Questions) -> list[Example]:
    """What people said of the turns that they were asked about."""
    found = await place.journal.browse(partial(proof_questions.answers, turn_ids=questions.turns))
    _say(f"{len(found)} of {len(questions.turns)} messages that both take differently are labelled")
    return [Example(text=text, intent=intent) for text, intent in found.values()]


async def _ask(place: Workplace, proof: "Proof", *, again: bool) -> Questions | None:
    """Put what would settle an open proof into the review queue, and take out what was in it.

    `again`: people were asked already; once is enough.
    """
    settings, may = place.settings, list[str]()
    if proof.verdict.may_be_asked and not again:
        may = await place.journal.browse(
            partial(proof_questions.unspoken, turn_ids=by_lot(proof.shadow, place.run["id"]))
        )
    terms = Terms(per_customer=settings.review_per_customer, double_share=0.0)
    ask = partial(proof_questions.ask, terms=terms)
    turns = await place.journal.write(partial(ask, turn_ids=may[: settings.learn_questions]))
    if len(turns) < LEAST:
        await place.journal.write(partial(ask, turn_ids=[]))
        return None
    return Questions(
        champion=proof.champion, turns=turns, differ=len(may), replayed=proof.shadow.turns
    )


async def _prepare_answers(place: Workplace) -> None:
    """Embed the answers for a version that may soon serve; without that its first answers would be
    found by spelling alone for a while.
    """
    from actions.errors import ActionsError
    from actions.qa.preparing import prepare_version
    from nlu.errors import NluError

    version = str(place.run["version"])
    try:
        made = await prepare_version(version, actions=place.settings, nlu=place.settings)
    except (ActionsError, NluError) as error:
        _say(f"the answers are not prepared: {error}")
    else:
        _say(f"answers prepared: {made.embedded} texts embedded")


STEPS: dict[str, Callable[[Workplace], Awaitable[Report]]] = {
    "harvest": harvest,
    "guard": guard,
    "seal": seal,
    "prove": prove,
}


async def do(step: str, settings: Settings, run_id: str) -> Report:
    """Do a step of a run; its report."""
    world = World()
    async with opened_journal(settings, world) as journal:
        run = await _run(journal, run_id)
        store = DatasetStore(settings.state_dir)
        place = Workplace(
            settings=settings,
            journal=journal,
            world=world,
            run=run,
            folder=RunFolder(settings.state_dir, run_id),
            store=store,
            parent=await _parent(journal, store),
        )
        return await STEPS[step](place)


async def training(settings: Settings, run_id: str) -> list[str]:
    """The command that trains a run's version.

    From scratch, and the run says so from then on, where the champion's line forgets.
    """
    async with opened_journal(settings, World()) as journal:
        run = await _run(journal, run_id)
        options = run["options"]
        if options["from"] == "champion":
            find = partial(forgotten, champion=options["champion"], alpha=settings.learn_alpha)
            found = await journal.browse(find)
            if found is not None:
                options = {**options, "from": "scratch", FORGOTTEN: found.as_json()}
                said = {"options": options}
                owner = run["owner"]
                await journal.write(
                    partial(training_runs.note, run_id=run_id, owner=owner, values=said)
                )
    run = {**run, "options": options}
    return train_command(run, RunFolder(settings.state_dir, run_id), settings)


def train_command(run: Row, folder: RunFolder, settings: Settings) -> list[str]:
    """`kefu train` on the run's data; it goes on where it was killed, and has nothing served."""
    command = [sys.executable, "-m", "bot.cli", "train", "--json", "--no-activate"]
    data = DatasetStore(settings.state_dir).folder(str(run["dataset"]))
    command += ["--dataset", str(data), "--out", str(bundle_of(run, settings.models_dir))]
    if run["options"]["from"] == "champion":
        command += ["--continue-from", run["options"]["champion"]]
    command += ["--checkpoints", str(folder.checkpoints), "--board", str(folder.board)]
    return [*command, "--retriever", "--threads", str(threads())]


def threads() -> int:
    """Half of the processors: the other half answers customers."""
    return max(1, (os.cpu_count() or 1) // 2)


def rows_of(path: Path) -> Iterator[DataRow]:
    """The rows of a file of them, one at a time. Raises StepFailed naming the line."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield DataRow.of_line(line)
            except (ValueError, TypeError, KeyError):
                raise StepFailed("data", f"{path}: line {number} is no row") from None


def count_new(kept: Iterable[DataRow], before: Iterable[DataRow]) -> tuple[int, int]:
    """How many rows are kept, and how many of them teach what was not taught before.

    What nobody spoke of does not count as new: the model would learn from itself alone.
    """
    known = {row.turn_id: _taught(row) for row in before if row.source != "pseudo"}
    total = new = 0
    for row in kept:
        total += 1
        if row.source != "pseudo" and row.split == "train":
            new += known.get(row.turn_id) != _taught(row)
    return total, new


def _taught(row: DataRow) -> int:
    """What a row teaches, as a number: a million of them are kept at once."""
    said = (row.intent, row.emotion, row.entities, row.pair_id)
    return hash(json.dumps(said, sort_keys=True, ensure_ascii=False))


async def _run(journal: Journal, run_id: str) -> Row:
    run = await journal.read(partial(training_runs.find, run_id=run_id))
    if run is None:
        raise KefuError(f"no learning run {run_id}; `kefu learn --once` begins one")
    return run


async def _parent(journal: Journal, store: DatasetStore) -> Manifest | None:
    """What the last run that came to a verdict learned from, where it is still there."""
    last = await journal.read(learning_runs.last_learned)
    if last is None or last["dataset"] not in await asyncio.to_thread(store.versions):
        return None
    return await asyncio.to_thread(store.manifest, str(last["dataset"]))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
