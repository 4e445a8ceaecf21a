"""What was not understood is grouped, named and learned from; on both databases."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from bot.errors import RequestError
from bot.learning.unknowns import UnknownTerms, refresh
from bot.log import annotations, review_candidates, tables, unknowns
from bot.log.annotations import Judgement
from bot.log.database import open_engine, upgrade
from bot.log.journal import Journal
from bot.log.review_candidates import Terms
from bot.log.review_ranking import CannotEmbed
from bot.world import World
from tests.integration.hashed import Hashed
from tests.integration.review_log import START, add_agents, add_conversation, add_turn

UNKNOWN = (("nlu_fallback", 0.7), ("track_order", 0.2))
UNSURE = (("track_order", 0.4), ("cancel_order", 0.35))
SURE = (("track_order", 0.99), ("cancel_order", 0.003))
SURE_ENOUGH = (("track_order", 0.98), ("cancel_order", 0.01))
GIFT = (("gift", 0.9), ("track_order", 0.05))
GIFTS = [f"gift wrapping {word}" for word in ("please", "now", "today", "paper", "box", "bow")]
STORES = [f"store opening {word}" for word in ("sunday", "night", "early", "late", "noon")]


class Log:
    """A journal a day after its turns."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.embedding = Hashed()
        self.ids = count()
        self.world = World(
            now=lambda: START + timedelta(days=1), new_id=lambda: f"n{next(self.ids):05}"
        )

    async def add(self, texts: Sequence[str], **changes: Any) -> list[str]:
        ids = []
        for text in texts:
            number = next(self.ids)
            changes.setdefault("ranking", UNKNOWN)
            unit = partial(add_turn, id_=f"t{number:05}", text=text, minute=number, **changes)
            ids.append(await self.journal.write(unit))
        return ids

    async def refresh(self, **changes: Any) -> list[unknowns.Row]:
        await refresh(self.journal, self.embedding, self.world, UnknownTerms(**changes))
        return await self.open()

    async def dismiss(self, cluster_id: str, turns: Sequence[str]) -> int:
        unit = partial(
            unknowns.dismiss,
            cluster_id=cluster_id,
            agent_id="ada",
            turn_ids=turns,
            now=self.world.now(),
        )
        return await self.journal.write(unit)

    async def open(self) -> list[unknowns.Row]:
        return await self.journal.browse(partial(unknowns.listing, limit=50))

    async def members(self, cluster_id: str) -> list[str]:
        rows = await self.journal.browse(
            partial(unknowns.members, cluster_id=cluster_id, limit=100)
        )
        return [row["id"] for row in rows]

    async def name(self, cluster_id: str, turn_ids: Sequence[str], intent: str = "gifts") -> int:
        return await self.journal.write(
            partial(
                unknowns.name,
                cluster_id=cluster_id,
                intent=intent,
                agent_id="ada",
                turn_ids=turn_ids,
                now=self.world.now(),
                new_id=self.world.new_id,
            )
        )

    async def say(self, turn_id: str, **labels: Any) -> None:
        judgement = Judgement(turn_id=turn_id, agent_id="ben", **labels)
        await self.journal.write(
            partial(
                annotations.add,
                judgement=judgement,
                id_=self.world.new_id(),
                now=self.world.now(),
            )
        )

    async def intents(self) -> dict[str, str]:
        effective = await self.journal.read(annotations.all_effective)
        return {
            turn_id: one.labels["intent"]
            for turn_id, one in effective.items()
            if one.labels is not None
        }


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    upgrade(database_url)
    journal = Journal(
        write_engine=open_engine(database_url, writer=True),
        read_engine=open_engine(database_url),
        world=World(),
    )
    journal.start()
    await journal.write(lambda connection: add_agents(connection, "ada", "ben"))
    yield Log(journal)
    await journal.close()


