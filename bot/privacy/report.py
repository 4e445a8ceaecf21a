"""The report of an erasure: what went, who had seen it, and what nobody here can reach."""

from datetime import datetime
from typing import Any

from bot.privacy.work import Work


def build(
    work: Work, *, row: dict[str, Any], platforms: frozenset[str], now: datetime, postgresql: bool
) -> dict[str, Any]:
    """The report, with nothing in it that leads to the customer."""
    found, models = work.result("found"), work.result("models")
    exports = work.result("exports").get("exports", [])
    training, datasets = work.result("training"), work.result("datasets")
    trained_on = sorted({*models.get("trained_on", {}), *training.get("versions", ())})
    return {
        "request": work.id,
        "kind": work.kind,
        "asked_by": work.actor,
        "asked_at": row["created_at"].isoformat(),
        "finished_at": now.isoformat(),
        "seconds": round((now - row["created_at"]).total_seconds(), 1),
        "reason": row["reason"],
        "conversations": work.result("rows").get("conversations", 0),
        "channels": found.get("channels", {}),
        "removed": {
            **found.get("rows", {}),
            "dialogue_turn": work.result("dialogue").get("turns", 0),
            "order_operation": work.result("orders").get("operations", 0),
            "dataset_row": sum(datasets.get("rows", {}).values()),
        },
        "answers": work.result("answers"),
        "models": {
            # They learnt from the customer's words, and cannot unlearn them.
            "trained_on": trained_on,
            # They read the customer's words, and keep nothing.
            "understood_by": sorted(models.get("understood_by", {})),
            "training_cancelled": training.get("run") if not trained_on else None,
        },
        # Versions of the training data that had words of the customer's, with how many rows.
        "datasets": datasets.get("rows", {}),
        "exports": exports,
        "logs": work.result("logs"),
        "steps": {
            name: {key: step[key] for key in ("state", "tries", "done_at") if key in step}
            for name, step in work.steps.items()
        },
        "not_reached": _not_reached(work, trained_on, platforms, postgresql=postgresql),
    }


def _not_reached(
    work: Work, trained_on: list[str], platforms: frozenset[str], *, postgresql: bool
) -> list[dict[str, Any]]:
    """What is left elsewhere, each with a code that pages have words for."""
    left: list[dict[str, Any]] = []
    for export in work.result("exports").get("exports", []):
        if export["state"] == "download":
            left.append({"code": "download", "what": export["id"], "at": export["made_at"]})
        elif export["state"] == "gone":
            left.append({"code": "moved", "what": export["path"]})
        elif export["state"] == "not_cleaned":
            left.append({"code": "not_cleaned", "what": export["path"], "why": export["why"]})
        if export["format"] == "rasa" or export["kind"] == "corrections":
            # `kefu train` takes such files, and nobody notes which.
            left.append({"code": "trained_by_hand", "what": export["path"] or export["id"]})
    left += [{"code": "model", "what": version} for version in trained_on]
    left += [
        {"code": "dataset", "what": version}
        for version in work.result("datasets").get("not_here", [])
    ]
    left += [
        {"code": "platform", "what": channel}
        for channel in sorted(work.result("found").get("channels", {}))
        if channel in platforms
    ]
    left += [
        {"code": "not_vacuumed", "what": table}
        for table in (
            *work.result("files").get("not_vacuumed", []),
            *work.result("index").get("not_rebuilt", []),
        )
    ]
    left.append({"code": "backups"})
    if postgresql:
        left.append({"code": "replicas"})
    return left
