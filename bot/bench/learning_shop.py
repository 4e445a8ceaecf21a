"""A small shop whose log can teach something: data, a first model, and corrected turns."""

import csv
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from bot.bench.heard import Heard, put
from bot.errors import KefuError
from bot.log import tables
from bot.log.database import open_engine, upgrade
from bot.settings import Settings

# Each intent by its openings and its endings; a text is one of each.
WORDS: Mapping[str, tuple[list[str], list[str]]] = {
    "greet": (
        ["hello", "hi", "good morning", "good day", "hey"],
        ["there", "you", "to you", "my friend", "all"],
    ),
    "pay": (
        ["can i pay", "is it fine to pay", "may i pay", "how do i pay", "i want to pay"],
        ["by card", "with visa", "by paypal", "on invoice", "in cash"],
    ),
    "return": (
        ["i want to return", "can i send back", "how do i give back", "please take back"],
        ["the shoes", "my shirt", "this lamp", "the broken cup", "both books"],
    ),
}
# What the first model knows nothing of.
NEW = (
    ["where is", "when comes", "has it left,", "please track", "i am waiting for"],
    ["my parcel", "the delivery", "my package", "the shipment", "the courier"],
)
REVIEWERS = ("Ada", "Rita")
EPOCHS = ["--epochs", "2"]
COMMAND_S = 600.0


class ShopBroken(KefuError):
    """A command that had to end well did not."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"kefu {command} failed: {' '.join(said.split())[-300:]}")


def texts_of(parts: tuple[list[str], list[str]]) -> list[str]:
    """All that can be said with these words."""
    return [f"{first} {last}" for first in parts[0] for last in parts[1]]


def write_data(folder: Path) -> None:
    """Training and test data of the known intents; the new one is in the test data alone."""
    draw = random.Random(5)
    train, test = {}, {}
    for intent, parts in {**WORDS, "track": NEW}.items():
        texts = texts_of(parts)
        draw.shuffle(texts)
        test[intent], train[intent] = texts[:8], texts[8:]
    (folder / "test").mkdir(parents=True)
    _write_nlu(folder / "nlu.yml", {name: train[name] for name in WORDS})
    _write_nlu(folder / "test" / "nlu.yml", test)
    with (folder / "emotion.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "emotion"])
        for number in range(6):
            writer.writerows([[f"i hate this {number}", "angry"], [f"lovely {number}", "happy"]])


def _write_nlu(path: Path, texts: Mapping[str, list[str]]) -> None:
    lines = ['version: "3.1"', "nlu:"]
    for intent, examples in texts.items():
        lines += [f"- intent: {intent}", "  examples: |"]
        lines += [f"    - {text}" for text in examples]
    path.write_text("\n".join(lines) + "\n")


def correct_turns(connection: Connection, *, now: datetime, version: str) -> None:
    """Turns that customers asked of the new intent, each corrected by one of two reviewers."""
    texts = texts_of(NEW)
    random.Random(7).shuffle(texts)
    add_reviewers(connection, now=now)
    for number, text in enumerate(texts):
        id_ = f"t{number:03}"
        at = now - timedelta(days=2, minutes=number)
        _add_turn(connection, id_, f"{text} please", at=at, version=version)
        _label(connection, id_, "track", agent=REVIEWERS[number % 2], at=at + timedelta(hours=1))


def add_reviewers(connection: Connection, *, now: datetime) -> None:
    """Who corrects."""
    rows = [{"id": name, "name": name, "role": "reviewer", "created_at": now} for name in REVIEWERS]
    connection.execute(insert(tables.agent), rows)


def correct_as(
    connection: Connection, *, said: Sequence[tuple[str, str]], number: int, now: datetime
) -> None:
    """Turns of just now, (text, intent), corrected to that intent by the reviewers in turn."""
    for at, (text, intent) in enumerate(said):
        id_ = f"said{number:03}-{at:03}"
        _add_turn(connection, id_, text, at=now - timedelta(minutes=5), version="v1")
        _label(connection, id_, intent, agent=REVIEWERS[at % 2], at=now - timedelta(minutes=2))


def correct(connection: Connection, *, number: int, now: datetime) -> None:
    """One more customer who asked of the new intent, and whom the model took for another."""
    id_ = f"more{number:05}"
    text = f"{NEW[0][number % 5]} {NEW[1][number // 5 % 5]} of order {10_000 + number}"
    _add_turn(connection, id_, text, at=now - timedelta(minutes=5), version="v1")
    _label(connection, id_, "track", agent=REVIEWERS[number % 2], at=now - timedelta(minutes=2))


def _label(connection: Connection, turn_id: str, intent: str, *, agent: str, at: datetime) -> None:
    connection.execute(
        insert(tables.annotation),
        {
            "id": f"a-{turn_id}",
            "turn_id": turn_id,
            "intent": intent,
            "agent_id": agent,
            "kind": "label",
            "created_at": at,
        },
    )


def _add_turn(connection: Connection, id_: str, text: str, *, at: datetime, version: str) -> None:
    ranking = [
        {"name": name, "confidence": value}
        for name, value in (("pay", 0.4), ("return", 0.35), ("greet", 0.25))
    ]
    parse = {
        "intent": ranking[0],
        "intent_ranking": ranking,
        "emotion": {"name": "neutral", "confidence": 0.5},
        "model_version": version,
        "mode": "cpu-int8",
    }
    put(connection, [Heard(id=id_, text=text, parse=parse, at=at)])


def open_shop(folder: Path, **settings: Any) -> Settings:
    """The shop with its first model and its log; the settings name no port that is in use."""
    write_data(folder / "data")
    found = Settings(
        _env_file=None,
        state_dir=folder / "state",
        data_dir=folder / "data",
        models_dir=folder / "models",
        device="cpu",
        **settings,
    )
    found.state_dir.mkdir()
    kefu("train", *EPOCHS, settings=found)
    upgrade(found.database_url)
    version = (found.models_dir / "nlu" / "current").read_text().strip()
    in_log(found, lambda c: correct_turns(c, now=datetime.now(UTC), version=version))
    return found


def in_log(settings: Settings, work: Callable[[Connection], Any]) -> Any:
    """Do something in the log, in a transaction."""
    engine = open_engine(settings.database_url, writer=True)
    try:
        with engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


def environment(settings: Settings) -> dict[str, str]:
    """Of a command that works there."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KEFU_")}
    return {**inherited, **settings.environment(), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def kefu(*arguments: str, settings: Settings) -> str:
    """What a command prints that ends well. Raises ShopBroken with what it said instead."""
    done = subprocess.run(
        command(*arguments),
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    if done.returncode != 0:
        raise ShopBroken(arguments[0], done.stderr)
    return done.stdout


def command(*arguments: str) -> list[str]:
    """A command of kefu's, as a process."""
    return [sys.executable, "-m", "bot.cli", *arguments]
