"""`kefu qa` and the benchmark's split."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from actions.cli import qa
from actions.qa import bench
from actions.qa.pairs import Pair
from actions.qa.revisions import Change, change_pair
from actions.qa.store import read_state, read_stored


@pytest.fixture
def invoke(monkeypatch, tmp_path: Path, database, embedder):
    monkeypatch.setenv("KEFU_DATABASE_URL", f"sqlite:///{tmp_path / 'kefu.db'}")
    monkeypatch.setenv("KEFU_DATA_DIR", str(tmp_path))

    class Client(type(embedder)):
        def __init__(self, url: str, *, timeout_s: float) -> None:
            super().__init__()

        async def close(self) -> None:
            pass

    monkeypatch.setattr("actions.cli.UnderstandingClient", Client)
    monkeypatch.setattr("actions.qa.importing.UnderstandingClient", Client)
    return lambda *args: CliRunner().invoke(qa, [str(arg) for arg in args])


def test_import_search_and_export_go_round(invoke, qa_folder: Path) -> None:
    report = json.loads(invoke("import", "--json").stdout)
    assert (report["added"], report["pairs"]) == (3, 3)
    assert "3 pairs in the store: 0 added" in invoke("import").stdout
    found = json.loads(invoke("search", "return window", "--json").stdout)
    assert found["decision"] == "answer"
    assert found["hits"][0]["id"] == "returns-001"
    assert "returns-001" in invoke("search", "return window").stdout
    exported = invoke("export").stdout
    assert next(yaml.safe_load_all(exported)) == yaml.safe_load(
        (qa_folder / "delivery.yml").read_text()
    )
    lines = [json.loads(line) for line in invoke("export", "--json").stdout.splitlines()]
    assert [line["id"] for line in lines] == ["delivery-001", "delivery-002", "returns-001"]


def test_calibrating_fits_the_thresholds_and_changes_no_pair(
    invoke, qa_folder: Path, database
) -> None:
    invoke("import")
    pairs = database.reading(read_stored)
    # As many as are enough to measure, written by a person and not embedded yet.
    more = Pair(
        id="pets-001",
        intent="ask_pets",
        category="pets",
        question="May I bring my dog?",
        variants=tuple(f"dog number {n} in the shop" for n in range(24)),
        answer="Dogs are welcome.",
    )
    database.writing(lambda c: change_pair(c, more, Change(actor="Rita"), datetime.now(UTC)))
    state = database.reading(read_state)
    report = json.loads(invoke("calibrate", "--json").stdout)
    after = database.reading(read_state)
    assert (report["pairs"], report["embedded"], report["version"]) == (4, 26, state.version + 1)
    assert after.calibration["queries"] >= 24 > state.calibration["queries"]
    assert after.full != state.full
    stored = database.reading(read_stored)
    assert {pair_id: stored[pair_id] for pair_id in pairs} == pairs
    assert stored["pets-001"].source == "console"
    assert "4 pairs, " in invoke("calibrate").stdout


def test_a_table_is_imported_by_its_columns(invoke, tmp_path: Path) -> None:
    table = tmp_path / "faq.csv"
    table.write_text("ask,reply,kind\nopen on sunday?,no,hours\n")
    names = ("--question", "ask", "--answer", "reply", "--label", "kind")
    assert json.loads(invoke("import", table, *names, "--json").stdout)["added"] == 1
    found = json.loads(invoke("search", "open on sunday", "--json").stdout)
    assert found["hits"][0]["intent"] == "hours"


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("import", "nowhere"), "no such file"),
        (("import", "nowhere.csv"), "no such file"),
        (("search", "x"), "store is empty"),
        (("export",), "store is empty"),
        (("calibrate",), "store is empty"),
    ],
)
def test_what_fails_fails_with_one_line(invoke, args, named: str) -> None:
    result = invoke(*args)
    assert result.exit_code == 1
    assert named in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_split_is_the_same_for_a_seed_and_parts_everything(tmp_path: Path) -> None:
    table = tmp_path / "x_v2.csv"
    rows = "".join(f"question {i},answer {i},intent_{i % 3}\n" for i in range(50))
    table.write_text("instruction,response,intent\n" + rows)
    split = bench.split_rows(bench.dataset_file(tmp_path), 42)
    assert split == bench.split_rows(table, 42)
    assert split != bench.split_rows(table, 43)
    imported = {pair.question for pair in split.imported}
    asked = {text for text, _ in split.asked}
    assert (len(imported), len(asked), imported & asked) == (40, 10, set())


async def test_the_benchmark_reports_both_parts(tmp_path: Path, embedder, qa_folder: Path) -> None:
    table = tmp_path / "x_v2.csv"
    topics = ["cancel order", "track parcel", "pay invoice"]
    rows = "".join(f"{topics[i % 3]} {i},answer {i},intent_{i % 3}\n" for i in range(60))
    table.write_text("instruction,response,intent\n" + rows)
    figures = await bench.measure(embedder, table, 42, tmp_path)
    assert figures["asked"] == 12
    assert figures["intent_right"] == 1.0
    assert figures["met"] is True
    assert figures["own_data"]["pairs"] == 3
