"""What changed between two versions of an answer, word by word."""

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from actions.qa.revisions import Content

_WORD = re.compile(r"\s+|[^\W_]+|.", re.DOTALL)

Kind = Literal["same", "added", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of text."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A field that is not what it was."""

    field: str  # question, answer, intent, category, wordings or active
    pieces: tuple[Piece, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def changes_between(old: Content | None, new: Content) -> list[FieldChange]:
    """The fields that differ, in the order of the form; all of them where there was nothing."""
    found = []
    for name in ("question", "answer", "intent", "category"):
        before = "" if old is None else str(getattr(old.pair, name))
        after = str(getattr(new.pair, name))
        if before != after:
            found.append(FieldChange(field=name, pieces=tuple(_pieces(before, after))))
    before_all = () if old is None else old.pair.wordings[1:]
    added = tuple(text for text in new.pair.wordings[1:] if text not in before_all)
    removed = tuple(text for text in before_all if text not in new.pair.wordings[1:])
    if added or removed:
        found.append(FieldChange(field="wordings", added=added, removed=removed))
    if old is not None and old.active != new.active:
        found.append(FieldChange(field="active"))
    return found


def _pieces(before: str, after: str) -> list[Piece]:
    old, new = _WORD.findall(before), _WORD.findall(after)
    pieces = []
    for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if kind == "equal":
            pieces.append(Piece(kind="same", text="".join(old[i1:i2])))
            continue
        if i2 > i1:
            pieces.append(Piece(kind="removed", text="".join(old[i1:i2])))
        if j2 > j1:
            pieces.append(Piece(kind="added", text="".join(new[j1:j2])))
    return pieces
