"""`kefu bench loops`: learning runs under SIGKILL; promotions, roll-backs, loops under load."""

import tempfile
from pathlib import Path
from typing import Any

import click

from bot.bench.loop_kills import is_clean, measure_kills
from bot.bench.loop_switches import measure_switches
from bot.bench.report import emit, machine

PARTS = ("kills", "switches", "whole")
ROLL_BACK_S = 10.0


@click.command()
@click.option(
    "--kills", type=click.IntRange(1), default=30, show_default=True, help="SIGKILLs of the loop."
)
@click.option(
    "--switches",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Promotions, each rolled back.",
)
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    help="Only this part. whole: before each promotion a whole run of the loop, some minutes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def loops(*, kills: int, switches: int, parts: tuple[str, ...], as_json: bool) -> None:
    """Kill the learning loop at random moments; switch versions of a system that is being asked.

    Ends with 1 when a run did not end well, an answer failed, or a roll-back took over 10 s.
    """
    figures: dict[str, Any] = {}
    good = True
    for part in parts or PARTS:
        with tempfile.TemporaryDirectory(prefix=f"kefu-loops-{part}-") as folder:
            if part == "kills":
                figures[part] = measure_kills(Path(folder), kills)
                good &= is_clean(figures[part])
            else:
                whole = part == "whole"
                found = figures[part] = measure_switches(Path(folder), switches, whole=whole)
                good &= not found["failed"] and found["roll_back_s"]["worst"] <= ROLL_BACK_S
    emit(
        {"bench": "loops", "machine": machine(), "ratios": {}, "figures": figures},
        as_json=as_json,
    )
    if not good:
        raise click.exceptions.Exit(1)
