"""`kefu bench learning`: what the loop is worth on real data, week by week."""

import asyncio
import csv
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bot.bench import learning_appearing, learning_stream
from bot.bench.learning_company import Said
from bot.bench.learning_forgetting import forgetting
from bot.bench.plot import write_lines
from bot.bench.report import emit, machine, progress
from bot.errors import KefuError

PARTS = ("stream", "appearing", "forgetting")
SETS = Path("..") / "shared" / "datasets"
# What the issue of the loop asks for.
LEAST_OF_FULL, MOST_LABELS = 0.95, 0.2
LEAST_RECALL_OF_NEW, RECALL_BY_WEEK = 0.85, 6
MOST_LOST_POINTS, MOST_TIME = 0.5, 0.25
Figures = dict[str, Any]


class NoSet(KefuError):
    """A measuring set that is not there."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing: give the folder of the public sets with --sets")


@click.command()
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    default=PARTS,
    show_default=True,
    help="stream: banking77 in ten weeks; appearing: clinc150 with new intents; forgetting.",
)
@click.option(
    "--sets",
    type=click.Path(path_type=Path),
    default=SETS,
    show_default=True,
    help="Folder of the public measuring sets.",
)
@click.option("--weeks", type=click.IntRange(1, 10), default=10, show_default=True)
@click.option("--seed", default=7, show_default=True, help="Of the cut and of every lot.")
@click.option(
    "--plots", type=click.Path(file_okay=False, path_type=Path), help="Folder for plots (SVG)."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def learning(
    *,
    parts: tuple[str, ...],
    sets: Path,
    weeks: int,
    seed: int,
    plots: Path | None,
    as_json: bool,
) -> None:
    """Run the loop for weeks on public data, with a reviewer who knows the true labels."""
    figures: Figures = {"weeks": weeks, "seed": seed}
    ratios: Figures = {}
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kefu-learning-") as work:
        for part in parts:
            progress(part)
            run: Callable[..., Figures] = _PARTS[part]
            found = run(sets, Path(work) / part, weeks, seed, ratios, missed)
            figures[part] = found
            shutil.rmtree(Path(work) / part, ignore_errors=True)
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        _plot(figures, plots)
    figures["missed"] = missed
    report: dict[str, object] = {
        "bench": "learning",
        "machine": machine(),
        "ratios": ratios,
        "figures": figures,
    }
    emit(report, as_json=as_json)
    if missed:
        raise SystemExit(1)


def _stream(
    sets: Path, work: Path, weeks: int, seed: int, ratios: Figures, missed: list[str]
) -> Figures:
    train, test = banking77(sets, "train"), banking77(sets, "test")
    cut = learning_stream.cut(train, test, weeks=weeks, seed=seed)
    sides: Figures = {}
    for name, by_lot in (("queue", False), ("lot", True)):
        sides[name] = asyncio.run(
            learning_stream.weeks_of(cut, work / name, by_lot=by_lot, seed=seed)
        )
    full = learning_stream.full_data(cut, train, work / "full", seed=seed)
    last = sides["queue"]["weeks"][-1]
    share = last["labels"] / cut.all_labels
    of_full = last["accuracy"] / full["accuracy"]
    behind = [
        one["week"]
        for one, other in zip(sides["queue"]["weeks"], sides["lot"]["weeks"], strict=True)
        if one["week"] >= 3 and one["accuracy"] <= other["accuracy"]
    ]
    ratios["accuracy_of_full_data"] = round(of_full, 4)
    ratios["labels_of_full_data"] = round(share, 4)
    if of_full < LEAST_OF_FULL:
        missed.append(f"stream: {of_full:.3f} of full-data accuracy, not {LEAST_OF_FULL}")
    if share > MOST_LABELS:
        missed.append(f"stream: {share:.3f} of the labels, not {MOST_LABELS}")
    if behind:
        missed.append(f"stream: not above a choice by lot in weeks {behind}")
    return {**sides, "full_data": full, "not_above_lot_in_weeks": behind}


def _appearing(
    sets: Path, work: Path, weeks: int, seed: int, ratios: Figures, missed: list[str]
) -> Figures:
    train = clinc150(sets, "full_train") + clinc150(sets, "full_oos_train")
    cut = learning_appearing.cut(train, clinc150(sets, "full_test"), weeks=weeks, seed=seed)
    found = asyncio.run(learning_appearing.appearing(cut, work, seed=seed))
    by_week = {week["week"]: week["recall_of_new"] for week in found["weeks"]}
    recall = by_week.get(RECALL_BY_WEEK, 0.0)
    if recall < LEAST_RECALL_OF_NEW:
        missed.append(f"appearing: recall {recall} in week {RECALL_BY_WEEK}")
    if found["found_as_group"] < learning_appearing.NEW_INTENTS:
        missed.append(f"appearing: {found['found_as_group']} of 15 new intents came up as a group")
    return found


def _forgetting(
    sets: Path, work: Path, weeks: int, seed: int, ratios: Figures, missed: list[str]
) -> Figures:
    train, frozen, test = (clinc150(sets, f"full_{split}") for split in ("train", "val", "test"))
    found = asyncio.run(forgetting(train, frozen, test, work, seed=seed))
    ratios["time_of_a_round"] = found.pop("time")
    if found["lost_points"] > MOST_LOST_POINTS:
        missed.append(f"forgetting: {found['lost_points']} points lost")
    if ratios["time_of_a_round"]["ratio"] > MOST_TIME:
        missed.append(f"forgetting: a round takes {ratios['time_of_a_round']['ratio']} of anew")
    return found


_PARTS = {"stream": _stream, "appearing": _appearing, "forgetting": _forgetting}


def banking77(sets: Path, split: str) -> list[Said]:
    """(text, intent) of a split."""
    path = sets / "banking77" / f"{split}.csv"
    if not path.is_file():
        raise NoSet(path)
    with path.open(encoding="utf-8", newline="") as rows:
        return [(" ".join(row["text"].split()), row["category"]) for row in csv.DictReader(rows)]


def clinc150(sets: Path, name: str) -> list[Said]:
    """(text, intent) of a split; out-of-scope texts are of the intent `oos`."""
    path = sets / "clinc150" / f"{name}.tsv"
    if not path.is_file():
        raise NoSet(path)
    with path.open(encoding="utf-8", newline="") as rows:
        reader = csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["text"], row["intent"]) for row in reader]


def _plot(figures: Figures, folder: Path) -> None:
    if "stream" in figures:
        stream = figures["stream"]
        sides = {name: stream[side] for name, side in (("queue", "queue"), ("by lot", "lot"))}
        write_lines(
            folder / "learning-accuracy.svg",
            "Accuracy on banking77's test split, by week",
            {
                name: [(0, side["start"])] + [(w["week"], w["accuracy"]) for w in side["weeks"]]
                for name, side in sides.items()
            },
            percent=True,
        )
        weeks = stream["queue"]["weeks"]
        write_lines(
            folder / "learning-labels.svg",
            "Labels used, by week",
            {"labels": [(week["week"], week["labels"]) for week in weeks]},
            percent=False,
        )
        write_lines(
            folder / "learning-seconds.svg",
            "Seconds of a round, by week",
            {"seconds": [(week["week"], week["seconds"]) for week in weeks]},
            percent=False,
        )
    if "appearing" in figures:
        weeks = figures["appearing"]["weeks"]
        write_lines(
            folder / "learning-appearing.svg",
            "clinc150: 15 intents appear in week 4",
            {
                "recall of the new": [(w["week"], w["recall_of_new"]) for w in weeks],
                "the same by the newest version": [
                    (w["week"], w["recall_of_new_by_newest"])
                    for w in weeks
                    if w["recall_of_new_by_newest"] is not None
                ],
                "accuracy of the old": [(w["week"], w["accuracy_of_old"]) for w in weeks],
            },
            percent=True,
        )
