"""The form of an answer: what was typed, checked before it is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from actions.qa.index import MAX_QUERY
from actions.qa.pairs import MAX_TEXT, Pair

MAX_WORDINGS = 200
MAX_NAME = 120  # of intents and categories, in characters
MAX_NOTE = 500
MAX_ID = 64

Problem = tuple[str, dict[str, object]]  # key of the words, and what goes into them


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer as it is in the form."""

    question: str = ""
    wordings: str = ""  # one a line, without the question
    answer: str = ""
    intent: str = ""
    category: str = ""
    note: str = ""
    revision: int = 0
    id: str = ""  # of a new answer's form: what is sent twice is kept once

    @classmethod
    def of(cls, pair: Pair, revision: int) -> "Draft":
        """The form filled with a pair."""
        return cls(
            question=pair.question,
            wordings="\n".join(pair.wordings[1:]),
            answer=pair.answer,
            intent=pair.intent,
            category=pair.category,
            revision=revision,
        )

    @classmethod
    def read(cls, fields: Mapping[str, object]) -> "Draft":
        """The form as it was sent."""

        def text(name: str) -> str:
            value = fields.get(name, "")
            return value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""

        revision, id_ = text("revision"), text("id")
        return cls(
            question=text("question"),
            wordings=text("wordings"),
            answer=text("answer"),
            intent=text("intent"),
            category=text("category"),
            note=text("note"),
            revision=int(revision) if revision.isascii() and revision.isdigit() else 0,
            id=id_ if id_.isascii() and id_.isalnum() and len(id_) <= MAX_ID else "",
        )

    @property
    def variants(self) -> tuple[str, ...]:
        """The lines that hold something."""
        return tuple(line.strip() for line in self.wordings.splitlines() if line.strip())

    def pair(self, pair_id: str) -> Pair:
        """The pair that the form makes."""
        return Pair(
            id=pair_id,
            intent=self.intent,
            category=self.category or "console",
            question=self.question,
            variants=self.variants,
            answer=self.answer,
        )


@dataclass(slots=True, kw_only=True)
class Checks:
    """What is wrong with a draft, by field."""

    problems: dict[str, list[Problem]] = field(default_factory=dict)

    def add(self, name: str, key: str, **values: object) -> None:
        """Note a problem of a field."""
        self.problems.setdefault(name, []).append((key, values))


def checked(draft: Draft) -> Checks:
    """What can be seen without the store."""
    checks = Checks()
    for name in ("question", "answer"):
        if not getattr(draft, name):
            checks.add(name, "answers.problem.empty")
    if "\n" in draft.question:
        checks.add("question", "answers.problem.lines")
    if len(draft.answer) > MAX_TEXT:
        checks.add("answer", "answers.problem.long", most=MAX_TEXT)
    for name, most in (("intent", MAX_NAME), ("category", MAX_NAME), ("note", MAX_NOTE)):
        if len(getattr(draft, name)) > most:
            checks.add(name, "answers.problem.long", most=most)
    for name, texts in (("question", (draft.question,)), ("wordings", draft.variants)):
        for text in texts:
            if len(text) > MAX_QUERY:
                checks.add(name, "answers.problem.long_line", most=MAX_QUERY, text=text[:40])
    if len(draft.variants) > MAX_WORDINGS:
        checks.add("wordings", "answers.problem.many", most=MAX_WORDINGS)
    for text in _twice((draft.question, *draft.variants)):
        checks.add("wordings", "answers.problem.twice", text=text)
    for name in ("question", "wordings", "answer", "intent", "category", "note"):
        if "\0" in getattr(draft, name):
            checks.add(name, "answers.problem.control")
    return checks


def _twice(texts: Iterable[str]) -> list[str]:
    """The texts that come again, whatever their case."""
    seen: set[str] = set()
    found = []
    for text in texts:
        key = text.casefold()
        if key and key in seen:
            found.append(text)
        seen.add(key)
    return found