async def test_what_was_not_understood_is_grouped_by_size_and_likeness(log: Log) -> None:
    gifts = await log.add(GIFTS)
    stores = await log.add(STORES, ranking=UNSURE)
    await log.add(["where is parcel one", "where is parcel two"] * 4, ranking=SURE)
    found = await log.refresh()
    assert [set(await log.members(one["id"])) for one in found] == [set(gifts), set(stores)]
    assert [one["left"] for one in found] == [6, 5]
    assert all(0.5 < one["cohesion"] <= 1 for one in found)


async def test_what_is_like_what_is_known_needs_no_group(log: Log) -> None:
    parcels = [f"parcel lost {word}" for word in ("again", "today", "now", "twice", "here")]
    await log.add(parcels, ranking=UNSURE)
    gifts = await log.add(GIFTS, ranking=UNSURE)
    assert len(await log.refresh(known=0.7)) == 2
    # The model is sure of two much like them; of gifts somebody has labelled one only. It had
    # taken it for that, too.
    await log.add(["parcel lost", "parcel lost parcel"], ranking=SURE_ENOUGH)
    (label,) = await log.add(["gift wrapping"], ranking=GIFT)
    await log.say(label, intent="gift")
    (found,) = await log.refresh(known=0.7)
    assert set(await log.members(found["id"])) == set(gifts)
    (label,) = await log.add(["wrapping gift gift"], ranking=GIFT)
    await log.say(label, intent="gift")
    assert await log.refresh(known=0.7) == []


async def test_the_least_understood_and_most_unlike_stand_first_and_so_many_are_kept(
    log: Log,
) -> None:
    gifts = await log.add(GIFTS[:4])
    await log.add(STORES[:4], ranking=(("track_order", 0.9), ("cancel_order", 0.05)))
    found = await log.refresh()
    assert [one["left"] for one in found] == [4, 4]
    assert set(await log.members(found[0]["id"])) == set(gifts)
    assert found[0]["worth"] > found[1]["worth"] > 0
    assert [one["id"] for one in await log.refresh(groups=1)] == [found[0]["id"]]


async def test_where_not_all_is_looked_at_what_was_not_understood_is(log: Log) -> None:
    gifts = await log.add(GIFTS[:4])
    await log.add(STORES, ranking=(("track_order", 0.9), ("cancel_order", 0.05)))
    (found,) = await log.refresh(most=4)
    assert set(await log.members(found["id"])) == set(gifts)


async def test_the_same_words_count_once_and_so_do_many_of_one_customer(log: Log) -> None:
    await log.add(["Gift wrapping!", "gift wrapping", "GIFT  wrapping 1", "gift wrapping 2"] * 3)
    assert await log.refresh() == []
    conversation = await log.journal.write(partial(add_conversation, id_="c-1"))
    await log.add(GIFTS, conversation_id=conversation)
    assert await log.refresh(per_customer=1) == []
    assert len(await log.refresh()) == 1


async def test_labels_of_an_intent_that_the_model_misses_make_a_group_of_the_last_of_it(
    log: Log,
) -> None:
    gifts = await log.add(GIFTS, ranking=UNSURE)
    for turn_id in gifts[:3]:
        await log.say(turn_id, intent="gift")
    assert await log.refresh(least_open=4) == []
    (found,) = await log.refresh()
    assert (found["left"], found["labels"]) == (3, {"gift": 3})
    assert set(await log.members(found["id"])) == set(gifts[3:])
    # They are labelled with the rest; a last one alone is for the review queue.
    await log.name(found["id"], gifts[3:5], intent="gift")
    assert await log.refresh() == []


async def test_labels_of_an_intent_that_the_model_tells_are_no_part_of_a_group(log: Log) -> None:
    gifts = await log.add(GIFTS[:2], ranking=GIFT)
    for turn_id in gifts:
        await log.say(turn_id, intent="gift")
    await log.add(GIFTS[2:5], ranking=UNSURE)
    assert await log.refresh(known=0.99) == []
    await log.add(GIFTS[5:], ranking=UNSURE)
    (found,) = await log.refresh(known=0.99)
    assert (found["left"], found["labels"]) == (4, {})


