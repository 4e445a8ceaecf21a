"""Importing: brings the store in line with files, embeds what changed, calibrates."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from actions.database import Database, one_line, open_database
from actions.errors import DataFileError, EmptyStoreError, StoreError
from actions.qa.calibration import Calibration
from actions.qa.embedders import note_use, read_calibration
from actions.qa.index import SCORING
from actions.qa.pairs import CsvColumns, Pair, read_csv_pairs, read_yaml_pairs
from actions.qa.refitting import Progress, embed_missing, refit
from actions.qa.revisions import import_pair
from actions.qa.store import (
    SourceFile,
    State,
    Stored,
    read_sources,
    read_state,
    read_stored,
    write_inactive,
    write_source,
    write_use,
    write_version,
)
from actions.qa.vectors import count_texts
from actions.settings import ActionSettings
from actions.understanding import Embedder, UnderstandingClient
from nlu.errors import NluError
from nlu.rasa_yaml import read_rasa_nlu
from nlu.retriever_pairs import STRANGE_INTENTS

log = logging.getLogger(__name__)

IMPORT_TIMEOUT_S = 60.0  # for a batch: the service may be busy with customers
MAX_STRANGE = 400
# Edits do not fit thresholds anew: an embedder that is back with so much to embed keeps its own.
EDITED_SHARE = 0.05
STORE_FORMAT = b"2\n"  # part of every digest: files are read again when pairs are stored otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import changed."""

    sources: int = 0
    pairs: int = 0  # active ones in the store
    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: tuple[str, ...] = ()  # edited in the console: not as the files have them
    embedded: int = 0
    version: int = 0
    calibration: dict[str, Any] | None = None  # None: nothing had changed

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePairs:
    """A file that was read."""

    source: SourceFile
    pairs: list[Pair]


