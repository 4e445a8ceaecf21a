"""Why the model took a message for what it did: the words, the ranking and the thresholds."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from actions.qa.store import State, read_state
from bot.console.conversation.pages import conversation_id
from bot.console.visit import Visit
from bot.errors import RequestError, TurnUnavailable
from bot.log import transcript
from bot.log.journal import Journal
from bot.turns import Understanding

# From this weight on a word is marked, and in so many steps.
_LEAST, _STEPS = 0.02, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of the text; `step` from -3 (speaks against the intent) to 3 (speaks for it)."""

    text: str
    step: int = 0
    weight: float | None = None


class Reasons:
    """Asks the understanding service again, on demand."""

    def __init__(self, journal: Journal, understanding: Understanding) -> None:
        self._journal = journal
        self._understanding = understanding

    async def show(self, visit: Visit) -> web.StreamResponse:
        """The reasons for one turn."""
        id_, turn_id = conversation_id(visit), visit.param("turn_id")
        turn, qa = await self._journal.read(partial(_read, id_=id_, turn_id=turn_id))
        parse: dict[str, Any] | None = None
        problem = None
        has_words = bool(turn["text"].strip()) and not transcript.is_payload(turn)
        if has_words:
            try:
                parse = await self._understanding.explain(turn["text"])
            except TurnUnavailable as error:
                problem = error.reason
        explanation = (parse or {}).get("explanation") or {"intent": None, "words": []}
        template = "conversation/reasons.html"
        return visit.page(
            template if visit.is_fragment else "conversation/reasons_page.html",
            conversation_id=id_,
            turn=turn,
            has_words=has_words,
            parse=parse,
            explained_intent=explanation["intent"],
            pieces=pieces(turn["text"], explanation["words"]),
            ranking=(parse or {}).get("intent_ranking") or turn["ranking"] or [],
            threshold=_threshold(parse, turn),
            qa=qa,
            problem=problem,
            is_other_model=parse is not None
            and turn["model_version"] is not None
            and parse.get("model_version") != turn["model_version"],
        )


def pieces(text: str, words: list[dict[str, Any]]) -> list[Piece]:
    """The whole text in pieces, the weighted words among them marked."""
    found: list[Piece] = []
    at = 0
    strongest = max((abs(word["weight"]) for word in words), default=0.0)
    for word in words:
        start, end = word["start"], word["end"]
        if not at <= start < end <= len(text):
            continue
        if start > at:
            found.append(Piece(text=text[at:start]))
        step = _step(word["weight"], strongest)
        found.append(Piece(text=text[start:end], step=step, weight=word["weight"]))
        at = end
    if at < len(text):
        found.append(Piece(text=text[at:]))
    return found


def _step(weight: float, strongest: float) -> int:
    if abs(weight) < _LEAST or not strongest:
        return 0
    size = max(1, round(_STEPS * abs(weight) / strongest))
    return size if weight > 0 else -size


def _threshold(parse: dict[str, Any] | None, turn: dict[str, Any]) -> float | None:
    """Below which confidence the bot asks again: as the service says, or the turn itself."""
    if parse is not None and isinstance(parse.get("fallback_threshold"), int | float):
        return float(parse["fallback_threshold"])
    for one in turn["ranking"] or ():
        if one.get("name") == "nlu_fallback":
            return float(one["confidence"])
    return None


def _read(connection: Connection, *, id_: str, turn_id: str) -> tuple[dict[str, Any], State | None]:
    turn = None
    if turn_id.isprintable():
        turn = transcript.read_turn(connection, conversation_id=id_, turn_id=turn_id)
    if turn is None:
        raise RequestError(
            404, "turn_id", "the conversation has no such turn", "open it from the transcript"
        )
    return turn, read_state(connection)
