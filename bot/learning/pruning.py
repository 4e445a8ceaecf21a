"""Removes versions that the loop made and nobody will come back to: a bundle takes over 200 MB."""

import asyncio
import logging
from collections.abc import Collection
from functools import partial

from bot.log import learning_runs, promotions, training_runs
from bot.log.journal import Journal
from bot.settings import Settings
from nlu.bundle import BundleStore
from nlu.errors import NluError

logger = logging.getLogger(__name__)


async def prune(journal: Journal, settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Remove what `to_remove` names by the log and KEFU_LEARN_KEEP; the versions. StorageError."""
    if not settings.learn_keep:
        return []
    made = await journal.browse(learning_runs.versions_made)
    trial = await journal.read(promotions.open_trial)
    run = await journal.read(training_runs.open_run)
    open_ = {str(row["version"]) for row in (trial, run) if row is not None and row["version"]}
    store = BundleStore(settings.models_dir)
    chosen = await asyncio.to_thread(
        partial(to_remove, store, made=made, open_=open_, keep=settings.learn_keep)
    )
    if dry_run:
        return chosen
    removed = []
    for version in chosen:
        try:
            freed = await asyncio.to_thread(store.remove, version)
        except (NluError, OSError) as error:
            logger.warning("version not removed", extra={"version": version, "reason": str(error)})
            continue
        removed.append(version)
        logger.info("version removed", extra={"version": version, "bytes": freed})
    return removed


def to_remove(
    store: BundleStore, *, made: Collection[str], open_: Collection[str], keep: int
) -> list[str]:
    """The versions of `made` that nobody will come back to, oldest first.

    Kept are the newest `keep` of all on disk, the last `keep` that served, what is on trial or in
    the making (`open_`), and whatever the loop did not make: that is somebody's.
    """
    versions = store.versions()
    trial = store.trial()
    kept = {*versions[-keep:], *store.served()[: keep + 1], *open_}
    if trial is not None:
        kept.add(trial.version)
    return [version for version in versions if version in made and version not in kept]
