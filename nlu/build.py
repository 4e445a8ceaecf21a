"""Makes a bundle: trains, exports, quantises, calibrates, scores and seals it."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nlu.bundle import Bundle, Manifest, seal, unfinished, write_json
from nlu.calibration import Calibration, Floats
from nlu.continuing import continued_labels
from nlu.decoding import tag_transitions
from nlu.embedders import Embedder, put_embedder, tuned_on
from nlu.encoder import quiet_libraries, save_model, save_tokenizer
from nlu.errors import TrainingFailed
from nlu.evaluation import meanings, score
from nlu.examples import Example, TrainingData
from nlu.export import export_classifier
from nlu.fitting import calibrate
from nlu.labels import labels_of
from nlu.lexical import write_lexical
from nlu.matchers import Matchers, trusted_matchers
from nlu.onnx_engine import OnnxEngine
from nlu.progress import Progress
from nlu.quantising import quantise_graphs
from nlu.recipe import Recipe
from nlu.retriever_gate import RetrieverTask, Tuning, data_digest, retune
from nlu.seen import read_seen, told_apart, write_seen
from nlu.spans import to_tags
from nlu.split import spare_the_few, stable_split
from nlu.tokens import TextTokenizer
from nlu.training import Champion, Surroundings, Task, train

# Without a validation split this many training texts stand in where texts are needed.
_STAND_IN = 256
# What rounding to int8 costs shows on so many texts at least; training texts fill up the others.
_LEAST_TO_ROUND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What bundle to make, and from what."""

    target: Path
    base_model: str
    device: str
    recipe: Recipe
    parent: str | None
    now: datetime
    # The bundle whose weights training goes on from; None: it begins at the base encoder.
    champion: Bundle | None = None
    # The retriever to tune; None: the embedder stays what it is.
    retriever: RetrieverTask | None = None
    checkpoints: Path | None = None
    board: Path | None = None


def new_version(data: TrainingData, now: datetime) -> str:
    """A version name that sorts by time and tells data sets apart."""
    return f"{now:%Y%m%d-%H%M%S}-{data.digest()[:6]}"


def build(data: TrainingData, order: Order, progress: Progress) -> dict[str, Any]:
    """Writes the bundle `order.target` and returns its metrics report.

    The folder appears whole or not at all. Raises TrainingFailed when the data train no head.
    """
    # The tokenizer's own threads only get in the way of torch's.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    quiet_libraries()
    recipe = order.recipe
    train_set, held_out = stable_split(data.examples, recipe.validation_share, recipe.seed)
    champion, known, again = order.champion, list[Example](), list[Example]()
    if champion is not None:
        train_set, held_out = spare_the_few(train_set, held_out)
        # What was few once, and is not any more, the champion has learned.
        held_out, again = told_apart(held_out, read_seen(champion.folder))
    train_set += data.without([example.text for example in held_out]).support
    labels = labels_of(train_set)
    if champion is not None:
        labels = continued_labels(champion.labels, labels)
        train_set, known = told_apart([*train_set, *again], read_seen(champion.folder))
        if not train_set:
            raise TrainingFailed(f"the data hold nothing that is new to {champion.version}")
    if not labels.heads:
        raise TrainingFailed("the data need at least two intents, two emotions or an entity")
    with unfinished(order.target) as folder:
        save_tokenizer(order.base_model, folder / "tokenizer.json")
        tokenizer = TextTokenizer(folder / "tokenizer.json", recipe.max_tokens)
        progress.say(
            f"training {', '.join(labels.heads)} on {len(train_set)} texts, {len(known)} known, "
            f"{len(held_out)} held out, on {order.device}"
        )
        task = Task(
            labels=labels,
            train=train_set,
            known=known,
            held_out=held_out,
            tokenizer=tokenizer,
            champion=None
            if champion is None
            else Champion(folder=champion.folder, labels=champion.labels),
        )
        around = Surroundings(
            base_model=order.base_model,
            device=order.device,
            progress=progress,
            checkpoints=order.checkpoints,
            board=order.board,
        )
        trained = train(task, recipe, around)
        progress.say("exporting for the CPU and quantising to int8")
        save_model(trained.model, folder)
        export_classifier(trained.model, folder)
        embedder = put_embedder(order.base_model, folder, champion, _tuning(order, progress))
        write_lexical(folder, task.examples, labels)
        write_seen(folder, task.examples)
        matchers = _write_matchers(folder, replace(data, examples=tuple(task.examples)))
        bundle = Bundle(
            folder=folder,
            manifest=_manifest(data, order, embedder),
            labels=labels,
            calibration=Calibration(),
            transitions=_write_transitions(task, folder),
            matchers=matchers,
        )
        sample = held_out or task.examples[-_STAND_IN:]
        precision = quantise_graphs(
            bundle, tokenizer, _filled_up(sample, task), embedder=embedder.precision
        )
        engine = OnnxEngine(folder, mode=precision["mode"])
        bundle = replace(
            bundle,
            manifest=replace(bundle.manifest, mode=engine.mode),
            calibration=calibrate(bundle, engine, tokenizer, sample),
        )
        report = {
            "validation": score(bundle, held_out, meanings(bundle, engine, tokenizer, held_out)),
            "precision": precision,
            "calibration": asdict(bundle.calibration),
            "best_epoch": trained.best_epoch,
            "history": trained.history,
            "examples": {
                "train": len(task.examples),
                "new": len(task.train),
                "held_out": len(held_out),
            },
            "recipe": asdict(recipe),
            "retriever": embedder.report,
        }
        write_json(folder, "labels.json", asdict(labels))
        write_json(folder, "calibration.json", asdict(bundle.calibration))
        write_json(folder, "metrics.json", report)
        seal(folder, bundle.manifest)
    return report


