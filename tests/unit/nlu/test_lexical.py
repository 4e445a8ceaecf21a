from pathlib import Path

import pytest

from nlu.engine import Query
from nlu.errors import BundleError, EngineFailed
from nlu.examples import TrainingData
from nlu.labels import labels_of
from nlu.lexical import LexicalEngine, write_lexical
from nlu.tokens import Encoded


def query(text: str) -> Query:
    return Query(text=text, encoded=Encoded(ids=[1]))


@pytest.fixture
def engine(tmp_path: Path, training_data: TrainingData) -> LexicalEngine:
    write_lexical(tmp_path, training_data.examples, labels_of(training_data.examples))
    return LexicalEngine(tmp_path)


def test_similar_words_find_the_intent(engine: LexicalEngine, training_data: TrainingData) -> None:
    names = labels_of(training_data.examples).intent
    logits = engine.classify([query("pay by payapl"), query("where's my parcels"), query("helo")])
    found = [names[number] for number in logits["intent"].argmax(axis=1)]
    assert found == ["pay", "track_order", "greet"]
    assert logits["emotion"].shape == (3, 2)
    assert "tags" not in logits


def test_unknown_letters_score_nothing(engine: LexicalEngine) -> None:
    assert engine.classify([query("客服")])["intent"].max() < 0.2


def test_it_cannot_embed(engine: LexicalEngine) -> None:
    with pytest.raises(EngineFailed, match="embed"):
        engine.embed([query("hello")])


def test_a_damaged_index_is_said(tmp_path: Path) -> None:
    (tmp_path / "lexical.npz").write_bytes(b"no")
    with pytest.raises(BundleError, match="lexical"):
        LexicalEngine(tmp_path)
