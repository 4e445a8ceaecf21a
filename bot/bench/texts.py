"""What the simulated customers of the benchmarks say; read from the data, so it follows yours."""

import csv
import random
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

ANNOTATION = re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\{[^}]*\})")
SMALL_TALK = ("greet", "thank", "how_are_you", "bot_challenge", "praise", "ask_help", "goodbye")


def examples_of(path: Path) -> dict[str, list[str]]:
    """Plain texts by intent of a Rasa NLU file, annotations taken off."""
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    for item in loaded["nlu"]:
        if "intent" in item:
            lines = [line[2:] for line in item["examples"].splitlines() if line.startswith("- ")]
            found[item["intent"]] = [ANNOTATION.sub(r"\1", line) for line in lines]
    return found


def wordings_of(folder: Path) -> list[str]:
    """Every wording of every pair of the QA files."""
    found = []
    for path in sorted(folder.glob("*.yml")):
        for pair in yaml.safe_load(path.read_text(encoding="utf-8"))["pairs"]:
            found += [pair["question"], *pair["variants"]]
    return found


def orders_of(path: Path) -> list[tuple[str, str]]:
    """(order number, e-mail) of every order that the example shop starts with."""
    with path.open(encoding="utf-8", newline="") as rows:
        return [(row["order_number"], row["email"]) for row in csv.DictReader(rows)]


def mixed_conversations(
    data_dir: Path, orders: Sequence[tuple[str, str]], *, count: int, seed: int
) -> list[list[str]]:
    """Conversations of ten turns: a third questions, a third form turns, a third small talk.

    `orders` are (order number, e-mail) pairs that the action server knows. Over three
    conversations each kind has ten turns.
    """
    draw = random.Random(seed)
    examples = examples_of(data_dir / "test" / "nlu.yml")
    chat = [text for name in SMALL_TALK for text in examples[name]]
    # An annotated example already names an order; the form must ask for it here.
    track = [text for text in examples["track_order"] if not re.search(r"\d{6}|@", text)]
    questions = wordings_of(data_dir / "qa")
    plans = ("QCFFFQCQCF", "CQFFFQCCQC", "CQFFFQCQCQ")
    return [
        _conversation(plans[number % 3], (chat, questions, track), orders, draw)
        for number in range(count)
    ]


def _conversation(
    plan: str,
    texts: tuple[list[str], list[str], list[str]],
    orders: Sequence[tuple[str, str]],
    draw: random.Random,
) -> list[str]:
    chat, questions, track = texts
    order_number, email = draw.choice(orders)
    form = [draw.choice(track), order_number, email, draw.choice(track)]
    said = []
    for kind in plan:
        if kind == "F":
            said.append(form.pop(0))
        else:
            said.append(draw.choice(chat if kind == "C" else questions))
    return said
