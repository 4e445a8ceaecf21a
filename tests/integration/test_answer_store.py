"""The answers as the console changes them, on both databases: history, conflicts, imports."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from sqlalchemy import Connection

from actions.database import Database, open_database
from actions.qa.importing import Importer, read_changed
from actions.qa.live import QaSearch
from actions.qa.origins import forget_origins
from actions.qa.pairs import Pair
from actions.qa.store import read_version
from actions.understanding import UnderstandingClient
from bot.console.answers import store as store_module
from bot.console.answers.store import AnswerChanged, AnswerStore
from bot.errors import RequestError, StorageError
from bot.log import store as log
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.records import Opening
from bot.settings import Settings
from bot.world import World, utc_now
from tests.understanding_service import UnderstandingService

PAIRS = """
category: delivery
pairs:
  - {id: time, intent: ask_time, question: How long does delivery take?,
     variants: [delivery time], answer: Three days.}
  - {id: cost, intent: ask_cost, question: What does postage cost?,
     variants: [shipping price], answer: Four pounds.}
"""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The console's store, the bot's own search beside it, and the file both came from."""

    store: AnswerStore
    journal: Journal
    bot: QaSearch
    importer: Importer
    database: Database
    service: UnderstandingService
    folder: Path

    async def converse(self, id_: str) -> None:
        opening = Opening(id=id_, channel="web", account=id_)
        now = utc_now()
        await self.journal.write(lambda c: log.open_conversation(c, conversation=opening, now=now))

    async def said(self, question: str) -> str:
        """The answer that the bot's process would give first."""
        return (await self.bot.find(question)).hits[0].pair.answer

    async def bring_in(self, *, overwrite: bool = False):  # type: ignore[no-untyped-def]
        found = read_changed(self.database, self.folder, every=overwrite)
        return await self.importer.bring_in(found, overwrite=overwrite)

    async def pair(self, pair_id: str) -> Pair:
        stored = await self.store.get(pair_id)
        assert stored is not None
        return stored.pair


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    upgrade(database_url)
    folder = tmp_path / "qa"
    folder.mkdir()
    (folder / "delivery.yml").write_text(PAIRS)
    service = UnderstandingService()
    async with TestServer(service.app()) as server:
        url = str(server.make_url("/")).rstrip("/")
        client = UnderstandingClient(url, timeout_s=10)
        settings = Settings(
            _env_file=None, state_dir=tmp_path, database_url=database_url, nlu_url=url
        )
        journal = Journal(
            write_engine=open_engine(database_url, writer=True),
            read_engine=open_engine(database_url),
            world=World(),
        )
        journal.start()
        database = open_database(database_url)
        importer = Importer(database, client)
        shop = Shop(
            store=AnswerStore(journal, settings, World()),
            journal=journal,
            bot=QaSearch(database, client, importer, refresh_s=0.000001),
            importer=importer,
            database=database,
            service=service,
            folder=folder,
        )
        await shop.bring_in()
        yield shop
        await shop.bot.close()
        await shop.store.close()
        await client.close()
        await journal.close()
        database.close()


async def test_an_edit_is_what_the_bot_says_next_and_restoring_takes_it_back(shop: Shop) -> None:
    question = "how long does delivery take"
    assert await shop.said(question) == "Three days."
    pair = await shop.pair("time")
    await shop.store.save(replace(pair, answer="Two days."), actor="Rita", note="faster now")
    assert await shop.said(question) == "Two days."
    history = await shop.store.history("time")
    assert [(one.number, one.content.pair.answer, one.change.actor) for one in history] == [
        (1, "Two days.", "Rita"),
        (0, "Three days.", "import"),
    ]
    assert history[0].change.note == "faster now"
    await shop.store.restore("time", history[1].id, "Anna")
    assert await shop.said(question) == "Three days."
    assert (await shop.pair("time")).wordings == pair.wordings
    assert [one.number for one in await shop.store.history("time")] == [2, 1, 0]


async def test_saving_what_is_there_already_makes_no_revision(shop: Shop) -> None:
    await shop.store.save(await shop.pair("time"), actor="Rita")
    assert await shop.store.history("time") == []
    stored = await shop.store.get("time")
    assert stored is not None
    assert (stored.revision, stored.edited) == (0, False)


