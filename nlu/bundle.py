"""Model bundles on disk: a folder a version, a manifest with checksums, a `current` pointer.

Beside the pointer there may be a file `trial`: a second version, for a share of the conversations.
"""

import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlu.calibration import Calibration, Floats
from nlu.errors import BadTrial, BundleError, UnknownVersion, VersionInUse
from nlu.labels import Labels
from nlu.matchers import Matchers
from nlu.trial import Trial, read_trial

FORMAT = 1
MANIFEST = "manifest.json"
POINTER = "current"
TRIAL = "trial"
# By version: which one served before it.
REPLACED = "replaced"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle is, where it comes from and what its files must be."""

    version: str
    created_at: str
    base_model: str
    embedder_id: str
    embedding_dim: int
    mode: str  # of the CPU graphs: cpu-int8 or cpu
    max_tokens: int
    seed: int
    dataset_sha256: str
    parent: str | None
    files: dict[str, dict[str, Any]]  # path -> {"sha256", "bytes"}
    format: int = FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An opened bundle: its folder and everything in it but the models."""

    folder: Path
    manifest: Manifest
    labels: Labels
    calibration: Calibration
    transitions: Floats  # (tags + 1, tags), see decoding.tag_transitions
    matchers: Matchers

    @property
    def version(self) -> str:
        return self.manifest.version


def open_bundle(folder: Path) -> Bundle:
    """Checks every file of a bundle against its manifest and reads the small ones.

    Raises BundleError naming the file that is missing or changed.
    """
    manifest = read_manifest(folder)
    check_sizes(folder, manifest)
    for name, expected in manifest.files.items():
        if file_sha256(folder / name) != expected["sha256"]:
            raise BundleError(folder, f"{name} was changed: its sha256 is not the manifest's")
    transitions = _read_json(folder, "transitions.json")["tags"]
    matchers = _read_json(folder, "matchers.json")
    return Bundle(
        folder=folder,
        manifest=manifest,
        labels=read_labels(folder),
        calibration=Calibration(**_read_json(folder, "calibration.json")),
        transitions=np.array(transitions, dtype=np.float32),
        matchers=Matchers(**matchers),
    )


def read_labels(folder: Path) -> Labels:
    """The labels of a bundle, its files unchecked. Raises BundleError."""
    labels = _read_json(folder, "labels.json")
    return Labels(**{head: tuple(names) for head, names in labels.items()})


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Whether all files are there, as long as they must be; raises BundleError."""
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(folder, f"{name} is missing; train again or restore it")
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise BundleError(folder, f"{name} has {size} bytes, not {expected['bytes']}")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, its files unchecked."""
    if not folder.is_dir():
        raise BundleError(folder, "no such folder")
    fields = _read_json(folder, MANIFEST)
    if fields.get("format") != FORMAT:
        raise BundleError(folder, f"format {fields.get('format')!r}; this version reads {FORMAT}")
    try:
        return Manifest(**fields)
    except TypeError as error:
        raise BundleError(folder, f"{MANIFEST} is not a manifest: {error}") from None


