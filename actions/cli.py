"""`kefu qa`: import, calibrate, search and export the answered questions."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from actions.database import Database, one_line, open_database
from actions.errors import ActionsError, EmptyStoreError, StoreError
from actions.qa.exchange import plain_pair, yaml_of
from actions.qa.importing import (
    IMPORT_TIMEOUT_S,
    Importer,
    ImportReport,
    import_qa,
    read_csv_source,
    read_strange,
)
from actions.qa.live import Findings, QaSearch
from actions.qa.pairs import CsvColumns
from actions.qa.preparing import prepare_command
from actions.qa.store import read_pairs
from actions.settings import ActionSettings
from actions.understanding import UnderstandingClient

Result = TypeVar("Result")
_TABULAR = {".csv", ".tsv"}


@click.group()
def qa() -> None:
    """The store of answered questions."""


qa.add_command(prepare_command)


@qa.command("import")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--question", default="question", show_default=True, help="CSV: the questions.")
@click.option("--answer", default="answer", show_default=True, help="CSV: the answers.")
@click.option("--label", "--intent", help="CSV: the intents or categories, if there are any.")
@click.option("--overwrite", is_flag=True, help="Also pairs that were edited in the console.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def import_command(
    path: Path | None,
    question: str,
    answer: str,
    label: str | None,
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Bring PATH (default: qa in the data folder) into the store.

    PATH is a folder of YAML files, one such file, or a CSV or TSV file with a header. What was
    imported from it before and is gone is no longer found; what is unchanged costs nothing. What
    was edited in the console stays as it is there.
    """
    settings = ActionSettings()
    with tqdm(desc="embedding", unit="text", disable=None, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        if path is not None and path.suffix.lower() in _TABULAR:
            columns = CsvColumns(question=question, answer=answer, intent=label)
            report = _run(_import_csv(settings, path, columns, progress, overwrite=overwrite))
        else:
            report = _run(import_qa(settings, path, progress=progress, overwrite=overwrite))
    if as_json:
        click.echo(json.dumps(report.as_dict()))
        return
    click.echo(
        f"{report.pairs} pairs in the store: {report.added} added, {report.changed} changed, "
        f"{report.removed} removed; {report.embedded} texts embedded"
    )
    if report.kept:
        click.echo(
            f"edited in the console and left as they are there: {', '.join(report.kept)} "
            "(--overwrite takes the file's)"
        )


@qa.command("calibrate")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def calibrate_command(*, as_json: bool) -> None:
    """Fit the thresholds to the store as it is, such as after many edits in the console.

    No pair is changed.
    """
    report = _run(_calibrate(ActionSettings()))
    if as_json:
        click.echo(json.dumps(report.as_dict()))
        return
    fitted = report.calibration or {}
    click.echo(
        f"{report.pairs} pairs, {fitted['queries']} questions asked: answers from "
        f"{fitted['full']['answer']:.2f} on, offers a choice from {fitted['full']['offer']:.2f} on"
    )


@qa.command("search")
@click.argument("text")
@click.option("--limit", default=3, show_default=True, type=click.IntRange(1, 4))
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def search_command(text: str, limit: int, *, as_json: bool) -> None:
    """Show the questions nearest to TEXT and what the bot would do with them."""
    findings = _run(_search(ActionSettings(), text))
    decision = "answer" if findings.sure else "offer" if findings.offered else "nothing"
    if as_json:
        click.echo(
            json.dumps(
                {
                    "decision": decision,
                    "confidence": round(findings.confidence, 4),
                    "thresholds": {
                        "answer": findings.scale.answer,
                        "offer": findings.scale.offer,
                    },
                    "hits": [
                        {
                            "id": hit.pair.id,
                            "score": round(hit.score, 4),
                            "intent": hit.pair.intent,
                            "question": hit.pair.question,
                            "answer": hit.pair.answer,
                        }
                        for hit in findings.hits[:limit]
                    ],
                },
                ensure_ascii=False,
            )
        )
        return
    click.echo(f"{decision} (confidence {findings.confidence:.2f})")
    for hit in findings.hits[:limit]:
        click.echo(f"{hit.score:.3f}  {hit.pair.id}  {hit.pair.question}")


@qa.command("export")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of YAML.")
def export_command(*, as_json: bool) -> None:
    """Print every pair of the store: YAML as `import` reads it, category by category."""
    database = _open(ActionSettings())
    try:
        pairs = database.reading(read_pairs)
    except SQLAlchemyError as error:
        raise click.ClickException(str(StoreError(one_line(error)))) from None
    finally:
        database.close()
    if not pairs:
        raise click.ClickException(str(EmptyStoreError()))
    if as_json:
        for pair in pairs:
            click.echo(
                json.dumps({**plain_pair(pair), "category": pair.category}, ensure_ascii=False)
            )
        return
    click.echo(yaml_of(pairs), nl=False)


async def _import_csv(
    settings: ActionSettings,
    path: Path,
    columns: CsvColumns,
    progress: Callable[[int, int], None],
    *,
    overwrite: bool,
) -> ImportReport:
    client = UnderstandingClient(settings.nlu_url, timeout_s=IMPORT_TIMEOUT_S)
    database = open_database(settings.database_url)
    try:
        importer = Importer(database, client, strange=read_strange(settings.data_dir))
        found = read_csv_source(path, columns)
        return await importer.bring_in(found, progress=progress, overwrite=overwrite)
    finally:
        await client.close()
        database.close()


async def _calibrate(settings: ActionSettings) -> ImportReport:
    client = UnderstandingClient(settings.nlu_url, timeout_s=IMPORT_TIMEOUT_S)
    database = open_database(settings.database_url)
    try:
        importer = Importer(database, client, strange=read_strange(settings.data_dir))
        return await importer.recalibrate()
    finally:
        await client.close()
        database.close()


async def _search(settings: ActionSettings, text: str) -> Findings:
    client = UnderstandingClient(settings.nlu_url, timeout_s=IMPORT_TIMEOUT_S)
    database = open_database(settings.database_url)
    search = QaSearch(database, client, Importer(database, client), refresh_s=settings.qa_refresh_s)
    try:
        return await search.find(text)
    finally:
        await search.close()
        await client.close()
        database.close()


def _open(settings: ActionSettings) -> Database:
    try:
        return open_database(settings.database_url)
    except ActionsError as error:
        raise click.ClickException(str(error)) from None


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """The result, or one line that says what to do."""
    try:
        return asyncio.run(work)
    except (ActionsError, OSError) as error:
        raise click.ClickException(str(error)) from None
    except SQLAlchemyError as error:
        raise click.ClickException(str(StoreError(one_line(error)))) from None
