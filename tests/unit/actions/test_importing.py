"""Importing into the store: what changes, what is embedded again, what is found afterwards."""

from pathlib import Path

import pytest

from actions.database import Database
from actions.errors import DataFileError, EmptyStoreError
from actions.qa.importing import Importer, read_changed, read_csv_source, read_strange
from actions.qa.live import QaSearch
from actions.qa.pairs import CsvColumns
from actions.qa.store import read_pairs, read_version


async def test_a_second_import_changes_nothing_and_embeds_nothing(
    database: Database, embedder, qa_folder: Path
) -> None:
    importer = Importer(database, embedder)
    first = await importer.bring_in(read_changed(database, qa_folder))
    assert (first.added, first.pairs, first.embedded) == (3, 3, 12)
    embedder.asked.clear()
    second = await importer.bring_in(read_changed(database, qa_folder))
    assert (second.added, second.changed, second.embedded, second.version) == (0, 0, 0, 1)
    assert second.pairs == 3
    assert embedder.asked == ["hello"]


async def test_only_what_changed_is_embedded_again(
    database: Database, embedder, qa_folder: Path
) -> None:
    importer = Importer(database, embedder)
    await importer.bring_in(read_changed(database, qa_folder))
    file = qa_folder / "delivery.yml"
    file.write_text(file.read_text().replace("return window", "how many days for returns"))
    report = await importer.bring_in(read_changed(database, qa_folder))
    assert (report.added, report.changed, report.embedded, report.version) == (0, 1, 1, 2)


async def test_a_pair_that_left_its_file_is_not_found_any_more(
    database: Database, embedder, qa_folder: Path
) -> None:
    importer = Importer(database, embedder)
    await importer.bring_in(read_changed(database, qa_folder))
    file = qa_folder / "delivery.yml"
    file.write_text(file.read_text().split("  - id: returns-001")[0])
    report = await importer.bring_in(read_changed(database, qa_folder))
    assert report.removed == 1
    assert [pair.id for pair in database.reading(read_pairs)] == ["delivery-001", "delivery-002"]


async def test_a_file_that_is_gone_takes_its_pairs_along(
    database: Database, embedder, qa_folder: Path
) -> None:
    importer = Importer(database, embedder)
    (qa_folder / "more.yml").write_text(
        "category: more\npairs: [{id: m-1, intent: i, question: q?, answer: a}]"
    )
    await importer.bring_in(read_changed(database, qa_folder))
    (qa_folder / "more.yml").unlink()
    report = await importer.bring_in(read_changed(database, qa_folder))
    assert (report.removed, report.pairs) == (1, 3)


async def test_a_table_does_not_push_the_folder_out(
    database: Database, embedder, qa_folder: Path, tmp_path: Path
) -> None:
    importer = Importer(database, embedder)
    await importer.bring_in(read_changed(database, qa_folder))
    table = tmp_path / "faq.csv"
    table.write_text("question,answer\nCan I bring my dog?,Yes.\n")
    columns = CsvColumns(question="question", answer="answer")
    report = await importer.bring_in(read_csv_source(table, columns))
    assert (report.added, report.removed, report.pairs) == (1, 0, 4)


async def test_one_id_in_two_files_is_refused_and_nothing_is_written(
    database: Database, embedder, qa_folder: Path
) -> None:
    (qa_folder / "twin.yml").write_text((qa_folder / "delivery.yml").read_text())
    with pytest.raises(DataFileError, match="delivery-001: the id is also in"):
        await Importer(database, embedder).bring_in(read_changed(database, qa_folder))
    assert database.reading(read_pairs) == []
    assert database.reading(read_version) == 0


async def test_another_model_has_everything_embedded_again(
    database: Database, embedder, qa_folder: Path
) -> None:
    importer = Importer(database, embedder)
    await importer.bring_in(read_changed(database, qa_folder))
    embedder.name = "fake-2"
    report = await importer.bring_in(read_changed(database, qa_folder))
    assert (report.embedded, report.version) == (12, 2)


async def test_another_way_of_scoring_is_calibrated_anew(
    database: Database, embedder, qa_folder: Path, monkeypatch
) -> None:
    importer = Importer(database, embedder)
    await importer.bring_in(read_changed(database, qa_folder))
    monkeypatch.setattr("actions.qa.importing.SCORING", "other weights")
    report = await importer.bring_in(read_changed(database, qa_folder))
    assert (report.embedded, report.version) == (0, 2)
    assert report.calibration is not None


async def test_an_interrupted_import_is_finished_by_the_next(
    database: Database, embedder, qa_folder: Path
) -> None:
    class Failing(type(embedder)):
        async def embed(self, texts):
            if len(texts) > 1:
                self.down = True
            return await super().embed(texts)

    with pytest.raises(Exception, match="is down"):
        await Importer(database, Failing()).bring_in(read_changed(database, qa_folder))
    report = await Importer(database, embedder).bring_in(read_changed(database, qa_folder))
    assert (report.added, report.embedded, report.pairs) == (0, 12, 3)


async def test_an_empty_store_says_so(database: Database, embedder) -> None:
    search = QaSearch(database, embedder, Importer(database, embedder), refresh_s=0)
    with pytest.raises(EmptyStoreError, match="kefu qa import"):
        await search.find("anything")


def test_a_folder_without_pairs_is_named(database: Database, tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no folder with"):
        read_changed(database, tmp_path)


def test_strange_texts_come_from_the_training_data(tmp_path: Path) -> None:
    assert read_strange(tmp_path) == []
    (tmp_path / "nlu.yml").write_text(
        'version: "3.1"\nnlu:\n- intent: out_of_scope\n  examples: |\n    - what is 7 times 8\n'
        "- intent: track_order\n  examples: |\n    - where is it\n"
    )
    assert read_strange(tmp_path) == ["what is 7 times 8"]
