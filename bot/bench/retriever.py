"""`kefu bench retriever`: the embedder before and after it learnt the store's own wordings."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from actions.errors import ActionsError
from actions.qa.bench import DATASET, REQUIRED, dataset_file, split_rows
from actions.qa.calibration import Ranked, fit_scale, leave_one_out
from actions.qa.confidence import DEPTH
from actions.qa.importing import read_strange
from actions.qa.index import Corpus, PairIndex
from actions.qa.pairs import Pair, read_yaml_pairs
from actions.settings import ActionSettings
from bot.bench.report import emit, machine
from nlu.errors import NluError
from nlu.progress import Progress
from nlu.retriever import Vectors, copy_of, embed_texts
from nlu.retriever_gate import RetrieverTask, Tuning, figures_of, objections, retune
from nlu.retriever_pairs import Asked, TaughtPair, split_pairs
from nlu.retriever_scores import compare
from nlu.settings import NluSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Pairs as the search has them."""

    pairs: Sequence[Pair]  # by id

    @property
    def texts(self) -> list[str]:
        """All that is embedded of it."""
        return [text for pair in self.pairs for text in (pair.document, *pair.wordings)]

    @property
    def taught(self) -> list[TaughtPair]:
        """The same as a tuning has them."""
        return [
            TaughtPair(id=p.id, group=p.category, document=p.document, wordings=p.wordings)
            for p in self.pairs
        ]

    def index(self, vectors: Vectors, like: PairIndex | None = None) -> PairIndex:
        """The search over the vectors of one embedder."""
        counts = [len(pair.wordings) for pair in self.pairs]
        texts = tuple(text for pair in self.pairs for text in pair.wordings)
        corpus = Corpus(
            pairs=tuple(self.pairs),
            documents=np.stack([vectors[pair.document] for pair in self.pairs]),
            owners=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            texts=texts,
            vectors=np.stack([vectors[text] for text in texts]),
            embedder="",
        )
        return PairIndex(corpus, like=like)


