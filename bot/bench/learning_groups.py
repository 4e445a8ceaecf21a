"""The reviewer of a company for the benchmark of learning reads the groups of unknown messages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.bench.learning_company import Company
from bot.learning.unknowns import UnknownTerms, refresh
from bot.log import unknowns
from bot.log.journal import Journal
from bot.log.k_centre import k_centre
from bot.world import World, sortable_id, utc_now

# Of a group, what must be of one kind before the reviewer gives it a name.
MOSTLY = 0.5
# The reviewer has unknown messages grouped anew until nothing was named, at most so often a week.
LOOKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A group that got a name: its messages, the share of them of that kind, and the labels."""

    intent: str
    size: int
    purity: float
    labels: int


async def name_unknowns(company: Company, budget: int, *, of_each: int = 8) -> dict[str, Any]:
    """The reviewer names the groups of unknowns that are mostly of one kind, and a new one.

    Of the others what there was an intent for from the start is dismissed, and left to the
    review queue. Then they are grouped anew, until there was nothing to name. `of_each`: of a
    group at most so many turns are labelled, those that differ most. Returns the labels spent,
    how many groups were read, and by intent how large and how pure its first group was.
    """
    left, read = budget, 0
    named: dict[str, dict[str, float]] = {}
    async with company.journal() as journal:
        ranking = company.ranking(journal)
        await ranking.read_new()
        await ranking.compare()
        for _ in range(LOOKS):
            before = left
            await refresh(journal, company.embedding, World(), UnknownTerms())
            for group in await journal.read(partial(unknowns.listing, limit=100)):
                read += 1
                one = await _decide_on(company, journal, group["id"], left, of_each)
                if one is not None:
                    left -= one.labels
                    named.setdefault(one.intent, {"size": one.size, "purity": one.purity})
            if left == before:
                break
    return {"labels": budget - left, "groups": read, "named": named}


async def _decide_on(
    company: Company, journal: Journal, cluster_id: str, budget: int, of_each: int
) -> Named | None:
    """Name a group; None where what is known of it was dismissed, or where it waits."""
    decide: dict[str, Any] = {
        "cluster_id": cluster_id,
        "agent_id": "reviewer",
        "now": utc_now(),
    }
    there = {intent for _, intent in company.plan.start}
    members = await journal.read(partial(unknowns.members, cluster_id=cluster_id, limit=200))
    kinds = Counter(company.truth[row["id"]] for row in members)
    intent, count = kinds.most_common(1)[0]
    purity = count / len(members)
    if purity < MOSTLY or intent in there:
        known = [row["id"] for row in members if company.truth[row["id"]] in there]
        if known:
            await journal.write(partial(unknowns.dismiss, turn_ids=known, **decide))
        return None
    of_kind = [row for row in members if company.truth[row["id"]] == intent]
    chosen = await _unlike(company, of_kind, of_each)
    if len(chosen) > budget:
        return None
    decide |= {"intent": intent, "turn_ids": chosen, "new_id": sortable_id}
    await journal.write(partial(unknowns.name, **decide))
    company.reviewed.update(chosen)
    return Named(intent=intent, size=len(members), purity=round(purity, 3), labels=len(chosen))


async def _unlike(company: Company, members: Sequence[Mapping[str, Any]], count: int) -> list[str]:
    """The turns among these that differ most from each other; one where all are the same."""
    vectors, _ = await company.embedding.embed([row["text"] for row in members])
    chosen = [index for index, _ in k_centre(vectors, vectors[:0], count)]
    return [members[index]["id"] for index in chosen or (0,)]
