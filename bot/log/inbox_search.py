"""The list narrowed down to conversations in which words were said, in the list's own order."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bot.log.inbox_filters import kinds_asked_for
from bot.log.inbox_pages import Listed, Place, Wanted, listed, places_from, prefer_indexes
from bot.log.search_docs import Finder, Hit
from bot.log.search_terms import Term

# Conversations that are looked into for words that many have: at first, then at once, and in all
# before a page is shown as it is. The next page goes on from there.
_FIRST_LOOK, _LOOK, _MOST = 150, 750, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page, and the message that was found in each of its conversations.

    `end` is where the next page goes on, None when that was all. A page may be short and yet not be
    the last (`stopped`): how much is looked through at once is bounded.
    """

    places: list[Place]
    hits: dict[str, Hit]
    start: Place | None
    end: Place | None
    stopped: bool = False


def search(connection: Connection, terms: tuple[Term, ...], wanted: Wanted) -> Found:
    """A page of the conversations that have all terms in one message and meet the filters."""
    asked = kinds_asked_for(wanted.filters)
    if asked is not None and connection.execute(asked.limit(1)).first() is None:
        return Found(places=[], hits={}, start=None, end=None)
    prefer_indexes(connection)
    finder = Finder(connection, terms)
    few = finder.few()
    if few is None:
        return _walk(connection, finder, wanted)
    hits = _newest(few)
    page = listed(connection, replace(wanted, only=list(hits))) if hits else _NOTHING
    return Found(
        places=page.places,
        hits=hits,
        start=page.places[0] if page.before and page.places else None,
        end=page.places[-1] if page.after else None,
    )


_NOTHING = Listed(places=[], before=False, after=False)


def _walk(connection: Connection, finder: Finder, wanted: Wanted) -> Found:
    """Go through the list and look into each conversation, until there are enough."""
    found: list[Place] = []
    hits: dict[str, Hit] = {}
    place, looked, at_once = wanted.place, 0, _FIRST_LOOK
    ended = False
    while len(found) <= wanted.limit and looked < _MOST and not ended:
        places = places_from(connection, replace(wanted, place=place), at_once)
        ended = len(places) < at_once
        new = _newest(finder.among([one.id for one in places])) if places else {}
        hits |= new
        found += [one for one in places if one.id in new]
        looked += len(places)
        place, at_once = places[-1] if places else place, _LOOK
    if wanted.back and ended and len(found) <= wanted.limit:
        # The beginning is reached: it is shown as the first page always is.
        return _walk(connection, finder, replace(wanted, place=None, back=False))
    page = found[: wanted.limit]
    more = len(found) > wanted.limit
    far = page[-1] if more else None if ended else place
    if wanted.back:
        near = page[0] if page else wanted.place
        return Found(places=page[::-1], hits=hits, start=far, end=near, stopped=not more)
    near = None if wanted.place is None else page[0] if page else wanted.place
    return Found(places=page, hits=hits, start=near, end=far, stopped=not (more or ended))


def _newest(hits: Iterable[Hit]) -> dict[str, Hit]:
    newest: dict[str, Hit] = {}
    for hit in hits:
        newest.setdefault(hit.conversation_id, hit)
    return newest
