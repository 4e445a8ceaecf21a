"""The simulated customers: the mix of the conversations."""

from pathlib import Path

from bot.bench.texts import examples_of, mixed_conversations, orders_of, wordings_of

DATA = Path(__file__).parents[4] / "data"


def test_three_conversations_hold_ten_turns_of_each_kind() -> None:
    orders = orders_of(DATA / "orders.csv")
    said = [text for texts in mixed_conversations(DATA, orders, count=3, seed=1) for text in texts]
    questions = set(wordings_of(DATA / "qa"))
    examples = examples_of(DATA / "test" / "nlu.yml")
    form = {part for order in orders for part in order} | set(examples["track_order"])
    assert len(said) == 30
    assert sum(text in questions for text in said) == 10
    assert sum(text in form for text in said) == 10


def test_annotations_are_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "nlu.yml"
    path.write_text(
        'version: "3.1"\nnlu:\n- intent: pay\n  examples: |\n'
        '    - with [amex]{"entity": "payment_method", "value": "American Express"}\n'
        "    - for [HP-482913](order_number) please\n"
    )
    assert examples_of(path) == {"pay": ["with amex", "for HP-482913 please"]}
