"""An erased customer is in no table, no file and no index; on both databases."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from actions.qa.pairs import Pair
from actions.qa.revisions import Change, change_pair
from actions.tables import OrderOperation, ShopOrder
from actions.tables import metadata as actions_metadata
from bot.errors import StorageError, TurnUnavailable
from bot.log import (
    customers,
    erasures,
    exports,
    exposure,
    holdings,
    remains,
    store,
    tables,
    training_runs,
)
from bot.log.customers import Customer
from bot.log.database import open_engine, sqlite_path, upgrade
from bot.log.exports import Export
from bot.log.journal import Journal
from bot.log.records import Opening
from bot.log.tables import metadata as log_metadata
from bot.privacy.eraser import LAST_REST_S, Eraser, Wish
from bot.privacy.steps import Places, Steps
from bot.privacy.work import ORDER, NotYet
from bot.world import World, sortable_id

CANARY = "quetzalcoatlus"
START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
ACCOUNT = "+447700900123"
# Tables that hold no customer's words and name no customer. A new table is in nobody's way: it is
# reached by a foreign key to conversation, message or turn with ON DELETE CASCADE, or it is one of
# these, with a reason in its module.
NOT_OF_CUSTOMERS = {
    "agent",
    "alert",
    "alert_mute",
    "alert_notice",
    "audit",
    "canned_answer",
    "channel_cursor",
    "dataset_version",
    "drift_check",
    "erasure_request",
    "export_record",
    "inbox_view",
    "nonce",
    "promotion",
    "retention_rule",
    "retention_run",
    "review_cursor",
    "session",
    "training_run",
    "turn_kind",
    "unknown_cluster",
    "voice_change",
    "voice_day",
    "voice_state",
    "voice_topic",
    "voice_topic_month",
    "watch_hour",
}


@dataclass
class Elsewhere:
    """The dialogue process and the understanding service, which are up unless told otherwise."""

    erased: list[str] = field(default_factory=list)
    forgot: int = 0
    down: bool = False

    async def erase(self, conversation_ids: Any) -> dict[str, Any]:
        if self.down:
            raise TurnUnavailable("no answer (ClientConnectorError)")
        self.erased += conversation_ids
        return {"conversations": len(conversation_ids), "turns": 7}

    async def forget(self) -> int:
        self.forgot += 1
        return 3


@dataclass
class House:
    """A database with customers in it, and everything that erases them."""

    url: str
    folder: Path
    journal: Journal
    elsewhere: Elsewhere
    eraser: Eraser
    moment: list[datetime]

    def pass_time(self, seconds: float) -> None:
        self.moment[0] += timedelta(seconds=seconds)

    async def erase(self, customer: Customer, reason: str | None = None) -> dict[str, Any]:
        id_ = await self.eraser.request(Wish(customer=customer, actor="anna", reason=reason))
        report = await self.eraser.run(id_)
        row = await self.journal.read(lambda c: erasures.read(c, id_=id_))
        assert report is not None, row and row["steps"]
        return report

    def rows(self, connection: Connection) -> Iterator[tuple[str, dict[str, Any]]]:
        """All rows of all tables, also of those that no module of ours describes."""
        inspector = inspect(connection)
        for name in inspector.get_table_names():
            for row in connection.execute(text(f'SELECT * FROM "{name}"')).mappings():
                yield name, dict(row)

    def tables_with(self, words: str) -> set[str]:
        engine = open_engine(self.url)
        with engine.connect() as connection:
            found = {
                name
                for name, row in self.rows(connection)
                if words in repr(row) or words.encode().hex() in repr(row)
            }
        engine.dispose()
        return found

    def bytes(self) -> bytes:
        """All files there are: of the database, its log, exports, logs."""
        return b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    upgrade(database_url)
    moment = [START]
    world = replace(World(), now=lambda: moment[0])
    journal = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=world,
    )
    journal.start()
    elsewhere = Elsewhere()
    eraser = Eraser(
        journal,
        Steps(
            journal,
            elsewhere,  # type: ignore[arg-type]
            elsewhere,  # type: ignore[arg-type]
            Places(database_url=database_url, state_dir=tmp_path),
            world,
        ),
        lambda text: f"hash of {len(text)}",
        world,
        platforms=lambda: ["whatsapp"],
    )
    yield House(
        url=database_url,
        folder=tmp_path,
        journal=journal,
        elsewhere=elsewhere,
        eraser=eraser,
        moment=moment,
    )
    await journal.close()


def full_of(words: str, name: str) -> Callable[[Connection], str]:
    """A unit that makes a conversation with a row in every table that belongs to one."""

    def fill(connection: Connection) -> str:
        agent = {"id": f"agent-{name}", "name": name, "role": "agent", "created_at": START}
        connection.execute(insert(tables.agent), agent)
        cluster = {"id": f"cluster-{len(name)}", "state": "open", "size": 1, "cohesion": 1.0}
        connection.execute(insert(tables.unknown_cluster), cluster | {"created_at": START})
        keys: dict[str, Any] = {"agent": agent["id"], "unknown_cluster": cluster["id"]}
        for table in holdings.table_paths():
            row = {
                column.name: _value(table, column, words, name, keys) for column in table.columns
            }
            connection.execute(insert(table), row)
            (first, *_) = table.primary_key.columns
            keys[table.name] = row[first.name]
        return str(keys["conversation"])

    return fill


def _value(table: Table, column: Column[Any], words: str, name: str, keys: dict[str, Any]) -> Any:
    for key in column.foreign_keys:
        if key.column.table.name in keys:
            return keys[key.column.table.name]
        assert column.nullable, f"{table.name}.{column.name}: no row to point at"
        return None
    if allowed := _allowed(table, column):
        return allowed
    if column.name == "model_version":
        # No word of a customer's: reports name it.
        return f"version-of-{name}s"
    if column.name == "id" and column.primary_key:
        big = isinstance(column.type, Integer) or "BigInteger" in repr(column.type)
        return abs(hash((table.name, name))) % 10**9 if big else f"{table.name}-{name}"
    if column.name == "customer_id":
        return f"customer {name}"
    if column.name == "account":
        return f"{ACCOUNT}{name}"
    if column.name == "channel":
        return "web"
    if column.name == "revokes":
        return None
    kind = column.type
    return _of_kind(kind, words)


def _of_kind(kind: Any, words: str) -> Any:
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, Integer):
        return 1
    if isinstance(kind, Float):
        return 0.5
    if isinstance(kind, JSON):
        return {"text": words, "list": [words]}
    if isinstance(kind, LargeBinary):
        return words.encode()
    if isinstance(kind, Date):
        return START.date()
    if isinstance(kind, DateTime) or "DateTime" in repr(kind):
        return START
    assert isinstance(kind, Text | TSVECTOR), kind
    return words


def _allowed(table: Table, column: Column[Any]) -> str | None:
    """The first value that a check lets a column have."""
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint):
            found = re.match(rf"{column.name} IN \('(\w+)'", str(constraint.sqltext))
            if found:
                return found[1]
    return None


def test_every_table_goes_with_the_conversation_or_holds_no_customers_words() -> None:
    reached = {table.name for table in holdings.table_paths()}
    assert {table.name for table in log_metadata.sorted_tables} == reached | NOT_OF_CUSTOMERS
    assert not reached & NOT_OF_CUSTOMERS
    for table, ways in holdings.table_paths().items():
        for column, parent in ways:
            (key,) = [key for key in column.foreign_keys if key.column.table is parent]
            assert key.ondelete == "CASCADE", f"{table.name}.{column.name} stays behind"


def test_what_names_a_conversation_goes_with_it() -> None:
    """Names that look like a way to a customer, in tables that no key leads to."""
    odd = {
        f"{table.name}.{column.name}"
        for metadata in (log_metadata, actions_metadata)
        for table in metadata.sorted_tables
        for column in table.columns
        if re.search(r"conversation|turn_id|message_id|customer|account", column.name)
        and not column.foreign_keys
        and table not in holdings.table_paths()
    }
    assert odd == {
        # Of the company's own account.
        "channel_cursor.account",
        # Lists of ids of ours; an erasure cleans what the export wrote.
        "export_record.conversations",
        # The answers' step takes these out, see actions/qa/origins.py.
        "qa_revision.conversation_id",
        "qa_variant.conversation_id",
        # The shop's books.
        "shop_order.customer_name",
    }


async def test_nothing_is_left_in_any_table_and_others_stay(house: House) -> None:
    gone = await house.journal.write(full_of(CANARY, "gone"))
    await house.journal.write(full_of("somebody else", "stays"))
    assert house.tables_with(CANARY) >= {table.name for table in holdings.table_paths()} - {
        "inbox_read",
        "model_exposure",
        "review_lease",
        "unknown_member",
    }
    counts = await house.journal.read(lambda c: holdings.count(c, ids=[gone]))
    assert set(counts) == {table.name for table in holdings.table_paths()}
    report = await house.erase(await customer_of(house, gone))
    assert house.tables_with(CANARY) == set()
    assert house.tables_with("gone") <= {"audit", "agent", "voice_change", "erasure_request"}
    assert house.tables_with("somebody else") >= {"message", "turn", "file", "note"}
    assert {name: n for name, n in report["removed"].items() if name in counts} == counts
    if sqlite_path(house.url):
        # Not in the file, its write-ahead log, or the words of the text index.
        assert CANARY.encode() not in house.bytes()
        assert ACCOUNT.encode() + b"gone" not in house.bytes()
        assert b"customer gone" not in house.bytes()
        assert b"somebody else" in house.bytes()


async def customer_of(house: House, conversation_id: str) -> Customer:
    found = await house.journal.read(
        lambda c: customers.of_conversation(c, conversation_id=conversation_id, scope="customer")
    )
    assert found is not None
    return found


async def test_a_customer_goes_on_all_channels_with_the_same_proven_id(house: House) -> None:
    ids = {}
    for channel, account, customer_id in (
        ("web", None, "c-1"),
        ("whatsapp", ACCOUNT, "c-1"),
        ("web", None, "c-2"),
        ("web", None, None),
    ):
        id_ = sortable_id()
        opening = Opening(id=id_, channel=channel, account=account or id_, customer_id=customer_id)
        await house.journal.write(
            lambda c, o=opening: store.open_conversation(c, conversation=o, now=START)
        )
        ids[(channel, customer_id)] = id_
    found = await house.journal.read(
        lambda c: customers.of_account(c, channel="whatsapp", account=ACCOUNT)
    )
    assert found is not None
    assert set(found.conversations) == {ids["web", "c-1"], ids["whatsapp", "c-1"]}
    report = await house.erase(found)
    assert report["conversations"] == 2
    assert report["channels"] == {"web": 1, "whatsapp": 1}
    assert {"code": "platform", "what": "whatsapp"} in report["not_reached"]
    left = await house.journal.read(
        lambda c: list(c.execute(select(tables.conversation.c.id)).scalars())
    )
    assert set(left) == {ids["web", "c-2"], ids["web", None]}
    assert house.tables_with(ACCOUNT) == set()
    assert house.elsewhere.erased == list(found.conversations)


async def test_the_request_keeps_nothing_of_the_customer(house: House) -> None:
    id_ = await house.journal.write(full_of(CANARY, "gone"))
    customer = await customer_of(house, id_)
    report = await house.erase(customer, reason="asked by letter")
    row = await house.journal.read(lambda c: erasures.read(c, id_=report["request"]))
    assert row is not None
    assert row["state"] == "done"
    assert row["work"] is None
    kept = json.dumps([row["steps"], row["report"]], default=str)
    assert CANARY not in kept
    assert ACCOUNT not in kept
    assert customer.name not in kept
    assert row["report"]["reason"] == "asked by letter"
    again = await house.journal.read(
        lambda c: erasures.of_target(c, target_hash=house.eraser.hash_of(customer))
    )
    assert [one["id"] for one in again] == [report["request"]]


async def test_it_waits_for_a_dialogue_that_is_down_and_ends_when_it_is_up(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    house.elsewhere.down = True
    id_ = await house.eraser.request(
        Wish(customer=await customer_of(house, conversation), actor="anna")
    )
    assert await house.eraser.run(id_) is None
    row = await house.journal.read(lambda c: erasures.read(c, id_=id_))
    assert row is not None
    # All that can go has gone.
    assert house.tables_with(CANARY) == set()
    assert "no answer" in row["steps"]["dialogue"]["error"]
    assert row["steps"]["files"]["tries"] == 0
    assert await house.eraser.look() == 0
    house.pass_time(LAST_REST_S)
    house.elsewhere.down = False
    assert await house.eraser.look() == 1
    row = await house.journal.read(lambda c: erasures.read(c, id_=id_))
    assert row is not None
    assert row["state"] == "done"
    assert row["report"]["steps"]["dialogue"]["tries"] == 2
    assert house.elsewhere.erased == [conversation]


@pytest.mark.parametrize("name", ORDER)
async def test_a_crash_after_any_step_is_made_good(house: House, name: str) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    id_ = await house.eraser.request(
        Wish(customer=await customer_of(house, conversation), actor="anna")
    )
    done = house.eraser._steps.step(name)

    class Killed(BaseException):
        """The process ends here."""

    async def die(work: Any) -> dict[str, Any]:
        await done(work)
        raise Killed

    setattr(house.eraser._steps, f"_do_{name}", die)
    with pytest.raises(Killed):
        await house.eraser.run(id_)
    setattr(house.eraser._steps, f"_do_{name}", done)
    # The next process finds it once the claim of the one that died has run out.
    house.pass_time(erasures.LEASE.total_seconds() + 1)
    assert await house.eraser.look() == 1
    row = await house.journal.read(lambda c: erasures.read(c, id_=id_))
    assert row is not None
    assert row["state"] == "done"
    assert row["report"]["removed"]["message"] == 1
    assert house.tables_with(CANARY) == set()


async def test_of_two_processes_one_takes_it_up(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    id_ = await house.eraser.request(
        Wish(customer=await customer_of(house, conversation), actor="anna")
    )
    await house.journal.write(lambda c: erasures.claim(c, id_=id_, now=house.moment[0]))
    assert await house.eraser.run(id_) is None
    assert house.tables_with(CANARY)


async def test_the_same_wish_twice_is_one_request(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    wish = Wish(customer=await customer_of(house, conversation), actor="anna")
    assert await house.eraser.request(wish) == await house.eraser.request(wish)


async def test_a_long_conversation_goes_in_pieces(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.log.erased_rows.MESSAGES_AT_ONCE", 3)
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    (row,) = await house.journal.read(
        lambda c: [dict(one) for one in c.execute(select(tables.message)).mappings()]
    )
    more = [row | {"id": f"m{seq}", "seq": seq, "message_id": f"m{seq}"} for seq in range(2, 13)]
    await house.journal.write(lambda c: bool(c.execute(insert(tables.message), more)))
    report = await house.erase(await customer_of(house, conversation))
    assert report["removed"]["message"] == 12
    assert house.tables_with(CANARY) == set()


async def test_answers_keep_what_staff_wrote_and_lose_the_customers_wording(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))

    def write(connection: Connection) -> bool:
        pair = Pair(
            id="p",
            intent="ask_size",
            category="c",
            question="How big is it?",
            variants=(),
            answer="As big as a house, says staff.",
        )
        change_pair(connection, pair, Change(actor="anna"), START)
        worded = replace(pair, variants=(f"is it a {CANARY} size",))
        change_pair(connection, worded, Change(actor="anna", conversation_id=conversation), START)
        return True

    await house.journal.write(write)
    assert {"qa_variant", "qa_revision"} <= house.tables_with(CANARY)
    report = await house.erase(await customer_of(house, conversation))
    assert house.tables_with(CANARY) == set()
    assert house.tables_with("says staff") >= {"qa_pair", "qa_revision"}
    assert report["answers"]["wordings"] == 1
    assert report["answers"]["pairs_changed"] == ["p"]


async def test_orders_stay_and_forget_who_asked(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))

    def write(connection: Connection) -> bool:
        order = {
            "order_number": "HP-1",
            "email": "x@y.example",
            "customer_name": "n",
            "status": "packed",
            "placed_at": START,
            "carrier": "c",
            "method": "m",
            "address": "a",
            "country": "c",
            "items": [],
        }
        connection.execute(insert(ShopOrder), order)
        for key in (f"HP-1 {conversation}:m1", "HP-1 another:m2"):
            operation = {"order_number": "HP-1", "operation": "cancel", "key": key}
            connection.execute(
                insert(OrderOperation),
                operation | {"result": {"done": True, "text": "t"}, "created_at": START},
            )
        return True

    await house.journal.write(write)
    report = await house.erase(await customer_of(house, conversation))
    assert report["removed"]["order_operation"] == 1
    keys = await house.journal.read(lambda c: list(c.execute(select(OrderOperation.key)).scalars()))
    assert keys == ["HP-1 another:m2"]
    assert house.tables_with("HP-1") >= {"shop_order"}


async def test_the_report_names_who_has_seen_it(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    other = await house.journal.write(full_of("somebody else", "stays"))
    turns = await house.journal.read(
        lambda c: {row.conversation_id: row.id for row in c.execute(select(tables.turn))}
    )
    for version, seen in (("v-a", [conversation, other]), ("v-b", [other])):
        ids = [turns[id_] for id_ in seen]
        await house.journal.write(
            lambda c, v=version, t=ids: exposure.record(c, model_version=v, turn_ids=t)
        )
    report = await house.erase(await customer_of(house, conversation))
    assert report["models"]["trained_on"] == ["v-a", "version-of-gones"]
    # The version that understood the turn, as the row says it.
    assert report["models"]["understood_by"] == ["version-of-gones"]
    assert {"code": "model", "what": "v-a"} in report["not_reached"]
    retire = await house.journal.read(erasures.versions_to_retire)
    assert retire["v-a"] == [report["request"]]
    assert "v-b" not in retire


@pytest.mark.parametrize(("version", "trained_on"), [(None, []), ("v-late", ["v-late"])])
async def test_a_training_with_the_customers_turns_is_cancelled_first(
    house: House, version: str | None, trained_on: list[str]
) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    await house.journal.write(lambda c: bool(c.execute(delete(tables.model_exposure)).rowcount))
    run = {"id": "run", "actor": "ben", "options": {"corrections": True}, "host": "h", "owner": "o"}
    run_row = run | {"created_at": START, "seen_at": START}
    await house.journal.write(lambda c: training_runs.begin(c, row=run_row))
    folder = house.folder / "training" / "run"
    folder.mkdir(parents=True)
    (folder / "turns.json").write_text(json.dumps(["turn-gone", "turn-other"]))
    id_ = await house.eraser.request(
        Wish(customer=await customer_of(house, conversation), actor="anna")
    )
    assert await house.eraser.run(id_) is None
    open_run = await house.journal.read(training_runs.open_run)
    assert open_run is not None
    assert open_run["cancel_by"] == "anna"
    # Its gateway stops it; or it was through just before, and the version has seen the turns.
    state = "cancelled" if version is None else "succeeded"
    await house.journal.write(
        lambda c: training_runs.finish(
            c, run_id="run", state=state, values={"version": version}, now=START
        )
    )
    house.pass_time(LAST_REST_S)
    assert await house.eraser.look() == 1
    row = await house.journal.read(lambda c: erasures.read(c, id_=id_))
    assert row is not None
    assert row["report"]["models"]["trained_on"] == trained_on


async def test_a_training_without_the_customers_turns_goes_on(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    run = {"id": "run", "actor": "ben", "options": {"corrections": True}, "host": "h", "owner": "o"}
    run_row = run | {"created_at": START, "seen_at": START}
    await house.journal.write(lambda c: training_runs.begin(c, row=run_row))
    folder = house.folder / "training" / "run"
    folder.mkdir(parents=True)
    (folder / "turns.json").write_text(json.dumps(["turn-other"]))
    await house.erase(await customer_of(house, conversation))
    open_run = await house.journal.read(training_runs.open_run)
    assert open_run is not None
    assert open_run["cancel_by"] is None


async def test_files_that_were_exported_are_cleaned_and_downloads_named(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    lines = house.folder / "turns.jsonl"
    lines.write_text(
        json.dumps({"conversation_id": conversation, "text": CANARY})
        + "\n"
        + json.dumps({"conversation_id": "other", "text": "hello"})
        + "\n"
    )
    for id_, path, since in (
        ("file", str(lines), None),
        ("gone", str(house.folder / "moved.jsonl"), None),
        ("download", None, None),
        ("later", None, START + timedelta(days=1)),
    ):
        export = Export(
            id=id_,
            kind="turns",
            format="jsonl",
            actor="anna",
            path=path,
            since=since,
            count=2,
            made_at=START + timedelta(days=2),
        )
        await house.journal.write(lambda c, e=export: exports.record(c, e))
    report = await house.erase(await customer_of(house, conversation))
    states = {one["id"]: one["state"] for one in report["exports"]}
    assert states == {"file": "cleaned", "gone": "gone", "download": "download"}
    assert lines.read_text() == json.dumps({"conversation_id": "other", "text": "hello"}) + "\n"
    codes = [one["code"] for one in report["not_reached"]]
    assert {"download", "moved", "backups"} <= set(codes)


async def test_notes_of_agents_leave_the_audit_log_and_who_looked_stays(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    await house.journal.audit("ben", "hand_back", conversation, {"note": f"about {CANARY}"})
    await house.journal.audit("ben", "search", f"{ACCOUNT}gone")
    report = await house.erase(await customer_of(house, conversation))
    rows = await house.journal.read(
        lambda c: [dict(row) for row in c.execute(select(tables.audit)).mappings()]
    )
    by_action = {row["action"]: row for row in rows}
    assert by_action["hand_back"]["detail"] is None
    assert by_action["hand_back"]["target"] == conversation
    assert by_action["search"]["target"] == "erased"
    assert by_action["erase"]["detail"] == {"request": report["request"]}
    assert by_action["erasure_request"]["actor"] == "anna"


@pytest.mark.parametrize("name", ORDER[: ORDER.index("rows")])
async def test_rows_wait_for_a_step_that_needs_them(house: House, name: str) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    id_ = await house.eraser.request(
        Wish(customer=await customer_of(house, conversation), actor="anna")
    )
    step = house.eraser._steps.step(name)

    async def fail(work: Any) -> dict[str, Any]:
        raise NotYet("the disk is away")

    setattr(house.eraser._steps, f"_do_{name}", fail)
    assert await house.eraser.run(id_) is None
    row = await house.journal.read(lambda c: erasures.read(c, id_=id_))
    assert row is not None
    assert {one for one, it in row["steps"].items() if it["tries"]} == set(
        ORDER[: ORDER.index("rows")]
    )
    assert "message" in house.tables_with(CANARY)
    setattr(house.eraser._steps, f"_do_{name}", step)
    house.pass_time(LAST_REST_S)
    assert await house.eraser.look() == 1
    row = await house.journal.read(lambda c: erasures.read(c, id_=id_))
    assert row is not None
    assert row["report"]["removed"]["message"] == 1
    assert row["report"]["models"]["trained_on"] == ["version-of-gones"]
    assert house.tables_with(CANARY) == set()


async def test_what_cleans_up_after_the_rows_waits_for_them(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    id_ = await house.eraser.request(
        Wish(customer=await customer_of(house, conversation), actor="anna")
    )

    async def fail(work: Any) -> dict[str, Any]:
        raise NotYet("rows came in between")

    house.eraser._steps._do_rows = fail  # type: ignore[method-assign]
    assert await house.eraser.run(id_) is None
    row = await house.journal.read(lambda c: erasures.read(c, id_=id_))
    assert row is not None
    assert all(row["steps"][name]["tries"] == 0 for name in ORDER[ORDER.index("rows") + 1 :])
    assert house.elsewhere.erased == []


async def test_a_wording_that_came_between_the_steps_goes_too(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    answers = house.eraser._steps._do_answers
    pair = Pair(id="p", intent="", category="c", question="q", variants=(), answer="a")
    worded = replace(pair, variants=(f"is it a {CANARY}",))

    def write(connection: Connection) -> bool:
        change_pair(connection, pair, Change(actor="anna"), START)
        change_pair(connection, worded, Change(actor="anna", conversation_id=conversation), START)
        return True

    async def answers_and_then_a_save(work: Any) -> dict[str, Any]:
        result = await answers(work)
        house.eraser._steps._do_answers = answers  # type: ignore[method-assign]
        await house.journal.write(write)
        return result

    house.eraser._steps._do_answers = answers_and_then_a_save  # type: ignore[method-assign]
    await house.erase(await customer_of(house, conversation))
    assert house.tables_with(CANARY) == set()


@pytest.mark.parametrize(("used", "trained_on"), [("turn-gone", ["v"]), ("turn-other", [])])
async def test_a_training_that_ends_before_its_step_is_in_the_report(
    house: House, used: str, trained_on: list[str]
) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    await house.journal.write(lambda c: bool(c.execute(delete(tables.model_exposure)).rowcount))
    run = {"id": "run", "actor": "ben", "options": {"corrections": True}, "host": "h", "owner": "o"}
    run_row = run | {"created_at": START, "seen_at": START, "started_at": START}
    await house.journal.write(lambda c: training_runs.begin(c, row=run_row))
    folder = house.folder / "training" / "run"
    folder.mkdir(parents=True)
    turns = folder / "turns.json"
    turns.write_text(json.dumps([used]))
    models = house.eraser._steps._do_models

    async def models_and_then_it_ends(work: Any) -> dict[str, Any]:
        result = await models(work)
        turns.unlink()
        await house.journal.write(
            lambda c: training_runs.finish(
                c, run_id="run", state="succeeded", values={"version": "v"}, now=START
            )
        )
        return result

    house.eraser._steps._do_models = models_and_then_it_ends  # type: ignore[method-assign]
    report = await house.erase(await customer_of(house, conversation))
    assert report["models"]["trained_on"] == trained_on


async def test_exports_that_train_models_are_told(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    for kind, format_ in (("turns", "jsonl"), ("turns", "rasa"), ("corrections", "jsonl")):
        export = Export(
            id=f"{kind} {format_}",
            kind=kind,
            format=format_,
            actor="anna",
            count=1,
            made_at=START,
        )
        await house.journal.write(lambda c, e=export: exports.record(c, e))
    report = await house.erase(await customer_of(house, conversation))
    told = [one["what"] for one in report["not_reached"] if one["code"] == "trained_by_hand"]
    assert sorted(told) == ["corrections jsonl", "turns rasa"]


async def test_a_claim_is_kept_while_a_step_takes_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.privacy.eraser.HOLD_S", 0.001)
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    id_ = await house.eraser.request(
        Wish(customer=await customer_of(house, conversation), actor="anna")
    )
    orders = house.eraser._steps._do_orders

    async def take_long(work: Any) -> dict[str, Any]:
        house.pass_time(erasures.LEASE.total_seconds() + 1)
        async with asyncio.timeout(10):
            while await house.journal.read(lambda c: erasures.due(c, now=house.moment[0])):
                await asyncio.sleep(0.001)
        return await orders(work)

    house.eraser._steps._do_orders = take_long  # type: ignore[method-assign]
    assert await house.eraser.run(id_) is not None


async def test_texts_and_answers_in_memory_are_forgotten_last(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    told: list[str] = []
    house.eraser.on_answers = lambda: told.append("answers")
    await house.erase(await customer_of(house, conversation))
    assert told == ["answers"]
    assert house.elsewhere.forgot == 2


async def test_details_of_messages_leave_the_audit_log(house: House) -> None:
    conversation = await house.journal.write(full_of(CANARY, "gone"))
    for target in ("message-gone", "turn-gone", "message-other"):
        await house.journal.audit("ben", "outbox.retry", target, {"error": "about somebody"})
    await house.erase(await customer_of(house, conversation))
    rows = await house.journal.read(
        lambda c: {row.target: row.detail for row in c.execute(select(tables.audit))}
    )
    assert (rows["message-gone"], rows["turn-gone"]) == (None, None)
    assert rows["message-other"] == {"error": "about somebody"}


def test_a_vacuum_waits_for_who_still_reads_what_was_deleted(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remains, "PATIENCE_S", 0.0)
    upgrade(postgres_url)
    engine = open_engine(postgres_url)
    reading = engine.connect().execution_options(isolation_level="REPEATABLE READ")
    reading.execute(text("SELECT count(*) FROM message"))
    with engine.begin() as writing:
        # A number is given out only to who writes.
        writing.execute(delete(tables.nonce))
        writing.execute(text("SELECT pg_current_xact_id()"))
    with pytest.raises(StorageError, match="long transaction"):
        remains.scrub(postgres_url, ["message"])
    reading.close()
    assert remains.scrub(postgres_url, ["message"]) == []
    engine.dispose()


def test_the_leftover_of_a_rebuilding_that_was_cut_off_goes(postgres_url: str) -> None:
    upgrade(postgres_url)
    engine = open_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE INDEX search_words_ccnew ON message (text)"))
    assert remains.clean_index(postgres_url) == []
    with engine.connect() as connection:
        names = {index["name"] for index in inspect(connection).get_indexes("message")}
    assert "search_words_ccnew" not in names
    engine.dispose()
