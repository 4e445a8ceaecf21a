"""Makes both environments from their lock files, with the standard library alone.

    python3 bot/setup/bootstrap.py [--dev]

`.venv` holds the services (this Python), `.venv-rasa` Rasa on Python 3.10. An environment whose
stamp agrees with its lock file and extras is left as it is. Run by `make`, before anything of ours
can be imported, so this file imports nothing but the standard library.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETUP = Path(__file__).resolve().parent
LOGS = ROOT / ".kefu" / "logs"
NEEDED_GB = 8
SERVICE_EXTRAS = "gateway,actions,nlu"


class SetupFailed(Exception):
    """One line for the person who runs make: what is wrong and what mends it."""


class Environment:
    """One virtual environment: where it is, what goes in, which Python makes it."""

    def __init__(self, name: str, folder: str, extras: str, python: Callable[[], str]) -> None:
        self.name, self.folder, self.extras, self.python = name, ROOT / folder, extras, python
        self.lock = SETUP / f"{name}.lock"
        self.log = LOGS / f"setup-{name}.log"

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def stamp(self) -> str:
        """Hash of all that decides what is installed."""
        text = self.lock.read_text() + (ROOT / "pyproject.toml").read_text()
        return hashlib.sha256(f"{text}\n{ROOT}".encode()).hexdigest()

    def installed_extras(self) -> set[str]:
        """Extras that stand in the environment at the current lock, else an empty set."""
        try:
            stamp, extras = (self.folder / "kefu.stamp").read_text().split()
        except (OSError, ValueError):
            return set()
        return set(extras.split(",")) if stamp == self.stamp() else set()

    def is_ready(self) -> bool:
        return set(self.extras.split(",")) <= self.installed_extras()

    def install(self) -> None:
        """Make the environment and install into it; the whole output goes to the log."""
        # What was there stays: `make up` after `make test` must not drop the test tools.
        extras = ",".join(sorted(set(self.extras.split(",")) | self.installed_extras()))
        if not (self.bin / "pip").exists():
            self._run(
                [self.python(), "-m", "venv", "--clear", str(self.folder)], self._explain_venv
            )
        pip = [str(self.bin / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        target = f"{ROOT}[{extras}]"
        self._run(
            [*pip, "--progress-bar", "off", "-c", str(self.lock), "-e", target],
            self._explain_pip,
            count=True,
        )
        (self.folder / "kefu.stamp").write_text(f"{self.stamp()}\n{extras}\n")

    def _run(
        self, command: list[str], explain: Callable[[str], str], *, count: bool = False
    ) -> None:
        expected = sum(1 for line in self.lock.read_text().splitlines() if "==" in line)
        seen, last = 0, time.monotonic()
        with self.log.open("a") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                seen += line.startswith("Collecting ")
                if count and time.monotonic() - last > 5:
                    last = time.monotonic()
                    installing = line.startswith("Installing ")
                    say(f"{self.name}: {'installing' if installing else f'{seen}/{expected}'}")
        if process.wait() != 0:
            raise SetupFailed(explain(self.log.read_text()[-4000:]))

    def _explain_venv(self, output: str) -> str:
        if "ensurepip" in output:
            return (
                "python3 has no venv module: install it (Debian, Ubuntu: apt install python3-venv)"
            )
        return f"cannot make {self.folder.name}: read {self.log}"

    def _explain_pip(self, output: str) -> str:
        if "No space left" in output:
            return f"the disk is full: free {NEEDED_GB} GB and run make again"
        if re.search(r"Connection|Temporary failure in name|timed out", output):
            return f"no package index answers: check the network, run make again ({self.log})"
        return f"installing {self.name} failed: read the end of {self.log}"


def say(text: str) -> None:
    print(f"setup | {text}", file=sys.stderr, flush=True)


def works(python: str) -> bool:
    """Whether this command is a Python 3.10 that can make environments."""
    try:
        code = "import sys, venv, ensurepip; print(sys.version_info[:2] == (3, 10))"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == "True"


def output_of(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def find_python310(services: str) -> str:
    """A Python 3.10 for Rasa: the setting, PATH, pyenv, uv, and last one that uv fetches.

    Raises SetupFailed when there is none and none can be fetched.
    """
    candidates = [os.environ.get("KEFU_PYTHON310", ""), "python3.10"]
    pyenv = (
        os.environ.get("PYENV_ROOT") or output_of("pyenv", "root") or str(Path.home() / ".pyenv")
    )
    candidates += sorted(map(str, Path(pyenv).glob("versions/3.10*/bin/python3.10")), reverse=True)
    for candidate in candidates:
        if candidate and works(candidate):
            return candidate
    uv = shutil.which("uv")
    found = output_of(uv, "python", "find", "3.10") if uv else ""
    if found and works(found):
        return found
    say("no Python 3.10 here (Rasa needs it): fetching one with uv")
    if not uv:
        # The services environment is being filled by another thread: uv gets a corner of its own.
        corner = ROOT / ".kefu" / "uv"
        done = subprocess.run(
            [services, "-m", "pip", "install", "-q", "--target", str(corner), "uv"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        uv = str(corner / "bin" / "uv") if done.returncode == 0 else None
    if uv:
        output_of(uv, "python", "install", "3.10")
        found = output_of(uv, "python", "find", "3.10")
        if found and works(found):
            return found
    raise SetupFailed(
        "Rasa needs Python 3.10 and none could be fetched: install python3.10 (apt, brew or "
        "pyenv), or name one with KEFU_PYTHON310=/path/to/python3.10"
    )


def check_disk() -> None:
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < NEEDED_GB:
        raise SetupFailed(
            f"{free:.1f} GB free in {ROOT}, the environments need {NEEDED_GB}: free some space"
        )


def install_all(environments: Sequence[Environment]) -> None:
    """Install side by side; raise the first failure."""
    failures: list[SetupFailed] = []

    def work(environment: Environment) -> None:
        try:
            environment.install()
            say(f"{environment.name}: ready")
        except SetupFailed as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(e,)) for e in environments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dev", action="store_true", help="also what `make check` and `make test` need"
    )
    dev = parser.parse_args().dev
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs before any of that is known
        raise SetupFailed(
            "kefu needs Python 3.11 or newer, this is "
            f"{sys.version.split()[0]}: run make with PYTHON=/path/to/python3.11"
        )
    LOGS.mkdir(parents=True, exist_ok=True)
    environments = [
        Environment(
            "services", ".venv", SERVICE_EXTRAS + (",dev" if dev else ""), lambda: sys.executable
        ),
        Environment("dialogue", ".venv-rasa", "dialogue", lambda: find_python310(sys.executable)),
    ]
    missing = [e for e in environments if not e.is_ready()]
    if not missing:
        return
    check_disk()
    say(f"making {' and '.join(e.folder.name for e in missing)} (some minutes; logs in {LOGS})")
    install_all(missing)


if __name__ == "__main__":
    try:
        main()
    except SetupFailed as failure:
        sys.exit(f"setup | {failure}")
    except KeyboardInterrupt:
        sys.exit("setup | stopped; run make again to go on")
