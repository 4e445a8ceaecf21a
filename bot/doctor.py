"""`kefu doctor`: what is in order, what is not, and what mends it."""

import json
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from bot.errors import KefuError, LogMissing
from bot.settings import Settings
from bot.up import FREE_GB, check_model, check_ports, running_state

PACKAGES = ("aiohttp", "sqlalchemy", "torch", "transformers", "onnxruntime", "rasa-sdk")
RASA_VERSION = "3.6.21"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: whether it passed, what was seen, and what to do when it did not."""

    check: str
    ok: bool
    seen: str
    remedy: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON list.")
def doctor(*, as_json: bool) -> None:
    """Check environments, versions, ports, database, models and disk."""
    settings = Settings()
    findings = [check(settings) for check in CHECKS]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'MEND'} {finding.check}: {finding.seen}")
            if not finding.ok:
                click.echo(f"     -> {finding.remedy}")
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


def services_environment(settings: Settings) -> Finding:
    """Whether the packages of the services are there."""
    found, missing = [f"Python {sys.version.split()[0]}"], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    return Finding(
        check="services environment",
        ok=not missing,
        seen=f"missing: {', '.join(missing)}" if missing else ", ".join(found),
        remedy="run make setup",
    )


def dialogue_environment(settings: Settings) -> Finding:
    """Whether Rasa's environment runs and holds the release we work with."""
    code = "from importlib.metadata import version; import sys; "
    code += "print(sys.version.split()[0], version('rasa'))"
    command = [str(settings.rasa_python), "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        python, rasa = done.stdout.split()
        seen, ok = f"Python {python}, rasa {rasa}", rasa == RASA_VERSION
    except (OSError, ValueError, subprocess.TimeoutExpired):
        seen, ok = f"{settings.rasa_python} does not run or has no rasa", False
    return Finding(
        check="dialogue environment", ok=ok, seen=seen, remedy="remove .venv-rasa, run make setup"
    )


def ports(settings: Settings) -> Finding:
    """Whether our ports are free, or taken by a kefu that runs."""
    state = running_state(settings)
    try:
        if state is None:
            check_ports(settings)
        seen, ok = ("free" if state is None else f"in use by kefu, process {state['pid']}"), True
    except KefuError as error:
        seen, ok = str(error), False
    return Finding(
        check="ports", ok=ok, seen=seen, remedy="run kefu down, or change the setting it names"
    )


def processes(settings: Settings) -> Finding:
    """Whether each process of a running kefu is ready; a stopped kefu is in order."""
    state = running_state(settings)
    if state is None:
        return Finding(check="processes", ok=True, seen="kefu is not running")
    # Those that were started, whatever the settings say by now.
    seen = {
        name: _readiness(f"{entry['url']}/readyz") for name, entry in state["processes"].items()
    }
    return Finding(
        check="processes",
        ok=all(state == "ready" for state in seen.values()),
        seen=", ".join(f"{name} {state}" for name, state in seen.items()),
        remedy=f"read {settings.state_dir / 'logs'}",
    )


def _readiness(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=3) as response:
            return "ready" if response.status == 200 else f"answers {response.status}"
    except urllib.error.HTTPError as error:
        return f"answers {error.code}"
    except OSError:
        return "does not answer"


def database(settings: Settings) -> Finding:
    """Whether the database answers and its schema is the newest."""
    from bot.log.database import schema_version

    try:
        current, newest = schema_version(settings.database_url)
    except KefuError as error:
        return Finding(
            check="database", ok=False, seen=str(error), remedy="check KEFU_DATABASE_URL"
        )
    if current is None:
        seen = "not made yet: kefu up makes it"
    else:
        seen = f"schema {current}" + ("" if current == newest else f", newest is {newest}")
    return Finding(
        check="database",
        ok=current in {None, newest},
        seen=seen,
        remedy="stop kefu; kefu up brings the schema up to date",
    )


def model(settings: Settings) -> Finding:
    """Whether the current model bundle is whole."""
    from nlu.bundle import BundleStore

    try:
        check_model(settings)
        seen, ok = BundleStore(settings.models_dir).current() or "", True
    except KefuError as error:
        seen, ok = str(error), False
    return Finding(check="model", ok=ok, seen=seen, remedy="run kefu train")


def dialogue_model(settings: Settings) -> Finding:
    """Whether Rasa has a trained model."""
    found = sorted((settings.models_dir / "dialogue").glob("*.tar.gz"))
    return Finding(
        check="dialogue model",
        ok=bool(found),
        seen=found[-1].name if found else "none",
        remedy="run kefu up, which trains it",
    )


def widget(settings: Settings) -> Finding:
    """Whether the chat widget is built from its sources as they are."""
    from bot.web import build

    built = (build.DIST / "kefu.js").is_file()
    current = build.is_built()
    return Finding(
        check="chat widget",
        ok=built and current,
        seen="built" if current else "older than its sources" if built else "not built",
        remedy="run kefu prepare",
    )


def learning(settings: Settings) -> Finding:
    """How the last run of the learning loop ended, and when the next one is due."""
    from bot.learning.schedule import next_run, read_period
    from bot.log import harvested, learning_runs
    from bot.log.opened import opened_log
    from bot.world import utc_now

    try:
        period = read_period(settings.learn_every)
        with opened_log() as connection:
            runs = learning_runs.latest(connection, limit=1)
            made = learning_runs.latest_made(connection, limit=20)
            first_turn = harvested.first_turn(connection)
    except LogMissing:
        return Finding(check="learning", ok=True, seen="no log to learn from yet")
    except KefuError as error:
        return Finding(check="learning", ok=False, seen=str(error), remedy="see the message")
    seen = "no run yet"
    if runs:
        last = runs[0]
        verdict = (last["verdict"] or {}).get("decision")
        said = last["state"] if verdict is None else f"{last['state']} ({verdict})"
        seen = f"last run {last['created_at']:%Y-%m-%d %H:%M} {said}"
    if period is None:
        seen += ", KEFU_LEARN_EVERY is off: it runs when `kefu learn --once` is asked for"
    else:
        due = next_run(made, period, utc_now(), first_turn=first_turn)
        seen += f", next one {due:%Y-%m-%d %H:%M} UTC"
    failed = bool(runs) and runs[0]["state"] == "failed"
    return Finding(
        check="learning",
        ok=not failed,
        seen=f"{seen}: {runs[0]['error']}" if failed else seen,
        remedy="mend what it says, then run kefu learn --once",
    )


def front_door(settings: Settings) -> Finding:
    """Whether the settings of the outer security can be used, and hold for who may reach us."""
    from bot.http.guard import open_origins
    from bot.identity import Identity

    try:
        open_origins(settings)
        Identity.of(settings)
    except KefuError as error:
        return Finding(
            check="front door", ok=False, seen=str(error), remedy="see docs/guide/security.md"
        )
    seen = f"listens on {settings.host}, {settings.public_url or 'no public address'}"
    exposed = settings.host != "127.0.0.1" or settings.public_url is not None
    if exposed and "on" in (settings.rest_webhook, settings.detail):
        return Finding(
            check="front door",
            ok=False,
            seen=f"{seen}; KEFU_REST_WEBHOOK or KEFU_DETAIL is on for everyone",
            remedy="set them to loopback, unless only your own servers can reach the port",
        )
    if (settings.public_url or "").startswith("https:") and not settings.trusted_proxies:
        return Finding(
            check="front door",
            ok=False,
            seen=f"{seen}; behind your TLS proxy all visitors count as one address",
            remedy="set KEFU_TRUSTED_PROXIES to the proxy's network",
        )
    return Finding(check="front door", ok=True, seen=seen)


def secret_files(settings: Settings) -> Finding:
    """Whether files that hold secrets are closed to other users of this machine."""
    from nlu.setting_files import secrets_folder

    folder = secrets_folder()
    candidates = [
        settings.state_dir / "secret",
        *([] if folder is None else sorted(folder.iterdir())),
        *([Path(".env")] if _holds_secret(Path(".env")) else []),
    ]
    files = [file for file in candidates if file.is_file()]
    readable = [str(file) for file in files if file.stat().st_mode & stat.S_IROTH]
    return Finding(
        check="secret files",
        ok=not readable,
        seen=f"others can read {', '.join(readable)}" if readable else f"{len(files)} closed",
        remedy=f"chmod o-rwx {' '.join(readable)}",
    )


def _holds_secret(file: Path) -> bool:
    """Whether a variable in it is named like a secret; its value is not looked at."""
    if not file.is_file():
        return False
    named = (line.partition("=")[0].strip() for line in file.read_text().splitlines())
    return any(name.endswith(("SECRET", "TOKEN", "PASSWORD", "KEY")) for name in named)


def disk(settings: Settings) -> Finding:
    """Whether there is room to write."""
    folder = settings.state_dir if settings.state_dir.exists() else settings.state_dir.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Finding(
        check="disk",
        ok=free_gb >= FREE_GB,
        seen=f"{free_gb:.1f} GB free",
        remedy=f"free some space: kefu needs {FREE_GB:g} GB, or set KEFU_STATE_DIR",
    )


CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    services_environment,
    dialogue_environment,
    ports,
    processes,
    database,
    model,
    dialogue_model,
    widget,
    learning,
    front_door,
    secret_files,
    disk,
)
