from nlu.examples import Example
from nlu.split import stratified_split


def examples(counts: dict[str, int]) -> list[Example]:
    return [
        Example(text=f"{name} {n}", intent=name)
        for name, count in counts.items()
        for n in range(count)
    ]


def test_each_label_gives_its_share() -> None:
    train, held_out = stratified_split(examples({"a": 50, "b": 10, "c": 3}), 0.2, 1)
    count = {name: sum(e.intent == name for e in held_out) for name in "abc"}
    assert count == {"a": 10, "b": 2, "c": 0}
    assert len(train) + len(held_out) == 63


def test_the_same_text_stays_on_one_side() -> None:
    twice = examples({"a": 20}) + [Example(text=f"a {n}", emotion="happy") for n in range(20)]
    train, held_out = stratified_split(twice, 0.25, 3)
    assert not {e.text for e in train} & {e.text for e in held_out}


def test_the_seed_decides() -> None:
    data = examples({"a": 40, "b": 40})
    assert stratified_split(data, 0.1, 5) == stratified_split(data, 0.1, 5)
    assert stratified_split(data, 0.1, 5) != stratified_split(data, 0.1, 6)
