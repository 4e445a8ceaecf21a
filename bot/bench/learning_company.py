"""A company for the benchmark of learning: a log, its customers, its reviewer and its weekly loop.

The log, the review queue, the harvest, the guard, the training, the proof and the release are real;
only the customers (texts of a public set) and the reviewer (who knows the true labels) are
simulated, and messages are understood without the dialogue in between.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection

from bot.agents import add
from bot.bench.heard import Heard, put
from bot.bench.local_embedding import LocalEmbedding
from bot.errors import KefuError
from bot.learning.steps import threads
from bot.log import review_queue, reviews
from bot.log.annotations import Judgement
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.review_candidates import Terms
from bot.log.review_queue import Wanted
from bot.log.review_ranking import Ranking
from bot.world import World, sortable_id, utc_now

Said = tuple[str, str]  # (text, what it really means)

# What was labelled is compared with what waits, as often as a reviewer's page would have it.
COMPARE_EVERY = 25
# What a week's labels leave for the messages that a proof asks about; else it is for the next week.
KEPT_FOR_PROOF = 24
# The last three weeks' messages, replayed by each proof: where the versions differ is asked about.
REPLAYED = 2400


class StepFailed(KefuError):
    """A command of the loop that failed."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"`{command}` failed: {said}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A company's folder and what it begins with."""

    folder: Path
    start: Sequence[Said]  # labelled before the first week
    frozen: Sequence[Said]  # what each proof is about
    out_of_scope: Sequence[str] = ()
    settings: Mapping[str, str] | None = None
    seed: int = 7


