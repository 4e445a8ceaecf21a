"""An erasure reaches what the learning loop keeps, its data and its runs; on both databases."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from bot.learning.datasets.row import Row
from bot.learning.datasets.store import DatasetStore
from bot.log import customers, dataset_versions, erasures, exposure, tables, training_runs
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.privacy.eraser import LAST_REST_S, Eraser, Wish
from bot.privacy.retention import Retention
from bot.privacy.steps import Places, Steps
from bot.privacy.work import ORDER, Work
from bot.world import World
from tests.integration.review_log import START, add_turn
from tests.integration.test_erasure import Elsewhere

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CANARY = "quetzalcoatlus"


@dataclass
class House:
    """Two customers in a log and in versions of the training data, and who erases them."""

    folder: Path
    journal: Journal
    eraser: Eraser
    store: DatasetStore
    moment: list[datetime]
    world: World

    async def erase(self, conversation_id: str) -> tuple[str, dict[str, Any] | None]:
        found = await self.journal.read(
            lambda c: customers.of_conversation(
                c, conversation_id=conversation_id, scope="conversation"
            )
        )
        assert found is not None
        id_ = await self.eraser.request(Wish(customer=found, actor="anna"))
        return id_, await self.eraser.run(id_)

    async def again(self, id_: str) -> dict[str, Any] | None:
        self.moment[0] += timedelta(seconds=LAST_REST_S)
        await self.eraser.look()
        row = await self.journal.read(lambda c: erasures.read(c, id_=id_))
        assert row is not None
        found: dict[str, Any] | None = row["report"]
        return found

    async def begin_run(self, dataset: str | None = None) -> Path:
        """A run of the learning loop that goes on; its folder."""
        row = {
            "id": "run-1",
            "kind": "learn",
            "actor": "kefu",
            "options": {},
            "host": "h",
            "owner": "o",
            "dataset": dataset,
            "created_at": START,
            "started_at": START,
            "seen_at": START,
        }
        assert await self.journal.write(lambda c: training_runs.begin(c, row=row))
        folder = self.folder / "learning" / "run-1"
        folder.mkdir(parents=True)
        return folder

    async def end_run(self, state: str, version: str | None = None) -> None:
        now, values = self.moment[0], {"version": version}
        await self.journal.write(
            lambda c: training_runs.finish(c, run_id="run-1", state=state, values=values, now=now)
        )

    async def run(self) -> dict[str, Any]:
        found = await self.journal.read(lambda c: training_runs.find(c, run_id="run-1"))
        assert found is not None
        return found

    def seal(self, *rows: Row) -> str:
        sealed = self.store.seal(rows, parent=None, until=NOW, now=NOW)
        return sealed.version

    def bytes(self) -> bytes:
        kept = [self.folder / "datasets", self.folder / "learning"]
        return b"".join(
            path.read_bytes() for root in kept for path in root.rglob("*") if path.is_file()
        )


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    upgrade(database_url)
    moment = [NOW]
    world = replace(World(), now=lambda: moment[0])
    journal = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=world,
    )
    journal.start()
    elsewhere: Any = Elsewhere()
    places = Places(database_url=database_url, state_dir=tmp_path)
    steps = Steps(journal, elsewhere, elsewhere, places, world)
    for id_, text in (("gone", CANARY), ("stays", "somebody else")):
        await journal.write(lambda c, i=id_, t=text: bool(add_turn(c, i, t)))
    yield House(
        folder=tmp_path,
        journal=journal,
        eraser=Eraser(journal, steps, lambda text: f"hash of {text!r}", world),
        store=DatasetStore(tmp_path),
        moment=moment,
        world=world,
    )
    await journal.close()


def row(turn_id: str, text: str = "somebody else") -> Row:
    return Row(
        turn_id=turn_id,
        conversation_id=f"of-{turn_id}",
        customer="c",
        text=text,
        source="corrected",
        at=START.isoformat(),
        intent="track_order",
    )


GONE, STAYS = row("gone", CANARY), row("stays")


def lines(*rows: Row) -> str:
    return "".join(one.as_line() for one in rows)


async def register(house: House) -> None:
    for version in house.store.versions():
        known = house.store.manifest(version).as_row()
        await house.journal.write(lambda c, r=known: dataset_versions.register(c, row=r))


async def test_a_customers_rows_leave_every_version_and_the_database_is_told(house: House) -> None:
    first, second = house.seal(GONE, STAYS), house.seal(GONE)
    third = house.seal(STAYS)
    await register(house)
    await house.journal.write(
        lambda c: exposure.record(c, model_version="v-1", turn_ids=["gone"]) or True
    )
    id_, report = await house.erase("of-gone")
    assert report is not None
    assert CANARY.encode() not in house.bytes()
    assert [one.turn_id for one in house.store.rows(first)] == ["stays"]
    assert all(house.store.verify(version) == [] for version in (first, second, third))
    assert report["datasets"] == {first: 1, second: 1}
    assert report["removed"]["dataset_row"] == 2
    assert report["models"]["trained_on"] == ["v-1"]
    assert "dataset" not in {one["code"] for one in report["not_reached"]}
    known = await house.journal.read(lambda c: dataset_versions.listing(c, limit=9))
    assert [(one["version"], one["rows"], one["erased"]) for one in known] == [
        (third, 1, 0),
        (second, 0, 1),
        (first, 1, 1),
    ]
    assert known[1]["sha256"] == house.store.manifest(second).sha256
    assert known[1]["counts"] == {"intent": {}, "source": {}}
    retire = await house.journal.read(erasures.versions_to_retire)
    assert retire == {"v-1": [id_]}


async def test_a_version_that_lies_on_another_machine_is_named(house: House) -> None:
    version = house.seal(GONE)
    await register(house)
    (house.folder / "datasets" / version).rename(house.folder / "elsewhere")
    _, report = await house.erase("of-gone")
    assert report is not None
    assert {"code": "dataset", "what": version} in report["not_reached"]


async def test_a_crash_in_the_step_is_made_good(house: House) -> None:
    version = house.seal(GONE, STAYS)
    await register(house)
    note = dataset_versions.note_erased

    def die(*args: Any, **more: Any) -> bool:
        raise OSError(28, "No space left on device")

    dataset_versions.note_erased = die
    try:
        id_, report = await house.erase("of-gone")
    finally:
        dataset_versions.note_erased = note
    assert report is None
    assert CANARY.encode() not in house.bytes()
    report = await house.again(id_)
    assert report is not None
    known = await house.journal.read(lambda c: dataset_versions.find(c, version=version))
    assert known is not None
    assert (known["rows"], known["erased"]) == (1, 1)


async def test_a_version_that_cannot_be_read_is_not_passed_over(house: House) -> None:
    version = house.seal(GONE, STAYS)
    path = house.store.folder(version) / "manifest.json"
    whole = path.read_bytes()
    path.write_bytes(b"{}")
    id_, report = await house.erase("of-gone")
    assert report is None
    row_ = await house.journal.read(lambda c: erasures.read(c, id_=id_))
    assert row_ is not None
    assert (
        f"version {version} of the training data: manifest.json"
        in row_["steps"]["datasets"]["error"]
    )
    path.write_bytes(whole)
    assert await house.again(id_) is not None
    assert CANARY.encode() not in house.bytes()


async def test_what_a_run_has_in_hand_is_cleaned_where_it_learns_without_the_customer(
    house: House,
) -> None:
    """The guard held the turn back: the run goes on."""
    folder = await house.begin_run()
    (folder / "candidates.jsonl").write_text(lines(GONE, STAYS))
    (folder / "kept.jsonl").write_text(lines(STAYS))
    (folder / "proof").mkdir()
    shadow = [{"turn_id": "gone", "before": "a"}, {"turn_id": "stays", "before": "b"}]
    (folder / "proof" / "shadow.jsonl").write_text("".join(json.dumps(x) + "\n" for x in shadow))
    (folder / ".candidates.jsonl.tmp").write_text(lines(GONE))
    ended = house.folder / "learning" / "run-0"
    ended.mkdir()
    (ended / "candidates.jsonl").write_text(lines(GONE))
    (ended / "kept.jsonl.part").write_text(lines(GONE))
    _, report = await house.erase("of-gone")
    assert report is not None
    assert (folder / "candidates.jsonl").read_text() == lines(STAYS)
    assert (folder / "kept.jsonl").read_text() == lines(STAYS)
    assert "gone" not in (folder / "proof" / "shadow.jsonl").read_text()
    assert CANARY.encode() not in house.bytes()
    assert report["models"]["training_cancelled"] is None
    run = await house.run()
    assert (run["slot"], run["cancel_by"]) == (1, None)


@pytest.mark.parametrize("kept", [None, lines(GONE, STAYS)])
async def test_a_run_that_learns_from_the_customer_or_may_do_so_is_cancelled(
    house: House, kept: str | None
) -> None:
    folder = await house.begin_run()
    (folder / "candidates.jsonl").write_text(lines(GONE, STAYS))
    if kept is not None:
        (folder / "kept.jsonl").write_text(kept)
    version = house.seal(GONE, STAYS)
    id_, report = await house.erase("of-gone")
    assert report is None
    assert (await house.run())["cancel_by"] == "anna"
    # Nothing is taken from under it: it may still be writing.
    assert CANARY.encode() in house.bytes()
    assert await house.again(id_) is None
    await house.end_run("cancelled")
    report = await house.again(id_)
    assert report is not None
    assert report["models"] == {
        "trained_on": [],
        "understood_by": ["m1"],
        "training_cancelled": "run-1",
    }
    assert report["datasets"] == {version: 1}
    assert CANARY.encode() not in house.bytes()


@pytest.mark.parametrize(("rows", "trained_on"), [((GONE,), ["v-late"]), ((STAYS,), [])])
async def test_a_run_that_was_through_just_before_names_its_version_by_its_data(
    house: House, rows: tuple[Row, ...], trained_on: list[str]
) -> None:
    await house.begin_run(dataset=house.seal(*rows))
    await house.end_run("succeeded", version="v-late")
    # After the request came: its turns may not be on record yet.
    later = update(tables.training_run).values(finished_at=NOW + timedelta(minutes=1))
    await house.journal.write(lambda c: bool(c.execute(later).rowcount))
    (house.folder / "learning" / "run-1").rmdir()
    _, report = await house.erase("of-gone")
    assert report is not None
    assert report["models"]["trained_on"] == trained_on


async def test_a_run_that_began_after_the_rows_were_gone_is_not_of_concern(house: House) -> None:
    steps: dict[str, dict[str, Any]] = {name: {"state": "open", "tries": 0} for name in ORDER}
    steps["rows"] = {"state": "done", "tries": 1, "done_at": NOW.isoformat()}
    work = Work(
        id="r",
        kind="customer",
        actor="anna",
        conversations=("of-gone",),
        steps=steps,
        created_at=NOW,
        notes={"turns": ["gone"]},
    )
    await house.begin_run()
    late = {"started_at": NOW + timedelta(minutes=1)}
    await house.journal.write(
        lambda c: bool(c.execute(update(tables.training_run).values(**late)).rowcount)
    )
    found = await house.eraser._steps.step("training")(work)
    assert found == {"run": None, "versions": []}
    # What waits for the training: only the data.
    assert not work.may("datasets")
    assert work.may("dialogue")


async def test_words_whose_time_is_up_leave_the_versions_too(house: House) -> None:
    version = house.seal(GONE, STAYS)
    await register(house)
    moved = {"updated_at": NOW - timedelta(days=1)}
    stays = tables.conversation.c.id == "of-stays"
    await house.journal.write(
        lambda c: bool(c.execute(update(tables.conversation).where(stays).values(moved)).rowcount)
    )
    retention = Retention(house.journal, house.eraser, house.world)
    await retention.change({"conversations": 7}, "anna")
    folder = await house.begin_run(dataset=version)
    (folder / "kept.jsonl").write_text(lines(GONE, STAYS))
    removed = await retention.run()
    assert removed is not None
    assert removed["conversations"] == 1
    # A run that learns from them is not stopped for it, nor is its data changed under it.
    assert (await house.run())["cancel_by"] is None
    assert [one.turn_id for one in house.store.rows(version)] == ["gone", "stays"]
    await house.end_run("succeeded", version="v-2")
    house.moment[0] += timedelta(hours=2)
    await house.eraser.look()
    assert [one.turn_id for one in house.store.rows(version)] == ["stays"]
    assert (folder / "kept.jsonl").read_text() == lines(STAYS)
    assert CANARY.encode() not in house.bytes()
    known = await house.journal.read(lambda c: dataset_versions.find(c, version=version))
    assert known is not None
    assert (known["rows"], known["erased"]) == (1, 1)
    left = await house.journal.read(_open_requests)
    assert left == []


def _open_requests(connection: Connection) -> list[Any]:
    return list(connection.execute(tables.erasure_request.select()))


async def test_with_no_training_data_there_is_nothing_to_do(house: House) -> None:
    _, report = await house.erase("of-gone")
    assert report is not None
    assert report["datasets"] == {}
    assert not (house.folder / "learning").exists()
