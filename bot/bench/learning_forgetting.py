"""Ten rounds of new intents alone: what is lost of the old ones, and what a round costs."""

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.bench.learning_company import Company, Plan, Said, few_of_each
from bot.bench.report import progress, ratio
from bot.learning.datasets.row import Row
from bot.learning.forgotten import Forgotten
from bot.learning.steps import threads
from bot.settings import Settings

OLD, OLD_SHOTS = 80, 100
ROUNDS, NEW_A_ROUND, NEW_SHOTS = 10, 7, 30
FULL_AFTER = (1, 5, 10)  # rounds after which all is trained anew, to compare the time


def forgetting(
    train: Sequence[Said], frozen: Sequence[Said], test: Sequence[Said], folder: Path, *, seed: int
) -> dict[str, Any]:
    """Train 80 intents, then bring seven new ones in each of ten rounds and nothing of the old.

    As in the loop, a round begins from scratch where the line of versions has lost more of the
    frozen texts than chance explains; the figures are of the test texts.
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
    company = Company(Plan(folder=folder, start=start, frozen=[], seed=seed))
    company.open()
    line = Line(company, [said for said in frozen if said[1] in old])
    before = company.score(of_old)["accuracy"]
    progress(f"forgetting: {OLD} intents, {before}")
    rows: list[Row] = []
    rounds, going_on_s, anew_s = [], [], []
    anew = {}
    for number in range(1, ROUNDS + 1):
        new = set(later[(number - 1) * NEW_A_ROUND : number * NEW_A_ROUND])
        rows += [_row(said) for said in more if said[1] in new]
        dataset = _write(folder / f"dataset-{number}", rows)
        from_scratch = line.forgets
        begin = () if from_scratch else ("--continue-from", "current")
        took, _ = _timed(company, "--dataset", str(dataset), *begin)
        line.step(from_scratch=from_scratch)
        so_far = [said for said in test if said[1] in {row.intent for row in rows}]
        one = {
            "round": number,
            "from_scratch": from_scratch,
            "accuracy_of_old": company.score(of_old)["accuracy"],
            "accuracy_of_new": company.score(so_far)["accuracy"],
            "frozen": line.shown,
            "seconds": round(took, 1),
        }
        if number in FULL_AFTER and not from_scratch:
            going_on_s.append(took)
            took, version = _timed(company, "--dataset", str(dataset), "--no-activate")
            anew_s.append(took)
            anew[number] = {
                "accuracy_of_old": company.score(of_old, version)["accuracy"],
                "accuracy_of_new": company.score(so_far, version)["accuracy"],
                "seconds": round(took, 1),
            }
        rounds.append(one)
        progress(f"forgetting: {one} {anew.get(number, '')}")
    return {
        "before": before,
        "after": rounds[-1]["accuracy_of_old"],
        "lost_points": round(100 * (before - rounds[-1]["accuracy_of_old"]), 2),
        "rounds": rounds,
        "anew": anew,
        "time": ratio(going_on_s, anew_s),
    }


class Line:
    """What the versions have gained and lost of the frozen texts since the last from scratch."""

    def __init__(self, company: Company, frozen: Sequence[Said]) -> None:
        self._company = company
        self._frozen = frozen
        self._right = self._read()
        self._found = self._begun()

    @property
    def forgets(self) -> bool:
        """Whether the next version is to begin from scratch."""
        alpha: float = Settings.model_fields["learn_alpha"].default
        return self._found.p_value <= alpha

    @property
    def shown(self) -> dict[str, Any]:
        """The line as figures."""
        return self._found.as_reason().figures

    def step(self, *, from_scratch: bool) -> None:
        """Another version serves."""
        before, self._right = self._right, self._read()
        if from_scratch:
            self._found = self._begun()
            return
        flips = list(zip(before, self._right, strict=True))
        self._found = replace(
            self._found,
            gained=self._found.gained + flips.count((False, True)),
            lost=self._found.lost + flips.count((True, False)),
        )

    def _begun(self) -> Forgotten:
        since = self._company.store.current()
        return Forgotten(since=since, n=len(self._frozen), gained=0, lost=0)

    def _read(self) -> list[bool]:
        guesses = self._company.guesses(self._frozen)
        return [guess == intent for guess, (_, intent) in zip(guesses, self._frozen, strict=True)]


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