def _filled_up(sample: Sequence[Example], task: Task) -> list[Example]:
    """The held-out texts, and training texts from all over the data where they are few."""
    missing = max(0, _LEAST_TO_ROUND - len(sample))
    step = max(1, len(task.examples) // max(missing, 1))
    return [*sample, *task.examples[::step][:missing]]


def _tuning(order: Order, progress: Progress) -> Tuning | None:
    """What came of tuning the retriever; None where nothing is new to the champion's."""
    task = order.retriever
    if task is None:
        return None
    digest = data_digest(task)
    if order.champion is not None and tuned_on(order.champion) == digest:
        progress.say("the answered questions are those that the retriever was tuned on")
        return None
    progress.say("tuning the retriever on the answered questions")
    tuning = retune(task, progress=progress, checkpoints=order.checkpoints)
    return replace(tuning, report={**tuning.report, "data": digest})


def _manifest(data: TrainingData, order: Order, embedder: Embedder) -> Manifest:
    return Manifest(
        version=order.target.name,
        created_at=order.now.isoformat(timespec="seconds"),
        base_model=order.base_model,
        embedder_id=embedder.id,
        embedding_dim=embedder.dim,
        mode="cpu",
        max_tokens=order.recipe.max_tokens,
        seed=order.recipe.seed,
        dataset_sha256=data.digest(),
        parent=order.parent,
        files={},
    )


def _write_transitions(task: Task, folder: Path) -> Floats:
    number = {tag: position for position, tag in enumerate(task.labels.tags)}
    sequences = [
        [number[tag] for tag in to_tags(task.tokenizer.encode(example.text).words, example.spans)]
        for example in task.examples
        if number and example.spans is not None
    ]
    transitions = tag_transitions(sequences, len(number))
    write_json(folder, "transitions.json", {"tags": transitions.tolist()})
    return transitions


def _write_matchers(folder: Path, data: TrainingData) -> Matchers:
    lookups, regexes = trusted_matchers(data)
    write_json(
        folder,
        "matchers.json",
        {"lookups": lookups, "regexes": regexes, "synonyms": data.synonyms},
    )
    return Matchers(lookups=lookups, regexes=regexes, synonyms=data.synonyms)