def write_json(folder: Path, name: str, value: object) -> None:
    """Writes one of the bundle's small files."""
    (folder / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


def seal(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest with the checksums of all files there are, and syncs them to disk."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            files[name] = {"sha256": file_sha256(path), "bytes": path.stat().st_size}
            _sync(path)
    write_json(folder, MANIFEST, asdict(manifest) | {"files": files})
    _sync(folder / MANIFEST)
    _sync(folder)


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that becomes it when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left_over in target.parent.glob(".*.tmp"):  # of trainings that were killed
        process = left_over.name.split(".")[-2]
        if left_over.is_dir() and process.isdigit() and not _alive(int(process)):
            shutil.rmtree(left_over, ignore_errors=True)
    folder = target.parent / f".{target.name}.{os.getpid()}.tmp"
    folder.mkdir()
    try:
        yield folder
        if target.exists():
            old = folder.with_suffix(".old")
            target.rename(old)
            folder.rename(target)
            shutil.rmtree(old)
        else:
            folder.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class BundleStore:
    """The bundles of a models folder: `<models>/nlu/<version>` and the pointer to one of them."""

    def __init__(self, models_dir: Path) -> None:
        self.root = models_dir / "nlu"

    def folder(self, version: str) -> Path:
        """The folder of a version; raises UnknownVersion when there is none."""
        if not _VERSION.fullmatch(version) or not (self.root / version / MANIFEST).is_file():
            raise UnknownVersion(version, self.versions())
        return self.root / version

    def versions(self) -> list[str]:
        """All finished versions, oldest first (their names begin with their time)."""
        if not self.root.is_dir():
            return []
        return sorted(
            path.parent.name
            for path in self.root.glob(f"*/{MANIFEST}")
            if _VERSION.fullmatch(path.parent.name)
        )

    def current(self) -> str | None:
        """The version that is served, or None before the first training."""
        try:
            return (self.root / POINTER).read_text("utf-8").strip() or None
        except FileNotFoundError:
            return None

    def activate(self, version: str, *, back: bool = False) -> None:
        """Points `current` at a version, atomically and on disk when this returns.

        A trial ends with it: it was up against the version that served so far. Which one that was
        is kept for `previous`, unless this goes `back`: what is left then is not to come again.
        """
        self.folder(version)
        current = self.current()
        if not back and current is not None and current != version:
            known = {*self.versions(), current}
            replaced = {new: old for new, old in self._replaced().items() if new in known}
            self._replace(REPLACED, json.dumps(replaced | {version: current}) + "\n")
        self._replace(POINTER, version + "\n")
        self.end_trial()

    def roll_back(self) -> str:
        """Points `current` at the version before it, in a hurry; the version.

        Its files must be there in full; what is in them the service checks before it serves it.
        """
        version = self.previous()
        folder = self.folder(version)
        check_sizes(folder, read_manifest(folder))
        self.activate(version, back=True)
        return version

    def replaced(self, version: str) -> str | None:
        """The version that served before this one took its place; None where nobody noted it."""
        return self._replaced().get(version)

    def trial(self) -> Trial | None:
        """The version that is tried, or None; raises BadTrial where the file is none of ours."""
        try:
            return read_trial((self.root / TRIAL).read_text("utf-8"))
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise BadTrial("file", "is not UTF-8") from None

    def try_out(self, trial: Trial) -> None:
        """Has a version tried from now on, in the place of any other; on disk when this returns."""
        self.folder(trial.version)
        self._replace(TRIAL, json.dumps(asdict(trial)) + "\n")

    def end_trial(self) -> bool:
        """Has no version tried any more; False when none was."""
        try:
            (self.root / TRIAL).unlink()
        except FileNotFoundError:
            return False
        _sync(self.root)
        return True

    def previous(self) -> str:
        """The version to roll back to: what the current one replaced, else its parent, else the one
        before it in time."""
        current = self.current()
        versions = self.versions()
        if current not in versions:
            raise UnknownVersion(current or "current", versions)
        earlier = self.replaced(current)
        if earlier in versions:  # then nothing of the current one need be whole
            return earlier
        parent = read_manifest(self.root / current).parent
        if parent in versions:
            return parent
        position = versions.index(current)
        if position == 0:
            raise BundleError(self.root / current, "there is no earlier version to roll back to")
        return versions[position - 1]

    def served(self) -> list[str]:
        """What serves and what served before it, newest first, as far back as roll-backs go."""
        chain: list[str] = []
        version = self.current()
        while version is not None and version not in chain:
            chain.append(version)
            version = self.replaced(version)
        known = set(self.versions())
        return [version for version in chain if version in known]

    def remove(self, version: str) -> int:
        """Removes a version from disk; the bytes that are free then.

        Raises UnknownVersion, VersionInUse for what serves, is tried, or a roll-back would want.
        """
        folder = self.folder(version)
        with suppress(UnknownVersion, BundleError):  # nothing serves, or there is one version only
            if version == self.previous():
                raise VersionInUse(version)
        leaving = self.root / f".{version}.{os.getpid()}.tmp"
        folder.rename(leaving)
        # Looked at once nobody can choose it any more.
        trial = self.trial()
        if version in (self.current(), None if trial is None else trial.version):
            leaving.rename(folder)
            raise VersionInUse(version)
        size = sum(path.stat().st_size for path in leaving.rglob("*") if path.is_file())
        shutil.rmtree(leaving)
        _sync(self.root)
        return size

    def _replaced(self) -> dict[str, str]:
        try:
            kept = json.loads((self.root / REPLACED).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError):
            return {}
        return kept if isinstance(kept, dict) else {}

    def _replace(self, name: str, content: str) -> None:
        temporary = self.root / f".{name}.{os.getpid()}.{threading.get_ident()}.tmp"
        temporary.write_text(content, "utf-8")
        _sync(temporary)
        temporary.replace(self.root / name)
        _sync(self.root)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_text("utf-8"))
    except FileNotFoundError:
        raise BundleError(folder, f"{name} is missing; this is no model bundle") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise BundleError(folder, f"{name} is not JSON; train again or restore it") from None
    if not isinstance(value, dict):
        raise BundleError(folder, f"{name} is not a JSON object")
    return value


def file_sha256(path: Path) -> str:
    """The checksum that manifests hold."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
