"""The inbox's lists, filters and search on both databases, against the plain reading of them."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, func, insert, select, text

from bot.log import database, feedback, inbox, store, tables
from bot.log.inbox_filters import Filters
from bot.log.inbox_pages import Wanted, listed
from bot.log.inbox_rebuild import rebuild
from bot.log.inbox_rows import rows_of
from bot.log.inbox_search import search
from bot.log.inbox_views import View, drop_view, keep_view, views_of
from bot.log.records import Accepted, Finish, Inbound, Opening, Reply, Speech, TurnRecord
from bot.log.search_terms import matches, terms_of, words_of
from bot.log.turn_kinds import is_fallback

BEGIN = datetime(2026, 11, 1, 8, tzinfo=UTC)
INTENTS = ("track_order", "praise", "nlu_fallback", None)
EMOTIONS = ("angry", "happy", "neutral", None)
VERSIONS = ("20261101-1", "20261102-1")
TEXTS = ("where is my order", "我要退款 谢谢", "the Teapot is broken", "refunds, please")
CHANNELS = ("api", "wechat")
LOCALES = ("en", "en-GB", "zh-CN", None)
ANNA = "anna"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    database.upgrade(database_url)
    engine = database.open_engine(database_url, writer=True)
    with engine.begin() as connection:
        connection.execute(
            insert(tables.agent).values(id=ANNA, name="Anna", role="agent", created_at=BEGIN)
        )
    yield engine
    engine.dispose()


class Log:
    """Writes conversations as the gateway does, and keeps in mind what it wrote."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.ids = (f"id-{number:06d}" for number in count())
        self.now = BEGIN
        self.turns: dict[str, list[TurnRecord]] = {}
        self.said: dict[str, list[str]] = {}

    def open(self, channel: str = "api", locale: str | None = None) -> str:
        id_ = next(self.ids)
        self.turns[id_], self.said[id_] = [], []
        return store.open_conversation(
            self.connection,
            conversation=Opening(id=id_, channel=channel, account=id_, locale=locale),
            now=self.tick(),
        )

    def hear(self, id_: str, text_: str) -> Accepted:
        row = store.accept(
            self.connection,
            inbound=Inbound(
                conversation_id=id_,
                channel="api",
                account=id_,
                message_id=next(self.ids),
                text=text_,
            ),
            id_=next(self.ids),
            text_hash=text_,
            now=self.tick(),
        )
        assert row is not None
        return row

    def turn(self, id_: str, text_: str = "hello", reply: str | None = "yes", **more: Any) -> None:
        replies = [] if reply is None else [Reply(id=next(self.ids), text=reply)]
        record = TurnRecord(
            id=next(self.ids),
            text=text_,
            replies=[{"text": one.text} for one in replies],
            **more,
        )
        accepted = self.hear(id_, text_)
        store.finish(
            self.connection,
            work=Finish(accepted=accepted, state="answered", turn=record, replies=replies),
            sending=frozenset(),
            now=self.tick(),
        )
        self.turns[id_].append(record)
        self.said[id_].append(f"{text_} {reply or ''}")

    def say(self, id_: str, author: Any, text_: str = "one moment") -> None:
        reply = Reply(id=next(self.ids), text=text_, author=author)
        store.say(
            self.connection,
            speech=Speech(conversation_id=id_, replies=[reply]),
            sending=frozenset(),
            now=self.tick(),
        )
        if author == "agent":
            self.said[id_].append(text_)

    def rate(self, id_: str, score: int) -> None:
        feedback.keep_rating(
            self.connection,
            rating=feedback.Rating(conversation_id=id_, score=score),
            now=self.tick(),
        )

    def set(self, id_: str, **values: Any) -> None:
        self.connection.execute(
            tables.conversation.update().where(tables.conversation.c.id == id_).values(**values)
        )

    def tick(self) -> datetime:
        self.now += timedelta(minutes=7)
        return self.now

    def row(self, id_: str) -> dict[str, Any]:
        found = self.connection.execute(
            select(tables.conversation).where(tables.conversation.c.id == id_)
        )
        return dict(found.mappings().one())


def ids_of(connection: Connection, filters: Filters = Filters(), **more: Any) -> list[str]:  # noqa: B008
    return [place.id for place in listed(connection, Wanted(filters=filters, **more)).places]


def sought(connection: Connection, query: str, **more: Any) -> list[str]:
    found = search(connection, terms_of(query), Wanted(**more))
    return [place.id for place in found.places]


