"""Ten rounds of new intents alone: what is lost of the old ones, and what a round costs."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.bench.learning_company import Company, Plan, Said, few_of_each
from bot.bench.report import progress, ratio
from bot.learning.datasets.store import DatasetStore
from bot.learning.forgotten import KEY as FORGOTTEN
from bot.learning.steps import threads

OLD, OLD_SHOTS = 80, 100
ROUNDS, NEW_A_ROUND, NEW_SHOTS = 10, 7, 30
# Customers ask about what is old as before: so many of its texts a round, and nobody labels them.
HEARD_OF_OLD = 2190
# Rounds whose data are learned once more, going on and anew, to compare the time.
TIMED = (1, 10)


async def forgetting(
    train: Sequence[Said], frozen: Sequence[Said], test: Sequence[Said], folder: Path, *, seed: int
) -> dict[str, Any]:
    """Train 80 intents, then bring seven new ones in each of ten rounds and nothing new of the old.

    A round is a whole run of the loop, whose proofs are about the frozen texts of the old intents:
    what it refuses does not serve. The figures are of the test texts.
    """
    chance = random.Random(seed)
    shuffled = list(train)
    chance.shuffle(shuffled)
    names = sorted({intent for _, intent in train})
    chance.shuffle(names)
    old, later = set(names[:OLD]), names[OLD : OLD + ROUNDS * NEW_A_ROUND]
    start, _ = few_of_each([said for said in shuffled if said[1] in old], OLD_SHOTS)
    more, _ = few_of_each([said for said in shuffled if said[1] in later], NEW_SHOTS)
    of_old = [said for said in test if said[1] in old]
    tested = [said for said in frozen if said[1] in old]
    company = Company(Plan(folder=folder, start=start, frozen=tested, seed=seed))
    company.open()
    before = company.score(of_old)["accuracy"]
    progress(f"forgetting: {OLD} intents, {before}")
    rounds: list[dict[str, Any]] = []
    timed: list[dict[str, float]] = []
    for number in range(1, ROUNDS + 1):
        new = set(later[: number * NEW_A_ROUND])
        brought = set(later[(number - 1) * NEW_A_ROUND : number * NEW_A_ROUND])
        champion = company.store.current()
        said = [said for said in more if said[1] in brought]
        one = await _round(company, said, chance.sample(start, min(HEARD_OF_OLD, len(start))))
        of_new = [said for said in test if said[1] in new]
        one |= {"round": number, **_scores(company, of_old, of_new)}
        if not one["promoted"]:
            one["newest"] = _scores(company, of_old, of_new, one["version"])
        if number in TIMED:
            one["timed"], anew = _timed(company, one["dataset"], champion)
            timed.append(one["timed"])
            one["anew"] = _scores(company, of_old, of_new, anew)
        rounds.append(one)
        progress(f"forgetting: {one}")
    return {
        "before": before,
        "after": rounds[-1]["accuracy_of_old"],
        "lost_points": round(100 * (before - rounds[-1]["accuracy_of_old"]), 2),
        "rounds": rounds,
        "time": ratio([one["going_on"] for one in timed], [one["anew"] for one in timed]),
    }


async def _round(company: Company, new: Sequence[Said], old: Sequence[Said]) -> dict[str, Any]:
    """Customers write of both, the reviewer labels all of what is new, the loop runs once."""
    turns = await company.hear([*old, *new])
    await company.label(turns[len(old) :])
    run = await company.learn()
    verdict = run["verdict"] or {}
    return {
        "version": run["version"],
        "dataset": run["dataset"],
        "from": run["options"]["from"],
        "forgotten": run["options"].get(FORGOTTEN),
        "decision": verdict.get("decision"),
        "why": [
            one["sentence"]
            for one in verdict.get("reasons", ())
            if one["level"] in ("refuse", "hold") or one["name"] in ("frozen", FORGOTTEN)
        ],
        "promoted": bool(run["promoted"]),
        "seconds": round(run["seconds"], 1),
    }


def _scores(
    company: Company, of_old: Sequence[Said], of_new: Sequence[Said], version: str | None = None
) -> dict[str, float]:
    """Of a version, the one that serves unless told otherwise."""
    return {
        "accuracy_of_old": company.score(of_old, version)["accuracy"],
        "accuracy_of_new": company.score(of_new, version)["accuracy"],
    }


def _timed(company: Company, dataset: str, champion: str) -> tuple[dict[str, float], str]:
    """Seconds of the training that goes on, and of one that begins anew; the latter's version."""
    folder = DatasetStore(company.folder / "state").folder(dataset)
    seconds, version = {}, ""
    for name, begin in (("going_on", ("--continue-from", champion)), ("anew", ())):
        words = ("train", "--json", "--threads", str(threads()), "--no-activate")
        started = time.monotonic()
        report = company.kefu(*words, "--dataset", str(folder), *begin)
        seconds[name] = time.monotonic() - started
        version = str(report["model_version"])
    return seconds, version
