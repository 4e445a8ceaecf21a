"""What a line of versions has forgotten is told from its verdicts; on both databases."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from bot.learning import steps
from bot.learning.asking import proving_again
from bot.learning.forgotten import KEY, Forgotten, forgotten
from bot.learning.opened import opened_journal
from bot.log import tables, training_runs
from bot.log.database import upgrade
from bot.log.journal import Journal
from bot.settings import Settings
from bot.world import World
from tests.integration.review_log import START

ALPHA = 0.05
DATASET = "20260601T120000-001"


class Runs:
    """Runs of the loop, one an hour."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.count = 0

    async def add(
        self,
        version: str | None,
        champion: str,
        flips: tuple[int, int] | None = None,
        *,
        at: int | None = None,
        n: int = 600,
        begin: str = "champion",
        state: str = "succeeded",
        decision: str = "promote",
        **options: Any,
    ) -> str:
        """A run that made a version; `flips`: (gained, lost) of the frozen set in its proof.

        Each time other texts, unless `at` says from where on.
        """
        self.count += 1
        begin_at = 50 * self.count if at is None else at
        gained, lost = flips or (0, 0)
        places = list(range(begin_at, begin_at + gained + lost))
        flipped = {"gained_at": places[:gained], "lost_at": places[gained:]}
        figures = {} if flips is None else {"gained": gained, "lost": lost, **flipped}
        reason = {"name": "frozen", "level": "pass", "sentence": "", "figures": {**figures, "n": n}}
        row = {
            "id": f"run-{self.count:03}",
            "kind": "learn",
            "state": state,
            "step": "release",
            "actor": "learning loop",
            "options": {"from": begin, "champion": champion, **options},
            "dataset": DATASET,
            "version": version,
            "verdict": None if flips is None else {"decision": decision, "reasons": [reason]},
            "host": "here",
            "owner": "me",
            "created_at": START + timedelta(hours=self.count),
            "seen_at": START,
        }
        await self.journal.write(
            lambda connection: connection.execute(insert(tables.training_run), row).rowcount
        )
        return str(row["id"])

    async def forgotten(self, champion: str) -> Forgotten | None:
        return await self.journal.read(partial(forgotten, champion=champion, alpha=ALPHA))


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    data = tmp_path / "state" / "datasets" / DATASET
    data.mkdir(parents=True)
    (data / "manifest.json").write_text("{}")
    return Settings(
        _env_file=None,
        database_url=database_url,
        state_dir=tmp_path / "state",
        models_dir=tmp_path / "models",
    )


@pytest.fixture
async def runs(settings: Settings) -> AsyncIterator[Runs]:
    upgrade(settings.database_url)
    async with opened_journal(settings, World()) as journal:
        yield Runs(journal)


async def test_losses_that_no_step_shows_add_up_over_a_line(runs: Runs) -> None:
    await runs.add("v1", "v0", (1, 3))
    await runs.add("v2", "v1", (1, 4))
    assert await runs.forgotten("v2") is None
    await runs.add("v3", "v2", (0, 3))
    found = await runs.forgotten("v3")
    assert found == Forgotten(since="v0", n=600, gained=2, lost=10)
    assert found.p_value < ALPHA
    # What served before that is as it was.
    assert await runs.forgotten("v2") is None
    assert await runs.forgotten("by hand") is None


async def test_a_line_that_gains_as_much_forgets_nothing(runs: Runs) -> None:
    for number in range(10):
        await runs.add(f"v{number + 1}", f"v{number}", (4, 5))
    assert await runs.forgotten("v10") is None


async def test_what_comes_back_is_not_forgotten_and_what_stays_lost_is(runs: Runs) -> None:
    # Nine texts that go and come, and beside them one more that is lost each time.
    for number in range(6):
        flips = (9, 0) if number % 2 else (0, 9)
        await runs.add(f"v{2 * number + 1}", f"v{2 * number}", flips, at=0)
        await runs.add(f"v{2 * number + 2}", f"v{2 * number + 1}", (0, 1))
        found = await runs.forgotten(f"v{2 * number + 2}")
        if number in (1, 3, 5):
            lost = number + 1
            expected = Forgotten(since="v0", n=600, gained=0, lost=lost) if lost > 3 else None
            assert found == expected
    await runs.add("w1", "w0", (2, 0), at=0)
    await runs.add("w2", "w1", (0, 2), at=0)
    await runs.add("w3", "w2", (0, 5))
    assert await runs.forgotten("w3") == Forgotten(since="w0", n=600, gained=0, lost=5)


async def test_what_was_gained_long_ago_hides_nothing(runs: Runs) -> None:
    await runs.add("v1", "v0", (40, 2))
    for number in range(1, 12):
        await runs.add(f"v{number + 1}", f"v{number}", (0, 1))
    assert await runs.forgotten("v12") is None
    await runs.add("v13", "v12", (0, 1))
    assert await runs.forgotten("v13") == Forgotten(since="v1", n=600, gained=0, lost=12)


