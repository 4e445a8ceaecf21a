"""One trained version in figures, for `models list` and GET /v1/models."""

import json
from typing import Any

from nlu.bundle import BundleStore, read_manifest
from nlu.errors import BadTrial


def describe(store: BundleStore, version: str) -> dict[str, Any]:
    """Where a version comes from and how it scored on its validation split."""
    folder = store.folder(version)
    manifest = read_manifest(folder)
    try:
        metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    except (OSError, json.JSONDecodeError):
        metrics = {}
    try:
        labels = json.loads((folder / "labels.json").read_text("utf-8"))
    except (OSError, json.JSONDecodeError):
        labels = {}
    try:
        trial = store.trial()
    except BadTrial:
        trial = None
    return {
        "version": version,
        "current": version == store.current(),
        "trial": trial is not None and version == trial.version,
        "created_at": manifest.created_at,
        "base_model": manifest.base_model,
        "embedder_id": manifest.embedder_id,
        "mode": manifest.mode,
        "parent": manifest.parent,
        "replaced": store.replaced(version),
        "dataset_sha256": manifest.dataset_sha256,
        "validation": metrics.get("validation", {}),
        "labels": {
            "intent": labels.get("intent", []),
            "emotion": labels.get("emotion", []),
            "entity": sorted(
                {tag[2:].split(":")[0] for tag in labels.get("tags", []) if tag != "O"}
            ),
        },
    }
