"""Runs a bundle's models on the CPU with ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path

import onnxruntime
from numpy.typing import NDArray

from nlu.engine import Floats, Query
from nlu.errors import BundleError
from nlu.tokens import pad

CLASSIFIER = "classifier.onnx"
EMBEDDER = "embedder.onnx"


class OnnxEngine:
    """The classifier and the sentence embedder as ONNX graphs, int8 where that was accepted."""

    calibration_prefix = ""

    def __init__(self, folder: Path, *, mode: str, threads: int = 1) -> None:
        self.mode = mode
        self._classifier = _session(folder / CLASSIFIER, threads)
        self._embedder = _session(folder / EMBEDDER, threads)
        self._heads = [output.name for output in self._classifier.get_outputs()]

    def classify(self, batch: Sequence[Query]) -> dict[str, Floats]:
        """Logits of each head."""
        return dict(zip(self._heads, _run(self._classifier, batch), strict=True))

    def embed(self, batch: Sequence[Query]) -> Floats:
        """L2-normalised embeddings (batch, dim)."""
        return _run(self._embedder, batch)[0]


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Between two messages a spinning thread would only take time from the other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own unexported classes
        raise BundleError(path, f"ONNX Runtime cannot load it: {error}") from error


def _run(session: onnxruntime.InferenceSession, batch: Sequence[Query]) -> list[Floats]:
    ids, mask = pad([query.encoded for query in batch])  # each (batch, tokens)
    feed: dict[str, NDArray] = {"ids": ids, "mask": mask}  # type: ignore[type-arg]
    outputs: list[Floats] = session.run(None, feed)
    return outputs
