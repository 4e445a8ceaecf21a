"""Files of rows while somebody is taken out of them: whose a line is, and the file without them."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

# As Row.as_line writes it. In a customer's words the quotes have backslashes, and no key before it
# has a text of theirs: so this is the row's own.
_CONVERSATION = re.compile(rb'"conversation_id": "([^"\\]*)"')
_TURN = re.compile(rb'"turn_id": "([^"\\]*)"')


def conversation_of(line: bytes) -> str:
    """The conversation of a row's line, without reading the rest of it; empty when it has none."""
    return _field(line, _CONVERSATION, "conversation_id")


def turn_of(line: bytes) -> str:
    """The same of its turn."""
    return _field(line, _TURN, "turn_id")


def remove_lines(path: Path, is_gone: Callable[[bytes], bool]) -> int:
    """Write a file anew without some of its lines, at once; how many went.

    Raises OSError.
    """
    with path.open("rb") as lines:
        removed = sum(map(is_gone, lines))
    if not removed:
        return 0
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with path.open("rb") as lines, temporary.open("wb") as out:
        out.writelines(line for line in lines if not is_gone(line))
        out.flush()
        os.fsync(out.fileno())
    temporary.chmod(path.stat().st_mode)
    temporary.replace(path)
    return removed


def _field(line: bytes, pattern: re.Pattern[bytes], name: str) -> str:
    found = pattern.search(line)
    if found is not None:
        return found[1].decode()
    # Written by something else: slower, and the same.
    try:
        row = json.loads(line)
    except ValueError:
        return ""
    return str(row.get(name, "")) if isinstance(row, dict) else ""
