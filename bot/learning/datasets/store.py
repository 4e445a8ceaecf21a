"""The versions of the training data on disk: sealed once, read, checked, and erased from."""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from bot.learning.datasets.errors import DatasetBroken, DatasetMissing
from bot.learning.datasets.lines import conversation_of
from bot.learning.datasets.manifest import FILE, ROWS, Manifest, Tally
from bot.learning.datasets.row import Row

FOLDER = "datasets"
# Sorts by time: the moment it was sealed, and a number where one second has several.
_VERSION = re.compile(r"\d{8}T\d{6}-\d{3}")
_STAMP = "%Y%m%dT%H%M%S"
_UNFINISHED = ".tmp-"
_NEW = ".new"


class DatasetStore:
    """The versions below `<state_dir>/datasets`; who changes something there has its lock."""

    def __init__(self, state_dir: Path) -> None:
        self.root = state_dir / FOLDER

    def versions(self) -> list[str]:
        """All versions, the oldest first."""
        found = [path.name for path in self.root.glob("*") if (path / FILE).is_file()]
        return sorted(name for name in found if _VERSION.fullmatch(name))

    def folder(self, version: str) -> Path:
        """The folder of a version; raises DatasetMissing when there is none."""
        if not _VERSION.fullmatch(version) or not (self.root / version / FILE).is_file():
            raise DatasetMissing(version, self.root)
        return self.root / version

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version, its files unchecked; raises DatasetMissing, DatasetBroken."""
        try:
            found = Manifest.of_bytes((self.folder(version) / FILE).read_bytes())
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise DatasetBroken(version, FILE, f"it is no manifest ({error})") from None
        if found.version != version:
            raise DatasetBroken(version, FILE, f"it is that of version {found.version}")
        return found

    def rows(self, version: str) -> Iterator[Row]:
        """The rows of a version, one at a time; raises DatasetMissing, DatasetBroken."""
        path = self.folder(version) / ROWS
        if not path.is_file():
            raise DatasetBroken(version, ROWS, "it is missing")
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = Row.of_line(line)
                except (ValueError, TypeError, KeyError):
                    raise DatasetBroken(version, ROWS, f"line {number} is no row") from None
                yield row

    def of_run(self, run_id: str) -> Manifest | None:
        """What a run of the learning loop sealed; None when it has not yet."""
        for version in reversed(self.versions()):
            manifest = self.manifest(version)
            if manifest.run_id == run_id:
                return manifest
        return None

    def seal(
        self,
        rows: Iterable[Row],
        *,
        parent: str | None,
        until: datetime,
        now: datetime,
        run_id: str | None = None,
    ) -> Manifest:
        """Make a version of rows, all of it or nothing; it never changes but by an erasure.

        A run that has sealed one gets that one again. Raises DatasetMissing without the parent.
        """
        if parent is not None:
            self.folder(parent)
        with self._locked():
            self._remove_unfinished()
            earlier = None if run_id is None else self.of_run(run_id)
            if earlier is not None:
                return earlier
            version = self._next_version(now)
            folder = self.root / f"{_UNFINISHED}{version}"
            folder.mkdir(mode=0o700)
            try:
                tally, digest, size = Tally(), hashlib.sha256(), 0
                with (folder / ROWS).open("wb") as out:
                    for row in rows:
                        line = row.as_line().encode()
                        out.write(line)
                        digest.update(line)
                        size += len(line)
                        tally.add(row)
                    _to_disk(out)
                manifest = Manifest(
                    version=version,
                    parent=parent,
                    until=until,
                    created_at=now,
                    run_id=run_id,
                    rows=tally.rows,
                    counts=tally.counts(),
                    files={ROWS: {"sha256": digest.hexdigest(), "bytes": size}},
                )
                _write(folder / FILE, manifest.as_bytes())
                _sync_folder(folder)
                folder.rename(self.root / version)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            _sync_folder(self.root)
            return manifest

    def verify(self, version: str) -> list[str]:
        """What is wrong with a version's files, each named; nothing when it is whole."""
        with self._locked():
            self._settle(version)
            folder = self.folder(version)
            try:
                manifest = self.manifest(version)
            except DatasetBroken as error:
                return [f"{error.file}: {error.reason}"]
            faults = []
            for name, expected in manifest.files.items():
                path = folder / name
                if not path.is_file():
                    faults.append(f"{name}: it is missing")
                elif (
                    path.stat().st_size != expected["bytes"] or _sha256(path) != expected["sha256"]
                ):
                    faults.append(f"{name}: it was changed, its sha256 is not the manifest's")
            known = {FILE, *manifest.files}
            extra = sorted(path.name for path in folder.iterdir() if path.name not in known)
            return faults + [f"{name}: the manifest does not know it" for name in extra]

    def conversations(self, version: str) -> set[str]:
        """Whose rows a version has, by conversation; raises DatasetMissing, DatasetBroken."""
        with (self.folder(version) / ROWS).open("rb") as lines:
            return {conversation_of(line) for line in lines}

    def erase(self, conversation_ids: Collection[str]) -> dict[str, int]:
        """Take the rows of conversations out of every version; by version how many went.

        May be done again after a crash: a version then has its old files or its new ones.
        """
        gone, removed = frozenset(conversation_ids), {}
        with self._locked():
            self._remove_unfinished()
            for version in self.versions():
                self._settle(version)
                path = self.root / version / ROWS
                if not path.is_file():
                    continue
                with path.open("rb") as lines:
                    touched = any(conversation_of(line) in gone for line in lines)
                if touched:
                    removed[version] = self._rewrite(version, gone)
        return removed

    def _rewrite(self, version: str, gone: frozenset[str]) -> int:
        """Replace both files of a version: the rows first, and `_settle` knows how far it came."""
        folder, manifest = self.folder(version), self.manifest(version)
        tally, digest, size, removed = Tally(), hashlib.sha256(), 0, 0
        with (folder / ROWS).open("rb") as lines, (folder / (ROWS + _NEW)).open("wb") as out:
            for line in lines:
                if conversation_of(line) in gone:
                    removed += 1
                    continue
                out.write(line)
                digest.update(line)
                size += len(line)
                tally.add(_row(version, line))
            _to_disk(out)
        files = {**manifest.files, ROWS: {"sha256": digest.hexdigest(), "bytes": size}}
        new = replace(
            manifest,
            rows=tally.rows,
            counts=tally.counts(),
            files=files,
            erased=manifest.erased + removed,
        )
        _write(folder / (FILE + _NEW), new.as_bytes())
        _sync_folder(folder)
        (folder / (ROWS + _NEW)).replace(folder / ROWS)
        _sync_folder(folder)
        (folder / (FILE + _NEW)).replace(folder / FILE)
        _sync_folder(folder)
        return removed

    def _settle(self, version: str) -> None:
        """Finish or drop what an erasure began that was killed."""
        folder = self.folder(version)
        new_rows, new_manifest = folder / (ROWS + _NEW), folder / (FILE + _NEW)
        if new_manifest.is_file() and not new_rows.is_file():
            # The new rows are in place: the manifest that tells of them is whole, it came before.
            new_manifest.replace(folder / FILE)
            _sync_folder(folder)
            return
        # In this order: a manifest alone means that its rows are in place.
        new_manifest.unlink(missing_ok=True)
        new_rows.unlink(missing_ok=True)

    def _next_version(self, now: datetime) -> str:
        """Later than all there are, also where the clock was set back."""
        stamp, number, there = f"{now:{_STAMP}}", 1, self.versions()
        if there:
            last, count = there[-1].split("-")
            if last >= stamp:
                stamp, number = last, int(count) + 1
        return f"{stamp}-{number:03}"

    def _remove_unfinished(self) -> None:
        """Remove what was being sealed when its process was killed."""
        for left_over in self.root.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left_over, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time changes something; the lock goes with its process."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _row(version: str, line: bytes) -> Row:
    try:
        return Row.of_line(line.decode())
    except (ValueError, TypeError, KeyError):
        raise DatasetBroken(version, ROWS, "a line of it is no row") from None


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        _to_disk(file)


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
