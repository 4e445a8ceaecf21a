"""Makes a bundle's set of vectors ready before it serves: `kefu qa prepare VERSION`."""

import asyncio
import json
import sys
from dataclasses import asdict
from functools import partial

import click
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from actions.database import one_line, open_database
from actions.errors import ActionsError, StoreError
from actions.qa.embedders import read_calibration
from actions.qa.importing import read_strange
from actions.qa.refitting import Prepared, Progress, prepare
from actions.qa.store import read_state
from actions.settings import ActionSettings
from nlu.bundle import BundleStore, read_manifest
from nlu.errors import NluError
from nlu.settings import NluSettings


async def prepare_version(
    version: str,
    *,
    actions: ActionSettings,
    nlu: NluSettings,
    progress: Progress | None = None,
) -> Prepared:
    """Embeds the store as the bundle of a version would, and fits the thresholds to that.

    Nothing is loaded where its set is whole already: most versions share their embedder. An empty
    store needs nothing. Raises an ActionsError or NluError.
    """
    folder = BundleStore(nlu.models_dir).folder(version)
    name = read_manifest(folder).embedder_id
    database = open_database(actions.database_url)
    try:
        ready = await database.read(partial(read_calibration, embedder=name))
        if ready or await database.read(read_state) is None:
            return Prepared(embedder=name, embedded=0, fitted=False)
        # Imported here: it brings the engines.
        from actions.local_embedder import bundle_embedder

        embedder = await asyncio.to_thread(bundle_embedder, folder, nlu)
        strange = read_strange(actions.data_dir)
        return await prepare(database, embedder, strange=strange, progress=progress)
    except SQLAlchemyError as error:
        raise StoreError(one_line(error)) from None
    finally:
        database.close()


@click.command("prepare")
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def prepare_command(version: str, *, as_json: bool) -> None:
    """Embed the store with the model VERSION before it is activated.

    Answers then go on without a pause when it is. Those of the version that serves stay as they
    are.
    """
    with tqdm(desc="embedding", unit="text", disable=None, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        work = prepare_version(
            version, actions=ActionSettings(), nlu=NluSettings(), progress=progress
        )
        try:
            made = asyncio.run(work)
        except (ActionsError, NluError, OSError) as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(asdict(made)))
        return
    click.echo(
        f"{made.embedder}: {made.embedded} texts embedded, thresholds "
        f"{'fitted' if made.fitted else 'were there'}"
    )