async def test_what_somebody_spoke_of_and_what_is_long_ago_is_left_out(log: Log) -> None:
    gifts = await log.add(GIFTS)
    await log.say(gifts[0], kind="reject", reject_reason="spam")
    await log.say(gifts[1], kind="reject", reject_reason="spam")
    await log.say(gifts[2], kind="reject", reject_reason="spam")
    assert await log.refresh() == []
    await log.add(STORES, created_at=START - timedelta(weeks=5))
    assert await log.refresh() == []
    assert len(await log.refresh(weeks=6)) == 1


async def test_a_label_that_was_taken_back_is_none(log: Log) -> None:
    gifts = await log.add(GIFTS[:4], ranking=(("gift", 0.5), ("track_order", 0.4)))
    await log.say(gifts[0], intent="gift")
    assert await log.refresh() == []
    (annotation,) = await log.journal.read(lambda c: annotations.newest_of(c, agent_id="ben"))
    await log.journal.write(
        partial(
            annotations.revoke,
            annotation_id=annotation["id"],
            agent_id="ben",
            id_="r-1",
            now=log.world.now(),
        )
    )
    assert len(await log.refresh()) == 1


async def test_a_group_keeps_its_id_when_it_grows_and_goes_with_its_turns(log: Log) -> None:
    await log.add(GIFTS)
    stores = await log.add(STORES[:4])
    before = {one["id"]: set(await log.members(one["id"])) for one in await log.refresh()}
    more = await log.add(["gift wrapping ribbon", "gift wrapping card"])
    # Erased: it goes with its conversation, and its group is too small then.
    await log.journal.write(
        lambda c: (
            c.execute(
                delete(tables.conversation).where(tables.conversation.c.id == f"of-{stores[0]}")
            ).rowcount
        )
    )
    assert sorted(one["left"] for one in await log.open()) == [3, 6]
    (now,) = await log.refresh()
    assert before[now["id"]] | set(more) == set(await log.members(now["id"]))
    assert now["size"] == now["left"] == 8


async def test_naming_labels_what_was_chosen_and_lets_go_of_the_rest(log: Log) -> None:
    gifts = await log.add([*GIFTS, "gift card"])
    (found,) = await log.refresh()
    await log.say(gifts[1], intent="other")
    assert await log.name(found["id"], gifts[:5], "gift_wrapping") == 4
    expected = dict.fromkeys(gifts[:5], "gift_wrapping") | {gifts[1]: "other"}
    assert await log.intents() == expected
    assert await log.open() == []
    row = await log.journal.browse(partial(unknowns.find, cluster_id=found["id"]))
    assert row is not None
    assert (row["state"], row["intent"], row["decided_by"]) == ("named", "gift_wrapping", "ada")
    # What was not chosen comes up again with others like it.
    again = await log.add([f"gift card {word}" for word in ("lost", "empty", "balance", "old")])
    (new,) = await log.refresh()
    assert {gifts[6], *again} <= set(await log.members(new["id"])) <= {*gifts[5:], *again}
    assert new["id"] != found["id"]


async def test_a_group_is_decided_on_once_and_with_a_name_that_can_be(log: Log) -> None:
    gifts = await log.add(GIFTS)
    (found,) = await log.refresh()
    for intent in ("", "two words", "a/b", "nlu_fallback", "x" * 121, "{x}", "1st"):
        with pytest.raises(RequestError) as refused:
            await log.name(found["id"], gifts, intent)
        assert (refused.value.status, refused.value.field) == (422, "intent"), intent
    with pytest.raises(RequestError, match="no message is chosen"):
        await log.name(found["id"], ["t-of-another"])
    assert len(await log.open()) == 1
    assert await log.name(found["id"], gifts, "礼品包装") == 6
    with pytest.raises(RequestError) as decided:
        await log.name(found["id"], gifts)
    assert decided.value.status == 409
    with pytest.raises(RequestError) as missing:
        await log.name("nothing", gifts)
    assert missing.value.status == 404


