"""What a line of versions has forgotten: each goes on from the one before, and each loses a little.

A proof sees one step, and a step's loss is mostly too small to be told from chance; that of ten is
not. Which texts of the frozen test set each step has gained and lost is in its verdict. Together
that is what the newest version has right and the line's first had not, and the other way round:
many texts that change sides at one step change back at another; what stays lost is forgotten.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from sqlalchemy import Connection

from bot.learning.proof.reason import GAINED, LOST, Reason, rounded_p, shown_p
from bot.log import learning_runs

KEY = "forgotten"  # of a run's options
# The newest steps of a line that are looked at: what was gained long before must not hide what is
# lost since.
_STEPS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """Texts of the frozen test set that the end of a line of versions has right, or its begin."""

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
        """How often so many are lost where as many are gained as lost."""
        # Imported here: scipy is heavy, and who only reads what a run's options say needs none.
        from bot.learning.proof.statistics import mcnemar

        return mcnemar(self.gained, self.lost, better="champion", mid=True)

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def as_reason(self) -> Reason:
        """What a person is told of it."""
        sentence = (
            f"Trained from scratch: of the {self.n} texts of the frozen test set what went on from "
            f"{self.since}, version by version, has lost {self.lost} and gained {self.gained} "
            f"(McNemar, mid-p: p = {shown_p(self.p_value)})."
        )
        figures = self.as_json() | {"p_value": rounded_p(self.p_value)}
        return Reason(name=KEY, level="note", sentence=sentence, figures=figures)


def forgotten(connection: Connection, *, champion: str, alpha: float) -> Forgotten | None:
    """What the champion's line has lost, or the next of it would have, if it is more than chance.

    None, too, where the newest version was trained from scratch for that and does not serve: the
    next one goes on from the champion again.
    """
    last = _last_from(connection, champion)
    if last is not None and last["options"].get(KEY) is not None:
        return None
    lines = (_line_of(connection, champion), _refused(connection, last))
    return next((line for line in lines if line is not None and line.p_value <= alpha), None)


def _last_from(connection: Connection, champion: str) -> Mapping[str, Any] | None:
    """The run before the one that goes on, if it made a version while this champion served."""
    for run in learning_runs.latest_made(connection, limit=2):
        if run["version"] is not None and run["options"]["champion"] == champion:
            return run
    return None


def _refused(connection: Connection, last: Mapping[str, Any] | None) -> Forgotten | None:
    """What a version has lost that went on from the champion, and was refused."""
    run = None if last is None else learning_runs.proven(connection, version=last["version"])
    if run is None or run["verdict"]["decision"] != "refuse":
        return None
    step = _step(run["verdict"])
    if step is None or run["options"]["from"] != "champion":
        return None
    since, gained, lost = run["options"]["champion"], len(step[GAINED]), len(step[LOST])
    return Forgotten(since=since, n=step["n"], gained=gained, lost=lost)


def _line_of(connection: Connection, champion: str) -> Forgotten | None:
    """Back from the champion to what was trained from scratch, or to another test set."""
    version, texts, n = champion, Counter[int](), None
    for _ in range(_STEPS):
        run = learning_runs.proven(connection, version=version)
        if run is None or run["options"]["from"] != "champion":
            break
        step = _step(run["verdict"])
        if step is None or n not in (None, step["n"]):
            break
        n = step["n"]
        texts.update(step[GAINED])
        texts.subtract(step[LOST])
        version = run["options"]["champion"]
    if n is None:
        return None
    sides = list(texts.values())  # 1: gained, -1: lost, 0: back where it was
    return Forgotten(since=version, n=n, gained=sides.count(1), lost=sides.count(-1))


def _step(verdict: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The figures of the frozen test set in a verdict; None where there was none."""
    for reason in verdict["reasons"]:
        if reason["name"] == "frozen" and LOST in reason["figures"]:
            figures: Mapping[str, Any] = reason["figures"]
            return figures
    return None