turns = st.builds(
    dict,
    text_=st.sampled_from(TEXTS),
    reply=st.sampled_from(("yes", None)),
    intent=st.sampled_from(INTENTS),
    emotion=st.sampled_from(EMOTIONS),
    confidence=st.sampled_from((None, 0.1, 0.35, 0.3499, 0.9, 1.0)),
    model_version=st.sampled_from(VERSIONS),
    actions=st.sampled_from(([], ["action_default_fallback"])),
)
conversations = st.builds(
    dict,
    channel=st.sampled_from(CHANNELS),
    locale=st.sampled_from(LOCALES),
    turns=st.lists(turns, max_size=4),
    rating=st.sampled_from((None, 1, 3, 5)),
    status=st.sampled_from(("bot", "bot", "waiting", "agent", "closed")),
    reason=st.sampled_from((None, "asked", "emotion", "no_answer")),
    taken=st.booleans(),
)
# Each value of each filter; a few of them together, for with all of them at once nothing is left.
VALUES: dict[str, tuple[Any, ...]] = {
    "intent": ("track_order", "praise", "unheard_of"),
    "emotion": ("angry", "happy"),
    "confidence_below": (0.35, 0.5),
    "fallback": (True, False),
    "model_version": VERSIONS,
    "handoff": ("any", "none", "emotion", "low_confidence"),
    "rating_most": (1, 3),
    "channel": CHANNELS,
    "language": ("en", "zh"),
    "since": (BEGIN + timedelta(hours=2),),
    "until": (BEGIN + timedelta(hours=3),),
    "unanswered": (True, False),
    "status": ("bot", "waiting", "agent", "closed"),
    "agent": (ANNA, "nobody"),
}
SINGLE = [Filters(**{name: value}) for name, values in VALUES.items() for value in values]
OF_A_TURN = ("intent", "emotion", "confidence_below", "fallback", "model_version")


def some_of(names: Sequence[str]) -> st.SearchStrategy[Filters]:
    """Two to four of these filters together."""
    pairs = [(name, value) for name in names for value in VALUES[name]]
    chosen = st.lists(
        st.sampled_from(pairs), min_size=2, max_size=4, unique_by=lambda pair: pair[0]
    )
    return chosen.map(lambda found: Filters(**dict(found)))


filters_ = st.one_of(some_of(list(VALUES)), some_of(OF_A_TURN))


def met(log: Log, id_: str, filters: Filters) -> bool:
    """The filters as one reads them, over what was written."""
    row, records = log.row(id_), log.turns[id_]

    def turn_met(record: TurnRecord) -> bool:
        below = filters.confidence_below
        return (
            filters.intent in (None, record.intent)
            and filters.emotion in (None, record.emotion)
            and filters.model_version in (None, record.model_version)
            and (below is None or (record.confidence is not None and record.confidence < below))
            and (not filters.fallback or is_fallback(record.intent, record.actions))
        )

    of_turn = any(
        value is not None
        for value in (
            filters.intent,
            filters.emotion,
            filters.model_version,
            filters.confidence_below,
            filters.fallback or None,
        )
    )
    reason = {"no_answer": "low_confidence"}.get(row["handoff_reason"], row["handoff_reason"])
    said = log.connection.execute(
        select(tables.message.c.author)
        .where(
            tables.message.c.conversation_id == id_,
            tables.message.c.author.in_(("customer", "bot", "agent")),
        )
        .order_by(tables.message.c.seq.desc())
    ).scalars()
    unanswered = next(iter(said), None) == "customer" and row["status"] != "closed"
    rating = row["rating"]
    owners = {row["agent_id"], row["assignee_id"]} - {None}
    return (
        (not of_turn or any(map(turn_met, records)))
        and (
            filters.fallback is not False
            or not any(is_fallback(one.intent, one.actions) for one in records)
        )
        and (
            filters.handoff is None
            or (filters.handoff == "any" and reason is not None)
            or (filters.handoff == "none" and reason is None)
            or filters.handoff == reason
        )
        and (filters.rating_most is None or (rating is not None and rating <= filters.rating_most))
        and filters.channel in (None, row["channel"])
        and filters.language in (None, (row["locale"] or "").split("-")[0])
        and (filters.since is None or row["updated_at"] >= filters.since)
        and (filters.until is None or row["updated_at"] < filters.until)
        and filters.unanswered in (None, unanswered)
        and filters.status in (None, row["status"])
        and (
            filters.agent is None
            or (filters.agent == "nobody" and not owners)
            or filters.agent in owners
        )
    )


