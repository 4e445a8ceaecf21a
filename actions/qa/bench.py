"""`kefu bench answers`: how often the first answer found is the right one."""

import asyncio
import csv
import json
import os
import platform
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from actions.database import Database, open_database
from actions.errors import ActionsError, DataFileError
from actions.qa.importing import Found, Importer, SourcePairs, read_changed, read_strange
from actions.qa.index import PairIndex
from actions.qa.pairs import CsvColumns, Pair, read_csv_pairs
from actions.qa.store import SourceFile, read_corpus, read_state
from actions.settings import ActionSettings
from actions.tables import metadata
from actions.understanding import Embedder, embed_in_batches
from nlu.errors import NluError
from nlu.settings import NluSettings

REQUIRED = 0.975
DATASET = Path("../shared/datasets/bitext_cs")
COLUMNS = CsvColumns(question="instruction", answer="response", intent="intent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Pairs to import and rows (question, intent) to ask."""

    imported: list[Pair]
    asked: list[tuple[str, str]]


@click.command("answers")
@click.option(
    "--dataset",
    type=click.Path(path_type=Path),
    default=DATASET,
    show_default=True,
    help="Folder of bitext_cs, or a CSV file with instruction, response and intent.",
)
@click.option("--seed", default=42, show_default=True, help="Seed of the split into 80 and 20 %.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def answers(dataset: Path, seed: int, *, as_json: bool) -> None:
    """Import 80 % of a stranger's questions, ask the other 20 %; and our own, left out in turn."""
    # Imported here: it loads a model.
    from actions.local_embedder import local_embedder

    try:
        file = dataset_file(dataset)
        embedder, name = local_embedder(NluSettings())
        figures = asyncio.run(measure(embedder, file, seed, ActionSettings().data_dir))
    except (ActionsError, NluError) as error:
        raise click.ClickException(str(error)) from error
    figures["embedder"] = name
    report = {"bench": "answers", "machine": _machine(), "ratios": {}, "figures": figures}
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    for key, value in figures.items():
        click.echo(f"{key}: {value}")


async def measure(embedder: Embedder, file: Path, seed: int, data_dir: Path) -> dict[str, Any]:
    """The figures of both parts, each in a temporary store."""
    with tempfile.TemporaryDirectory() as folder:
        database = _fresh_database(Path(folder) / "strangers.db")
        figures = await _strangers(database, embedder, file, seed)
        database.close()
        if (data_dir / "qa").is_dir():
            database = _fresh_database(Path(folder) / "own.db")
            importer = Importer(database, embedder, strange=read_strange(data_dir))
            report = await importer.bring_in(read_changed(database, data_dir / "qa"))
            database.close()
            figures["own_data"] = {"pairs": report.pairs, **(report.calibration or {})}
    return figures


def dataset_file(dataset: Path) -> Path:
    """The CSV file to measure with; raises DataFileError when there is none."""
    if dataset.is_file():
        return dataset
    files = sorted(dataset.glob("*v2*.csv"))
    if not files:
        raise DataFileError(dataset, "no CSV file, and no folder with one; name it with --dataset")
    return files[0]


def split_rows(path: Path, seed: int) -> Split:
    """The rows shuffled with the seed: the first 80 % as pairs, the rest as questions."""
    pairs = read_csv_pairs(path, COLUMNS)
    rows = [(pair, text) for pair in pairs for text in pair.wordings]
    random.Random(seed).shuffle(rows)
    cut = int(0.8 * len(rows))
    texts: dict[str, list[str]] = {}
    for pair, text in rows[:cut]:
        texts.setdefault(pair.id, []).append(text)
    imported = [
        Pair(
            id=pair.id,
            intent=pair.intent,
            category=pair.category,
            question=texts[pair.id][0],
            variants=tuple(texts[pair.id][1:]),
            answer=pair.answer,
        )
        for pair in pairs
        if pair.id in texts
    ]
    return Split(imported=imported, asked=[(text, pair.intent) for pair, text in rows[cut:]])


async def _strangers(
    database: Database, embedder: Embedder, path: Path, seed: int
) -> dict[str, Any]:
    csv.field_size_limit(10_000_000)
    split = split_rows(path, seed)
    source = SourceFile(name=path.name, kind="csv", sha256="")
    found = Found(
        changed=[SourcePairs(source=source, pairs=split.imported)],
        names=frozenset({path.name}),
        prefix="",
    )
    started = time.perf_counter()
    with tqdm(desc="embedding", unit="text", disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        await Importer(database, embedder).bring_in(found, progress=progress)
    imported_s = time.perf_counter() - started
    index = PairIndex(database.reading(lambda c: read_corpus(c, _embedder_of(database))))
    questions = [text for text, _ in split.asked]
    made = await embed_in_batches(embedder, questions)
    hits = [
        index.search(text, vector, 1)[0]
        for text, vector in zip(questions, made.vectors, strict=True)
    ]
    wrong = Counter(
        f"{intent} -> {hit.pair.intent}"
        for (_, intent), hit in zip(split.asked, hits, strict=True)
        if hit.pair.intent != intent
    )
    right = 1 - wrong.total() / len(questions)
    return {
        "dataset": path.name,
        "split": f"80 % imported, 20 % asked, rows shuffled with seed {seed}",
        "imported": len(split.imported),
        "asked": len(questions),
        "intent_right": round(right, 4),
        "required": REQUIRED,
        "met": right >= REQUIRED,
        "wrong": dict(wrong.most_common(10)),
        "import_s": round(imported_s, 1),
    }


def _embedder_of(database: Database) -> str:
    state = database.reading(read_state)
    return state.embedder if state is not None else ""


def _fresh_database(file: Path) -> Database:
    database = open_database(f"sqlite:///{file}")
    metadata.create_all(database.engine)
    return database


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
