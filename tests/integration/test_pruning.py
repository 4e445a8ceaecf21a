"""Which versions of the loop stay on disk, on both databases, and what becomes of the others."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from bot.learning.opened import opened_journal
from bot.learning.pruning import prune
from bot.log import learning_runs, promotions, tables
from bot.log.database import upgrade
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World, utc_now
from nlu.bundle import BundleStore
from nlu.trial import Trial

WEEKS = 12


@pytest.fixture
async def journal(settings: Settings) -> AsyncIterator[Journal]:
    upgrade(settings.database_url)
    async with opened_journal(settings, World()) as journal:
        yield journal


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None, database_url=database_url, models_dir=tmp_path / "models", learn_keep=3
    )


@pytest.fixture
def store(settings: Settings) -> BundleStore:
    """Twelve versions, of which each second one came to serve."""
    store = BundleStore(settings.models_dir)
    for week in range(WEEKS):
        folder = store.root / version(week)
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        if week % 2 == 0 and week < 10:
            store.activate(version(week))
    return store


def version(week: int) -> str:
    return f"2026{week:02}01-000000-abc"


def made(connection: Connection, weeks: range) -> None:
    """The runs that the log knows of; the first version is somebody's own."""
    now = utc_now()
    for week in weeks:
        row = {
            "id": f"run-{week}",
            "step": "release",
            "actor": "loop",
            "options": {},
            "host": "here",
            "owner": "me",
            "version": version(week),
            "created_at": now + timedelta(minutes=week),
            "seen_at": now,
        }
        ended = {"kind": learning_runs.KIND, "state": "succeeded", "slot": None}
        connection.execute(insert(tables.training_run), {**row, **ended})


async def test_the_newest_and_those_that_served_last_stay(
    journal: Journal, settings: Settings, store: BundleStore
) -> None:
    await journal.write(partial(made, weeks=range(1, WEEKS)))
    named = await prune(journal, settings, dry_run=True)
    # 9, 10, 11 are the newest; 8 serves, and before it did 6, 4 and 2; nobody's run made 0.
    assert named == [version(week) for week in (1, 3, 5, 7)]
    assert len(store.versions()) == WEEKS
    assert await prune(journal, settings) == named
    assert store.versions() == [version(week) for week in (0, 2, 4, 6, 8, 9, 10, 11)]
    assert store.current() == version(8)
    assert await prune(journal, settings) == []


async def test_what_is_tried_stays(
    journal: Journal, settings: Settings, store: BundleStore
) -> None:
    await journal.write(partial(made, weeks=range(WEEKS)))
    store.try_out(Trial(version=version(3), share=0.1, salt="s"))
    trial = {
        "id": "p1",
        "kind": "canary",
        "version": version(5),
        "previous": version(8),
        "share": 0.1,
        "actor": "cli",
        "created_at": utc_now(),
    }
    await journal.write(partial(promotions.begin_trial, row=trial))
    assert await prune(journal, settings) == [version(week) for week in (0, 1, 7)]


async def test_zero_keeps_all(journal: Journal, settings: Settings, store: BundleStore) -> None:
    await journal.write(partial(made, weeks=range(WEEKS)))
    assert await prune(journal, settings.model_copy(update={"learn_keep": 0})) == []
    assert len(store.versions()) == WEEKS
