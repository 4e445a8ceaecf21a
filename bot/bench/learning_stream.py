"""Weeks of customers in a stream: what a budget of labels a week is worth, shown and by lot."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.bench.learning_company import Company, Plan, Said, few_of_each
from bot.bench.report import progress

WEEKS, HEARD, BUDGET = 10, 800, 100
SHOTS = 5
FROZEN = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A public set cut into what a company begins with, its weeks, and what is measured on."""

    start: list[Said]
    weeks: list[list[Said]]
    frozen: list[Said]
    test: list[Said]
    all_labels: int  # of the whole training split


def cut(train: Sequence[Said], test: Sequence[Said], *, weeks: int, seed: int) -> Stream:
    """Cut a training split: five examples an intent, the weeks, and the set of the proofs."""
    shuffled = list(train)
    random.Random(seed).shuffle(shuffled)
    start, rest = few_of_each(shuffled, SHOTS)
    frozen, stream = rest[:FROZEN], rest[FROZEN:]
    return Stream(
        start=start,
        weeks=[stream[n * HEARD : (n + 1) * HEARD] for n in range(weeks)],
        frozen=frozen,
        test=list(test),
        all_labels=len(train),
    )


async def weeks_of(stream: Stream, folder: Path, *, by_lot: bool, seed: int) -> dict[str, Any]:
    """The weeks of one company: its reviewer takes what the queue shows, or turns by lot."""
    company = Company(Plan(folder=folder, start=stream.start, frozen=stream.frozen, seed=seed))
    first = company.open()
    start = company.score(stream.test)
    found: dict[str, Any] = {
        "start": start["accuracy"],
        "start_s": _training_s(first),
        "weeks": [],
    }
    side = "lot" if by_lot else "queue"
    progress(f"{side}: start {start['accuracy']}")
    for number, said in enumerate(stream.weeks, 1):
        week = await one_week(company, said, by_lot=by_lot)
        scored = company.score(stream.test)
        week |= {"week": number, "accuracy": scored["accuracy"], "labels": company.labels}
        challenger = week["version"]
        if challenger is not None and not week["promoted"]:
            week["challenger_accuracy"] = company.score(stream.test, challenger)["accuracy"]
        found["weeks"].append(week)
        progress(f"{side}: week {number} {week}")
    return found


async def one_week(company: Company, said: Sequence[Said], *, by_lot: bool) -> dict[str, Any]:
    """Customers write, the reviewer labels, the loop runs once."""
    await company.hear(said)
    company.granted += BUDGET
    reasons: dict[str, int] = {}
    if by_lot:
        await company.review_by_lot(company.left)
    else:
        reasons = await company.review(company.left)
    run = await company.learn()
    return {
        "version": run["version"],
        "promoted": bool(run["promoted"]),
        "decision": (run["verdict"] or {}).get("decision"),
        "seconds": round(run["seconds"], 1),
        "asked": run["options"]["why"] == "answers",
        "reasons": reasons,
    }


def full_data(stream: Stream, train: Sequence[Said], folder: Path, *, seed: int) -> dict[str, Any]:
    """What a model scores that learned from all labels at once, and what its training took."""
    company = Company(Plan(folder=folder, start=train, frozen=stream.frozen, seed=seed))
    report = company.open()
    scored = company.score(stream.test)
    return {"accuracy": scored["accuracy"], "seconds": _training_s(report)}


def _training_s(report: dict[str, Any]) -> float:
    """Seconds of the epochs of a training."""
    return round(sum(float(epoch["seconds"]) for epoch in report["history"]), 1)
