"""The benchmark's reviewer: of groups of unknowns new topics are named and known ones dismissed."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.agents import add
from bot.bench.learning_company import Company, Plan, Said
from bot.bench.learning_groups import name_unknowns
from bot.log import annotations, tables, unknowns
from bot.log.database import open_engine, upgrade
from bot.world import utc_now
from tests.integration.hashed import Hashed

WORDS = ("a", "b", "c", "d", "e", "f")
GIFTS = [(f"gift wrapping {word}", "gift") for word in WORDS]
PARCELS = [(f"parcel lost {word}", "track_order") for word in WORDS]
MIXED = [(f"shop open {word}", kind) for word, kind in zip("abcdef", "hhoooo", strict=True)]


class Unsure(Company):
    """A company whose model is sure of nothing, and embeds by words."""

    @property
    def embedding(self) -> Any:
        return Hashed()

    def understand(self, texts: Sequence[str], model: Any = None) -> list[dict[str, Any]]:
        ranking = [{"name": "track_order", "confidence": 0.5}]
        return [
            {
                "intent": ranking[0],
                "intent_ranking": ranking,
                "emotion": {"name": "neutral", "confidence": 0.9},
                "model_version": "m1",
                "mode": "torch",
            }
            for _ in texts
        ]


@pytest.fixture
def company(tmp_path: Path) -> Company:
    start: list[Said] = [("where is it", "track_order"), ("are you open", "o")]
    made = Unsure(Plan(folder=tmp_path, start=start, frozen=[]))
    (tmp_path / "state").mkdir()
    upgrade(made.database_url)
    engine = open_engine(made.database_url, writer=True)
    with engine.begin() as connection:
        add(connection, id_="reviewer", name="Reviewer", role="reviewer", now=utc_now())
    engine.dispose()
    return made


async def groups_of(company: Company, state: str) -> list[set[str]]:
    """The true kinds in each group of a state."""
    member, cluster = tables.unknown_member, tables.unknown_cluster
    async with company.journal() as journal:
        rows = await journal.read(
            lambda connection: connection.execute(
                select(member.c.cluster_id, member.c.turn_id)
                .join(cluster, cluster.c.id == member.c.cluster_id)
                .where(cluster.c.state == state)
            ).all()
        )
    kinds: dict[str, set[str]] = {}
    for row in rows:
        kinds.setdefault(row.cluster_id, set()).add(company.truth[row.turn_id])
    return list(kinds.values())


async def test_a_new_topic_is_named_and_a_known_one_dismissed(company: Company) -> None:
    await company.hear([*GIFTS, *PARCELS])
    found = await name_unknowns(company, 50, of_each=4)
    # The two that were left of it make a group with those that are labelled by then.
    assert found == {"labels": 6, "groups": 3, "named": {"gift": {"size": 6, "purity": 1.0}}}
    assert {company.truth[turn] for turn in company.reviewed} == {"gift"}
    assert await groups_of(company, "named") == [{"gift"}, {"gift"}]
    assert await groups_of(company, "dismissed") == [{"track_order"}]
    async with company.journal() as journal:
        for turn in company.reviewed:
            holds = await journal.read(partial(annotations.effective_of, turn_id=turn))
            assert holds is not None
            assert holds.labels is not None
            assert holds.labels["intent"] == "gift"


async def test_a_few_of_a_new_topic_are_left_when_the_others_are_dismissed(
    company: Company,
) -> None:
    await company.hear(MIXED)
    found = await name_unknowns(company, 50)
    assert (found["labels"], found["groups"], found["named"]) == (0, 1, {})
    assert await groups_of(company, "dismissed") == [{"o"}]
    assert company.reviewed == set()
    # They come up again when there are more of them.
    await company.hear([(f"shop open {word}", "h") for word in ("g", "h", "i")])
    found = await name_unknowns(company, 50)
    assert found["named"] == {"h": {"size": 5, "purity": 1.0}}


async def test_what_the_budget_is_too_small_for_waits(company: Company) -> None:
    await company.hear(GIFTS)
    found = await name_unknowns(company, 3)
    assert (found["labels"], found["named"]) == (0, {})
    async with company.journal() as journal:
        assert len(await journal.read(partial(unknowns.listing, limit=10))) == 1
