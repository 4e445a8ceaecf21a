"""Whose turns a version of the loop was trained on, kept so that an erasure can name it."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import islice

from bot.learning.datasets.row import Row as DataRow
from bot.log import learning_runs
from bot.log.journal import Journal
from bot.log.training_runs import Row
from bot.settings import Settings
from bot.world import utc_now

BATCH = 200  # conversations in one transaction: turns wait while it is written


async def expose_dataset(journal: Journal, settings: Settings, run: Row) -> None:
    """Note for the run's version the turns of its data, and what its champion saw before it.

    Weights that began at the champion's hold what that was trained on. Again changes nothing.
    """
    version = str(run["version"])
    if run["dataset"] is not None:
        turns = await asyncio.to_thread(_counted, settings, str(run["dataset"]))
        await note(journal, version, turns)
    if run["options"]["from"] == "champion":
        await inherit(journal, version, run["options"]["champion"])


async def note(journal: Journal, version: str, turns: Counter[str]) -> None:
    """Keep by conversation how many of its turns a version was trained on."""
    left = iter(sorted(turns.items()))
    while batch := dict(islice(left, BATCH)):
        await journal.write(
            partial(learning_runs.expose, model_version=version, turns=batch, now=utc_now())
        )


async def inherit(journal: Journal, version: str, parent: str) -> None:
    """Keep that a version began at another's weights."""
    after: str | None = ""
    while after is not None:
        after = await journal.write(
            partial(
                learning_runs.inherit,
                model_version=version,
                parent=parent,
                after=after,
                limit=BATCH,
                now=utc_now(),
            )
        )


def trained_on(rows: Iterable[DataRow]) -> Counter[str]:
    """By conversation: how many of its turns are in the training part of the data."""
    return Counter(row.conversation_id for row in rows if row.split == "train")


def _counted(settings: Settings, dataset: str) -> Counter[str]:
    from bot.learning.datasets.store import DatasetStore

    return trained_on(DatasetStore(settings.state_dir).rows(dataset))