async def test_a_new_pair_is_found_by_the_bot_and_a_retired_one_is_not(shop: Shop) -> None:
    pair = Pair(
        id="",
        intent="",
        category="pets",
        question="May I bring my dog?",
        variants=("dogs allowed",),
        answer="Dogs are welcome.",
    )
    pair_id = await shop.store.save(pair, actor="Rita")
    assert await shop.said("dogs allowed") == "Dogs are welcome."
    await shop.store.retire(pair_id, "Rita")
    assert await shop.said("dogs allowed") != "Dogs are welcome."
    stored = await shop.store.get(pair_id)
    assert stored is not None
    assert not stored.active
    # Restoring the first revision brings it back.
    await shop.store.restore(pair_id, (await shop.store.history(pair_id))[-1].id, "Rita")
    assert await shop.said("dogs allowed") == "Dogs are welcome."


async def test_a_retired_answer_stays_retired_until_it_is_brought_back(shop: Shop) -> None:
    await shop.store.retire("time", "Rita")
    edited = replace(await shop.pair("time"), answer="Two days.")
    await shop.store.save(edited, actor="Anna")
    saved = await shop.store.save_all(
        [replace(edited, answer="A day."), await shop.pair("cost")], actor="Anna", note="a.csv"
    )
    assert (saved.added, saved.changed, saved.same) == (0, 1, 1)
    stored = await shop.store.get("time")
    assert stored is not None
    assert (stored.active, stored.pair.answer) == (False, "A day.")
    assert await shop.said("how long does delivery take") == "Four pounds."
    history = await shop.store.history("time")
    assert [one.content.active for one in history] == [False, False, False, True]
    await shop.store.restore("time", history[-1].id, "Anna")
    assert await shop.said("how long does delivery take") == "Three days."