async def test_a_dismissed_group_does_not_come_again(log: Log) -> None:
    gifts = await log.add(GIFTS)
    (found,) = await log.refresh()
    assert await log.dismiss(found["id"], gifts) == 6
    assert await log.refresh() == []
    # Neither does it take in what is new: that is a group of its own.
    more = await log.add([f"gift wrapping {word}" for word in ("a", "b", "c", "d", "e")])
    (new,) = await log.refresh()
    assert set(await log.members(new["id"])) == set(more)
    assert new["size"] == 5


async def test_of_a_dismissed_group_what_was_not_chosen_may_come_up_in_another(log: Log) -> None:
    gifts = await log.add([*GIFTS, *(f"gift wrapping {word}" for word in ("a", "b", "c", "d"))])
    (found,) = await log.refresh()
    with pytest.raises(RequestError) as refused:
        await log.dismiss(found["id"], ["t-of-another-group"])
    assert (refused.value.status, refused.value.field) == (422, "turn")
    assert await log.dismiss(found["id"], [*gifts[:6], "t-of-another-group"]) == 6
    (again,) = await log.refresh()
    assert set(await log.members(again["id"])) == set(gifts[6:])
    with pytest.raises(RequestError) as refused:
        await log.dismiss(found["id"], gifts[:6])
    assert refused.value.status == 409


async def test_what_is_like_what_was_dismissed_needs_no_group(log: Log) -> None:
    gifts = await log.add([f"gift wrapping {word} red" for word in ("a", "b", "c", "d")])
    (found,) = await log.refresh(known=0.7)
    more = await log.add([f"gift wrapping {word} red" for word in ("e", "f", "g", "h")])
    other = await log.add(STORES)
    await log.dismiss(found["id"], gifts)
    assert [set(await log.members(one["id"])) for one in await log.refresh(known=0.7)] == [
        set(other)
    ]
    # Of dismissed messages so many count, and those that were dismissed of late.
    assert set(more) in [
        set(await log.members(one["id"])) for one in await log.refresh(known=0.7, dismissed=1)
    ]


async def test_only_the_newest_are_looked_at_and_kept_vectors_are_used(log: Log) -> None:
    await log.add(STORES)
    gifts = await log.add(GIFTS)
    (found,) = await log.refresh(most=6)
    assert set(await log.members(found["id"])) == set(gifts)
    log.embedding.asked.clear()
    await log.refresh(most=6)
    assert len(log.embedding.asked) == 1


async def test_vectors_of_two_models_are_not_mixed(log: Log) -> None:
    await log.add([*GIFTS, *STORES])
    kept = await log.refresh()
    await log.journal.write(
        lambda c: c.execute(update(tables.review_vector).values(embedder="old")).rowcount
    )
    log.embedding.models = ["hashed", "another"]
    with pytest.raises(CannotEmbed):
        await log.refresh()
    assert await log.open() == kept


async def test_no_text_is_kept_with_a_group(log: Log) -> None:
    await log.add(GIFTS)
    await log.refresh()
    for table in (tables.unknown_cluster, tables.unknown_member):
        rows = await log.journal.read(lambda c, t=table: c.execute(select(t)).all())  # type: ignore[misc]
        assert rows
        assert "wrapping" not in repr(rows)


async def test_what_came_up_of_late_is_grouped_however_sure_the_model_is(log: Log) -> None:
    stores = await log.add(STORES)
    gifts = await log.add(GIFTS, ranking=SURE)
    assert [group["size"] for group in await log.refresh()] == [len(STORES)]
    scores = dict.fromkeys(gifts, 0.8)
    await log.journal.write(
        partial(review_candidates.give_reason, reason="emerging", scores=scores, terms=Terms())
    )
    first, second = await log.refresh()
    # It stands first.
    assert set(await log.members(first["id"])) == set(gifts)
    assert set(await log.members(second["id"])) == set(stores)
