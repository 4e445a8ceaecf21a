"""The benchmark of learning: how public sets are cut, what is scored, what is drawn."""

import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from bot.bench import learning_appearing, learning_forgetting, learning_stream
from bot.bench.learning import learning
from bot.bench.learning_company import Company, Plan, Said, few_of_each, scores, write_examples
from bot.bench.plot import write_lines
from nlu.rasa_yaml import read_rasa_nlu


def said(intents: int, each: int) -> list[Said]:
    return [
        (f"text {n} of {intent}", f"i{intent}") for intent in range(intents) for n in range(each)
    ]


def test_a_stream_never_says_twice_what_somebody_has_labelled() -> None:
    cut = learning_stream.cut(said(20, 130), said(20, 2), weeks=2, seed=1)
    assert len(cut.start) == 100
    assert {intent for _, intent in cut.start} == {f"i{n}" for n in range(20)}
    parts = [cut.start, cut.frozen, *cut.weeks]
    assert [len(part) for part in cut.weeks] == [800, 800]
    assert len({text for part in parts for text, _ in part}) == sum(map(len, parts))


def test_new_intents_come_up_in_week_four_and_not_before() -> None:
    train = said(40, 200) + [(f"strange {n}", "oos") for n in range(50)]
    cut = learning_appearing.cut(train, said(40, 2), weeks=5, seed=3)
    assert len(cut.new) == 15
    seen = [{intent for _, intent in week} & set(cut.new) for week in cut.weeks]
    assert [bool(found) for found in seen] == [False, False, False, True, True]
    assert not {intent for _, intent in cut.start + cut.frozen} & {*cut.new, "oos"}
    assert all(len(week) == 800 for week in cut.weeks)


def test_scores_count_by_intent() -> None:
    test = [("a", "x"), ("b", "x"), ("c", "y"), ("d", "z")]
    assert scores(test, ["x", "y", "y", None]) == {
        "accuracy": 0.5,
        "recall": {"x": 0.5, "y": 1.0, "z": 0.0},
    }


def test_few_of_each_leaves_the_rest() -> None:
    first, rest = few_of_each(said(3, 4), 3)
    assert (len(first), len(rest)) == (9, 3)


def test_examples_are_read_back_as_they_are(tmp_path: Path) -> None:
    texts = [("where: is #1?", "track"), ("${HOME} - [x](y", "odd"), ("is 'it' late", "track")]
    write_examples(tmp_path / "nlu.yml", texts)
    found = {(e.text, e.intent) for e in read_rasa_nlu(tmp_path / "nlu.yml").examples}
    assert found == set(texts)


def test_labels_count_what_the_proofs_need_too(tmp_path: Path) -> None:
    company = Company(Plan(folder=tmp_path, start=said(2, 5), frozen=said(1, 3)))
    company.reviewed.update({"t1", "t2"})
    assert company.labels == 15


async def test_what_a_proof_asks_is_answered_from_what_was_kept_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Company(Plan(folder=tmp_path, start=said(2, 5), frozen=said(1, 3)))
    company.granted = 100
    company.reviewed.update(f"r{number}" for number in range(90))
    # 24 are kept, and ten are left of them.
    assert company.left == 0
    turns = [f"t{number}" for number in range(24)]
    commands: list[tuple[str, ...]] = []
    labelled: list[str] = []
    times = {"started_at": "2026-05-04T10:00:00+00:00", "finished_at": "2026-05-04T10:00:30+00:00"}

    def kefu(*words: str) -> Any:
        commands.append(words)
        if "--once" in words:
            return times | {"verdict": {"decision": "hold", "questions": {"turns": turns}}}
        return None if len(labelled) < 20 else times | {"verdict": {"decision": "promote"}}

    def label(connection: Any, *, turn_id: str, reason: str | None) -> bool:
        assert reason == "proof"
        labelled.append(turn_id)
        return True

    class Kept:
        async def write(self, unit: Any) -> Any:
            return unit(None)

    @asynccontextmanager
    async def journal() -> AsyncIterator[Kept]:
        yield Kept()

    monkeypatch.setattr(company, "kefu", kefu)
    monkeypatch.setattr(company, "_label", label)
    monkeypatch.setattr(company, "journal", journal)
    # Too few are answered: it stays as it was.
    assert (await company.learn())["verdict"]["decision"] == "hold"
    assert labelled == turns[:10]
    labelled.clear()
    company.reviewed.clear()
    assert company.left == 76
    again = await company.learn()
    assert (again["verdict"]["decision"], again["seconds"]) == ("promote", 60.0)
    assert labelled == turns
    assert [words[1] for words in commands] == ["--once", "--answers"] * 2


