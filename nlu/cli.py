"""The commands of understanding: train, evaluate, models list|activate|rollback."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nlu.bundle import Bundle, BundleStore, open_bundle
from nlu.describing import describe
from nlu.errors import DataError, NluError
from nlu.examples import Example, TrainingData
from nlu.learned import read_learned, read_taught
from nlu.qa_yaml import read_qa_wordings
from nlu.rasa_yaml import read_rasa_nlu
from nlu.settings import NluSettings
from nlu.tables import read_emotion_table, read_intent_table

if TYPE_CHECKING:
    from nlu.build import Order
    from nlu.retriever_gate import RetrieverTask

_YAML = {".yml", ".yaml"}
_FilePath = click.Path(path_type=Path)
Command = TypeVar("Command", bound=Callable[..., None])


def plain_errors(command: Command) -> Command:
    """Ends the command with one line, and exit code 1, for errors that a user can mend."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (NluError, OSError) as error:
            raise click.ClickException(str(error)) from error

    return guarded  # type: ignore[return-value]


@click.command()
@click.option(
    "--data", type=_FilePath, help="Folder with nlu.yml, and emotion.csv and qa/ if there are any."
)
@click.option("--intents", type=_FilePath, help="Intents alone: CSV, TSV, Rasa YAML or its folder.")
@click.option("--emotions", type=_FilePath, help="Emotions: CSV or TSV, columns text and emotion.")
@click.option("--entities", type=_FilePath, help="More Rasa YAML with annotated entities.")
@click.option(
    "--corrections",
    type=_FilePath,
    help="Folder: nlu.yml, emotion.csv; they win over the data. Whose turns they are is not noted.",
)
@click.option(
    "--dataset",
    type=_FilePath,
    help="Folder of a version of what the log taught (`kefu data list`); it wins over the data.",
)
@click.option(
    "--continue-from",
    metavar="VERSION",
    help="Go on from the weights of VERSION (or `current`) and rehearse what it knows.",
)
@click.option(
    "--retriever",
    is_flag=True,
    help="Also tune the embedder of the answers on the wordings in qa/ and the dataset's.",
)
@click.option("--text", default="text", show_default=True, help="Column of the texts.")
@click.option("--label", default="intent", show_default=True, help="Column of the intents.")
@click.option("--out", type=_FilePath, help="Folder for this one bundle; default: a new version.")
@click.option("--epochs", type=click.IntRange(1), help="Most epochs.")
@click.option("--batch-size", type=click.IntRange(1), help="Texts a step.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Top learning rate.")
@click.option("--seed", type=int, help="Seed of split, order and heads.")
@click.option("--base-model", help="Encoder to start from; default: KEFU_BASE_MODEL.")
@click.option("--device", type=click.Choice(["auto", "cuda", "cpu"]), help="Where to train.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: all.")
@click.option(
    "--checkpoints",
    type=_FilePath,
    help="Folder that keeps each epoch: the same command goes on from it after a kill.",
)
@click.option("--board", type=_FilePath, help="Folder for TensorBoard's curves.")
@click.option("--no-activate", is_flag=True, help="Do not serve it; `kefu models activate` does.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@plain_errors
def train(**options: Any) -> None:
    """Train the understanding model and make it the one that is served."""
    settings = NluSettings()
    data = _training_data(options, settings)
    # Heavy: torch and transformers.
    from nlu.build import Order, build, new_version
    from nlu.device import choose_device
    from nlu.progress import Progress
    from nlu.recipe import Recipe

    if options["threads"] is not None:
        import torch

        torch.set_num_threads(options["threads"])
    store = BundleStore(settings.models_dir)
    now = datetime.now(UTC)
    out: Path | None = options["out"]
    champion = _champion(options["continue_from"], store)
    chosen = {
        name: options[name]
        for name in ("epochs", "batch_size", "lr", "seed")
        if options[name] is not None
    }
    count = len(data.examples) + len(data.support)
    recipe = Recipe().fitted(count) if champion is None else Recipe().continuing(count)
    base_model = options["base_model"] or settings.base_model
    device = choose_device(options["device"] or settings.device)
    order = Order(
        target=out or store.root / new_version(data, now),
        base_model=base_model if champion is None else champion.manifest.base_model,
        device=device,
        recipe=replace(recipe, **chosen),
        parent=_parent(champion, out, store),
        now=now,
        champion=champion,
        checkpoints=options["checkpoints"],
        board=options["board"],
    )
    if options["retriever"]:
        order = replace(order, retriever=_retriever(data, order, options, settings))
    report = build(data, order, Progress())
    if out is None and not options["no_activate"]:
        store.activate(order.target.name)
    summary = {"model_version": order.target.name, "path": str(order.target), **report}
    if options["as_json"]:
        click.echo(json.dumps(summary, ensure_ascii=False))
        return
    click.echo(f"trained {order.target}")
    _print_scores(report["validation"], "validation")


@click.command()
@click.option("--model", help="Bundle folder or version; default: the current one.")
@click.option(
    "--intents", type=_FilePath, help="CSV, TSV or Rasa YAML; default: data/test/nlu.yml."
)
@click.option("--emotions", type=_FilePath, help="CSV or TSV; default: data/test/emotion.csv.")
@click.option("--text", default="text", show_default=True, help="Column of the texts.")
@click.option("--label", default="intent", show_default=True, help="Column of the intents.")
@click.option(
    "--runtime",
    type=click.Choice(["serving", "onnx", "torch"]),
    default="serving",
    show_default=True,
    help="Engine to score: the one that serves here, or one of the two.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
@plain_errors
def evaluate(**options: Any) -> None:
    """Score a trained model on held-out texts, through the engine that serves."""
    settings = NluSettings()
    examples = _test_examples(options, settings)
    bundle = open_bundle(_bundle_folder(options["model"], BundleStore(settings.models_dir)))
    from nlu.device import choose_device
    from nlu.evaluation import meanings, score
    from nlu.loading import onnx_engine, torch_engine
    from nlu.tokens import TextTokenizer

    device = choose_device(settings.device)
    runtime = options["runtime"]
    if runtime == "torch" or (runtime == "serving" and device == "cuda"):
        engine = torch_engine(bundle, device)
    else:
        engine = onnx_engine(bundle, threads=settings.nlu_threads)
    tokenizer = TextTokenizer(bundle.folder / "tokenizer.json", bundle.manifest.max_tokens)
    scores = score(bundle, examples, meanings(bundle, engine, tokenizer, examples))
    if options["as_json"]:
        result = {"model_version": bundle.version, "mode": engine.mode, **scores}
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    click.echo(f"{bundle.version}, {engine.mode}")
    _print_scores(scores, "test")


@click.group()
def models() -> None:
    """Trained understanding models: list, activate, rollback."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@plain_errors
def list_models(as_json: bool) -> None:
    """Show the trained versions, oldest first."""
    store = BundleStore(NluSettings().models_dir)
    entries = [describe(store, version) for version in store.versions()]
    if as_json:
        click.echo(json.dumps({"current": store.current(), "models": entries}))
        return
    if not entries:
        click.echo("no models yet; run `kefu train`")
    for entry in entries:
        mark = "*" if entry["current"] else "~" if entry["trial"] else " "
        intent = entry["validation"].get("intent", {}).get("accuracy", "-")
        click.echo(f"{mark} {entry['version']}  intent accuracy {intent}  {entry['base_model']}")


@models.command()
@click.argument("version")
@plain_errors
def activate(version: str) -> None:
    """Serve VERSION; a running service loads it within seconds."""
    store = BundleStore(NluSettings().models_dir)
    open_bundle(store.folder(version))
    store.activate(version)
    click.echo(f"current is {version}")


@models.command()
@plain_errors
def rollback() -> None:
    """Serve the version before the current one again."""
    click.echo(f"current is {BundleStore(NluSettings().models_dir).roll_back()}")


def _training_data(options: dict[str, Any], settings: NluSettings) -> TrainingData:
    if options["data"] is not None and options["intents"] is not None:
        raise NluError("give --data or --intents, not both")
    data = TrainingData()
    if options["intents"] is None and options["emotions"] is None:
        folder = options["data"] or settings.data_dir
        data = data.merged(_intents(folder / "nlu.yml", options))
        if (folder / "emotion.csv").is_file():
            data = data.merged(_of(read_emotion_table(folder / "emotion.csv")))
        data = data.merged(TrainingData(support=tuple(read_qa_wordings(folder / "qa"))))
        data = _corrected(data, options)
        if options["dataset"] is not None:
            data = data.relabelled(TrainingData(examples=read_learned(options["dataset"])))
        # The answers may hold a wording that somebody also put into the test split.
        data = data.without([example.text for example in _held_out(folder / "test", options)])
    if options["intents"] is not None:
        data = data.merged(_intents(options["intents"], options))
    if options["emotions"] is not None:
        data = data.merged(_of(read_emotion_table(options["emotions"])))
    if options["entities"] is not None:
        data = data.merged(read_rasa_nlu(options["entities"]))
    return data


def _champion(version: str | None, store: BundleStore) -> Bundle | None:
    """The bundle to go on from."""
    if version is None:
        return None
    if version == "current":
        return open_bundle(_bundle_folder(None, store))
    return open_bundle(store.folder(version))


def _retriever(
    data: TrainingData, order: "Order", options: dict[str, Any], settings: NluSettings
) -> "RetrieverTask":
    """What the embedder of the answers is tuned on, and what it must beat."""
    from nlu.retriever_gate import RetrieverTask
    from nlu.retriever_pairs import STRANGE_INTENTS, read_pairs, with_wordings
    from nlu.torch_engine import EMBEDDER

    taught = () if options["dataset"] is None else read_taught(options["dataset"])
    pairs = read_pairs((options["data"] or settings.data_dir) / "qa")
    return RetrieverTask(
        pairs=with_wordings(pairs, taught),
        base=order.base_model,
        champion=None if order.champion is None else order.champion.folder / EMBEDDER,
        strange=[e.text for e in data.examples if e.intent in STRANGE_INTENTS],
        device=order.device,
    )


def _parent(champion: Bundle | None, out: Path | None, store: BundleStore) -> str | None:
    """The version that a new one comes after."""
    if champion is not None:
        return champion.version
    beside = out is None or out.resolve().parent == store.root.resolve()
    return store.current() if beside else None


def _corrected(data: TrainingData, options: dict[str, Any]) -> TrainingData:
    """The data with the corrections in the place of what they correct."""
    folder: Path | None = options["corrections"]
    if folder is None:
        return data
    if (folder / "nlu.yml").is_file():
        data = data.relabelled(read_rasa_nlu(folder / "nlu.yml"))
    if (folder / "emotion.csv").is_file():
        data = data.relabelled(_of(read_emotion_table(folder / "emotion.csv")))
    return data


def _test_examples(options: dict[str, Any], settings: NluSettings) -> list[Example]:
    intents, emotions = options["intents"], options["emotions"]
    if intents is None and emotions is None:
        folder = settings.data_dir / "test"
        if examples := _held_out(folder, options):
            return examples
        raise DataError("no nlu.yml or emotion.csv; give --intents or --emotions", path=folder)
    examples = []
    if intents is not None:
        examples += _intents(intents, options).examples
    if emotions is not None:
        examples += read_emotion_table(emotions)
    return examples


def _held_out(folder: Path, options: dict[str, Any]) -> list[Example]:
    examples: list[Example] = []
    if (folder / "nlu.yml").is_file():
        examples += _intents(folder / "nlu.yml", options).examples
    if (folder / "emotion.csv").is_file():
        examples += read_emotion_table(folder / "emotion.csv")
    return examples


def _intents(path: Path, options: dict[str, Any]) -> TrainingData:
    if path.is_dir() or path.suffix.lower() in _YAML:
        return read_rasa_nlu(path)
    return _of(read_intent_table(path, options["text"], options["label"]))


def _of(examples: list[Example]) -> TrainingData:
    return TrainingData(examples=tuple(examples))


def _bundle_folder(model: str | None, store: BundleStore) -> Path:
    if model is None:
        model = store.current()
        if model is None:
            raise NluError("no model is trained yet; run `kefu train`")
        return store.folder(model)
    if (Path(model) / "manifest.json").is_file():
        return Path(model)
    return store.folder(model)


def _print_scores(scores: dict[str, Any], where: str) -> None:
    for head in ("intent", "emotion"):
        if head in scores:
            of = scores[head]
            click.echo(
                f"{where} {head}: accuracy {of['accuracy']:.4f}, macro-F1 {of['macro_f1']:.4f}, "
                f"calibration error {of['ece']:.4f}, {of['n']} texts"
            )
            for pair in of["confusions"][:5]:
                click.echo(f"  {pair['count']}x {pair['truth']} taken for {pair['guess']}")
    if "entities" in scores:
        of = scores["entities"]
        click.echo(
            f"{where} entities: F1 {of['f1']:.4f}, precision {of['precision']:.4f}, "
            f"recall {of['recall']:.4f}, {of['n']} annotated"
        )