class Company:
    """Weeks of a company: hear customers, review some of what they said, learn, be measured."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = random.Random(plan.seed)
        self.truth: dict[str, str] = {}  # turn -> what it really means
        self.reviewed: set[str] = set()
        self.granted = 0  # labels that the reviewer may give in all, up to this week
        self.folder = plan.folder
        self._model: Any = None
        self._vectors: dict[tuple[str, str], Any] = {}
        state = plan.folder / "state"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KEFU_")},
            "HF_HUB_OFFLINE": "1",
            "KEFU_STATE_DIR": str(state),
            "KEFU_DATA_DIR": str(plan.folder / "data"),
            "KEFU_MODELS_DIR": str(plan.folder / "models"),
            "KEFU_DATABASE_URL": self.database_url,
            "KEFU_TOKEN_SECRET": "of no use outside of the benchmark",
            "KEFU_LEARN_RELEASE": "everyone",
            "KEFU_LEARN_SHADOW_TURNS": str(REPLAYED),
            "KEFU_LEARN_QUESTIONS": str(KEPT_FOR_PROOF),
            **(plan.settings or {}),
        }

    @property
    def database_url(self) -> str:
        """Where its log is."""
        return f"sqlite:///{self.folder / 'state' / 'kefu.db'}"

    @property
    def store(self) -> Any:
        """Its model bundles."""
        from nlu.bundle import BundleStore

        return BundleStore(self.folder / "models")

    @property
    def left(self) -> int:
        """Labels that the reviewer may still give, what is kept for the proof left out."""
        return max(0, self.granted - len(self.reviewed) - KEPT_FOR_PROOF)

    @property
    def labels(self) -> int:
        """How many labels people have given so far, those of the proofs included."""
        return len(self.plan.start) + len(self.reviewed) + len(self.plan.frozen)

    def open(self) -> dict[str, Any]:
        """Make the folder and the first model, from the base encoder; its report."""
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        (self.folder / "data" / "test").mkdir(parents=True, exist_ok=True)
        write_examples(self.folder / "data" / "nlu.yml", self.plan.start)
        strange = [(text, "out_of_scope") for text in self.plan.out_of_scope]
        write_examples(self.folder / "data" / "test" / "nlu.yml", [*self.plan.frozen, *strange])
        upgrade(self.database_url)
        engine = open_engine(self.database_url, writer=True)
        with engine.begin() as connection:
            add(connection, id_="reviewer", name="Reviewer", role="reviewer", now=utc_now())
        engine.dispose()
        report: dict[str, Any] = self.kefu("train", "--json")
        return report

    def kefu(self, *words: str) -> Any:
        """Run a command of kefu's; what it printed as JSON. Raises StepFailed."""
        done = subprocess.run(
            [sys.executable, "-m", "bot.cli", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = done.stdout.strip().splitlines()
        if done.returncode != 0 or not lines:
            said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise StepFailed(" ".join(words), said)
        return json.loads(lines[-1])

    @property
    def model(self) -> Any:
        """The version that serves, loaded as the service loads it."""
        from nlu.loading import load

        current = self.store.current()
        if self._model is None or self._model.version != current:
            folder = self.store.folder(current)
            self._model = load(folder, device="cpu", threads=threads())
        return self._model

    @property
    def embedding(self) -> LocalEmbedding:
        """The embedder of the version that serves."""
        return LocalEmbedding(self.model, self._vectors)

    def understand(self, texts: Sequence[str], model: Any = None) -> list[dict[str, Any]]:
        """What a model (the one that serves, unless told otherwise) makes of texts."""
        from nlu.evaluation import meanings
        from nlu.examples import Example
        from nlu.understanding import as_parse

        model = model or self.model
        examples = [Example(text=text) for text in texts]
        found, engine = model.ladder.run(
            lambda engine: meanings(model.bundle, engine, model.tokenizer, examples)
        )
        threshold = model.bundle.calibration.fallback_threshold
        about = {"model_version": model.version, "mode": engine.mode}
        return [
            as_parse(text, meaning, threshold=threshold) | about
            for text, meaning in zip(texts, found, strict=True)
        ]

    async def learn(self) -> dict[str, Any]:
        """A run of the loop; where its proof asks, the reviewer answers, and it is proven again.

        What the last run came to; `seconds` of both.
        """
        run: dict[str, Any] = self.kefu("learn", "--once", "--json")
        questions = (run["verdict"] or {}).get("questions")
        if questions is not None:
            left = self.granted - len(self.reviewed)
            await self.label(questions["turns"][:left], reason="proof")
            again = self.kefu("learn", "--answers", "--json")
            if again is not None:
                return {**again, "seconds": seconds_of(run) + seconds_of(again)}
        return {**run, "seconds": seconds_of(run)}

    async def hear(self, said: Sequence[Said]) -> list[str]:
        """Customers, each in a conversation of their own, write these messages; the turns' ids."""
        parses = self.understand([text for text, _ in said])
        now = utc_now() - timedelta(seconds=60)
        turns = [
            Heard(id=sortable_id(), text=text, parse=parse, at=now + timedelta(milliseconds=number))
            for number, ((text, _), parse) in enumerate(zip(said, parses, strict=True))
        ]
        ids = [one.id for one in turns]
        self.truth |= dict(zip(ids, (intent for _, intent in said), strict=True))
        async with self.journal() as journal:
            await journal.write(partial(put, heard=turns))
        return ids

    async def review(self, budget: int) -> dict[str, int]:
        """The reviewer labels what the queue shows, so many turns; how many for each reason."""
        reasons: dict[str, int] = {}
        async with self.journal() as journal:
            ranking = self.ranking(journal)
            await ranking.read_new()
            for number in range(budget):
                if number % COMPARE_EVERY == 0:
                    await ranking.compare()
                reason = await journal.write(partial(self._label_next, terms=ranking.terms))
                if reason is None:
                    break
                reasons[reason] = reasons.get(reason, 0) + 1
        return reasons

    def ranking(self, journal: Journal) -> Ranking:
        """What keeps the review queue in order."""
        # One reviewer: a second label of the same turn would cost the budget twice.
        terms = Terms(double_share=0.0)
        world = World(chance=self.chance)
        return Ranking(journal, self.embedding, world, terms=terms, every_s=3600.0)

    async def review_by_lot(self, budget: int) -> None:
        """The reviewer labels turns drawn by lot from all that nobody has labelled."""
        left = sorted(set(self.truth) - self.reviewed)
        await self.label(self.chance.sample(left, min(budget, len(left))))

    async def label(self, turn_ids: Sequence[str], *, reason: str | None = None) -> None:
        """The reviewer says of these turns what they mean."""
        async with self.journal() as journal:
            for turn_id in turn_ids:
                await journal.write(partial(self._label, turn_id=turn_id, reason=reason))

    def _label_next(self, connection: Connection, terms: Terms) -> str | None:
        order = review_queue.order_by_lot(self.chance, terms)
        wanted = Wanted(agent_id="reviewer", order=order)
        row = review_queue.take_next(connection, wanted=wanted, terms=terms, now=utc_now())
        if row is None:
            return None
        self._label(connection, turn_id=row["turn_id"], reason=row["reason"])
        return str(row["reason"])

    def _label(self, connection: Connection, *, turn_id: str, reason: str | None) -> bool:
        judgement = Judgement(
            turn_id=turn_id, agent_id="reviewer", intent=self.truth[turn_id], reason=reason
        )
        reviews.record(
            connection,
            judgement=judgement,
            queued=reason is not None,
            id_=sortable_id(),
            now=utc_now(),
        )
        self.reviewed.add(turn_id)
        return True

    def score(self, test: Sequence[Said], version: str | None = None) -> dict[str, Any]:
        """Accuracy and recall by intent of a version, through the engine that serves."""
        return scores(test, self.guesses(test, version))

    def guesses(self, test: Sequence[Said], version: str | None = None) -> list[str | None]:
        """What a version (the one that serves, unless told otherwise) takes each text for."""
        from nlu.loading import load

        model = self.model
        if version is not None and version != model.version:
            model = load(self.store.folder(version), device="cpu", threads=threads())
        return [_best(parse) for parse in self.understand([text for text, _ in test], model)]

    @asynccontextmanager
    async def journal(self) -> Any:
        """Its log, open for a while."""
        url = self.database_url
        journal = Journal(
            write_engine=open_engine(url, writer=True), read_engine=open_engine(url), world=World()
        )
        journal.start()
        try:
            yield journal
        finally:
            await journal.close()


def seconds_of(run: Mapping[str, Any]) -> float:
    """How long a run took, by its row."""
    begun, ended = (datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at"))
    return (ended - begun).total_seconds()


def scores(test: Sequence[Said], guesses: Sequence[str | None]) -> dict[str, Any]:
    """Accuracy, and by intent how many there are and the share that was found."""
    right: dict[str, int] = {}
    there: dict[str, int] = {}
    for (_, intent), guess in zip(test, guesses, strict=True):
        there[intent] = there.get(intent, 0) + 1
        right[intent] = right.get(intent, 0) + (guess == intent)
    return {
        "accuracy": round(sum(right.values()) / len(test), 4),
        "recall": {name: round(right[name] / there[name], 4) for name in sorted(there)},
    }


def write_examples(path: Path, said: Sequence[Said]) -> None:
    """Texts with their intents as Rasa's training data."""
    by_intent: dict[str, list[dict[str, str]]] = {}
    for text, intent in said:
        by_intent.setdefault(intent, []).append({"text": " ".join(text.split())})
    document = {
        "version": "3.1",
        "nlu": [{"intent": intent, "examples": texts} for intent, texts in by_intent.items()],
    }
    path.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")


def few_of_each(said: Sequence[Said], count: int) -> tuple[list[Said], list[Said]]:
    """(the first `count` of each intent, the rest)."""
    seen: dict[str, int] = {}
    first: list[Said] = []
    rest: list[Said] = []
    for text, intent in said:
        seen[intent] = seen.get(intent, 0) + 1
        (first if seen[intent] <= count else rest).append((text, intent))
    return first, rest


def _best(parse: Mapping[str, Any]) -> str | None:
    """The best guess, whatever the fallback threshold says."""
    for item in parse["intent_ranking"]:
        if item["name"] != "nlu_fallback":
            return str(item["name"])
    return None
