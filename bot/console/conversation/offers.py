"""What an agent can insert instead of typing: canned answers, and answers of the QA store."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from actions.qa.index import Hit
from bot.console.conversation.pages import conversation_id
from bot.console.visit import Visit
from bot.errors import StorageError
from bot.intake import unknown_conversation
from bot.log import canned_answers, transcript
from bot.log.journal import Journal

MOST_SUGGESTIONS = 3


class Answers(Protocol):
    """The QA store, searched as the bot searches it."""

    async def search(self, text: str, most: int) -> Sequence[Hit]:
        """The nearest pairs, best first; raises StorageError where nothing can be searched."""
        ...


class Offers:
    """JSON for the composer."""

    def __init__(self, journal: Journal, answers: Answers) -> None:
        self._journal = journal
        self._answers = answers

    async def canned(self, visit: Visit) -> web.StreamResponse:
        """The canned answers in the customer's language, with the names filled in."""
        row = await self._journal.conversation(conversation_id(visit))
        if row is None:
            raise unknown_conversation()
        language = "zh" if (row["locale"] or "").lower().startswith("zh") else "en"
        names = {
            "customer": row["customer_id"] or _NOBODY[language],
            "agent": visit.agent.name,
        }
        rows = await self._journal.read(canned_answers.everything)
        return visit.json({"answers": [_filled(one, language, names) for one in rows]})

    async def suggest(self, visit: Visit) -> web.StreamResponse:
        """The nearest answers to the customer's last message."""
        id_ = conversation_id(visit)
        text = await self._journal.read(partial(transcript.last_words, conversation_id=id_))
        if not text:
            return visit.json({"suggestions": []})
        try:
            hits = await self._answers.search(text, MOST_SUGGESTIONS)
        except (StorageError, TimeoutError):
            # Without suggestions an agent writes the answer; that there are none now is told.
            return visit.json({"suggestions": [], "problem": visit.words("conversation.no_store")})
        return visit.json(
            {
                "suggestions": [
                    {
                        "id": hit.pair.id,
                        "question": hit.pair.question,
                        "text": hit.pair.answer,
                        "score": round(hit.score, 4),
                    }
                    for hit in hits[:MOST_SUGGESTIONS]
                ]
            }
        )


# Where the customer's name is not known.
_NOBODY = {"en": "there", "zh": "客户"}


def _filled(row: dict[str, Any], language: str, names: dict[str, str]) -> dict[str, str]:
    text = row[f"text_{language}"] or row["text_en"] or row["text_zh"]
    return {
        "shortcut": row["shortcut"],
        "title": row["title"],
        "text": canned_answers.fill(text, names),
    }
