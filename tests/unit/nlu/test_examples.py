from nlu.examples import Example, TrainingData


def data(*texts: str) -> TrainingData:
    return TrainingData(examples=tuple(Example(text=text, intent="a") for text in texts))


def test_merging_joins_everything() -> None:
    first = TrainingData(synonyms={"a": "A", "b": "B"}, lookups={"x": ("1",)})
    second = TrainingData(synonyms={"b": "C"}, lookups={"x": ("2",), "y": ("3",)})
    merged = first.merged(second).merged(data("t"))
    assert merged.synonyms == {"a": "A", "b": "C"}
    assert merged.lookups == {"x": ("1", "2"), "y": ("3",)}
    assert len(merged.examples) == 1


def test_the_digest_tells_data_apart_and_nothing_else() -> None:
    assert data("a", "b").digest() == data("a", "b").digest()
    assert data("a", "b").digest() != data("a", "c").digest()


def test_unwanted_texts_go_whatever_their_case() -> None:
    support = TrainingData(support=(Example(text=" Hello", intent="a"),))
    kept = data("hello", "bye").merged(support).without(["HELLO"])
    assert [e.text for e in kept.examples] == ["bye"]
    assert kept.support == ()


def test_a_right_label_takes_the_place_of_the_wrong_one_and_of_nothing_else() -> None:
    both = TrainingData(
        examples=(
            Example(text="Hello", intent="a"),
            Example(text="hello", emotion="happy"),
            Example(text="bye", intent="a"),
        )
    )
    right = TrainingData(examples=(Example(text="HELLO", intent="b"),))
    found = {(e.text, e.intent, e.emotion) for e in both.relabelled(right).examples}
    assert found == {("hello", None, "happy"), ("bye", "a", None), ("HELLO", "b", None)}