async def test_what_a_round_loses_is_of_the_version_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []
    labelled: list[str] = []

    class Shop(Company):
        rounds = 0
        served = "v0"

        @property
        def store(self) -> Any:
            return SimpleNamespace(current=lambda: self.served)

        def open(self) -> dict[str, Any]:
            return {}

        async def hear(self, texts: Sequence[Said]) -> list[str]:
            return [text for text, _ in texts]

        async def label(self, turn_ids: Sequence[str], *, reason: str | None = None) -> None:
            assert len(turn_ids) == 7 * 2
            labelled.extend(turn_ids)

        async def learn(self) -> dict[str, Any]:
            self.rounds += 1
            refused = self.rounds == 10
            if not refused:
                self.served = f"v{self.rounds}"
            reason = {"level": "refuse", "sentence": "Ten texts are lost."}
            dataset = f"20260504T100000-{self.rounds:03}"
            manifest = self.folder / "state" / "datasets" / dataset / "manifest.json"
            manifest.parent.mkdir(parents=True)
            manifest.touch()
            return {
                "version": f"v{self.rounds}",
                "dataset": dataset,
                "options": {"from": "champion"},
                "verdict": {"decision": "refuse", "reasons": [reason]} if refused else {},
                "promoted": not refused,
                "seconds": 90.0,
            }

        def score(self, test: Sequence[Said], version: str | None = None) -> dict[str, Any]:
            old = test[0][1] in {intent for _, intent in self.plan.frozen}
            lost = 0.001 * int((version or self.served)[1:])
            return {"accuracy": 0.98 - lost if old else 0.9}

        def kefu(self, *words: str) -> Any:
            commands.append(words)
            return {"model_version": "v5"}

    monkeypatch.setattr(learning_forgetting, "Company", Shop)
    monkeypatch.setattr(learning_forgetting, "NEW_SHOTS", 2)
    found = await learning_forgetting.forgetting(
        said(150, 3), said(150, 1), said(150, 1), tmp_path, seed=7
    )
    # The tenth was refused: what the ninth lost is what is lost.
    assert (found["before"], found["after"], found["lost_points"]) == (0.98, 0.971, 0.9)
    last = found["rounds"][-1]
    assert (last["why"], last["newest"]["accuracy_of_old"]) == (["Ten texts are lost."], 0.97)
    assert [one["round"] for one in found["rounds"] if "anew" in one] == [1, 10]
    # What is new is labelled, each once, and nothing of the old.
    assert len(set(labelled)) == len(labelled) == 70 * 2
    # Both trainings are timed with the same data, the one from the version that served before.
    begun = [words[words.index("--continue-from") + 1] for words in commands[::2]]
    assert begun == ["v0", "v9"]
    assert all("--continue-from" not in words for words in commands[1::2])


def test_lines_are_a_whole_picture(tmp_path: Path) -> None:
    path = tmp_path / "lines.svg"
    write_lines(path, "A <title>", {"one": [(1, 0.5), (2, 0.75)], "two": [(1, 0.4)]}, percent=True)
    picture = ElementTree.parse(path).getroot()
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    words = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"A <title>", "one", "two", "50%"} <= set(words)


def test_without_the_sets_it_says_how_to_give_them(tmp_path: Path) -> None:
    result = CliRunner().invoke(learning, ["--sets", str(tmp_path), "--part", "forgetting"])
    assert "give the folder of the public sets with --sets" in str(result.exception)


@pytest.mark.parametrize("weeks", ["0", "11"])
def test_weeks_are_one_to_ten(weeks: str) -> None:
    assert CliRunner().invoke(learning, ["--weeks", weeks]).exit_code == 2
