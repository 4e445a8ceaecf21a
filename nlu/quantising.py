"""Quantises a bundle's graphs to int8 where the held-out texts say that it costs nothing."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
    """Replaces a graph by its int8 form if `accept()` holds with that in place.

    Weights get one scale for each output channel: as fast as one for the whole matrix, and twice
    as close to the original. If that is refused, the second half of each feed-forward layer, whose
    inputs have the widest range, stays float32; if that is refused too, everything does. Returns
    `int8`, `int8-mixed` or `float32`.
    """
    full = path.with_suffix(".float32.onnx")
    path.rename(full)
    for name, kept in (("int8", []), ("int8-mixed", _feed_forward_outputs(full))):
        with _quiet_root():
            quantize_dynamic(
                str(full),
                str(path),
                weight_type=QuantType.QInt8,
                per_channel=True,
                nodes_to_exclude=kept,
                # Products of two activations lose more by rounding than they gain in time.
                extra_options={"MatMulConstBOnly": True},
            )
        if accept():
            full.unlink()
            return name
    full.replace(path)
    return "float32"


def _feed_forward_outputs(path: Path) -> list[str]:
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    return [
        node.name
        for node in nodes
        if node.op_type == "MatMul" and "output/dense" in node.name and "attention" not in node.name
    ]


@contextmanager
def _quiet_root() -> Iterator[None]:
    """Hides the advice, on the root logger, to preprocess graphs: it changes nothing here."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