def expected(log: Log, ids: Sequence[str], filters: Filters) -> list[str]:
    """Who waits in the order of the queue, then the others, newest first."""
    left = [log.row(id_) for id_ in ids if met(log, id_, filters)]
    waiting = [row for row in left if row["status"] == "waiting"]
    waiting.sort(
        key=lambda row: (
            0 if row["taken_at"] is not None else 1 if row["handoff_reason"] == "emotion" else 2,
            row["waiting_since"],
            row["id"],
        )
    )
    others = [row for row in left if row["status"] != "waiting"]
    others.sort(key=lambda row: (row["updated_at"], row["id"]), reverse=True)
    return [row["id"] for row in waiting + others]


def write(log: Log, plans: Sequence[dict[str, Any]]) -> list[str]:
    ids = []
    for plan in plans:
        id_ = log.open(plan["channel"], plan["locale"])
        for turn in plan["turns"]:
            log.turn(id_, **turn)
        if plan["rating"] is not None:
            log.rate(id_, plan["rating"])
        values: dict[str, Any] = {"status": plan["status"], "handoff_reason": plan["reason"]}
        if plan["status"] == "waiting":
            values["waiting_since"] = log.tick()
            values["assignee_id"] = ANNA if plan["taken"] else None
        if plan["status"] == "agent":
            values["agent_id"] = ANNA
        if plan["status"] in ("waiting", "agent") and plan["taken"]:
            values["taken_at"] = log.tick()
        log.set(id_, **values)
        ids.append(id_)
    return ids


