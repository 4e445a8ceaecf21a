"""What the ranking compares with each other: open candidates, what was labelled, their vectors."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.log import annotations, tables
from bot.log.annotations import Effective
from bot.log.confident_joint import confident_joint, error_rates
from bot.log.k_centre import k_centre, nearest_of
from bot.log.review_candidates import want_another
from bot.log.review_scores import EMERGING, FALLBACK, RANDOM, primary, probabilities

POOL_OF_EACH = 150
CENTRES = 300
LABELLED = 3000
CHOSEN = 40
# What a turn weighs that the model was sure of, beside 0.4 to 1 of the others.
_SURE = 0.3
# Cosines: the same thing said again, and something said much like it.
SAME = 0.97
ALIKE = 0.8
SUSPECTS = 20
SUSPICION = 0.3
ERROR_RATE = 0.3
# How many alike make a topic; where a message stands that is as like them as what is known.
_NEIGHBOURS = 4
_MIDDLE, _REACH = 0.7, 0.5
_POOLED = ("spare", "uncertainty", "fallback", "diversity", "disagreement", EMERGING)

_annotation = tables.annotation
_candidate = tables.review_candidate
_turn = tables.turn
_vector = tables.review_vector

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A turn with what holds of it and what the model had thought."""

    turn_id: str
    text: str
    effective: Effective
    predicted: str | None
    probabilities: Mapping[str, float]

    @property
    def intent(self) -> str | None:
        """The intent that people agree on."""
        labels = self.effective.labels
        return None if labels is None else labels["intent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Open candidates, what was labelled last, newest first, and the vectors that are known."""

    rows: list[Row]
    labelled: list[Labelled]
    vectors: dict[str, NDArray[np.float32]]

    def without_vectors(self) -> list[tuple[str, str]]:
        """(turn, text) of what still has to be embedded."""
        centres = [(one.turn_id, one.text) for one in self.labelled[:CENTRES]]
        wanted = [(row["turn_id"], row["text"]) for row in self.rows] + centres
        return [(turn_id, text) for turn_id, text in wanted if turn_id not in self.vectors]


def read_pool(
    connection: Connection, *, labelled: Sequence[Labelled], embedder: str | None
) -> Pool:
    """The open candidates beside what was labelled, with the vectors of one embedder."""
    rows: list[Row] = []
    for reason in _POOLED:
        found = connection.execute(
            select(_candidate, _turn.c.text)
            .join(_turn, _turn.c.id == _candidate.c.turn_id)
            .where(_candidate.c.state == "first", _candidate.c.reason == reason)
            .order_by(_candidate.c.score.desc())
            .limit(POOL_OF_EACH)
        )
        rows += [dict(row) for row in found.mappings()]
    ids = [row["turn_id"] for row in rows] + [one.turn_id for one in labelled[:CENTRES]]
    vectors = {}
    if embedder is not None:
        found = connection.execute(
            select(_vector).where(_vector.c.turn_id.in_(ids), _vector.c.embedder == embedder)
        )
        vectors = {row.turn_id: np.frombuffer(row.embedding, dtype="<f4") for row in found}
    return Pool(rows=rows, labelled=list(labelled), vectors=vectors)


def marks(connection: Connection) -> tuple[Any, Any]:
    """What changes whenever there is something new to compare."""
    newest = select(func.max(_annotation.c.created_at))
    cursors = select(func.max(tables.review_cursor.c.read_to))
    return connection.execute(newest).scalar(), connection.execute(cursors).scalar()


def keep_vectors(
    connection: Connection, *, turn_ids: Sequence[str], vectors: Any, embedder: str
) -> None:
    """Keep what texts mean, (texts, dim); a turn that is gone meanwhile is left out."""
    there = set(connection.execute(select(_turn.c.id).where(_turn.c.id.in_(turn_ids))).scalars())
    for turn_id, vector in zip(turn_ids, vectors, strict=True):
        if turn_id in there:
            row = {
                "turn_id": turn_id,
                "embedding": np.asarray(vector, dtype="<f4").tobytes(),
                "embedder": embedder,
            }
            connection.execute(_PUT[connection.dialect.name], row)


def forget_vectors(connection: Connection) -> int:
    """Drop the vectors of turns that are neither open nor labelled any longer."""
    needed = exists().where(
        _candidate.c.turn_id == _vector.c.turn_id, _candidate.c.state != "duplicate"
    )
    return connection.execute(delete(_vector).where(~needed)).rowcount


def novelties(pool: Pool) -> dict[str, float]:
    """The turns that are least like what was labelled, with how unlike they are.

    What the model is unsure of counts more: strays that it knows teach little. Without vectors it
    is the predicted intents that were labelled least that count.
    """
    known = [row for row in pool.rows if row["turn_id"] in pool.vectors]
    if not known:
        return _rare_intents(pool)
    centres = [one.turn_id for one in pool.labelled[:CENTRES] if one.turn_id in pool.vectors]
    weights = np.array([_unsure(row) for row in known], dtype=np.float32)
    chosen = k_centre(_stack(pool, known), _matrix(pool, centres), CHOSEN, weights)
    return {known[index]["turn_id"]: distance for index, distance in chosen}


def repeats(pool: Pool) -> list[str]:
    """The turns that say again what was labelled."""
    return [row["turn_id"] for row, _, likeness in _neighbours(pool) if likeness > SAME]


def like_corrected(pool: Pool) -> dict[str, float]:
    """The turns much like one whose intent people corrected, of the same predicted intent."""
    return {
        row["turn_id"]: round(float(likeness), 4)
        for row, one, likeness in _neighbours(pool)
        if ALIKE <= likeness <= SAME
        and one.intent is not None
        and one.intent != one.predicted
        and one.predicted == row["intent"]
    }


def suspected(pool: Pool) -> dict[str, float]:
    """Labelled turns of one author whose label the model contradicts with confidence."""
    known = [one for one in pool.labelled if one.intent is not None]
    joint = confident_joint(
        [str(one.intent) for one in known], [one.probabilities for one in known]
    )
    found = {}
    for suspect in joint.suspects[:SUSPECTS]:
        one = known[suspect.index]
        settled = one.effective.labels is not None and one.effective.labels["settles"]
        if suspect.score >= SUSPICION and one.effective.authors == 1 and not settled:
            found[one.turn_id] = suspect.score
    return found


def often_wrong(pool: Pool) -> dict[str, float]:
    """Open turns of intents that people often corrected when the model chose them."""
    known = [one for one in pool.labelled if one.intent is not None]
    rates = error_rates([str(one.intent) for one in known], [one.predicted for one in known])
    return {
        row["turn_id"]: rates[row["intent"]]
        for row in pool.rows
        # That nothing was understood is always wrong: it has a reason of its own.
        if row["intent"] != FALLBACK and rates.get(row["intent"], 0.0) >= ERROR_RATE
    }


def unknown_topics(pool: Pool) -> dict[str, float]:
    """What was not understood, with how much it looks like a topic that nobody has named.

    More for what is like others that the model was not sure of, less for what is like something
    that was labelled or that it is sure of.
    """
    known = [row for row in pool.rows if row["turn_id"] in pool.vectors]
    lost = [row for row in known if "fallback" in row["reasons"]]
    unsure = [row for row in known if row["reason"] != "spare"]
    if len(unsure) <= _NEIGHBOURS or not lost:
        return {}
    centres = [one.turn_id for one in pool.labelled[:CENTRES] if one.turn_id in pool.vectors]
    sure = [row["turn_id"] for row in known if row["reason"] == "spare"]
    vectors = _stack(pool, lost)  # (lost, dim)
    # Each is among the unsure itself, the nearest of all.
    alike = np.sort(vectors @ _stack(pool, unsure).T, axis=1)[:, -1 - _NEIGHBOURS : -1].mean(axis=1)
    _, likeness = nearest_of(vectors, _matrix(pool, centres + sure))
    scores = np.clip(_MIDDLE + _REACH * (alike - likeness), 0.0, 1.0)
    return {row["turn_id"]: round(float(score), 4) for row, score in zip(lost, scores, strict=True)}


def apply(
    connection: Connection,
    *,
    pool: Pool,
    reasons: Mapping[str, Mapping[str, float]],
    second: Mapping[str, float],
    doubles: Sequence[str],
) -> bool:
    """Give the pool's turns the reasons that were found, by reason and turn, and no others.

    `second`: turns that another person is to label; `doubles`: turns not to be shown.
    """
    now = {
        row["turn_id"]: row
        for row in connection.execute(
            select(_candidate).where(
                _candidate.c.turn_id.in_([row["turn_id"] for row in pool.rows]),
                _candidate.c.state == "first",
            )
        ).mappings()
    }
    for turn_id, row in now.items():
        if turn_id in doubles:
            connection.execute(_update(turn_id).values(state="duplicate"))
            continue
        wanted = {name: score for name, score in row["reasons"].items() if name != "diversity"}
        for name, scores in reasons.items():
            if turn_id in scores:
                wanted[name] = scores[turn_id]
        if wanted != row["reasons"] and wanted:
            reason, score = primary(wanted, drawn=RANDOM in wanted)
            connection.execute(_update(turn_id).values(reasons=wanted, reason=reason, score=score))
    for turn_id, score in second.items():
        want_another(connection, turn_id, "label_error", score)
    return True


def read_labelled(connection: Connection) -> list[Labelled]:
    """The turns that people labelled last and agree on, newest first."""
    newest = (
        select(_annotation.c.turn_id, _annotation.c.created_at)
        .where(_annotation.c.kind == "label")
        .order_by(_annotation.c.created_at.desc())
        .limit(LABELLED)
    )
    ids = list(dict.fromkeys(row.turn_id for row in connection.execute(newest)))
    records: dict[str, list[Row]] = {}
    for record in annotations.records_of(connection, ids):
        records.setdefault(record["turn_id"], []).append(record)
    turns = {
        row.id: row
        for row in connection.execute(
            select(_turn.c.id, _turn.c.text, _turn.c.intent, _turn.c.ranking).where(
                _turn.c.id.in_(ids)
            )
        )
    }
    found = []
    for turn_id in ids:
        holds = annotations.effective(records.get(turn_id, ()))
        turn = turns.get(turn_id)
        if holds is not None and holds.state == "labelled" and turn is not None:
            found.append(
                Labelled(
                    turn_id=turn_id,
                    text=turn.text,
                    effective=holds,
                    predicted=turn.intent,
                    probabilities=probabilities(turn.ranking),
                )
            )
    return found


def _unsure(row: Row) -> float:
    """How unsure the model was of a turn, by the reasons that speak for it."""
    return max(row["reasons"].get(name, 0.0) for name in ("uncertainty", "fallback")) or _SURE


def _rare_intents(pool: Pool) -> dict[str, float]:
    seen = Counter(one.predicted for one in pool.labelled)
    chosen: dict[str, float] = {}
    of_intent: Counter[str | None] = Counter()
    for row in sorted(pool.rows, key=lambda row: (seen[row["intent"]], -row["score"])):
        if len(chosen) >= CHOSEN:
            break
        # One of an intent, then another of it counts as if the first had been labelled.
        chosen[row["turn_id"]] = round(1 / (1 + seen[row["intent"]] + of_intent[row["intent"]]), 4)
        of_intent[row["intent"]] += 1
    return chosen


def _neighbours(pool: Pool) -> list[tuple[Row, Labelled, float]]:
    known = [row for row in pool.rows if row["turn_id"] in pool.vectors]
    centres = [one for one in pool.labelled[:CENTRES] if one.turn_id in pool.vectors]
    if not known or not centres:
        return []
    index, likeness = nearest_of(
        _stack(pool, known), _matrix(pool, [one.turn_id for one in centres])
    )
    return [
        (row, centres[int(near)], float(cosine))
        for row, near, cosine in zip(known, index, likeness, strict=True)
    ]


def _stack(pool: Pool, rows: Sequence[Row]) -> NDArray[np.float32]:
    return _matrix(pool, [row["turn_id"] for row in rows])


def _matrix(pool: Pool, turn_ids: Sequence[str]) -> NDArray[np.float32]:
    if not turn_ids:
        return np.zeros((0, 0), dtype=np.float32)
    return np.stack([pool.vectors[turn_id] for turn_id in turn_ids])  # (texts, dim)


def _update(turn_id: str) -> Any:
    return update(_candidate).where(_candidate.c.turn_id == turn_id)


def _putting(dialect: Any) -> Any:
    new = dialect.insert(_vector)
    return new.on_conflict_do_update(
        index_elements=[_vector.c.turn_id],
        set_={"embedding": new.excluded.embedding, "embedder": new.excluded.embedder},
    )


_PUT = {"sqlite": _putting(sqlite), "postgresql": _putting(postgresql)}