async def test_a_line_begins_where_something_was_trained_from_scratch(runs: Runs) -> None:
    await runs.add("v1", "v0", (0, 9))
    await runs.add("v2", "v1", (0, 3), begin="scratch")
    await runs.add("v3", "v2", (0, 3))
    assert await runs.forgotten("v3") is None
    await runs.add("v4", "v3", (0, 3))
    assert await runs.forgotten("v4") == Forgotten(since="v2", n=600, gained=0, lost=6)


@pytest.mark.parametrize("other", [{"flips": (0, 9), "n": 500}, {"flips": None}])
async def test_a_line_ends_where_there_was_another_test_set(
    runs: Runs, other: dict[str, Any]
) -> None:
    await runs.add("v1", "v0", **other)
    await runs.add("v2", "v1", (0, 6))
    assert await runs.forgotten("v2") == Forgotten(since="v1", n=600, gained=0, lost=6)


async def test_of_two_proofs_of_a_version_the_later_counts(runs: Runs) -> None:
    first = await runs.add("v1", "v0", (0, 9))
    await runs.add("v1", "v0", (0, 8), again=first)
    await runs.add("v1", "v0", (0, 7), again=first, state="failed")
    assert await runs.forgotten("v1") == Forgotten(since="v0", n=600, gained=0, lost=8)


async def test_what_was_trained_from_scratch_in_vain_is_not_tried_at_once(runs: Runs) -> None:
    await runs.add("v1", "v0", (0, 9))
    lost = await runs.forgotten("v1")
    assert lost is not None
    # Another run was cancelled, and made nothing.
    await runs.add(None, "v1", begin="scratch", state="cancelled", **{KEY: lost.as_json()})
    assert await runs.forgotten("v1") == lost
    await runs.add("v2", "v1", (2, 3), begin="scratch", **{KEY: lost.as_json()})
    assert await runs.forgotten("v1") is None
    await runs.add("v3", "v1", (1, 2))
    await runs.add(None, "v1", state="running")
    assert await runs.forgotten("v1") == lost


async def test_after_a_step_that_was_refused_the_next_begins_from_scratch(runs: Runs) -> None:
    await runs.add("v1", "v0", (5, 2))
    await runs.add("v2", "v1", (0, 10), decision="refuse")
    await runs.add(None, "v1", state="running")
    lost = await runs.forgotten("v1")
    assert lost == Forgotten(since="v1", n=600, gained=0, lost=10)
    # Another serves by now.
    assert await runs.forgotten("v0") is None


@pytest.mark.parametrize(
    "changes",
    [{"flips": (4, 6)}, {"decision": "hold"}, {"begin": "scratch"}, {"flips": None}],
)
async def test_what_was_refused_for_something_else_begins_nothing_anew(
    runs: Runs, changes: dict[str, Any]
) -> None:
    await runs.add("v1", "v0", **{"flips": (0, 10), "decision": "refuse"} | changes)
    assert await runs.forgotten("v0") is None


async def test_the_training_of_a_line_that_forgets_begins_from_scratch(
    runs: Runs, settings: Settings
) -> None:
    await runs.add("v1", "v0", (0, 9))
    run_id = await runs.add(None, "v1", state="running")
    await runs.journal.write(
        lambda c: (
            c.execute(
                tables.training_run.update()
                .values(slot=1)
                .where(tables.training_run.c.id == run_id)
            ).rowcount
        )
    )
    for _ in range(2):  # killed, and taken up
        assert "--continue-from" not in await steps.training(settings, run_id)
        run = await runs.journal.read(partial(training_runs.find, run_id=run_id))
        assert run is not None
        assert run["options"] == {
            "from": "scratch",
            "champion": "v1",
            KEY: {"since": "v0", "n": 600, "gained": 0, "lost": 9},
        }


async def test_the_training_of_another_line_goes_on(runs: Runs, settings: Settings) -> None:
    await runs.add("v1", "v0", (3, 4))
    run_id = await runs.add(None, "v1", state="running")
    command = await steps.training(settings, run_id)
    assert command[command.index("--continue-from") + 1] == "v1"


def test_a_person_is_told_what_was_lost() -> None:
    reason = Forgotten(since="v0", n=600, gained=2, lost=10).as_reason()
    assert (reason.name, reason.level) == ("forgotten", "note")
    assert "of the 600 texts" in reason.sentence
    assert "went on from v0" in reason.sentence
    assert "lost 10 and gained 2 (McNemar, mid-p: p = 0.011)" in reason.sentence
    assert reason.figures["p_value"] == pytest.approx(0.0112)


def test_who_proves_again_tells_the_same_of_it() -> None:
    lost = {"since": "v0", "n": 600, "gained": 2, "lost": 10}
    run = {
        "id": "r1",
        "options": {"why": "period", "from": "scratch", KEY: lost},
        "verdict": {"questions": {"turns": ["t1"]}},
    }
    told = proving_again(run)
    assert told == {
        "from": "scratch",
        KEY: lost,
        "again": "r1",
        "questions": {"turns": ["t1"]},
    }
    assert Forgotten.of(told[KEY]) == Forgotten(**lost)
    assert KEY not in proving_again(run | {"options": {"from": "champion"}})
