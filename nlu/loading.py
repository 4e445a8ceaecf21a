"""Opens a bundle and the engines that can run it on this machine."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nlu.bundle import Bundle, open_bundle
from nlu.engine import Engine, Query
from nlu.ladder import Ladder
from nlu.lexical import LexicalEngine
from nlu.onnx_engine import OnnxEngine
from nlu.tokens import TextTokenizer

_WARM_TEXTS = ("hello", "where is my order, it should have been here by now?")
# Sentence embedders are trained on texts up to this length, classifiers on shorter ones.
EMBED_TOKENS = 256

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A bundle ready to answer."""

    bundle: Bundle
    tokenizer: TextTokenizer
    embed_tokenizer: TextTokenizer
    ladder: Ladder

    @property
    def version(self) -> str:
        return self.bundle.version

    def query(self, text: str) -> Query:
        """A text prepared for classification."""
        return Query(text=text, encoded=self.tokenizer.encode(text))

    def embed_query(self, text: str) -> Query:
        """A text prepared for embedding."""
        return Query(text=text, encoded=self.embed_tokenizer.encode(text, words=False))


def load(folder: Path, *, device: str, threads: int) -> LoadedModel:
    """Verifies a bundle, loads its engines for `device` (cuda or cpu) and warms them.

    Raises BundleError when the bundle or its CPU graphs are damaged. A GPU that fails only takes
    its rung off the ladder.
    """
    started = time.monotonic()
    bundle = open_bundle(folder)
    rungs: list[Engine] = []
    if device == "cuda":
        try:
            rungs.append(torch_engine(bundle, "cuda"))
        except Exception:  # whatever a driver raises, the CPU still answers
            log.exception("gpu_unusable", extra={"version": bundle.version})
    rungs.append(onnx_engine(bundle, threads))
    rungs.append(LexicalEngine(folder))
    tokenizer_file = folder / "tokenizer.json"
    model = LoadedModel(
        bundle=bundle,
        tokenizer=TextTokenizer(tokenizer_file, bundle.manifest.max_tokens),
        embed_tokenizer=TextTokenizer(tokenizer_file, EMBED_TOKENS),
        ladder=Ladder(rungs),
    )
    _warm(model, _WARM_TEXTS)
    log.info(
        "model_loaded version=%s mode=%s seconds=%.2f",
        bundle.version,
        model.ladder.mode,
        time.monotonic() - started,
    )
    return model


def onnx_engine(bundle: Bundle, threads: int) -> Engine:
    """The engine that serves on the CPU."""
    return OnnxEngine(bundle.folder, mode=bundle.manifest.mode, threads=threads)


def torch_engine(bundle: Bundle, device: str) -> Engine:
    """The engine that serves on a GPU."""
    # Imported here: a CPU server never needs torch, its memory and its seconds.
    from nlu.torch_engine import TorchEngine

    return TorchEngine(bundle.folder, bundle.labels, device=device)


def _warm(model: LoadedModel, texts: Sequence[str]) -> None:
    model.ladder.classify([model.query(text) for text in texts])
    model.ladder.embed([model.embed_query(text) for text in texts])
