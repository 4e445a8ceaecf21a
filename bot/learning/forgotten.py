"""What a line of versions has forgotten: each goes on from the one before, and each loses a little.

A proof sees one step, and a step's loss is mostly too small to be told from chance; ten of them are
not. Their flips on the frozen test set are in their verdicts, and a step that forgets nothing loses
as many texts as it gains: so over the whole line a sign test tells.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from sqlalchemy import Connection

from bot.learning.proof.reason import Reason, rounded_p, shown_p
from bot.log import learning_runs

KEY = "forgotten"  # of a run's options
# The newest steps of a line that are looked at: what was gained long before must not hide what is
# lost since.
_STEPS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """Texts of the frozen test set that a line of versions has gained and lost, step by step."""

    since: str  # the version that the line began with
    n: int
    gained: int
    lost: int

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> Self | None:
        """What a run's options keep."""
        return None if kept is None else cls(**kept)

    @property
    def p_value(self) -> float:
        """How often so many are lost where each step gains as many as it loses."""
        # Imported here: scipy is heavy, and who only reads what a run's options say needs none.
        from bot.learning.proof.statistics import mcnemar

        return mcnemar(self.gained, self.lost, better="champion", mid=True)

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def as_reason(self) -> Reason:
        """What a person is told of it."""
        sentence = (
            f"Trained from scratch: of the {self.n} texts of the frozen test set the versions "
            f"since {self.since}, each of which went on from the one before, have lost {self.lost} "
            f"and gained {self.gained} (sign test: p = {shown_p(self.p_value)}), which no proof of "
            "one of them could tell."
        )
        figures = self.as_json() | {"p_value": rounded_p(self.p_value)}
        return Reason(name=KEY, level="note", sentence=sentence, figures=figures)


def forgotten(connection: Connection, *, champion: str, alpha: float) -> Forgotten | None:
    """What the champion's line has lost, where chance does not explain it.

    None, too, where the newest version was trained from scratch for that and does not serve: the
    next one goes on from the champion again.
    """
    for run in learning_runs.latest_made(connection, limit=2):
        tried = run["version"] is not None and run["options"].get(KEY) is not None
        if tried and run["options"]["champion"] == champion:
            return None
    found = _line_of(connection, champion)
    return found if found is not None and found.p_value <= alpha else None


def _line_of(connection: Connection, champion: str) -> Forgotten | None:
    """Back from the champion to what was trained from scratch, or to another test set."""
    version, steps = champion, list[Mapping[str, Any]]()
    for _ in range(_STEPS):
        run = learning_runs.proven(connection, version=version)
        if run is None or run["options"]["from"] != "champion":
            break
        step = _step(run["verdict"])
        if step is None or (steps and step["n"] != steps[0]["n"]):
            break
        steps.append(step)
        version = run["options"]["champion"]
    if not steps:
        return None
    return Forgotten(
        since=version,
        n=steps[0]["n"],
        gained=sum(step["gained"] for step in steps),
        lost=sum(step["lost"] for step in steps),
    )


def _step(verdict: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The figures of the frozen test set in a verdict; None where there was none."""
    for reason in verdict["reasons"]:
        if reason["name"] == "frozen" and "worse_p" in reason["figures"]:
            figures: Mapping[str, Any] = reason["figures"]
            return figures
    return None
