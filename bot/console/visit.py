"""One request of somebody who is signed in, and the ways to answer it."""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment
from multidict import MultiDict, MultiDictProxy

from bot.agents import Agent
from bot.console.sessions import Session
from bot.console.words import Words
from bot.errors import RequestError

ROOT = "/console"
Fields = MultiDictProxy[str | web.FileField]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a handler is given."""

    request: web.Request
    session: Session
    words: Words
    templates: Environment
    # The sections of the navigation that this person may open: (path, key of its words).
    sections: tuple[tuple[str, str], ...] = ()

    @property
    def agent(self) -> Agent:
        """Who is signed in."""
        return self.session.agent

    @property
    def query(self) -> "MultiDict[str]":
        """The query of the address, without empty fields, as a copy of its own."""
        return MultiDict((name, value) for name, value in self.request.query.items() if value)

    @property
    def is_fragment(self) -> bool:
        """Whether a part of a page is asked for, by htmx."""
        return self.request.headers.get("HX-Request") == "true"

    @property
    def wants_json(self) -> bool:
        """Whether the client asked for JSON."""
        return "application/json" in self.request.headers.get("Accept", "")

    def param(self, name: str) -> str:
        """A parameter of the path; raises RequestError (404) for what no id looks like."""
        value = self.request.match_info[name]
        # PostgreSQL takes no NUL, not even to look for it.
        if not value.isprintable():
            raise RequestError(404, name, "there is nothing under this address", "go back")
        return value

    async def form(self) -> Fields:
        """The fields of a POST body, its token of the session checked already."""
        return cast(Fields, await self.request.post())

    async def field(self, name: str) -> str:
        """A text field of the form without blanks around it; empty when it is missing."""
        value = (await self.form()).get(name, "")
        return value.strip().replace("\r\n", "\n") if isinstance(value, str) else ""

    def page(self, template: str, *, status: int = 200, **context: Any) -> web.Response:
        """A page, or the fragment that a template is."""
        notice = self.request.query.get("notice", "")
        text = self.templates.get_template(template).render(
            agent=self.agent,
            t=self.words,
            locale=self.words.locale,
            theme=self.session.theme,
            csrf=self.session.csrf,
            path=self.request.path.removeprefix(ROOT),
            notice=self.words(notice) if self.words.has(notice) else None,
            sections=self.sections,
            **context,
        )
        return web.Response(text=text, status=status, content_type="text/html")

    def json(self, data: Any, *, status: int = 200) -> web.Response:
        """Data for the console's own scripts."""
        return web.json_response(data, status=status)

    def redirect(self, path: str, *, notice: str | None = None) -> web.Response:
        """On to `path` below /console, which then shows the words under `notice`."""
        joint = "&" if "?" in path else "?"
        address = ROOT + path + (joint + urlencode({"notice": notice}) if notice else "")
        # htmx would follow a 303 by itself and put the whole page into a part of this one.
        if self.is_fragment:
            return web.Response(headers={"HX-Redirect": address})
        return web.Response(status=303, headers={"Location": address})
