"""A canary customer is erased from a real system: no byte is left in any of its files."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Connection, inspect, select, text

from actions.qa.revisions import Change, change_pair, read_stored_pair
from bot.bench.system import PrivateSystem, private_system
from bot.log import annotations, exposure, tables
from bot.log.annotations import Judgement
from bot.log.database import open_engine
from bot.world import sortable_id, utc_now

# A word that nobody else says, and that stays whole in every tokeniser's output.
CANARY = "quetzalcoatlus"
CUSTOMER = "canary-customer-4711"
SECRET = "a secret of the tests that is long enough"
MINUTE_S = 60.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSystem]:
    """A system of its own: the others go on with theirs."""
    folder = tmp_path_factory.mktemp("erasure")
    with private_system(folder, {"KEFU_IDENTITY_SECRET": SECRET}) as running:
        yield running


def kefu(system: PrivateSystem, *arguments: str) -> Any:
    """A `kefu` command on the system; its JSON."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("KEFU_")},
        "KEFU_STATE_DIR": str(system.state_dir),
        "KEFU_DIALOGUE_URL": system.address_of("dialogue"),
        "KEFU_NLU_URL": system.address_of("understanding"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def open_conversation(system: PrivateSystem, user_id: str) -> tuple[str, dict[str, str]]:
    signed = hmac.new(SECRET.encode(), user_id.encode(), hashlib.sha256).hexdigest()
    opened = requests.post(
        f"{system.url}/api/v1/conversations",
        json={"identity": {"user_id": user_id, "hmac": signed}},
        timeout=30,
    )
    assert opened.status_code == 201, opened.text
    body = opened.json()
    return body["conversation_id"], {"Authorization": f"Bearer {body['token']}"}


def say(
    system: PrivateSystem, conversation: tuple[str, dict[str, str]], id_: str, words: str
) -> Any:
    answer = requests.post(
        f"{system.url}/api/v1/conversations/{conversation[0]}/messages",
        json={"id": id_, "text": words},
        params={"wait": "true"},
        headers=conversation[1],
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def everything_learns(connection: Connection, conversation_id: str) -> str:
    """The turns are corrected, become a wording of an answer, and are trained on; the pair's id."""
    turns = list(
        connection.execute(
            select(tables.turn.c.id).where(tables.turn.c.conversation_id == conversation_id)
        ).scalars()
    )
    judgement = Judgement(turn_id=turns[0], agent_id="anna", intent="ask_size")
    assert annotations.add(connection, judgement=judgement, id_=sortable_id(), now=utc_now())
    pair_id = connection.execute(text("SELECT id FROM qa_pair ORDER BY id LIMIT 1")).scalar_one()
    stored = read_stored_pair(connection, pair_id)
    assert stored is not None
    worded = replace(stored.pair, variants=(*stored.pair.variants, f"is my {CANARY} there yet"))
    change_pair(
        connection, worded, Change(actor="anna", conversation_id=conversation_id), utc_now()
    )
    exposure.record(connection, model_version="v-canary", turn_ids=turns)
    return str(pair_id)


def files_with(folder: Path, words: str) -> list[str]:
    """The files that hold these bytes, in any case."""
    wanted = words.lower().encode()
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and wanted in path.read_bytes().lower()
    ]


def tables_with(folder: Path, words: str) -> set[str]:
    """The tables of both databases with a row that holds these words."""
    found = set()
    for name in ("kefu.db", "dialogue.db"):
        engine = open_engine(f"sqlite:///{folder / name}")
        with closing(engine.connect()) as connection:
            for table in inspect(connection).get_table_names():
                rows = connection.execute(text(f'SELECT * FROM "{table}"'))
                if any(words in repr(tuple(row)).lower() for row in rows):
                    found.add(table)
        engine.dispose()
    return found


def test_nothing_of_a_canary_customer_is_left_within_a_minute(house: PrivateSystem) -> None:
    folder = house.state_dir
    first = open_conversation(house, CUSTOMER)
    version = None
    for number in range(3):
        words = f"Where is my order HP-204418, asks {CANARY} number {number}?"
        answer = say(house, first, f"m{number}", words)
        assert answer["replies"]
    other = open_conversation(house, "somebody-else")
    say(house, other, "m1", "Where is my order HP-204419, asks somebody else?")
    requests.post(
        f"{house.url}/api/v1/conversations/{first[0]}/files?name=photo.txt",
        data=f"a picture of {CANARY}".encode(),
        headers=first[1] | {"Content-Type": "text/plain"},
        timeout=30,
    )
    engine = open_engine(f"sqlite:///{folder / 'kefu.db'}", writer=True)
    with engine.begin() as connection:
        everything_learns(connection, first[0])
        version = connection.execute(select(tables.turn.c.model_version)).scalars().first()
    engine.dispose()
    export = folder / "turns.jsonl"
    training = folder / "nlu.yml"
    for file, form in ((export, "jsonl"), (training, "rasa")):
        kefu(house, "log", "export", "--format", form, "--out", str(file), "--json")
    assert CANARY in export.read_text()
    assert CANARY in training.read_text()
    before = tables_with(folder, CANARY)
    assert {"message", "turn", "dialogue_turn", "qa_variant", "qa_revision"} <= before

    started = time.monotonic()
    done = kefu(house, "log", "erase", "--customer", CUSTOMER, "--yes", "--json")
    took_s = time.monotonic() - started

    assert done["state"] == "done", done["waiting"]
    assert took_s < MINUTE_S
    assert tables_with(folder, CANARY) == set()
    assert files_with(folder, CANARY) == []
    assert files_with(folder, CUSTOMER) == []
    report = done["report"]
    assert report["models"]["trained_on"] == ["v-canary"]
    assert report["models"]["understood_by"] == [version]
    assert report["removed"]["dialogue_turn"] == 3
    assert report["answers"]["wordings"] == 1
    states = {Path(one["path"]).name: one for one in report["exports"]}
    assert states["turns.jsonl"]["state"] == "cleaned"
    assert states["turns.jsonl"]["removed"] == 3
    assert states["nlu.yml"]["state"] == "cleaned"
    # What others said stays where it was.
    assert "somebody else" in export.read_text()
    assert "somebody else" in training.read_text()
    assert "message" in tables_with(folder, "somebody else")


def test_who_was_erased_begins_anew(house: PrivateSystem) -> None:
    first = open_conversation(house, "comes-back-0815")
    say(house, first, "m1", "Hello there, here I am")
    kefu(house, "log", "erase", first[0], "--json")
    gone = requests.get(
        f"{house.url}/api/v1/conversations/{first[0]}/messages", headers=first[1], timeout=30
    )
    assert gone.status_code == 404
    again = open_conversation(house, "comes-back-0815")
    assert again[0] != first[0]
    assert say(house, again, "m1", "Hello there, here I am")["replies"]
