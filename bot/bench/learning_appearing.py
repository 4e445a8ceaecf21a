"""Intents that nobody has named appear in week 4: found as groups of unknowns, named, learned."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.bench.learning_company import Company, Plan, Said, few_of_each
from bot.bench.learning_groups import name_unknowns
from bot.bench.learning_stream import BUDGET, FROZEN, HEARD, SHOTS
from bot.bench.report import progress

APPEARS, NEW_INTENTS = 4, 15
OUT_OF_SCOPE = "oos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearing:
    """A public set cut so that some of its intents come up later."""

    start: list[Said]
    weeks: list[list[Said]]
    frozen: list[Said]
    new: list[str]  # the intents that come up in week 4
    test: list[Said]


def cut(train: Sequence[Said], test: Sequence[Said], *, weeks: int, seed: int) -> Appearing:
    """Cut a training split; which intents come up later is drawn by lot."""
    chance = random.Random(seed)
    shuffled = list(train)
    chance.shuffle(shuffled)
    names = sorted({intent for _, intent in train} - {OUT_OF_SCOPE})
    new = chance.sample(names, NEW_INTENTS)
    known = [said for said in shuffled if said[1] not in new]
    later = [said for said in shuffled if said[1] in new]
    start, rest = few_of_each([said for said in known if said[1] != OUT_OF_SCOPE], SHOTS)
    frozen, rest = rest[:FROZEN], rest[FROZEN:]
    rest += [said for said in known if said[1] == OUT_OF_SCOPE]
    chance.shuffle(rest)
    share = round(HEARD * NEW_INTENTS / len(names))
    found = []
    for number in range(1, weeks + 1):
        appeared = share if number >= APPEARS else 0
        said = [rest.pop() for _ in range(HEARD - appeared)]
        said += [later.pop() for _ in range(appeared)]
        chance.shuffle(said)
        found.append(said)
    return Appearing(start=start, weeks=found, frozen=frozen, new=sorted(new), test=list(test))


async def appearing(cut_: Appearing, folder: Path, *, seed: int) -> dict[str, Any]:
    """The weeks of a company whose reviewer first looks at the groups of unknowns."""
    company = Company(Plan(folder=folder, start=cut_.start, frozen=cut_.frozen, seed=seed))
    company.open()
    old = [said for said in cut_.test if said[1] not in (*cut_.new, OUT_OF_SCOPE)]
    new = [said for said in cut_.test if said[1] in cut_.new]
    found: dict[str, Any] = {"start": company.score(old)["accuracy"], "weeks": []}
    for number, said in enumerate(cut_.weeks, 1):
        await company.hear(said)
        company.granted += BUDGET
        groups = await name_unknowns(company, company.left)
        reasons = await company.review(company.left)
        run = await company.learn()
        of_new = company.score(new)
        named = {name: one for name, one in groups["named"].items() if name in cut_.new}
        week = {
            "week": number,
            "promoted": bool(run["promoted"]),
            "asked": run["options"]["why"] == "answers",
            "accuracy_of_old": company.score(old)["accuracy"],
            "recall_of_new": of_new["accuracy"],
            "least_recall_of_new": min(of_new["recall"].values()),
            "recall_of_new_by_newest": _by_newest(company, run, new),
            "groups": groups["groups"],
            "named_new": named,
            "labels": company.labels,
            "reasons": reasons,
        }
        found["weeks"].append(week)
        progress(f"appearing: week {number} {week}")
    found["found_as_group"] = len({name for week in found["weeks"] for name in week["named_new"]})
    return found


def _by_newest(company: Company, run: dict[str, Any], new: Sequence[Said]) -> float | None:
    """Recall of the new intents by the version that a run made, released or not."""
    version = run["version"]
    return None if version is None else float(company.score(new, version)["accuracy"])
