"""Runs a bundle's models with PyTorch, on a GPU or, to compare with, on the CPU."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from nlu.device import autocast
from nlu.encoder import load_model, quiet_libraries
from nlu.engine import Floats, Query
from nlu.labels import Labels
from nlu.tokens import pad

EMBEDDER = "embedder"  # a sentence-transformers folder


class TorchEngine:
    """The fine-tuned model and the sentence embedder as torch modules."""

    calibration_prefix = ""

    def __init__(self, folder: Path, labels: Labels, *, device: str) -> None:
        quiet_libraries()
        self.mode = "cuda" if device == "cuda" else "cpu"
        self._device = device
        self._heads = labels.heads
        self._model = load_model(folder, labels).to(device)
        self._embedder = SentenceTransformer(
            str(folder / EMBEDDER), device=device, local_files_only=True
        ).eval()

    def classify(self, batch: Sequence[Query]) -> dict[str, Floats]:
        """Logits of each head."""
        with torch.inference_mode(), self._autocast():
            logits = self._model(*self._tensors(batch))
        arrays = [each.float().cpu().numpy() for each in logits]
        return dict(zip(self._heads, arrays, strict=True))

    def embed(self, batch: Sequence[Query]) -> Floats:
        """L2-normalised embeddings (batch, dim)."""
        ids, mask = self._tensors(batch)
        with torch.inference_mode(), self._autocast():
            output = self._embedder({"input_ids": ids, "attention_mask": mask})
        vectors = torch.nn.functional.normalize(output["sentence_embedding"].float(), dim=-1)
        result: Floats = vectors.cpu().numpy().astype(np.float32)
        return result

    def _tensors(self, batch: Sequence[Query]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask = pad([query.encoded for query in batch])  # each (batch, tokens)
        return torch.from_numpy(ids).to(self._device), torch.from_numpy(mask).to(self._device)

    def _autocast(self) -> "torch.autocast":
        # On the CPU full precision: this is what the quantised graphs are compared with.
        if self._device == "cuda":
            return autocast("cuda", training=False)  # type: ignore[return-value]
        return torch.autocast("cpu", enabled=False)
