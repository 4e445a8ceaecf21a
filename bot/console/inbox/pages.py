"""The inbox's page: the list as it is asked for, its filters, and the views that were saved."""

from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from sqlalchemy import Connection

from bot.console.inbox.options import Options, OptionsCache
from bot.console.inbox.places import read_place, write_place
from bot.console.inbox.query import FIELDS, SEARCH, STEPS, Asked, read_query
from bot.console.looks import Looks
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.log.inbox_pages import Wanted, listed
from bot.log.inbox_rows import Row, rows_of, texts_of
from bot.log.inbox_search import search
from bot.log.inbox_views import views_of
from bot.log.search_terms import terms_of

PAGE = 50
# How an emotion looks where there is room for one character: told apart without its colour.
GLYPHS = {
    "angry": "!",
    "disappointed": "▽",
    "anxious": "~",
    "confused": "?",
    "neutral": "·",
    "happy": "▲",
}
# Tabs that everyone has: the key of their words, and their fields.
TABS: tuple[tuple[str, dict[str, str]], ...] = (
    ("all", {}),
    ("waiting", {"status": "waiting"}),
    ("mine", {"assignee": "mine"}),
    ("unanswered", {"unanswered": "yes"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page of rows; `before` and `after` are fields of the addresses beside it."""

    rows: list[Row]
    before: str | None = None
    after: str | None = None
    # Whether a search stopped before it had a whole page.
    stopped: bool = False


class InboxPages:
    """Answers GET /inbox, as a page or as the list alone."""

    def __init__(self, gateway: Gateway) -> None:
        self._journal = gateway.journal
        self._upset_first = gateway.settings.handoff_upset_first
        self._options = OptionsCache(gateway.journal)
        self._looks = Looks()

    async def show(self, visit: Visit) -> web.StreamResponse:
        """The list that the address asks for."""
        query = visit.query
        asked = read_query(query, agent_id=visit.agent.id)
        if asked.words:
            shown = await self._search(visit, asked)
            # Which words were looked for may be somebody's name.
            await self._journal.audit(
                visit.agent.id, "inbox.search", "/inbox", {"fields": sorted(asked.chosen)}
            )
        else:
            shown = await self._list(visit, asked)
        await self._record(visit, [row["id"] for row in shown.rows])
        for row in shown.rows:
            _draw_trend(visit, row)
        context: dict[str, Any] = {
            "shown": shown,
            "chosen": asked.chosen,
            "searched": bool(asked.words),
            "after_url": _address(asked.chosen, after=shown.after),
            "before_url": _address(asked.chosen, before=shown.before),
        }
        if visit.is_fragment:
            return visit.page("inbox/list.html", **context)
        options = await self._options.get()
        return visit.page(
            "inbox/page.html",
            **context,
            fields=_offered(visit, options, asked.chosen),
            chips=_chips(visit, options, asked.chosen),
            tabs=await self._tabs(visit, asked.chosen),
        )

    async def _record(self, visit: Visit, ids: list[str]) -> None:
        """Whose last words were on the list, once in a while for each who looks."""
        seen = [id_ for id_ in ids if self._looks.is_new(visit.agent.id, id_)]
        if seen:
            await self._journal.audit(
                visit.agent.id, "inbox.read", "/inbox", {"conversations": seen}
            )

    def _wanted(self, visit: Visit, asked: Asked) -> Wanted:
        name = "before" if visit.query.get("before") else "after"
        sent = visit.query.get(name)
        return Wanted(
            filters=asked.filters,
            upset_first=self._upset_first,
            place=read_place(name, sent) if sent else None,
            back=name == "before",
            limit=PAGE,
        )

    async def _list(self, visit: Visit, asked: Asked) -> Shown:
        wanted = self._wanted(visit, asked)

        def read(connection: Connection) -> Shown:
            page = listed(connection, wanted)
            ids = [place.id for place in page.places]
            return Shown(
                rows=rows_of(connection, ids, agent_id=visit.agent.id),
                before=write_place(page.places[0]) if page.before and page.places else None,
                after=write_place(page.places[-1]) if page.after else None,
            )

        return await self._journal.browse(read)

    async def _search(self, visit: Visit, asked: Asked) -> Shown:
        terms = terms_of(asked.words)
        if not terms:
            raise RequestError(
                422, SEARCH, "there is no word in it", "search for letters or digits"
            )
        wanted = self._wanted(visit, asked)

        def read(connection: Connection) -> Shown:
            found = search(connection, terms, wanted)
            ids = [place.id for place in found.places]
            rows = rows_of(connection, ids, agent_id=visit.agent.id)
            said = texts_of(connection, [found.hits[id_].message_id for id_ in ids])
            for row in rows:
                row["hit"] = said.get(found.hits[row["id"]].message_id)
            return Shown(
                rows=rows,
                before=None if found.start is None else write_place(found.start),
                after=None if found.end is None else write_place(found.end),
                stopped=found.stopped,
            )

        return await self._journal.browse(read)

    async def _tabs(self, visit: Visit, chosen: Any) -> list[dict[str, Any]]:
        tabs: list[dict[str, Any]] = [
            {"text": visit.words(f"inbox.tab_{key}"), "fields": fields, "view": None}
            for key, fields in TABS
        ]
        saved = await self._journal.browse(partial(views_of, agent_id=visit.agent.id))
        tabs += [{"text": view["name"], "fields": view["filters"], "view": view} for view in saved]
        current = dict(chosen)
        for tab in tabs:
            tab["url"] = _address(tab["fields"]) or "/console/inbox"
            tab["current"] = tab["fields"] == current
        return tabs


def _draw_trend(visit: Visit, row: Row) -> None:
    row["trend_names"] = ", ".join(visit.words.of("shared.emotion", name) for name in row["trend"])
    row["glyphs"] = [
        (name if name in GLYPHS else "neutral", GLYPHS.get(name, "·")) for name in row["trend"]
    ]


def _address(chosen: Any, **more: str | None) -> str | None:
    """The inbox with these fields; None when the only thing to add is not there."""
    if more and not any(more.values()):
        return None
    fields = {**chosen, **{name: value for name, value in more.items() if value}}
    return "/console/inbox" + (f"?{urlencode(fields)}" if fields else "")


def _offered(visit: Visit, options: Options, chosen: Any) -> dict[str, list[tuple[str, str]]]:
    """What each list of the form has to choose from: (value, text)."""
    offered = {
        "status": [(name, name) for name in ("waiting", "agent", "bot", "closed")],
        "assignee": [("mine", "mine"), ("nobody", "nobody"), *options.agents],
        "below": [(step, step) for step in STEPS],
        **{name: [("yes", "yes"), ("no", "no")] for name in ("unanswered", "fallback", "reviewed")},
        "rating": [(str(stars), str(stars)) for stars in range(1, 6)],
        "handoff": [(name, name) for name in ("any", "none", *options.labels["handoff"])],
        **{
            name: [(value, value) for value in options.labels[name]]
            for name in ("intent", "emotion", "model", "channel", "language")
        },
    }
    for name, values in offered.items():
        value = chosen.get(name)
        if value is not None and value not in dict(values):
            values.append((value, value))
    return {
        name: [(value, _text(visit, name, value, text)) for value, text in offered[name]]
        for name in FIELDS
        if name in offered
    }


def _chips(visit: Visit, options: Options, chosen: Any) -> list[dict[str, str | None]]:
    """The filters that are on, each with the address without it."""
    names = dict(options.agents)
    return [
        {
            "name": visit.words(f"inbox.field_{name}"),
            "text": _text(visit, name, chosen[name], names.get(chosen[name], chosen[name])),
            "url": _address({other: chosen[other] for other in chosen if other != name}),
        }
        for name in (*FIELDS, SEARCH)
        if name in chosen
    ]


def _text(visit: Visit, name: str, value: str, text: str) -> str:
    """A value as people read it."""
    words = visit.words
    if name == "status":
        return words.of("shared.status", value)
    if name == "emotion":
        return words.of("shared.emotion", value)
    if name in ("unanswered", "fallback", "reviewed"):
        return words(f"shared.{value}")
    if name == "handoff":
        if value in ("any", "none"):
            return words(f"inbox.handoff_{value}")
        return words.of("shared.reason", value)
    if name == "assignee" and value in ("mine", "nobody"):
        return words(f"inbox.{value}")
    if name == "rating":
        return words("inbox.stars", count=value)
    if name == "below":
        return words("inbox.below", percent=f"{float(value):.0%}")
    return text
