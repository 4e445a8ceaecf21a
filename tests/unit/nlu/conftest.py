"""A tiny random BERT and a bundle trained from it, for the plumbing tests."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from nlu.bundle import Bundle, Manifest
from nlu.calibration import Calibration
from nlu.engine import Floats, Query
from nlu.examples import Example, TrainingData
from nlu.labels import Labels
from nlu.ladder import Ladder
from nlu.loading import LoadedModel
from nlu.matchers import Matchers
from nlu.rasa_yaml import read_rasa_nlu
from nlu.tokens import TextTokenizer

NLU_YAML = """\
version: "3.1"
nlu:
- intent: greet
  examples: |
    - hello
    - hello there
    - hi there
    - good morning
    - hi you
    - good day
- intent: track_order
  examples: |
    - where is [HP-204418](order_number)
    - track order [HP-204419](order_number)
    - where is my order [HP-204420](order_number)
    - my parcel is late
    - when does my parcel come
    - track my parcel please
- intent: pay
  examples: |
    - can i pay with [amex]{"entity": "payment_method", "value": "American Express"}
    - do you take [paypal](payment_method)
    - is [visa](payment_method) fine
    - pay with [visa](payment_method) please
    - i pay by [paypal](payment_method)
    - may i pay later
- synonym: American Express
  examples: |
    - am ex
- lookup: payment_method
  examples: |
    - visa
    - paypal
- regex: order_number
  examples: |
    - \\bHP-\\d{6}\\b
"""

EMOTIONS = {
    "angry": ["this is awful", "i hate this", "awful awful shop", "so bad", "hate your shop"],
    "happy": ["this is lovely", "i love this", "lovely shop", "so good", "love your shop"],
}


@pytest.fixture(scope="session")
def training_data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    path = tmp_path_factory.mktemp("data") / "nlu.yml"
    path.write_text(NLU_YAML, "utf-8")
    emotions = tuple(
        Example(text=text, emotion=name) for name, texts in EMOTIONS.items() for text in texts
    )
    return read_rasa_nlu(path).merged(TrainingData(examples=emotions))


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory, training_data: TrainingData) -> Path:
    """A WordPiece tokenizer that knows the words of the training data and all letters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = {word for e in training_data.examples for word in e.text.lower().split()}
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters)]
    vocab += sorted(words - set(vocab))
    tokenizer = Tokenizer(
        models.WordPiece({word: n for n, word in enumerate(vocab)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> Path:
    """A folder with a random BERT of two layers."""
    import torch
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-bert")
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=320,
    )
    BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=320
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def models_dir(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, training_data: TrainingData
) -> Path:
    """A models folder with one trained bundle, `first`, that is current."""
    from nlu.build import Order, build
    from nlu.bundle import BundleStore
    from nlu.progress import Progress
    from nlu.recipe import Recipe

    root = tmp_path_factory.mktemp("models")
    store = BundleStore(root)
    order = Order(
        target=store.root / "first",
        base_model=str(tiny_encoder),
        device="cpu",
        recipe=Recipe(epochs=2, batch_size=8, validation_share=0.2, lr=1e-3),
        parent=None,
        now=datetime(2025, 1, 2, tzinfo=UTC),
    )
    build(training_data, order, Progress(quiet=True))
    store.activate("first")
    return root


class FakeEngine:
    """Knows the intent by the first letter of the text: g is greet, anything else track_order."""

    calibration_prefix = ""

    def __init__(self, mode: str = "cpu-int8") -> None:
        self.mode = mode
        self.broken = False
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()

    def classify(self, batch: Sequence[Query]) -> dict[str, Floats]:
        self._enter(batch)
        intent = np.zeros((len(batch), 2), np.float32)
        for row, query in enumerate(batch):
            sure = 0.1 if "?" in query.text else 5.0
            intent[row, 0 if query.text.startswith("g") else 1] = sure
        emotion = np.tile(np.array([2.0, 0.0], np.float32), (len(batch), 1))
        return {"intent": intent, "emotion": emotion}

    def embed(self, batch: Sequence[Query]) -> Floats:
        self._enter(batch)
        return np.tile(np.array([0.6, 0.8, 0.0], np.float32), (len(batch), 1))

    def _enter(self, batch: Sequence[Query]) -> None:
        self.batches.append([query.text for query in batch])
        assert self.gate.wait(timeout=10)
        if self.broken:
            raise RuntimeError("the driver is gone")


MakeModel = Callable[..., LoadedModel]
MakeEngine = Callable[..., FakeEngine]


@pytest.fixture
def make_engine() -> MakeEngine:
    return FakeEngine


@pytest.fixture
def make_model(tokenizer_file: Path, tmp_path: Path) -> MakeModel:
    """Makes a loaded model of a version on engines of the test's choice."""

    def make(*engines: FakeEngine, version: str = "v1") -> LoadedModel:
        manifest = Manifest(
            version=version,
            created_at="2025-01-02T00:00:00+00:00",
            base_model="fake",
            embedder_id="fake-1",
            embedding_dim=3,
            mode="cpu-int8",
            max_tokens=64,
            seed=1,
            dataset_sha256="0",
            parent=None,
            files={},
        )
        bundle = Bundle(
            folder=tmp_path,
            manifest=manifest,
            labels=Labels(intent=("greet", "track_order"), emotion=("angry", "happy")),
            calibration=Calibration(fallback_threshold=0.6),
            transitions=np.zeros((1, 0), np.float32),
            matchers=Matchers(lookups={}, regexes={"order_number": (r"HP-\d{6}",)}, synonyms={}),
        )
        tokenizer = TextTokenizer(tokenizer_file, 64)
        return LoadedModel(
            bundle=bundle,
            tokenizer=tokenizer,
            embed_tokenizer=tokenizer,
            ladder=Ladder(engines or (FakeEngine(),)),
        )

    return make
