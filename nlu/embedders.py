"""Puts the embedder of the answers into a bundle: the base, the champion's, or one newly tuned."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlu.bundle import Bundle, file_sha256
from nlu.export import export_embedder, save_embedder
from nlu.onnx_engine import EMBEDDER
from nlu.retriever_gate import Tuning
from nlu.retriever_pairs import embedder_id, is_tuned
from nlu.torch_engine import EMBEDDER as EMBEDDER_FOLDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """The embedder of a bundle.

    `id` is the same for every bundle with these weights: stored vectors outlive a retraining.
    `precision` is that of a graph which was taken over; None: it is float32 so far.
    `report` is of the tuning that was tried last, also if it was for a champion.
    """

    id: str
    dim: int
    precision: str | None = None
    report: dict[str, Any] | None = None


def put_embedder(
    base_model: str, folder: Path, champion: Bundle | None, tuning: Tuning | None
) -> Embedder:
    """Writes the embedder's folder and graph: the tuned one if its gate lets it through, else the
    champion's as it is, else the base encoder's.
    """
    report = None if tuning is None else tuning.report
    if report is None and champion is not None:
        report = _metrics(champion.folder).get("retriever")
    if tuning is not None and tuning.accepted and tuning.model is not None:
        dim = save_embedder(tuning.model, folder)
        export_embedder(folder)
        return Embedder(id=_id(base_model, folder, tuned=True), dim=dim, report=report)
    if champion is None:
        dim = save_embedder(base_model, folder)
        export_embedder(folder)
        return Embedder(id=_id(base_model, folder, tuned=False), dim=dim, report=report)
    shutil.copytree(champion.folder / EMBEDDER_FOLDER, folder / EMBEDDER_FOLDER)
    shutil.copyfile(champion.folder / EMBEDDER, folder / EMBEDDER)
    tuned = is_tuned(champion.manifest.embedder_id)
    return Embedder(
        id=_id(base_model, folder, tuned=tuned),
        dim=champion.manifest.embedding_dim,
        precision=str(_metrics(champion.folder)["precision"]["embedder"]),
        report=report,
    )


def _id(base_model: str, folder: Path, *, tuned: bool) -> str:
    weights = sorted(folder.glob(f"{EMBEDDER_FOLDER}/**/*.safetensors"))
    return embedder_id(base_model, [file_sha256(path) for path in weights], tuned=tuned)


def tuned_on(bundle: Bundle) -> str | None:
    """The digest of what the retriever of a bundle was last tuned on, kept or not."""
    report = _metrics(bundle.folder).get("retriever") or {}
    found: str | None = report.get("data")
    return found


def _metrics(folder: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text("utf-8"))
    return metrics
