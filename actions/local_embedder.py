"""Embeddings without the understanding service: the same model in this process, for benchmarks."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actions.understanding import Embedder, Embeddings, FloatArray
from nlu.base import encoder_path
from nlu.bundle import BundleStore
from nlu.device import choose_device
from nlu.loading import LoadedModel, load
from nlu.settings import NluSettings


class BundleEmbedder:
    """The embedder of a trained bundle, as the service would run it."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector a text."""
        queries = [self._model.embed_query(text) for text in texts]
        # Like lengths together: a batch costs as much as its longest text for all.
        order = sorted(range(len(queries)), key=lambda i: len(queries[i].text))
        vectors: FloatArray | None = None
        for start in range(0, len(order), 16):
            part = order[start : start + 16]
            made, _ = await asyncio.to_thread(self._model.ladder.embed, [queries[i] for i in part])
            if vectors is None:
                vectors = np.zeros((len(texts), made.shape[1]), dtype=np.float32)
            vectors[part] = made
        assert vectors is not None
        return Embeddings(vectors=vectors, embedder=self._model.bundle.manifest.embedder_id)


class BaseEmbedder:
    """The base encoder that nothing was trained from yet."""

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self._name = name

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector a text."""
        made = await asyncio.to_thread(
            self._model.encode, list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return Embeddings(vectors=np.asarray(made, dtype=np.float32), embedder=self._name)


def bundle_embedder(folder: Path, settings: NluSettings) -> BundleEmbedder:
    """The embedder of the bundle in a folder, on the device that the settings name.

    Raises NluError when it cannot be loaded.
    """
    device = choose_device(settings.device)
    return BundleEmbedder(load(folder, device=device, threads=settings.nlu_threads))


def local_embedder(settings: NluSettings) -> tuple[Embedder, str]:
    """The current bundle's embedder, or the base encoder before the first training, and its name.

    Raises NluError when neither can be loaded.
    """
    store = BundleStore(settings.models_dir)
    version = store.current()
    device = choose_device(settings.device)
    if version is not None:
        model = load(store.folder(version), device=device, threads=settings.nlu_threads)
        return BundleEmbedder(model), f"{model.bundle.manifest.embedder_id} {model.ladder.mode}"
    # Imported here: it brings torch.
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(encoder_path(settings.base_model), device=device)
    return BaseEmbedder(encoder, settings.base_model), f"{settings.base_model} {device}"