async def test_many_answers_are_written_between_other_writes_and_said_at_the_end(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def many(answer: str) -> list[Pair]:
        plain = [
            Pair(id=f"p{n:03}", intent="", category="x", question=f"Q{n}", variants=(), answer="A")
            for n in range(60)
        ]
        long = tuple(f"w{n}" for n in range(130))
        return [
            replace(pair, answer=answer)
            for pair in (*plain, replace(plain[0], id="w", variants=long))
        ]

    units: list[int] = []
    change = store_module.change_many

    def counted(connection: Connection, pairs: Sequence[Pair], *others: Any) -> Any:
        units.append(len(pairs))
        return change(connection, pairs, *others)

    monkeypatch.setattr(store_module, "change_many", counted)
    before = shop.database.reading(read_version)
    saving = asyncio.create_task(shop.store.save_all(many("A"), actor="Rita", note="a.yml"))
    seen: list[int] = []
    while not saving.done():
        # As a customer's message is: it is on disk before the file is.
        await shop.journal.write(lambda connection: None)
        seen.append(len(units))
    assert (await saving).added == 61
    assert units == [25, 25, 10, 1]
    assert {1, 2, 3} & set(seen)
    assert shop.database.reading(read_version) == before + 1
    assert (await shop.store.save_all(many("A"), actor="Rita", note="a.yml")).same == 61
    assert shop.database.reading(read_version) == before + 1

    def broken(connection: Connection, pairs: Sequence[Pair], *others: Any) -> Any:
        if pairs[0].id != "p000":
            raise StorageError("the disk is full")
        return change(connection, pairs, *others)

    monkeypatch.setattr(store_module, "change_many", broken)
    with pytest.raises(RequestError, match="the first 25 of its 61 answers are saved") as told:
        await shop.store.save_all(many("B"), actor="Rita", note="a.yml")
    assert (told.value.status, told.value.audit) == (503, "import_answers")
    assert ((await shop.pair("p024")).answer, (await shop.pair("p025")).answer) == ("B", "A")
    # What is saved is said.
    assert shop.database.reading(read_version) == before + 2


async def test_of_two_editors_the_second_is_told_and_nothing_is_lost(shop: Shop) -> None:
    pair = await shop.pair("time")
    await shop.store.save(replace(pair, answer="Two days."), actor="Rita", expected=0)
    with pytest.raises(AnswerChanged) as told:
        await shop.store.save(replace(pair, answer="Nine days."), actor="Anna", expected=0)
    assert told.value.status == 409
    assert told.value.stored.pair.answer == "Two days."
    assert (await shop.pair("time")).answer == "Two days."


async def test_of_editors_at_once_exactly_one_wins(shop: Shop) -> None:
    pair = await shop.pair("time")
    saves = [
        shop.store.save(replace(pair, answer=f"{days} days."), actor=f"a{days}", expected=0)
        for days in range(2, 8)
    ]
    outcomes = await asyncio.gather(*saves, return_exceptions=True)
    assert sorted(isinstance(one, AnswerChanged) for one in outcomes) == [False] + 5 * [True]
    assert len(await shop.store.history("time")) == 2


async def test_an_import_leaves_what_a_person_edited_and_says_so(shop: Shop) -> None:
    pair = await shop.pair("time")
    await shop.store.save(replace(pair, answer="Two days."), actor="Rita")
    await shop.store.retire("cost", "Rita")
    file = shop.folder / "delivery.yml"
    file.write_text(file.read_text().replace("Three days.", "A week.").replace("Four", "Five"))
    report = await shop.bring_in()
    assert (report.kept, report.changed) == (("time", "cost"), 0)
    assert await shop.said("how long does delivery take") == "Two days."
    # Also when the file has it no more.
    file.write_text(PAIRS.replace("id: time", "id: another"))
    report = await shop.bring_in()
    assert (report.added, report.removed) == (1, 0)
    assert "time" in report.kept
    # Until somebody wants the file's.
    file.write_text(PAIRS)
    report = await shop.bring_in(overwrite=True)
    assert (report.kept, report.changed) == ((), 2)
    assert await shop.said("how long does delivery take") == "Three days."
    assert (await shop.store.history("time"))[0].change.actor == "import"
    # From then on it follows the file again.
    file.write_text(PAIRS.replace("Three days.", "A week."))
    assert (await shop.bring_in()).changed == 1


async def test_what_an_import_changes_stays_in_the_history(shop: Shop) -> None:
    (shop.folder / "delivery.yml").write_text(PAIRS.replace("Three days.", "A week."))
    await shop.bring_in()
    history = await shop.store.history("time")
    assert [one.content.pair.answer for one in history] == ["A week.", "Three days."]
    with pytest.raises(AnswerChanged):
        await shop.store.save(await shop.pair("time"), actor="Rita", expected=0)


async def test_without_the_service_an_edit_is_said_at_once_and_embedded_later(shop: Shop) -> None:
    shop.service.down = True
    pair = await shop.pair("time")
    changed = replace(pair, answer="Two days.", variants=(*pair.variants, "until it is here"))
    await shop.store.save(changed, actor="Rita")
    assert [hit.pair.answer for hit in await shop.store.search("delivery time", 1)] == ["Two days."]
    assert await shop.said("delivery time") == "Two days."
    shop.service.down = False
    shop.service.embedded.clear()
    assert await shop.said("delivery time") == "Two days."
    async with asyncio.timeout(10):
        while "until it is here" not in shop.service.embedded:
            await asyncio.sleep(0.01)
    await asyncio.gather(shop.bot._embedding)  # type: ignore[arg-type]
    shop.service.embedded.clear()
    assert await shop.said("until it is here") == "Two days."
    assert shop.service.embedded == ["until it is here"]


async def test_the_console_ranks_as_the_bot_does(shop: Shop) -> None:
    for question in ("how long does delivery take", "shipping price", "price of delivery"):
        theirs = (await shop.bot.find(question)).hits
        ours = await shop.store.search(question, 4)
        assert [(hit.pair.id, hit.score) for hit in ours] == [
            (hit.pair.id, hit.score) for hit in theirs
        ]


async def test_what_is_not_there_is_a_404(shop: Shop) -> None:
    for attempt in (
        shop.store.retire("nothing", "Rita"),
        shop.store.restore("nothing", 1, "Rita"),
        shop.store.restore("time", 10_000, "Rita"),
    ):
        with pytest.raises(RequestError) as told:
            await attempt
        assert told.value.status == 404


async def test_wordings_of_an_erased_customer_leave_pair_vectors_and_history(shop: Shop) -> None:
    await shop.converse("c-1")
    canary = "where is my zebra parcel 4711"
    pair = await shop.pair("time")
    with_canary = replace(pair, variants=(*pair.variants, canary))
    await shop.store.save(with_canary, actor="Rita", conversation_id="c-1", note="said " + canary)
    await shop.store.save(replace(with_canary, answer="Two days."), actor="Rita")
    own = Pair(
        id="", intent="", category="x", question=canary + "?", variants=(), answer="On its way."
    )
    own_id = await shop.store.save(own, actor="Rita", conversation_id="c-1")
    forgotten = shop.database.writing(lambda c: forget_origins(c, ["c-1", "c-2"], utc_now()))
    assert (forgotten.wordings, forgotten.pairs_changed, forgotten.pairs_removed) == (
        2,
        ("time",),
        (own_id,),
    )
    assert (await shop.pair("time")).wordings == pair.wordings
    assert (await shop.pair("time")).answer == "Two days."
    assert "zebra" not in repr(await shop.store.history("time"))
    assert await shop.store.get(own_id) is None
    with shop.database.engine.connect() as connection:
        for table in ("qa_variant", "qa_revision", "qa_pair"):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            assert "zebra" not in repr(rows)
    assert "zebra" not in repr(await shop.bot.find("zebra"))


async def test_a_restored_wording_keeps_its_origin(shop: Shop) -> None:
    pair = await shop.pair("time")
    await shop.converse("c-9")
    asked = replace(pair, variants=("when comes it",))
    await shop.store.save(asked, actor="Rita", conversation_id="c-9")
    first = (await shop.store.history("time"))[0]
    await shop.store.save(pair, actor="Rita")
    await shop.store.restore("time", first.id, "Rita")
    stored = await shop.store.get("time")
    assert stored is not None
    assert stored.content.origins == {"when comes it": "c-9"}


async def test_a_wording_of_a_conversation_that_was_erased_meanwhile_is_refused(
    shop: Shop,
) -> None:
    pair = await shop.pair("time")
    worded = replace(pair, variants=(*pair.variants, "when comes my zebra"))
    with pytest.raises(RequestError) as told:
        await shop.store.save(worded, actor="Rita", conversation_id="erased")
    assert (told.value.status, told.value.field) == (409, "conversation_id")
    assert await shop.pair("time") == pair


async def test_a_form_from_before_an_erasure_is_a_conflict(shop: Shop) -> None:
    await shop.converse("c-1")
    pair = await shop.pair("time")
    worded = replace(pair, variants=(*pair.variants, "when comes my zebra"))
    await shop.store.save(worded, actor="Rita", conversation_id="c-1")
    seen = await shop.store.get("time")
    assert seen is not None
    shop.database.writing(lambda c: forget_origins(c, ["c-1"], utc_now()))
    with pytest.raises(AnswerChanged):
        await shop.store.save(seen.pair, actor="Rita", expected=seen.revision)
    now = await shop.store.get("time")
    assert now is not None
    # Two forms that were opened after it: one saves, and the other sees it.
    await shop.store.save(
        replace(now.pair, answer="Two days."), actor="Rita", expected=now.revision
    )
    with pytest.raises(AnswerChanged):
        await shop.store.save(
            replace(now.pair, answer="One day."), actor="Anna", expected=now.revision
        )


async def test_a_rephrased_wording_is_still_the_customers(shop: Shop) -> None:
    await shop.converse("c-1")
    await shop.converse("c-2")
    pair = await shop.pair("time")
    first = replace(pair, variants=(*pair.variants, "when comes my zebra"))
    await shop.store.save(first, actor="Rita", conversation_id="c-1")
    both = replace(first, variants=(*first.variants, "how slow are parcels"))
    await shop.store.save(both, actor="Rita", conversation_id="c-2")
    rephrased = replace(
        both, variants=(*pair.variants, "when does my zebra come", "how slow are the parcels?")
    )
    await shop.store.save(rephrased, actor="Rita")
    stored = await shop.store.get("time")
    assert stored is not None
    assert stored.content.origins == {
        "when does my zebra come": "c-1",
        "how slow are the parcels?": "c-2",
    }
