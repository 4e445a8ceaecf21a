"""Ten rounds of new intents alone: what is lost of the old ones, and what a round costs."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.bench.learning_company import Company, Plan, Said, few_of_each
from bot.bench.report import progress, ratio
from bot.learning.datasets.row import Row
from bot.learning.steps import threads

OLD, OLD_SHOTS = 80, 100
ROUNDS, NEW_A_ROUND, NEW_SHOTS = 10, 7, 30
FULL_AFTER = (1, 5, 10)  # rounds after which all is trained anew, to compare the time


def forgetting(
    train: Sequence[Said], test: Sequence[Said], folder: Path, *, seed: int
) -> dict[str, Any]:
    """Train 80 intents, then bring seven new ones in each of ten rounds and nothing of the old."""
    chance = random.Random(seed)
    shuffled = list(train)
    chance.shuffle(shuffled)
    names = sorted({intent for _, intent in train})
    chance.shuffle(names)
    old, later = set(names[:OLD]), names[OLD : OLD + ROUNDS * NEW_A_ROUND]
    start, _ = few_of_each([said for said in shuffled if said[1] in old], OLD_SHOTS)
    more, _ = few_of_each([said for said in shuffled if said[1] in later], NEW_SHOTS)
    of_old = [said for said in test if said[1] in old]
    company = Company(Plan(folder=folder, start=start, frozen=[], seed=seed))
    company.open()
    before = company.score(of_old)["accuracy"]
    progress(f"forgetting: {OLD} intents, {before}")
    rows: list[Row] = []
    rounds, going_on_s, anew_s = [], [], []
    anew = {}
    for number in range(1, ROUNDS + 1):
        new = set(later[(number - 1) * NEW_A_ROUND : number * NEW_A_ROUND])
        rows += [_row(said) for said in more if said[1] in new]
        dataset = _write(folder / f"dataset-{number}", rows)
        took, _ = _timed(company, "--dataset", str(dataset), "--continue-from", "current")
        going_on_s.append(took)
        so_far = [said for said in test if said[1] in {row.intent for row in rows}]
        one = {
            "round": number,
            "accuracy_of_old": company.score(of_old)["accuracy"],
            "accuracy_of_new": company.score(so_far)["accuracy"],
            "seconds": round(took, 1),
        }
        if number in FULL_AFTER:
            took, version = _timed(company, "--dataset", str(dataset), "--no-activate")
            anew_s.append(took)
            anew[number] = {
                "accuracy_of_old": company.score(of_old, version)["accuracy"],
                "accuracy_of_new": company.score(so_far, version)["accuracy"],
                "seconds": round(took, 1),
            }
        rounds.append(one)
        progress(f"forgetting: {one} {anew.get(number, '')}")
    compared = [going_on_s[number - 1] for number in FULL_AFTER]
    return {
        "before": before,
        "after": rounds[-1]["accuracy_of_old"],
        "lost_points": round(100 * (before - rounds[-1]["accuracy_of_old"]), 2),
        "rounds": rounds,
        "anew": anew,
        "time": ratio(compared, anew_s),
    }


def _timed(company: Company, *options: str) -> tuple[float, str]:
    started = time.monotonic()
    report = company.kefu("train", "--json", "--threads", str(threads()), *options)
    return time.monotonic() - started, str(report["model_version"])


def _row(said: Said) -> Row:
    text, intent = said
    return Row(
        turn_id=f"{intent}:{text}",
        conversation_id=f"c:{intent}:{text}",
        customer=text,
        text=text,
        source="corrected",
        at="2026-01-01T00:00:00+00:00",
        intent=intent,
    )


def _write(folder: Path, rows: Sequence[Row]) -> Path:
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text("".join(row.as_line() for row in rows), "utf-8")
    return folder
