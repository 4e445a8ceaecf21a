"""What reviewers corrected, as a folder that the trainer takes."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from bot.log import annotations, exposure, tables
from bot.log.export import write_rasa
from bot.log.journal import Journal

_turn = tables.turn
_annotation = tables.annotation
_later = tables.annotation.alias("later")
_BATCH = 500  # keys in one IN (...)

INTENTS, EMOTIONS = "nlu.yml", "emotion.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A turn that teaches something: its text, and the labels that hold."""

    turn_id: str
    text: str
    labels: dict[str, Any]


def corrected_turns(connection: Connection) -> list[Corrected]:
    """Every turn whose labels hold, disputed and rejected ones left out; in the order of ids."""
    labelled = {
        turn_id: one.labels
        for turn_id, one in annotations.all_effective(connection).items()
        if one.state == "labelled" and one.labels is not None
    }
    ids, found = sorted(labelled), []
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        rows = connection.execute(
            select(_turn.c.id, _turn.c.text).where(_turn.c.id.in_(batch)).order_by(_turn.c.id)
        )
        found += [Corrected(turn_id=row.id, text=row.text, labels=labelled[row.id]) for row in rows]
    return [one for one in found if one.labels["intent"] or one.labels["emotion"]]


def count_since(connection: Connection, moment: datetime | None) -> tuple[int, int]:
    """How many turns reviewers labelled, and how many of them since a moment.

    Cheap: labels that were taken back do not count, disputes are not looked for.
    """
    revoked = select(_later.c.id).where(_later.c.revokes == _annotation.c.id).exists()
    labelled = select(func.count(_annotation.c.turn_id.distinct())).where(
        _annotation.c.kind == "label", ~revoked
    )
    count = connection.execute(labelled).scalar() or 0
    if moment is None:
        return count, count
    return count, connection.execute(
        labelled.where(_annotation.c.created_at > moment)
    ).scalar() or 0


class ReviewedTurns:
    """The corrections in the log."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def write(self, folder: Path) -> list[str]:
        """Write nlu.yml and emotion.csv as far as there are any; the ids of the turns used.

        All that hold, not only the new ones: every training begins with the same data, so what an
        earlier one was taught would be forgotten.
        """
        return await self._journal.read(partial(_write, folder=folder))

    async def seen(self, version: str, turn_ids: Sequence[str]) -> None:
        """Keep that a version was trained on these turns."""
        await self._journal.write(
            partial(exposure.record, model_version=version, turn_ids=list(turn_ids))
        )


def _write(connection: Connection, folder: Path) -> list[str]:
    turns = corrected_turns(connection)
    intents = [one for one in turns if one.labels["intent"]]
    if intents:
        with (folder / INTENTS).open("w", encoding="utf-8") as out:
            write_rasa(
                [
                    {"text": one.text, "intent": None, "entities": None, "annotation": one.labels}
                    for one in intents
                ],
                out,
            )
    emotions = [one for one in turns if one.labels["emotion"]]
    if emotions:
        with (folder / EMOTIONS).open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["text", "emotion"])
            writer.writerows([one.text, one.labels["emotion"]] for one in emotions)
    return [one.turn_id for one in turns]
