"""`kefu bench harvest`: the memory and the time of a harvest over a log of many turns."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from bot.bench.report import emit, machine, progress
from bot.errors import KefuError
from bot.log.seed_cli import fill
from bot.log.seed_texts import Material
from bot.settings import Settings
from bot.world import World, utc_now

KB, MB = 1024, 1024 * 1024


class HarvestFailed(KefuError):
    """The process that harvests ended without a report."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the harvest ended without a report: {reason}")
        self.reason = reason


@click.command()
@click.option("--turns", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=28,
    show_default=True,
    help="That they are spread over; the last 28 are looked through for turns nobody spoke of.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another number, other ones.")
@click.option("--database-url", help="A database that is there; nothing is made up in it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def harvest(*, turns: int, days: int, seed: int, database_url: str | None, as_json: bool) -> None:
    """Peak memory and seconds of harvesting a log, and of sealing what it gave."""
    with tempfile.TemporaryDirectory(prefix="kefu-harvest-") as folder:
        url = database_url
        filled_s = 0.0
        if url is None:
            url = f"sqlite:///{Path(folder) / 'kefu.db'}"
            progress(f"making up {turns} turns")
            began = time.monotonic()
            fill(url, Material(Settings().data_dir), plan=(turns, days, seed))
            filled_s = time.monotonic() - began
        progress("harvesting")
        found = _harvested(url, Path(folder))
    report: dict[str, object] = {
        "bench": "harvest",
        "machine": machine(),
        "ratios": {},
        "figures": found | {"seconds_to_make_up": round(filled_s, 1)},
    }
    emit(report, as_json=as_json)


def _harvested(url: str, state_dir: Path) -> dict[str, Any]:
    """The figures of a harvest in a process of its own, whose memory is only that."""
    # By the environment: the address of a database may hold its password.
    environment = {
        **os.environ,
        "KEFU_DATABASE_URL": url,
        "KEFU_STATE_DIR": str(state_dir),
    }
    done = subprocess.run(
        [sys.executable, "-m", "bot.bench.harvest"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise HarvestFailed(said[-1]) from None
    assert isinstance(found, dict)
    return found


async def _measure(settings: Settings) -> dict[str, Any]:
    """What the process of its own does; what it loads is loaded here."""
    from sqlalchemy import Connection, func, select

    from bot.learning.datasets.harvest import HarvestTerms, harvest
    from bot.learning.datasets.row import Row
    from bot.learning.datasets.store import DatasetStore
    from bot.log import tables
    from bot.log.database import open_engine
    from bot.log.journal import Journal

    def turns(connection: Connection) -> int:
        return int(connection.execute(select(func.count()).select_from(tables.turn)).scalar_one())

    journal = Journal(
        write_engine=open_engine(settings.database_url, writer=True),
        read_engine=open_engine(settings.database_url),
        world=World(),
    )
    journal.start()
    at_rest_mb, now = peak_mb(), utc_now()
    try:
        number = await journal.browse(turns)
        out = settings.state_dir / "learning" / "bench" / "candidates.jsonl"
        began = time.monotonic()
        report = await harvest(journal, HarvestTerms.of(settings), until=now, out=out)
        took_s, harvested_mb = time.monotonic() - began, peak_mb()
    finally:
        await journal.close()
    began = time.monotonic()
    with out.open(encoding="utf-8") as lines:
        rows = (Row.of_line(line) for line in lines)
        DatasetStore(settings.state_dir).seal(rows, parent=None, until=now, now=now)
    return {
        "turns": number,
        "peak_mb": peak_mb(),
        "peak_mb_harvest": harvested_mb,
        "mb_before": at_rest_mb,
        "seconds": round(took_s, 1),
        "turns_per_second": round(number / max(took_s, 0.001)),
        "seconds_to_seal": round(time.monotonic() - began, 1),
        "rows": report.rows,
        "rows_by_source": dict(report.sources),
        "rows_for_tests": report.test,
        "dropped": dict(report.dropped),
        "file_mb": round(out.stat().st_size / MB, 1),
    }


def peak_mb() -> float:
    """The most memory that this process has had in use so far (resident)."""
    try:
        status = Path("/proc/self/status").read_text("utf-8")
        (kilobytes,) = [
            int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")
        ]
    except (OSError, ValueError):
        # It may count what the process was before its program began.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kilobytes = peak // KB if sys.platform == "darwin" else peak
    return round(kilobytes / KB, 1)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(Settings()))))
