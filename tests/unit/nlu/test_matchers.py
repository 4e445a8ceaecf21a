from nlu.examples import EntitySpan, Example, TrainingData
from nlu.matchers import Matchers, Recognised, trusted_matchers


def model(start: int, end: int, entity: str, role: str | None = None) -> Recognised:
    span = EntitySpan(start=start, end=end, entity=entity, role=role)
    return Recognised(span=span, confidence=0.7, source="model")


def matchers() -> Matchers:
    return Matchers(
        lookups={"country": ("Norway", "New Zealand"), "product": ("tent",)},
        regexes={"order_number": (r"\bHP-?\d{6}\b",)},
        synonyms={"nz": "New Zealand"},
    )


def found(text: str, *given: Recognised) -> list[tuple[str, str]]:
    return [
        (text[item.span.start : item.span.end], item.span.entity)
        for item in matchers().settle(text, list(given))
    ]


def test_exact_matches_are_added() -> None:
    assert found("hp204418 to new zealand") == [
        ("hp204418", "order_number"),
        ("new zealand", "country"),
    ]


def test_a_word_inside_another_is_no_match() -> None:
    assert found("my tents and Norwayan") == []


def test_a_regex_corrects_the_model() -> None:
    text = "it is HP-204418 now"
    assert found(text, model(3, 15, "order_number")) == [("HP-204418", "order_number")]
    assert found(text, model(6, 8, "product")) == [("HP-204418", "order_number")]


def test_a_regex_inside_a_longer_entity_of_another_kind_yields() -> None:
    text = "to HP204418 Road, Bristol"
    assert found(text, model(3, 25, "address")) == [(text[3:], "address")]


def test_a_lookup_yields_to_the_models_longer_span() -> None:
    text = "my red tent leaks"
    assert found(text, model(3, 11, "product")) == [("red tent", "product")]
    assert found(text, model(3, 11, "address")) == [("red tent", "address")]


def test_a_lookup_widens_the_models_span_and_keeps_its_role() -> None:
    text = "from New Zealand"
    (item,) = matchers().settle(text, [model(9, 16, "country", "origin")])
    assert (item.span.start, item.span.end, item.span.role) == (5, 16, "origin")


def test_values_come_from_synonyms() -> None:
    (item,) = matchers().settle("to NZ", [model(3, 5, "country")])
    assert item.span.value == "New Zealand"


def test_only_matchers_that_agree_with_the_annotations_are_trusted() -> None:
    def example(text: str, *spans: EntitySpan) -> Example:
        return Example(text=text, intent="a", spans=spans)

    data = TrainingData(
        examples=(
            example("a tent", EntitySpan(start=2, end=6, entity="product")),
            example("a set", EntitySpan(start=2, end=5, entity="product")),
            example("all set then"),
            example("you are set"),
        ),
        lookups={"product": ("tent", "set", "kettle"), "colour": ("red",)},
        regexes={"help": ("help",)},
    )
    assert trusted_matchers(data) == ({"product": ("tent", "kettle")}, {})