@click.command("retriever")
@click.option(
    "--dataset",
    type=click.Path(path_type=Path),
    default=DATASET,
    show_default=True,
    help="A stranger's store: folder of bitext_cs, or a CSV with instruction, response, intent.",
)
@click.option("--seed", default=42, show_default=True, help="Seed of the stranger's split.")
@click.option(
    "--tuned",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of an embedder that was tuned already; without it one is tuned.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to put the tuned embedder into.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def retriever(
    dataset: Path, seed: int, tuned: Path | None, save: Path | None, *, as_json: bool
) -> None:
    """Tune the embedder on the QA store's wordings; ask both what neither learnt."""
    try:
        figures = measure(dataset_file(dataset), seed, tuned=tuned, save=save)
    except (ActionsError, NluError) as error:
        raise click.ClickException(str(error)) from error
    emit(
        {"bench": "retriever", "machine": machine(), "ratios": {}, "figures": figures},
        as_json=as_json,
    )


def measure(dataset: Path, seed: int, *, tuned: Path | None, save: Path | None) -> dict[str, Any]:
    """The figures of the own store, by meaning and by the whole search, and of a stranger's."""
    # Imported here: it brings torch.
    from nlu.device import choose_device
    from nlu.encoder import quiet_libraries

    quiet_libraries()
    settings, data_dir = NluSettings(), ActionSettings().data_dir
    device, progress = choose_device(settings.device), Progress()
    own = read_store(data_dir / "qa")
    task = RetrieverTask(
        pairs=own.taught,
        base=settings.base_model,
        strange=read_strange(data_dir),
        device=device,
    )
    if tuned is None:
        tuning = retune(task, progress=progress)
    else:
        model = copy_of(tuned, device)
        tuning = Tuning(model=model, accepted=False, report={"embedder": str(tuned)})
    if tuning.model is None:
        return {"tuning": tuning.report}
    if save is not None:
        tuning.model.save(str(save), create_model_card=False)
    split = split_rows(dataset, seed)
    strangers = Store(pairs=sorted(split.imported, key=lambda pair: pair.id))
    texts = [*own.texts, *task.strange, *strangers.texts, *(text for text, _ in split.asked)]
    sides, seconds = [], []
    for name, embedder in (("before", copy_of(task.base, device)), ("after", tuning.model)):
        progress.say(f"embedding {len(set(texts))} texts {name} the tuning")
        started = time.monotonic()
        sides.append(embed_texts(embedder, texts, device=device))
        seconds.append(round(time.monotonic() - started, 1))
    asked = split_pairs(task.pairs).asked
    by_meaning = figures_of(task, asked, sides[0], sides[1])
    return {
        "pairs": len(own.pairs),
        "tuning": tuning.report,
        "by_meaning": by_meaning,
        "objections": objections(by_meaning),
        "by_search": searched(own, asked, sides, task.strange),
        "strangers": {
            "dataset": dataset.name,
            "imported": len(strangers.pairs),
            "asked": len(split.asked),
            "required": REQUIRED,
            "intent_right": compare(*(right_intents(strangers, split.asked, s) for s in sides)),
        },
        "embedding_s": dict(zip(("before", "after"), seconds, strict=True)),
    }


def read_store(folder: Path) -> Store:
    """The pairs of a folder of YAML files."""
    pairs = [pair for path in sorted(folder.glob("*.yml")) for pair in read_yaml_pairs(path)]
    return Store(pairs=sorted(pairs, key=lambda pair: pair.id))


def searched(
    store: Store, asked: Sequence[Asked], sides: Sequence[Vectors], strange: Sequence[str]
) -> dict[str, Any]:
    """What the search makes of both, spelling and intents included, and what it would do.

    Thresholds are fitted for each side to the same questions, which neither side has learnt.
    """
    rows, seen = _rows(store, asked)
    first = store.index(sides[0])
    indexes = [first, store.index(sides[1], like=first)]
    ranked = [leave_one_out(index, rows)[0] for index in indexes]
    figures: dict[str, Any] = {}
    for name, flags in (("all", seen | True), ("seen", seen), ("unseen", ~seen)):
        figures[name] = {
            "n": int(flags.sum()),
            "recall_1": compare(*(side.first_right[flags] for side in ranked)),
            "recall_3": compare(*(side.in_offer[flags] for side in ranked)),
        }
    figures["decisions"] = {
        name: _decisions(side, _best(index, strange, vectors))
        for name, side, index, vectors in zip(
            ("before", "after"), ranked, indexes, sides, strict=True
        )
    }
    return figures


def right_intents(
    store: Store, asked: Sequence[tuple[str, str]], vectors: Vectors
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether the first pair found has the intent of the question: (questions,)."""
    index = store.index(vectors)
    found = [index.search(text, vectors[text], 1)[0].pair.intent == want for text, want in asked]
    return np.asarray(found, dtype=np.bool_)


def _rows(store: Store, asked: Sequence[Asked]) -> tuple[Any, Any]:
    """The asked wordings as rows of the corpus, ascending, and which pairs were learnt."""
    counts = [len(pair.wordings) for pair in store.pairs]
    starts = np.cumsum([0, *counts[:-1]])
    rows = np.asarray([starts[one.pair] + one.wording for one in asked])
    order = np.argsort(rows)
    return rows[order], np.asarray([one.seen for one in asked])[order]


def _best(index: PairIndex, texts: Sequence[str], vectors: Vectors) -> Any:
    """The DEPTH best scores of texts that have no answer: (texts, DEPTH)."""
    hits = [index.search(text, vectors[text], DEPTH) for text in texts]
    return np.asarray([[hit.score for hit in found] for found in hits], dtype=np.float32)


def _decisions(known: Ranked, odd: Any) -> dict[str, float | None]:
    scale = fit_scale(known, odd)
    sure, odd_sure = scale.confidence.of_many(known.best), scale.confidence.of_many(odd)
    answered = sure >= scale.answer
    offered = ~answered & (sure >= scale.offer)
    return {
        "answered": _share(answered),
        "answered_right": _share(known.first_right[answered]),
        "offered": _share(offered),
        "offered_right": _share(known.in_offer[offered]),
        "strange_answered": _share(odd_sure >= scale.answer),
        "strange_offered": _share((odd_sure >= scale.offer) & (odd_sure < scale.answer)),
    }


def _share(flags: Any) -> float | None:
    return round(float(flags.mean()), 4) if len(flags) else None