ONCE = settings(
    max_examples=20,
    # A run that fails is told at once: to make it smaller costs minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@ONCE
@given(
    plans=st.lists(conversations, min_size=1, max_size=6), wanted=st.lists(filters_, max_size=12)
)
def test_filters_find_what_a_plain_reading_finds(
    engine: Engine, plans: list[dict[str, Any]], wanted: list[Filters]
) -> None:
    with engine.connect() as connection, connection.begin() as all_of_it:
        log = Log(connection)
        ids = write(log, plans)
        for filters in (Filters(), *SINGLE, *wanted):
            assert ids_of(connection, filters) == expected(log, ids, filters), filters
        for filters in (Filters(), *wanted):
            for query in ("order", "退款", "refunds teapot"):
                having = [
                    id_
                    for id_ in expected(log, ids, filters)
                    if any(matches(terms_of(query), words_of([one])) for one in log.said[id_])
                ]
                assert sought(connection, query, filters=filters) == having, (filters, query)
        all_of_it.rollback()


@ONCE
@given(plans=st.lists(conversations, min_size=1, max_size=4))
def test_what_is_kept_with_each_write_is_what_all_of_it_amounts_to(
    engine: Engine, plans: list[dict[str, Any]]
) -> None:
    with engine.connect() as connection, connection.begin() as all_of_it:
        log = Log(connection)
        ids = write(log, plans)
        for id_ in ids:
            log.say(id_, "system")
            if log.row(id_)["status"] == "agent":
                log.say(id_, "agent", "Anna here")
        before = [log.row(id_) for id_ in ids]
        words = _words(connection)
        connection.execute(delete(tables.search_doc))
        rebuild(connection, ids)
        for row in before:
            assert log.row(row["id"]) == row
        assert _words(connection) == words
        all_of_it.rollback()


def _words(connection: Connection) -> list[tuple[str, str, set[str]]]:
    found = connection.execute(
        select(
            tables.search_doc.c.conversation_id,
            tables.search_doc.c.message_id,
            tables.search_doc.c.words,
        ).order_by(tables.search_doc.c.conversation_id, tables.search_doc.c.message_id)
    )
    return [(row[0], row[1], set(row[2].replace("'", "").split())) for row in found]


def test_pages_join_without_gap_or_repetition_in_both_directions(engine: Engine) -> None:
    with engine.begin() as connection:
        log = Log(connection)
        plans = [
            {
                "channel": "api",
                "locale": None,
                "turns": [{"text_": "order", "emotion": "angry"}] * (number % 3),
                "rating": None,
                "status": "waiting" if number % 4 == 0 else "bot",
                "reason": "emotion" if number % 8 == 0 else None,
                "taken": False,
            }
            for number in range(23)
        ]
        ids = write(log, plans)
        for filters in (Filters(), Filters(emotion="angry"), Filters(status="waiting")):
            whole = expected(log, ids, filters)
            assert len(whole) > 5
            seen: list[str] = []
            place = None
            while True:
                page = listed(connection, Wanted(filters=filters, place=place, limit=5))
                seen += [one.id for one in page.places]
                if not page.after:
                    break
                place = page.places[-1]
            assert seen == whole
            back = listed(
                connection, Wanted(filters=filters, place=page.places[0], back=True, limit=5)
            )
            start = len(whole) - len(page.places)
            assert [one.id for one in back.places] == whole[max(0, start - 5) : start]
        whole = expected(log, ids, Filters(emotion="angry"))
        first = search(connection, terms_of("order"), Wanted(limit=5))
        assert [one.id for one in first.places] == whole[:5]
        second = search(connection, terms_of("order"), Wanted(limit=5, place=first.end))
        assert [one.id for one in second.places] == whole[5:10]
        again = search(
            connection, terms_of("order"), Wanted(limit=5, place=second.start, back=True)
        )
        assert [one.id for one in again.places] == whole[:5]


def test_words_that_many_have_are_found_by_going_through_the_list(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.log.search_docs.Finder.FEW", 3)
    monkeypatch.setattr("bot.log.inbox_search._FIRST_LOOK", 2)
    monkeypatch.setattr("bot.log.inbox_search._LOOK", 4)
    monkeypatch.setattr("bot.log.inbox_search._MOST", 12)
    with engine.begin() as connection:
        log = Log(connection)
        ids = [log.open() for _ in range(40)]
        for number, id_ in enumerate(ids):
            log.turn(id_, "where is my order" if number % 5 == 0 else "hello", emotion="angry")
        having = [id_ for number, id_ in enumerate(ids) if number % 5 == 0][::-1]
        seen: list[str] = []
        place, pages = None, 0
        while True:
            found = search(connection, terms_of("order"), Wanted(limit=2, place=place))
            seen += [one.id for one in found.places]
            pages += 1
            assert pages < 20
            if found.end is None:
                break
            place = found.end
        assert seen == having
        back = search(connection, terms_of("order"), Wanted(limit=2, place=place, back=True))
        assert {one.id for one in back.places} <= set(having)
        nothing = search(connection, terms_of("hello order"), Wanted(limit=2))
        assert nothing.places == []


def test_erasing_a_conversation_takes_its_words_out_of_the_search(engine: Engine) -> None:
    with engine.begin() as connection:
        log = Log(connection)
        gone, stays = log.open(), log.open()
        log.turn(gone, "the canary sang zanzibar")
        log.turn(stays, "the canary is well")
        log.say(gone, "agent", "zanzibar is far")
        inbox.mark_read(connection, agent_id=ANNA, conversation_id=gone, seq=2)
    with engine.begin() as connection:
        assert sought(connection, "zanzibar") == [gone]
        store.erase(connection, conversation_id=gone, audit_id="a", actor="cli", now=BEGIN)
    with engine.begin() as connection:
        assert sought(connection, "zanzibar") == []
        assert sought(connection, "canary") == [stays]
        for table in (tables.search_doc, tables.inbox_read):
            left = select(func.count()).select_from(table).where(table.c.conversation_id == gone)
            assert connection.execute(left).scalar_one() == 0
        if connection.dialect.name == "sqlite":
            # The index agrees with the table, which it would not with words left behind.
            connection.execute(
                text("INSERT INTO search_words(search_words, rank) VALUES('integrity-check', 1)")
            )
            found = text("SELECT count(*) FROM search_words WHERE search_words MATCH 'zanzibar'")
            assert connection.execute(found).scalar_one() == 0


def test_an_agents_private_data_is_not_searched_for(engine: Engine) -> None:
    with engine.begin() as connection:
        log = Log(connection)
        id_ = log.open()
        log.say(id_, "agent", "we wrote to jane.doe@mail.example")
        assert sought(connection, "wrote") == [id_]
        assert sought(connection, "jane") == []


def test_a_customers_word_is_answered_by_bot_or_agent_and_not_by_a_notice(engine: Engine) -> None:
    with engine.begin() as connection:
        log = Log(connection)
        id_ = log.open()
        log.hear(id_, "anybody?")
        first = log.now
        log.hear(id_, "hello?")
        log.say(id_, "system")
        assert log.row(id_)["unanswered_since"] == first
        log.say(id_, "agent")
        assert log.row(id_)["unanswered_since"] is None


def test_a_closed_conversation_waits_for_no_answer(engine: Engine) -> None:
    with engine.begin() as connection:
        log = Log(connection)
        open_, closed = log.open(), log.open()
        for id_ in (open_, closed):
            log.hear(id_, "anybody?")
        log.set(closed, status="closed")
        assert ids_of(connection, Filters(unanswered=True)) == [open_]
        assert ids_of(connection, Filters(unanswered=False)) == [closed]


@pytest.mark.parametrize("confidence", [math.nan, math.inf, -math.inf])
def test_a_confidence_that_is_no_number_costs_no_turn(engine: Engine, confidence: float) -> None:
    with engine.begin() as connection:
        log = Log(connection)
        id_ = log.open()
        ranking = [{"name": "greet", "confidence": confidence}]
        log.turn(id_, confidence=confidence, ranking=ranking)
        assert log.row(id_)["lowest_confidence"] is None
        turn = connection.execute(select(tables.turn)).one()
        assert (turn.confidence, turn.ranking) == (None, [{"name": "greet", "confidence": None}])


def test_an_answer_that_an_agent_kept_from_being_said_answers_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        log = Log(connection)
        id_ = log.open()
        log.set(id_, status="agent", agent_id=ANNA)
        log.turn(id_, "hello", "an answer")
        assert log.row(id_)["unanswered_since"] is not None


def test_reviewed_follows_what_is_said_and_taken_back(engine: Engine) -> None:
    with engine.begin() as connection:
        log = Log(connection)
        id_ = log.open()
        log.turn(id_)
        turn_id = log.turns[id_][0].id
        label = {"id": "l", "turn_id": turn_id, "kind": "label", "created_at": BEGIN}
        connection.execute(insert(tables.annotation).values(label))
        inbox.refresh(connection, id_)
        assert ids_of(connection, Filters(reviewed=True)) == [id_]
        revoke = label | {"id": "r", "kind": "revoke", "revokes": "l"}
        connection.execute(insert(tables.annotation).values(revoke))
        inbox.refresh(connection, id_)
        assert ids_of(connection, Filters(reviewed=True)) == []
        assert ids_of(connection, Filters(reviewed=False)) == [id_]


def test_a_row_shows_the_trend_and_what_was_said_last(engine: Engine) -> None:
    with engine.begin() as connection:
        log = Log(connection)
        id_ = log.open()
        for emotion in ("happy", "neutral", "neutral", None, "confused", "angry", "angry"):
            log.turn(id_, emotion=emotion, intent="praise")
        log.hear(id_, "x" * 1000)
        (row,) = rows_of(connection, [id_, "gone"], agent_id=ANNA)
        assert row["trend"] == ("neutral", "neutral", "confused", "angry", "angry")
        assert row["angry"]
        assert row["last_author"] == "customer"
        assert row["last_text"] == "x" * 300
        assert not row["unread"]
        log.set(id_, status="waiting", waiting_since=log.tick())
        (row,) = rows_of(connection, [id_], agent_id=ANNA)
        assert row["unread"]
        assert inbox.mark_read(connection, agent_id=ANNA, conversation_id=id_, seq=99)
        # A page that was loaded before does not bring the mark back.
        assert inbox.mark_read(connection, agent_id=ANNA, conversation_id=id_, seq=2)
        (row,) = rows_of(connection, [id_], agent_id=ANNA)
        assert not row["unread"]
        assert not inbox.mark_read(connection, agent_id=ANNA, conversation_id="gone", seq=2)


def test_views_replace_their_namesake_and_belong_to_somebody(engine: Engine) -> None:
    with engine.begin() as connection:
        mine = View(id="1", name="A", filters={"q": "x"}, agent_id=ANNA, created_by=ANNA)
        assert keep_view(connection, view=mine, now=BEGIN) == "1"
        other = View(id="2", name="A", filters={"q": "y"}, agent_id=ANNA, created_by=ANNA)
        assert keep_view(connection, view=other, now=BEGIN) == "1"
        shared = View(id="3", name="A", filters={}, agent_id=None, created_by="root")
        assert keep_view(connection, view=shared, now=BEGIN) == "3"
        assert [(one["id"], one["filters"]) for one in views_of(connection, agent_id=ANNA)] == [
            ("3", {}),
            ("1", {"q": "y"}),
        ]
        assert [one["id"] for one in views_of(connection, agent_id="ben")] == ["3"]
        assert not drop_view(connection, view_id="1", agent_id="ben", shared=True)
        assert not drop_view(connection, view_id="3", agent_id="ben", shared=False)
        assert drop_view(connection, view_id="3", agent_id="ben", shared=True)
        assert drop_view(connection, view_id="1", agent_id=ANNA, shared=False)
