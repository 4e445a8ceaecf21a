"""Log files: they hold no texts; what names a customer in them is overwritten where it stands."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Read at once; what is looked for may lie across two readings.
CHUNK_BYTES = 4 << 20
# Shorter names and texts occur by chance.
SHORTEST_NAME = 6
SHORTEST_TEXT = 12
MOST_TEXTS = 50
_ID = re.compile(rb"[0-9a-f]{28}")
_ID_BYTES = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What leads to a customer: ids of ours, names of theirs, and some of the words."""

    ids: frozenset[str]
    names: Sequence[str]
    texts: Sequence[str] = ()

    def literals(self) -> list[bytes]:
        """What is searched for as it is; the longest texts say most."""
        odd = [id_ for id_ in self.ids if not _ID.fullmatch(id_.encode())]
        names = [name for name in (*self.names, *odd) if len(name) >= SHORTEST_NAME]
        texts = sorted({text for text in self.texts if len(text) >= SHORTEST_TEXT}, key=len)
        return [one.encode() for one in (*names, *texts[-MOST_TEXTS:])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overwritten:
    """What was found in the log files."""

    files: int
    found: int


def log_files(state_dir: Path) -> list[Path]:
    """The logs of the processes, the older ones too."""
    found = [*state_dir.glob("*.log"), *state_dir.glob("logs/*.log*")]
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def overwrite(paths: Iterable[Path], traces: Traces) -> Overwritten:
    """Put asterisks over all traces; the files stay as long as they were, and may grow meanwhile.

    Raises OSError naming the file.
    """
    files = found = 0
    wanted = {id_.encode() for id_ in traces.ids}
    literals = traces.literals()
    for path in paths:
        files += 1
        with path.open("r+b") as file:
            for start, end in list(_spans(path, wanted, literals)):
                file.seek(start)
                file.write(b"*" * (end - start))
                found += 1
    return Overwritten(files=files, found=found)


def _spans(path: Path, wanted: set[bytes], literals: list[bytes]) -> Iterator[tuple[int, int]]:
    overlap = max([_ID_BYTES, *map(len, literals)]) - 1
    seen: set[tuple[int, int]] = set()
    with path.open("rb") as file:
        offset, kept = 0, b""
        while chunk := file.read(CHUNK_BYTES):
            window, base = kept + chunk, offset - len(kept)
            for start, end in _in(window, wanted, literals):
                span = (base + start, base + end)
                if span not in seen:
                    seen.add(span)
                    yield span
            offset += len(chunk)
            kept = window[-overlap:]


def _in(window: bytes, wanted: set[bytes], literals: list[bytes]) -> Iterator[tuple[int, int]]:
    for match in _ID.finditer(window):
        if match.group() in wanted:
            yield match.span()
    for literal in literals:
        start = window.find(literal)
        while start >= 0:
            yield start, start + len(literal)
            start = window.find(literal, start + 1)
