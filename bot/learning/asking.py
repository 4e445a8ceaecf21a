"""Whether people have said what the proof of the newest run is open for."""

from typing import Any

from sqlalchemy import Connection

from bot.learning.forgotten import KEY as FORGOTTEN
from bot.learning.proof.questions import KEY, Questions
from bot.log import learning_runs, proof_questions
from bot.log.training_runs import Row


def answered_run(connection: Connection, *, champion: str | None) -> Row | None:
    """The newest run of the loop, if its proof is open and people have said enough since.

    Where another version serves meanwhile the questions were about something else.
    """
    run = next(iter(learning_runs.latest(connection)), None)
    if run is None or run["state"] != "succeeded" or not run["verdict"]:
        return None
    questions = Questions.of(run["verdict"].get(KEY))
    if questions is None or questions.champion != champion:
        return None
    said = proof_questions.spoken_of(connection, turn_ids=questions.turns)
    return run if said >= questions.wanted else None


def proving_again(run: Row) -> dict[str, Any]:
    """What the options of a run say that proves the version of another one again."""
    told = {name: run["options"][name] for name in ("from", FORGOTTEN) if name in run["options"]}
    return {**told, "again": run["id"], KEY: run["verdict"][KEY]}
