"""Quantises a bundle's graphs to int8 where the held-out texts say that it costs nothing."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from nlu.bundle import Bundle
from nlu.calibration import Floats
from nlu.engine import Engine, Query
from nlu.evaluation import Scores, chunks, meanings, score
from nlu.examples import Example
from nlu.loading import EMBED_TOKENS
from nlu.onnx_engine import CLASSIFIER, EMBEDDER, OnnxEngine
from nlu.tokens import TextTokenizer
from nlu.torch_engine import TorchEngine

# The most that int8 may cost of the accuracy over all held-out intents and emotions, and of entity
# F1, which a single span moves further.
_ACCURACY_LOST = 0.003
_ENTITY_F1_LOST = 0.01
# The least mean cosine of int8 embeddings to their float32 originals.
_LEAST_COSINE = 0.97
_EMBED_SAMPLE = 256
# Values that share a scale, and how ONNX Runtime calls products of int8 by int8.
_BLOCK = 128
_INT8_PRODUCTS = 4


def quantise_graphs(
    bundle: Bundle,
    tokenizer: TextTokenizer,
    sample: Sequence[Example],
    *,
    embedder: str | None = None,
) -> dict[str, str]:
    """Quantises classifier and embedder; what each became, and the `mode` that serves.

    `embedder`: what its graph is already, if it was taken over from another bundle.
    """
    folder = bundle.folder
    reference = TorchEngine(folder, bundle.labels, device="cpu")
    before = score(bundle, sample, meanings(bundle, reference, tokenizer, sample))

    def classifier_keeps() -> bool:
        engine = OnnxEngine(folder, mode="cpu-int8")
        after = score(bundle, sample, meanings(bundle, engine, tokenizer, sample))
        return _keeps(before, after)

    embed_tokenizer = TextTokenizer(folder / "tokenizer.json", EMBED_TOKENS)
    texts = [example.text for example in sample[:_EMBED_SAMPLE]]
    queries = [Query(text=text, encoded=embed_tokenizer.encode(text)) for text in texts]

    def embedder_keeps() -> bool:
        exact = _embeddings(reference, queries)
        rounded = _embeddings(OnnxEngine(folder, mode="cpu-int8"), queries)
        return float((exact * rounded).sum(axis=1).mean()) >= _LEAST_COSINE

    classifier = _quantise(folder / CLASSIFIER, classifier_keeps)
    embedder = embedder or _quantise(folder / EMBEDDER, embedder_keeps)
    mode = "cpu" if classifier == "float32" else "cpu-int8"
    return {"classifier": classifier, "embedder": embedder, "mode": mode}


def _keeps(before: Scores, after: Scores) -> bool:
    if "entities" in before:
        lost = before["entities"]["f1"] - after["entities"]["f1"]
        if lost > _ENTITY_F1_LOST:
            return False
    # With few texts a single one weighs more than what may be lost.
    allowed = max(_ACCURACY_LOST, 1.0 / max(_texts(before), 1))
    return _accuracy(before) - _accuracy(after) <= allowed + 1e-9


def _texts(scores: Scores) -> int:
    return sum(scores[head]["n"] for head in ("intent", "emotion") if head in scores)


def _accuracy(scores: Scores) -> float:
    heads = [scores[head] for head in ("intent", "emotion") if head in scores]
    texts = sum(head["n"] for head in heads)
    return sum(head["accuracy"] * head["n"] for head in heads) / texts if texts else 0.0


def _embeddings(engine: Engine, queries: Sequence[Query]) -> Floats:
    found: dict[int, Floats] = {}
    for chunk in chunks(queries):
        found |= zip(chunk, engine.embed([queries[index] for index in chunk]), strict=True)
    return np.stack([found[index] for index in range(len(queries))])


def _quantise(path: Path, accept: Callable[[], bool]) -> str:
    """Replaces a graph by the fastest rounded form with which `accept()` holds.

    Returns `int8` (one scale for each output channel's weights, and one for all inputs of a product
    at a time), `int8-blocks` (one for each 128 weights and each 128 inputs: a third of the error,
    and a tenth to a half more time for one text) or, where both are refused, `float32`: the graph
    as it was.
    """
    full = path.with_suffix(".float32.onnx")
    path.rename(full)
    for name, write in (("int8", _round_channels), ("int8-blocks", _round_blocks)):
        with _quiet():
            write(full, path)
        if accept():
            full.unlink()
            return name
    full.replace(path)
    return "float32"


def _round_channels(full: Path, path: Path) -> None:
    # Products of two activations lose more by rounding than they gain in time.
    _round_dynamically(full, path, extra_options={"MatMulConstBOnly": True})


def _round_blocks(full: Path, path: Path) -> None:
    # It sets up the root logger of whoever imports it.
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    # The tables of embeddings, which stay as they are below, are most of the file.
    _round_dynamically(full, path, op_types_to_quantize=["Gather"])
    rounding = MatMulNBitsQuantizer(
        onnx.load(str(path)),
        bits=8,
        block_size=_BLOCK,
        is_symmetric=True,
        accuracy_level=_INT8_PRODUCTS,
    )
    rounding.process()
    rounding.model.save_model_to_file(str(path))


def _round_dynamically(full: Path, path: Path, **options: Any) -> None:
    # One scale a channel is as fast as one for the whole matrix, and twice as close.
    quantize_dynamic(str(full), str(path), weight_type=QuantType.QInt8, per_channel=True, **options)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides what the quantisers tell the root logger, and leaves that as it was."""
    root, hidden = logging.getLogger(), logging.root.manager.disable
    level, handlers = root.level, [*root.handlers]
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(hidden)
        root.setLevel(level)
        root.handlers[:] = handlers
