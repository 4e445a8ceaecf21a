"""One trained version in figures, for `models list` and GET /v1/models."""

import json
from typing import Any

from nlu.bundle import BundleStore, read_manifest


def describe(store: BundleStore, version: str) -> dict[str, Any]:
    """Where a version comes from and how it scored on its validation split."""
    folder = store.folder(version)
    manifest = read_manifest(folder)
    try:
        metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    except (OSError, json.JSONDecodeError):
        metrics = {}
    return {
        "version": version,
        "current": version == store.current(),
        "created_at": manifest.created_at,
        "base_model": manifest.base_model,
        "embedder_id": manifest.embedder_id,
        "mode": manifest.mode,
        "parent": manifest.parent,
        "dataset_sha256": manifest.dataset_sha256,
        "validation": metrics.get("validation", {}),
    }
