"""Something to look at on the pages of the learning loop, put into a running system's log."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from bot.learning.guard.held import Held
from bot.log import database, held_back, tables, unknowns
from bot.log.unknowns import Found
from bot.world import sortable_id, utc_now

RUN = "run-to-look-at"
VERSIONS = ("20260101-000000-aaaaaa", "20260102-000000-bbbbbb")
# A long name without a space, as people give them: it must not widen a page.
LONG = "ask_about_the_gift_wrapping_of_an_order_that_was_placed_for_somebody_else_abroad"
VERDICT = {
    "decision": "hold",
    "release": "none",
    "reasons": [
        {"name": "gain", "level": "hold", "sentence": "+0.3 points, -0.4 to +1.0.", "figures": {}},
        {
            "name": "questions",
            "level": "note",
            "sentence": "24 of the 86 messages that both take differently are in the review queue.",
            "figures": {"asked": 24, "differ": 86},
        },
        {"name": "size", "level": "pass", "sentence": "It is as large as before.", "figures": {}},
    ],
}


def fill(state_dir: Path) -> tuple[str, ...]:
    """A run with verdict, data and proof, a canary, turns held back, groups; paths of each."""
    engine = database.open_engine(f"sqlite:///{state_dir / 'kefu.db'}", writer=True)
    with engine.begin() as connection:
        turns = list(connection.execute(select(tables.turn.c.id).limit(100)).scalars())
        _groups(connection, turns)
        group = unknowns.listing(connection, limit=1)[0]["id"]
        _held(connection, turns)
        _run(connection)
        _trial(connection)
    engine.dispose()
    _proof(state_dir / "learning" / RUN / "proof", turns[:10])
    return f"/learning/runs/{RUN}", f"/learning/unknowns/{group}"


def _groups(connection: Connection, turns: list[str]) -> None:
    found = [
        Found(
            cohesion=0.7,
            worth=1.0,
            members=[(turn, 0.8) for turn in turns[start : start + 12]],
            labels={LONG: 3},
        )
        for start in (0, 12, 24)
    ]
    unknowns.replace_open(connection, found=found, now=utc_now(), new_id=sortable_id)


def _held(connection: Connection, turns: list[str]) -> None:
    error = {"likely": LONG, "neighbours": 0.7, "given": 0.02, "probability": 0.004}
    shift = {"kind": "rise", "intent": LONG, "before": 0.1, "now": 0.4, "surplus": 120}
    held = [
        Held(turn_id=turn, reason=reason, detail=detail, intent=LONG, source="pseudo", author=None)
        for turn, reason, detail in (
            (turns[40], "label_error", error | {"also": ["protected"]}),
            (turns[41], "class_shift", shift),
        )
    ]
    held_back.keep(connection, held=held, run_id=RUN, now=utc_now())


def _run(connection: Connection) -> None:
    now = utc_now() - timedelta(days=2)
    run: dict[str, Any] = {
        "id": RUN,
        "kind": "learn",
        "state": "succeeded",
        "step": "release",
        "actor": "learning loop",
        "options": {"why": "period", "corrections": True, "epochs": None, "promote": False},
        "host": "h",
        "owner": "1 2 3",
        "verdict": VERDICT,
        "version": VERSIONS[1],
        "dataset": "d-2",
        "lines": ["epoch 3 of 3"],
        "created_at": now,
        "started_at": now,
        "seen_at": now,
        "finished_at": now + timedelta(minutes=12),
    }
    connection.execute(insert(tables.training_run), run)
    for version, parent, rows in (("d-1", None, 100), ("d-2", "d-1", 140)):
        counts = {"source": {"corrected": rows}, "intent": {LONG: rows}}
        connection.execute(
            insert(tables.dataset_version),
            {
                "version": version,
                "parent": parent,
                "sha256": "0" * 64,
                "rows": rows,
                "counts": counts,
                "until": now,
                "created_at": now,
            },
        )


def _trial(connection: Connection) -> None:
    side = {"conversations": 150, "harms": {"fallback": 12}, "rating": 4.2, "understanding_ms": 9.0}
    report = {
        "standing": "nothing is worse so far; 3.0 hours to go",
        "sides": {
            "active": side | {"version": VERSIONS[0]},
            "trial": side | {"version": VERSIONS[1]},
        },
    }
    connection.execute(
        insert(tables.promotion),
        {
            "id": "trial-to-look-at",
            "kind": "canary",
            "state": "open",
            "slot": 1,
            "version": VERSIONS[1],
            "previous": VERSIONS[0],
            "share": 0.1,
            "actor": "learning loop",
            "report": report,
            "created_at": utc_now(),
        },
    )


def _proof(folder: Path, turns: list[str]) -> None:
    changes = [
        {
            "turn_id": turn,
            "champion": LONG,
            "champion_confidence": 0.91,
            "challenger": "cancel_order",
            "challenger_confidence": 0.88,
            "champion_emotion": "neutral",
            "challenger_emotion": "angry",
        }
        for turn in turns
    ]
    pairs = [{"champion": LONG, "challenger": "cancel_order", "count": len(turns)}]
    shadow = {"turns": 300, "changed": len(turns), "emotions_changed": 0, "pairs": pairs}
    folder.mkdir(parents=True)
    (folder / "proof.json").write_text(
        json.dumps({"format": 1, "shadow": shadow | {"changes": changes}})
    )
