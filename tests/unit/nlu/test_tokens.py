from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nlu.tokens import Encoded, TextTokenizer, pad, token_batches


def test_words_have_their_characters(tiny_encoder: Path) -> None:
    tokenizer = TextTokenizer(tiny_encoder / "tokenizer.json", 32)
    text = "Where is HP-204418?"
    encoded = tokenizer.encode(text)
    words = [text[word.start : word.end] for word in encoded.words]
    assert words == ["Where", "is", "HP", "-", "204418", "?"]
    assert encoded.words[0].token == 1  # after [CLS]


def test_long_texts_are_cut(tiny_encoder: Path) -> None:
    tokenizer = TextTokenizer(tiny_encoder / "tokenizer.json", 8)
    assert len(tokenizer.encode("hello " * 50).ids) == 8


def test_padding_is_masked() -> None:
    ids, mask = pad([Encoded(ids=[5, 6, 7]), Encoded(ids=[8])])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(16, 200), st.integers(1, 16))
def test_batches_hold_all_within_the_cap(lengths: list[int], cap: int, rows: int) -> None:
    batches = token_batches(lengths, max_tokens=cap, max_rows=rows)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[index] for index in batch)
        assert len(batch) <= rows
        assert len(batch) == 1 or padded <= cap
