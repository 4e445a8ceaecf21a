"""The gate of the retriever: a tuned embedder is kept only where it shows that it is better."""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlu.errors import TrainingFailed
from nlu.progress import Progress
from nlu.retriever import (
    RetrieverRecipe,
    Vectors,
    copy_of,
    embed_texts,
    texts_of,
    tune_retriever,
)
from nlu.retriever_pairs import Asked, TaughtPair, split_pairs
from nlu.retriever_scores import best_scores, compare, score_retriever, told_apart

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LEVEL = 0.05
LEAST_ASKED = 50
# What the order of questions with and without an answer may lose: rounding, not a change.
APART_LOST = 0.01
KEPT, TUNED = "kept", "tuned"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieverTask:
    """What a tuning begins with, and what it must beat."""

    pairs: Sequence[TaughtPair]
    base: str | Path  # the encoder that every tuning begins with
    champion: Path | None = None  # the embedder now in use; None: the base itself
    strange: Sequence[str] = ()  # texts that have no answer
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What came out: the tuned embedder, whether it may be used, and the figures."""

    model: "SentenceTransformer | None"  # None: there was too little to tune on
    accepted: bool
    report: dict[str, Any]

    def embedder(self, task: RetrieverTask) -> "SentenceTransformer | str | Path":
        """What goes into the bundle: the tuned one, else what is in use."""
        if self.accepted and self.model is not None:
            return self.model
        return task.champion or task.base


def retune(
    task: RetrieverTask,
    recipe: RetrieverRecipe | None = None,
    progress: Progress | None = None,
    *,
    checkpoints: Path | None = None,
) -> Tuning:
    """Tunes on a part of the pairs and measures on the rest, which no tuning ever learns.

    What is measured is what is used: it is not trained again on everything afterwards. With a
    folder for checkpoints, the same task asked again after a kill answers from there.
    """
    recipe, progress = recipe or RetrieverRecipe(), progress or Progress(quiet=True)
    if checkpoints is None:
        return _retune(task, recipe, progress)
    name = f"retriever-{digest_of(task, recipe)[:16]}"
    found = _remembered(checkpoints / name)
    if found is None:
        found = _retune(task, recipe, progress)
        _remember(found, checkpoints / name)
    return found


def _retune(task: RetrieverTask, recipe: RetrieverRecipe, progress: Progress) -> Tuning:
    started = time.monotonic()
    split = split_pairs(task.pairs)
    if len(split.asked) < LEAST_ASKED:
        return _untouched(f"only {len(split.asked)} wordings to measure with, of {LEAST_ASKED}")
    texts = [*texts_of(task.pairs), *task.strange]
    base = copy_of(task.base, task.device)
    began = embed_texts(base, texts, device=task.device)
    try:
        tuned = tune_retriever(
            base,
            split.learnt,
            device=task.device,
            recipe=recipe,
            progress=progress,
            vectors=began,
        )
    except TrainingFailed as error:
        return _untouched(str(error))
    tuned_s = time.monotonic() - started
    after = embed_texts(tuned, texts, device=task.device)
    before = began
    if task.champion is not None:
        champion = copy_of(task.champion, task.device)
        before = embed_texts(champion, texts, device=task.device)
    figures = figures_of(task, split.asked, before, after)
    reasons = objections(figures)
    report = {
        "decision": KEPT if reasons else TUNED,
        "reasons": reasons,
        "figures": figures,
        "learnt": {
            "pairs": len(split.learnt),
            "wordings": sum(len(pair.wordings) for pair in split.learnt),
        },
        "seconds": {
            "tuning": round(tuned_s, 1),
            "all": round(time.monotonic() - started, 1),
        },
        "recipe": asdict(recipe),
    }
    progress.say(f"retriever: {report['decision']}{''.join(f'; {each}' for each in reasons)}")
    return Tuning(model=tuned, accepted=not reasons, report=report)


def figures_of(
    task: RetrieverTask, asked: Sequence[Asked], before: Vectors, after: Vectors
) -> dict[str, Any]:
    """Both embedders on the same questions: all, those of seen pairs, those of unseen ones."""
    sides = [score_retriever(vectors, task.pairs, asked) for vectors in (before, after)]
    seen = np.array([one.seen for one in asked])
    figures: dict[str, Any] = {}
    for name, rows in (("all", seen | True), ("seen", seen), ("unseen", ~seen)):
        first, offered = (
            compare(getattr(sides[0], what)[rows], getattr(sides[1], what)[rows])
            for what in ("first", "offered")
        )
        figures[name] = {"n": int(rows.sum()), "recall_1": first, "recall_3": offered}
    if task.strange:
        apart = [
            told_apart(side.best, best_scores(vectors, task.pairs, task.strange))
            for side, vectors in zip(sides, (before, after), strict=True)
        ]
        figures["strange"] = {
            "n": len(task.strange),
            "told_apart": {"before": round(apart[0], 4), "after": round(apart[1], 4)},
        }
    return figures


def objections(figures: dict[str, Any]) -> list[str]:
    """Why the embedder that is in use stays; nothing when the tuned one takes its place."""
    found = []
    first, offered = figures["all"]["recall_1"], figures["all"]["recall_3"]
    if first["won"] <= first["lost"] or first["p"] >= LEVEL:
        found.append(
            f"recall@1 on held-out wordings {first['before']} -> {first['after']} "
            f"is no gain that can be told from chance (p = {first['p']:.3f})"
        )
    if offered["lost"] > offered["won"]:
        found.append(f"recall@3 fell: {offered['before']} -> {offered['after']}")
    for name in ("recall_1", "recall_3"):
        unseen = figures["unseen"][name]
        if unseen["lost"] > unseen["won"]:
            found.append(
                f"pairs that were not learnt: {name} {unseen['before']} -> {unseen['after']}"
            )
    apart = figures.get("strange", {}).get("told_apart")
    if apart and apart["after"] < apart["before"] - APART_LOST:
        found.append(
            f"texts without an answer come nearer: told apart {apart['before']} -> {apart['after']}"
        )
    return found


def data_digest(task: RetrieverTask) -> str:
    """sha256 over what is learnt and measured with: the same again gives the same embedder."""
    plain = [[asdict(pair) for pair in task.pairs], list(task.strange), str(task.base)]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def digest_of(task: RetrieverTask, recipe: RetrieverRecipe) -> str:
    """sha256 over all that a tuning depends on."""
    plain = {
        "pairs": [asdict(pair) for pair in task.pairs],
        "from": [str(task.base), str(task.champion)],
        "strange": list(task.strange),
        "recipe": asdict(recipe),
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _remember(tuning: Tuning, folder: Path) -> None:
    """Keeps a tuning; its report comes last, so that without one there is none."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if tuning.model is not None:
        tuning.model.save(str(folder / "model"), create_model_card=False)
    unfinished = folder / "report.tmp"
    unfinished.write_text(json.dumps(tuning.report), encoding="utf-8")
    unfinished.replace(folder / "report.json")


def _remembered(folder: Path) -> Tuning | None:
    if not (folder / "report.json").is_file():
        return None
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    model = copy_of(folder / "model", "cpu") if (folder / "model").is_dir() else None
    return Tuning(model=model, accepted=report["decision"] == TUNED, report=report)


def _untouched(reason: str) -> Tuning:
    return Tuning(model=None, accepted=False, report={"decision": KEPT, "reasons": [reason]})
