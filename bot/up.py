"""`kefu up` and `kefu down`: prepare what is missing, start everything, stop it again."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import psutil

from bot.errors import KefuError
from bot.processes import kefu_processes
from bot.settings import Settings
from bot.supervisor import Supervisor

FREE_GB = 1.0
DETACHED_START_S = 180.0


@click.command()
@click.option(
    "--detach", is_flag=True, help="Return when everything answers; `kefu down` stops it."
)
@click.option("--prepared", is_flag=True, hidden=True, help="The caller has prepared all.")
def up(*, detach: bool, prepared: bool) -> None:
    """Train what is not trained, start the processes, supervise them."""
    settings = Settings()
    running = running_state(settings)
    if running is not None:
        click.echo(f"kefu runs already (process {running['pid']})", err=True)
        click.echo(_welcome(settings))
        return
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    check_disk(settings)
    check_gateways(settings)
    check_ports(settings)
    if not prepared:
        # The messaging platforms and the API need no widget: its page says what is missing.
        prepare(settings, without_widget=True)
    if detach:
        start_detached(settings)
        click.echo(_welcome(settings))
    else:
        asyncio.run(supervise(settings))


@click.command("prepare")
def prepare_command() -> None:
    """Make the database and train what is not trained, without starting anything."""
    settings = Settings()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    check_disk(settings)
    prepare(settings)


@click.command()
def down() -> None:
    """Stop what `kefu up` started; what was accepted is answered first."""
    settings = Settings()
    state = running_state(settings)
    if state is None:
        left = _leftovers(settings)
        for process in left:
            process.terminate()
        psutil.wait_procs(left, timeout=settings.drain_timeout_s)
        click.echo(f"stopped {len(left)} leftover processes" if left else "kefu is not running")
        return
    os.kill(state["pid"], signal.SIGTERM)
    try:
        psutil.Process(state["pid"]).wait(timeout=5 * settings.drain_timeout_s)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        raise KefuError(
            f"process {state['pid']} does not stop: read {settings.state_dir / 'logs'}, "
            f"then kill {state['pid']}"
        ) from None
    click.echo("stopped")


def _state(settings: Settings) -> dict[str, Any] | None:
    try:
        found = json.loads((settings.state_dir / "up.json").read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def running_state(settings: Settings) -> dict[str, Any] | None:
    """What `up.json` says, if its supervisor lives."""
    state = _state(settings)
    if state is None:
        return None
    try:
        same = psutil.Process(state["pid"]).create_time() == state["since"]
    except (psutil.NoSuchProcess, psutil.AccessDenied, KeyError):
        return None
    return state if same else None


def _leftovers(settings: Settings) -> list[psutil.Process]:
    """Processes of a supervisor that was killed."""
    state = _state(settings) or {"processes": {}}
    commands = {spec.name: list(spec.command) for spec in kefu_processes(settings)}
    found = []
    for name, entry in state["processes"].items():
        try:
            process = psutil.Process(entry["pid"])
            if process.cmdline()[-1:] == commands[name][-1:]:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, KeyError, TypeError, ValueError):
            continue
    return found


def check_disk(settings: Settings) -> None:
    """Raise KefuError when there is no room for a log and a model."""
    free_gb = shutil.disk_usage(settings.state_dir).free / 1e9
    if free_gb < FREE_GB:
        raise KefuError(
            f"the disk of {settings.state_dir} has {free_gb:.2f} GB free, kefu needs {FREE_GB:g}: "
            "free some space or set KEFU_STATE_DIR"
        )


def check_gateways(settings: Settings) -> None:
    """Raise KefuError for several gateways on a database that only one may write."""
    if settings.gateways > 1 and settings.database_url.startswith("sqlite"):
        raise KefuError(
            f"KEFU_GATEWAYS: {settings.gateways} gateways need PostgreSQL: set KEFU_DATABASE_URL "
            "to postgresql+psycopg://user:password@host/name, or KEFU_GATEWAYS=1"
        )


def check_ports(settings: Settings) -> None:
    """Raise KefuError that names the process on a port we need."""
    for spec in kefu_processes(settings):
        host = settings.host if spec.name.startswith("gateway") else "127.0.0.1"
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, spec.port))
            except OSError:
                raise KefuError(
                    f"port {spec.port} for {spec.name} is taken by {_owner_of(spec.port)}: stop it "
                    f"(if it is an old kefu: kefu down) or set {spec.port_setting}"
                ) from None


def _owner_of(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listening = connection.status == psutil.CONN_LISTEN
            if (
                listening
                and getattr(connection.laddr, "port", None) == port
                and connection.pid is not None
            ):
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return "another process"


def prepare(settings: Settings, *, without_widget: bool = False) -> None:
    """Make the database, build the widget, and train the models that are not there yet.

    `without_widget`: what keeps the widget from being built is told and does not stop the rest.
    """
    from bot.log.database import schema_version, upgrade
    from bot.web import build

    stands, newest = schema_version(settings.database_url)
    if stands not in (None, newest):
        # With a large log this takes its time.
        click.echo(f"bringing the database from {stands} to {newest}", err=True)
    upgrade(settings.database_url)
    if not build.is_built():
        click.echo("building the chat widget (the first time, its packages are fetched)", err=True)
        try:
            build.build()
        except build.WidgetNotBuilt as error:
            if not without_widget:
                raise
            click.echo(f"kefu: {error}", err=True)
    if not settings.rasa_python.exists():
        raise KefuError(f"{settings.rasa_python} is missing: run make up, or set KEFU_RASA_PYTHON")
    if not (settings.models_dir / "nlu" / "current").exists():
        click.echo("training the understanding model (some minutes)", err=True)
        _run([sys.executable, "-m", "bot.cli", "train"], settings, "kefu train")
    check_model(settings)
    trainer = Path(__file__).parent / "dialogue" / "train.py"
    command = [str(settings.rasa_python), str(trainer)]
    _run(command, settings, f"{settings.rasa_python} bot/dialogue/train.py")


def check_model(settings: Settings) -> None:
    """Raise KefuError when the current model bundle is not whole."""
    from nlu.bundle import BundleStore, open_bundle
    from nlu.errors import NluError

    store = BundleStore(settings.models_dir)
    try:
        open_bundle(store.folder(store.current() or ""))
    except NluError as error:
        raise KefuError(f"{error}; run kefu train, or kefu models activate another") from error


def _run(command: list[str], settings: Settings, shown: str) -> None:
    done = subprocess.run(command, env=child_environment(settings), check=False)
    if done.returncode != 0:
        raise KefuError(f"`{shown}` failed (exit {done.returncode}); its last lines say why")


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of every process that kefu starts."""
    return {
        **os.environ,
        **settings.environment(),
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


async def supervise(settings: Settings) -> None:
    """Run the processes until a signal; announce when all that answer customers do."""

    async def import_answers() -> None:
        from actions.errors import ActionsError
        from actions.qa.importing import import_qa

        try:
            report = await import_qa(settings)
        except ActionsError as error:
            raise KefuError(f"the answers cannot be imported: {error}") from error
        click.echo(f"{'kefu':<13} | answers in the store: {report.pairs}", err=True)

    supervisor = Supervisor(
        kefu_processes(settings),
        environment=child_environment(settings),
        state_dir=settings.state_dir,
        steps={"understanding": import_answers},
        drain_timeout_s=settings.drain_timeout_s,
    )

    async def announce() -> None:
        await supervisor.all_ready.wait()
        click.echo(_welcome(settings), err=True)

    announcing = asyncio.create_task(announce())
    try:
        await supervisor.run()
    finally:
        announcing.cancel()


def start_detached(settings: Settings) -> None:
    """Start `kefu up` in the background and wait until everything answers.

    Raises KefuError with the supervisor's own last words when it gives up.
    """
    logs = settings.state_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / "kefu.log"
    with log.open("ab") as sink:
        offset = sink.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "bot.cli", "up", "--prepared"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            env=os.environ,
        )
    deadline = time.monotonic() + DETACHED_START_S
    announced: set[str] = set()
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = log.read_bytes()[offset:].decode("utf-8", "replace").strip().splitlines()
            raise KefuError(said[-1].removeprefix("kefu: ") if said else f"it stopped: read {log}")
        state = _state(settings) or {"processes": {}, "ready": False}
        for name, entry in state["processes"].items():
            if entry["ready"] and name not in announced:
                announced.add(name)
                click.echo(f"{name}: ready", err=True)
        if state["ready"]:
            return
        time.sleep(0.1)
    missing = ", ".join(
        spec.name for spec in kefu_processes(settings) if spec.name not in announced
    )
    raise KefuError(
        f"not ready after {DETACHED_START_S:g} s: {missing}; kefu doctor and {logs} say why, "
        "kefu down stops the rest"
    )


def _welcome(settings: Settings) -> str:
    addresses = [spec.url for spec in kefu_processes(settings) if spec.name.startswith("gateway")]
    return (
        f"kefu is up at {', '.join(addresses)}\n"
        f"  shop:  {addresses[-1]}/demo (a page with the chat on it)\n"
        "  chat:  .venv/bin/kefu chat\n"
        f"  logs:  {settings.state_dir / 'logs'}\n"
        "  stop:  .venv/bin/kefu down"
    )