async def import_qa(
    settings: ActionSettings,
    path: Path | None = None,
    *,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> ImportReport:
    """Imports the folder (default: `qa` in the data folder) through the understanding service.

    This is what `kefu up` calls. When no file and no model has changed it reads the digests,
    asks for one embedding and returns. With `overwrite` every file is read, and pairs that were
    edited in the console become what it says. Raises an ActionsError.
    """
    client = UnderstandingClient(settings.nlu_url, timeout_s=IMPORT_TIMEOUT_S)
    database = open_database(settings.database_url)
    try:
        importer = Importer(database, client, strange=read_strange(settings.data_dir))
        return await importer.bring_in(
            read_changed(database, path or settings.data_dir / "qa", every=overwrite),
            progress=progress,
            overwrite=overwrite,
        )
    except SQLAlchemyError as error:
        raise StoreError(one_line(error)) from None
    finally:
        await client.close()
        database.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The files of a folder: those that changed since the last import, and all their names."""

    changed: list[SourcePairs]
    names: frozenset[str]
    prefix: str  # sources that begin so and are not in `names` are gone


class Importer:
    """Brings pairs into the store."""

    def __init__(
        self, database: Database, embedder: Embedder, *, strange: Sequence[str] = ()
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._strange = list(strange)

    async def bring_in(
        self, found: Found, *, progress: Progress | None = None, overwrite: bool = False
    ) -> ImportReport:
        """Writes what changed, embeds it and calibrates anew.

        Pairs that were edited in the console stay as they are, unless `overwrite`.
        """
        now = datetime.now(UTC)
        probe = await self._embedder.embed(["hello"])
        counts, kept = await self._database.write(
            lambda c: _write_changes(c, found, now, overwrite=overwrite)
        )
        embedded = await embed_missing(self._database, self._embedder, probe.embedder, progress)
        state = await self._database.read(read_state)
        if (
            state is not None
            and _is_current(state, probe.embedder)
            and not any(counts.values())
            and not embedded
        ):
            active = await self._database.read(_count_active)
            return ImportReport(
                sources=len(found.names), pairs=active, version=state.version, kept=kept
            )
        version, pairs, calibration = await self._refit(probe.embedder)
        log.info("qa_imported version=%d pairs=%d embedded=%d", version, pairs, embedded)
        return ImportReport(
            sources=len(found.names),
            pairs=pairs,
            kept=kept,
            embedded=embedded,
            version=version,
            calibration=calibration.as_dict(),
            **counts,
        )

    async def recalibrate(self, *, progress: Progress | None = None) -> ImportReport:
        """Embeds what has no vector and fits the thresholds to the pairs as they are now.

        Raises EmptyStoreError when there is none.
        """
        if await self._database.read(read_state) is None:
            raise EmptyStoreError
        probe = await self._embedder.embed(["hello"])
        embedded = await embed_missing(self._database, self._embedder, probe.embedder, progress)
        version, pairs, calibration = await self._refit(probe.embedder)
        return ImportReport(
            pairs=pairs, embedded=embedded, version=version, calibration=calibration.as_dict()
        )

    async def refresh(self, state: State) -> bool:
        """Brings the store to the service's embedder; true if there was something to do.

        When the service has another embedder than the store, every text that has no vector of it
        is embedded and the thresholds are fitted, unless its set is there from before, but for
        what was edited since.
        """
        name = (await self._embedder.embed(["hello"])).embedder
        embedded = await embed_missing(self._database, self._embedder, name)
        if name == state.embedder:
            if embedded:
                await self._database.write(lambda c: write_version(c, datetime.now(UTC)))
            return bool(embedded)
        kept = await self._database.read(partial(read_calibration, embedder=name))
        texts = await self._database.read(count_texts)
        if kept is None or embedded > EDITED_SHARE * texts:
            await self._refit(name)
        else:
            await self._database.write(partial(_use_again, name=name, calibration=kept))
        log.info("qa_embedder_changed embedder=%s embedded=%d", name, embedded)
        return True

    async def _refit(self, name: str) -> tuple[int, int, Calibration]:
        return await refit(self._database, self._embedder, name, self._strange)


def read_changed(database: Database, path: Path, *, every: bool = False) -> Found:
    """The YAML files of a folder (or one file) whose content is not what was imported.

    With `every` all of them count as changed.
    """
    files = sorted([*path.glob("*.yml"), *path.glob("*.yaml")]) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise DataFileError(path, "no such file, and no folder with .yml files of pairs")
    folder = path if path.is_dir() else path.parent
    imported = {} if every else database.reading(read_sources)
    changed, names = [], set()
    for file in files:
        name = f"{folder.name}/{file.name}"
        names.add(name)
        digest = hashlib.sha256(STORE_FORMAT + file.read_bytes()).hexdigest()
        if imported.get(name) != digest:
            source = SourceFile(name=name, kind="yaml", sha256=digest)
            changed.append(SourcePairs(source=source, pairs=read_yaml_pairs(file)))
    prefix = f"{folder.name}/" if path.is_dir() else ""
    return Found(changed=changed, names=frozenset(names), prefix=prefix)


def read_csv_source(path: Path, columns: CsvColumns) -> Found:
    """A CSV or TSV file as the source of pairs."""
    if not path.is_file():
        raise DataFileError(path, "no such file")
    digest = hashlib.sha256(STORE_FORMAT + path.read_bytes()).hexdigest()
    source = SourceFile(name=path.name, kind="csv", sha256=digest)
    pairs = read_csv_pairs(path, columns)
    return Found(
        changed=[SourcePairs(source=source, pairs=pairs)],
        names=frozenset({path.name}),
        prefix="",
    )


def read_strange(data_dir: Path) -> list[str]:
    """Texts that no pair answers: out of scope and small talk in the training data, if any."""
    path = data_dir / "nlu.yml"
    if not path.exists():
        return []
    try:
        data = read_rasa_nlu(path)
    except NluError as error:
        raise DataFileError(path, str(error)) from None
    return [e.text for e in data.examples if e.intent in STRANGE_INTENTS][:MAX_STRANGE]


def _write_changes(
    connection: Connection, found: Found, now: datetime, *, overwrite: bool
) -> tuple[dict[str, int], tuple[str, ...]]:
    """How many pairs were added, changed, removed; the ids of those that a person's edit kept."""
    stored = read_stored(connection)
    counts = {"added": 0, "changed": 0, "removed": 0}
    seen: dict[str, str] = {}
    kept: list[str] = []
    for item in found.changed:
        name = item.source.name
        write_source(connection, item.source, len(item.pairs), now)
        for pair in item.pairs:
            _check_unique(pair, name, seen, stored, found)
            seen[pair.id] = name
            old = stored.get(pair.id)
            follows = old and old.active and (not old.edited or not overwrite)
            if old and follows and old.fingerprint == pair.fingerprint and old.source == name:
                continue
            if old and old.edited and not overwrite:
                kept.append(pair.id)
                continue
            counts["changed" if old else "added"] += 1
            import_pair(connection, pair, name, now)
    gone = [
        pair_id
        for pair_id, old in stored.items()
        if old.active and pair_id not in seen and _is_gone(old, found)
    ]
    kept += [pair_id for pair_id in gone if stored[pair_id].edited and not overwrite]
    removed = [pair_id for pair_id in gone if overwrite or not stored[pair_id].edited]
    counts["removed"] = len(removed)
    write_inactive(connection, removed, now)
    return counts, tuple(kept)


def _is_gone(old: Stored, found: Found) -> bool:
    """Whether the file that a pair came from was read again, or is there no more."""
    if any(item.source.name == old.source for item in found.changed):
        return True
    return bool(
        found.prefix and old.source.startswith(found.prefix) and old.source not in found.names
    )


def _check_unique(
    pair: Pair, name: str, seen: dict[str, str], stored: dict[str, Any], found: Found
) -> None:
    """Raises DataFileError when another pair of the files has the same id."""
    other = seen.get(pair.id)
    old = stored.get(pair.id)
    changed = {item.source.name for item in found.changed}
    if other is None and old and old.active and old.source != name:
        other = old.source if old.source in found.names - changed else None
    if other is not None:
        raise DataFileError(
            Path(name), f"pair {pair.id}: the id is also in {other}; ids are unique"
        )


def _use_again(connection: Connection, name: str, calibration: Mapping[str, Any]) -> None:
    now = datetime.now(UTC)
    note_use(connection, name, now)
    write_use(connection, name, calibration, now)


def _is_current(state: State, embedder: str) -> bool:
    """Whether the calibration is of this model's embeddings and of today's way of scoring."""
    return state.embedder == embedder and state.calibration.get("scoring") == SCORING


def _count_active(connection: Connection) -> int:
    return sum(stored.active for stored in read_stored(connection).values())
