"""What is too old goes in small batches, and only that; on both databases."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from bot.errors import RequestError
from bot.log import retention, tables
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.privacy.eraser import Eraser
from bot.privacy.retention import Retention
from bot.privacy.steps import Places, Steps
from bot.privacy.work import NotYet
from bot.world import World

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@dataclass
class Shop:
    """A log, its rules, and what the dialogue was told to forget."""

    journal: Journal
    retention: Retention
    moment: list[datetime]
    forgotten: list[str]
    eraser: Eraser

    async def count(self, table: Any) -> int:
        return await self.journal.read(
            lambda c: c.execute(select(func.count()).select_from(table)).scalar_one()
        )

    async def add(self, table: Any, *rows: dict[str, Any]) -> None:
        await self.journal.write(lambda c: bool(c.execute(insert(table), list(rows))))

    def conversation(self, id_: str, days: float, status: str = "bot") -> dict[str, Any]:
        then = START - timedelta(days=days)
        return {
            "id": id_,
            "channel": "web",
            "account": id_,
            "status": status,
            "last_seq": 0,
            "created_at": then,
            "updated_at": then,
        }


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    upgrade(database_url)
    moment = [START]
    forgotten: list[str] = []

    class Dialogue:
        async def erase(self, conversation_ids: Any) -> dict[str, Any]:
            forgotten.extend(conversation_ids)
            return {"turns": 1}

    async def no_rest(seconds: float) -> None:
        return None

    world = replace(World(), now=lambda: moment[0], sleep=no_rest)
    journal = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=world,
    )
    journal.start()
    places = Places(database_url=database_url, state_dir=tmp_path)
    steps = Steps(journal, Dialogue(), Dialogue(), places, world)  # type: ignore[arg-type]
    eraser = Eraser(journal, steps, lambda text: text, world)
    yield Shop(
        journal=journal,
        retention=Retention(journal, eraser, world),
        moment=moment,
        forgotten=forgotten,
        eraser=eraser,
    )
    await journal.close()


async def test_by_default_nothing_but_leftovers_goes(shop: Shop) -> None:
    await shop.add(tables.conversation, shop.conversation("old", 3000))
    assert await shop.retention.count() == {"uploads": 0, "sessions": 0}
    assert await shop.retention.run() == {"uploads": 0, "sessions": 0}
    assert await shop.count(tables.conversation) == 1


async def test_old_conversations_go_in_batches_also_from_the_dialogue(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    old = [shop.conversation(f"old-{number}", 11) for number in range(8)]
    waiting = shop.conversation("waits", 11, status="waiting")
    await shop.add(tables.conversation, *old, waiting, shop.conversation("new", 9))
    await shop.retention.change({"conversations": 10}, "anna")
    assert (await shop.retention.count())["conversations"] == 8
    removed = await shop.retention.run()
    assert removed is not None
    assert removed["conversations"] == 8
    left = await shop.journal.read(
        lambda c: set(c.execute(select(tables.conversation.c.id)).scalars())
    )
    assert left == {"waits", "new"}
    assert sorted(shop.forgotten) == sorted(row["id"] for row in old)
    # The batches were durable while they were under way, and are nobody's request.
    assert await shop.count(tables.erasure_request) == 0


async def test_uploads_that_no_message_uses_go_after_their_day(shop: Shop) -> None:
    await shop.add(tables.conversation, shop.conversation("c", 0))
    then = START - timedelta(days=2)
    file = {
        "conversation_id": "c",
        "name": "n",
        "content_type": "t",
        "size": 1,
        "sha256": "s",
        "data": b"x",
        "created_at": then,
    }
    await shop.add(
        tables.file,
        file | {"id": "used"},
        file | {"id": "left"},
        file | {"id": "fresh", "created_at": START},
    )
    message = {
        "id": "m",
        "conversation_id": "c",
        "seq": 1,
        "direction": "in",
        "channel": "web",
        "account": "c",
        "message_id": "m",
        "attachments": [{"kind": "image", "id": "used"}],
        "state": "answered",
        "created_at": then,
    }
    await shop.add(tables.message, message)
    assert (await shop.retention.count())["uploads"] == 1
    assert (await shop.retention.run() or {})["uploads"] == 1
    left = await shop.journal.read(lambda c: set(c.execute(select(tables.file.c.id)).scalars()))
    assert left == {"used", "fresh"}


async def test_audit_rows_and_files_have_their_time(shop: Shop) -> None:
    audit = {"actor": "a", "action": "x", "target": "t"}
    await shop.add(
        tables.audit,
        audit | {"id": "old", "created_at": START - timedelta(days=400)},
        audit | {"id": "new", "created_at": START},
    )
    await shop.retention.change({"audit": 365}, "anna")
    assert (await shop.retention.run() or {})["audit"] == 1
    left = await shop.journal.read(lambda c: set(c.execute(select(tables.audit.c.id)).scalars()))
    assert "old" not in left
    assert "new" in left


async def test_it_runs_once_a_day_and_one_at_a_time(shop: Shop) -> None:
    assert await shop.retention.run(daily=True) is not None
    assert await shop.retention.run(daily=True) is None
    shop.moment[0] += retention.RUN_EVERY
    assert await shop.retention.run(daily=True) is not None
    # Another gateway is at it.
    now = shop.moment[0]
    await shop.journal.write(lambda c: retention.begin(c, now=now, due=None))
    assert await shop.retention.run() is None
    # It died: after its lease the next one takes over.
    shop.moment[0] += retention.LEASE
    assert await shop.retention.run() is not None


async def test_a_try_changes_nothing(shop: Shop) -> None:
    await shop.add(tables.conversation, shop.conversation("old", 30))
    assert await shop.retention.count({"conversations": 7}) == {
        "conversations": 1,
        "uploads": 0,
        "sessions": 0,
    }
    assert await shop.count(tables.conversation) == 1
    rules = await shop.journal.read(retention.rules)
    assert rules["conversations"].days == 0


@pytest.mark.parametrize(("kind", "days"), [("nothing", 1), ("audit", -1), ("audit", 99_999_999)])
async def test_rules_that_make_no_sense_are_refused(shop: Shop, kind: str, days: int) -> None:
    with pytest.raises(RequestError, match=kind):
        await shop.retention.change({kind: days}, "anna")


async def test_a_batch_that_cannot_be_deleted_ends_the_run(shop: Shop) -> None:
    await shop.add(tables.conversation, shop.conversation("old", 11))
    await shop.retention.change({"conversations": 10}, "anna")
    tries: list[Any] = []

    async def fail(work: Any) -> dict[str, Any]:
        tries.append(work.id)
        assert len(tries) < 3, "it goes on for ever"
        raise NotYet("the log cannot be written")

    shop.eraser._steps._do_rows = fail  # type: ignore[method-assign]
    removed = await shop.retention.run()
    assert removed is not None
    assert removed["conversations"] == 0
    assert len(tries) == 1
    assert await shop.count(tables.conversation) == 1


async def test_what_went_counts_also_while_the_dialogue_is_down(shop: Shop) -> None:
    await shop.add(tables.conversation, shop.conversation("old", 11))
    await shop.retention.change({"conversations": 10}, "anna")

    async def fail(work: Any) -> dict[str, Any]:
        raise NotYet("no answer")

    dialogue = shop.eraser._steps._do_dialogue
    shop.eraser._steps._do_dialogue = fail  # type: ignore[method-assign]
    assert (await shop.retention.run() or {})["conversations"] == 1
    shop.eraser._steps._do_dialogue = dialogue  # type: ignore[method-assign]
    shop.moment[0] += timedelta(minutes=1)
    assert await shop.eraser.look() == 1
    assert shop.forgotten == ["old"]


async def test_a_conversation_that_comes_back_to_life_stays(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.log.erased_rows.MESSAGES_AT_ONCE", 0)
    ids = ["old", "writes", "waits"]
    await shop.add(tables.conversation, *(shop.conversation(id_, 11) for id_ in ids))
    message = {"direction": "in", "channel": "web", "seq": 1, "created_at": START}
    await shop.add(
        tables.message,
        *(
            message
            | {
                "id": f"m-{id_}",
                "conversation_id": id_,
                "account": id_,
                "message_id": f"m-{id_}",
                "state": "answered",
            }
            for id_ in ids
        ),
    )
    await shop.retention.change({"conversations": 10}, "anna")
    rows = shop.eraser._steps._do_rows

    async def rows_after_they_wrote(work: Any) -> dict[str, Any]:
        for id_, values in (("writes", {"updated_at": START}), ("waits", {"status": "waiting"})):
            statement = (
                update(tables.conversation).where(tables.conversation.c.id == id_).values(values)
            )
            await shop.journal.write(lambda c, s=statement: bool(c.execute(s).rowcount))
        return await rows(work)

    shop.eraser._steps._do_rows = rows_after_they_wrote  # type: ignore[method-assign]
    assert (await shop.retention.run() or {})["conversations"] == 1
    left = await shop.journal.read(
        lambda c: set(c.execute(select(tables.message.c.conversation_id)).scalars())
    )
    assert left == {"writes", "waits"}
    assert shop.forgotten == ["old"]


async def test_words_leave_the_files_once_after_all_batches(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    done: list[str] = []
    for name in ("index", "files"):
        step = shop.eraser._steps.step(name)

        async def noted(work: Any, name: str = name, step: Any = step) -> dict[str, Any]:
            done.append(f"{name} {await shop.count(tables.conversation)}")
            result: dict[str, Any] = await step(work)
            return result

        setattr(shop.eraser._steps, f"_do_{name}", noted)
    await shop.retention.run()
    assert done == []
    await shop.add(tables.conversation, *(shop.conversation(str(n), 11) for n in range(5)))
    await shop.retention.change({"conversations": 10}, "anna")
    await shop.retention.run()
    assert done == ["index 0", "files 0"]
    assert await shop.count(tables.erasure_request) == 0


async def test_a_run_that_was_killed_is_cleaned_up_after(shop: Shop) -> None:
    await shop.add(tables.conversation, shop.conversation("old", 11))
    await shop.retention.change({"conversations": 10}, "anna")

    class Killed(BaseException):
        """The process ends here."""

    async def die(removed: Any) -> None:
        raise Killed

    shop.retention._clean_up = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await shop.retention.run()
    assert await shop.eraser.look() == 0
    shop.moment[0] += timedelta(hours=2)
    assert await shop.eraser.look() == 1
    assert await shop.count(tables.erasure_request) == 0
