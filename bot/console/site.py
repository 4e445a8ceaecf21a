"""The console as a whole: its areas, and what each request passes before a handler sees it."""

import hmac
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from bot.agents import Access, Agent
from bot.console import cookies
from bot.console.answers import routes as answers
from bot.console.channels import routes as channels
from bot.console.conversation import routes as conversation
from bot.console.inbox import routes as inbox
from bot.console.learning import routes as learning
from bot.console.models import routes as models
from bot.console.people import routes as people
from bot.console.people.sign_in import SignIn
from bot.console.privacy import routes as privacy
from bot.console.review import routes as review
from bot.console.routes import EVERYONE, Route
from bot.console.sessions import Found, Sessions
from bot.console.templating import open_templates
from bot.console.visit import ROOT, Visit
from bot.console.voice import routes as voice
from bot.console.words import Words, choose_locale
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.web.pages import Assets

Area = Callable[[Gateway], Sequence[Route]]
# An area of the console is one import and one entry here.
AREAS: tuple[Area, ...] = (
    inbox.routes,
    conversation.routes,
    people.routes,
    review.routes,
    voice.routes,
    answers.routes,
    models.routes,
    learning.routes,
    channels.routes,
    privacy.routes,
)
# The navigation: path, words, who sees it.
SECTIONS = (
    ("/inbox", "shared.section.inbox"),
    ("/review", "shared.section.review"),
    ("/answers", "shared.section.answers"),
    ("/canned", "conversation.canned_title"),
    ("/voice", "shared.section.voice"),
    ("/alerts", "shared.section.alerts"),
    ("/models", "shared.section.models"),
    ("/learning", "shared.section.learning"),
    ("/channels", "shared.section.channels"),
    ("/people", "shared.section.people"),
    ("/privacy", "shared.section.privacy"),
    ("/audit", "shared.section.audit"),
)
# A person who must choose a password first gets nowhere else.
_BEFORE_PASSWORD = ("/password", "/sign-out", "/preferences")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'{sockets}; font-src 'none'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class Site:
    """Puts the areas' routes behind session, role, token and audit."""

    def __init__(self, gateway: Gateway, sessions: Sessions, areas: Sequence[Area] = AREAS) -> None:
        self._gateway = gateway
        self._sessions = sessions
        self._templates = open_templates()
        self._assets = Assets()
        self._sign_in = SignIn(gateway, sessions, self._templates)
        self.routes: tuple[Route, ...] = (
            *(route for area in areas for route in area(gateway)),
            Route(method="POST", path="/sign-out", handler=self._leave, roles=EVERYONE),
        )
        self._sections = tuple(
            (path, key, route.roles)
            for path, key in SECTIONS
            for route in self.routes
            if route.path == path and route.method == "GET"
        )

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the routes into an application's router."""
        router.add_get(ROOT + "/assets/{name}", self._assets.serve)
        for method, handler in (("GET", self._sign_in.show), ("POST", self._sign_in.take)):
            router.add_route(method, ROOT + "/sign-in", self._open(handler))
        for path in (ROOT, ROOT + "/"):
            router.add_get(path, self._go_in)
        for route in self.routes:
            router.add_route(route.method, ROOT + route.path, self._guarded(route))

    async def visitor(self, request: web.Request) -> Access | None:
        """Who has the session that comes with a request of our own pages, such as a socket's."""
        if self._gateway.guard.origins.verdict(request) not in ("own", "absent"):
            return None
        found = await self._sessions.find(self._cookie(request), active=False)
        if found is None or found.session.must_change_password:
            return None
        id_ = found.session.id

        async def identify() -> Agent | None:
            session = await self._sessions.still_open(id_)
            return None if session is None else session.agent

        return Access(agent=found.session.agent, identify=identify)

    async def _go_in(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=303, headers={"Location": ROOT + "/inbox"})

    def _open(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A page for who is not signed in yet."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.method == "POST":
                self._check_origin(request)
            return self._finish(request, await handler(request))

        return answer

    def _guarded(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            # What a page fetches by itself keeps no session open that nobody works in.
            clicked = request.headers.get("X-Kefu-Live") is None
            found = await self._sessions.find(self._cookie(request), active=clicked)
            if found is None:
                return self._finish(request, self._sign_in.send_to(request))
            if route.max_body_bytes is not None:
                request = request.clone(client_max_size=route.max_body_bytes)
            visit = self._visit(request, found)
            response = self._finish(request, await self._handle(route, visit))
            if found.cookie is not None and "Set-Cookie" not in response.headers:
                cookies.set_cookie(
                    response,
                    found.cookie,
                    https=self._is_https(request),
                    max_age_s=self._sessions.max_age_s,
                )
            return response

        return answer

    async def _handle(self, route: Route, visit: Visit) -> web.StreamResponse:
        try:
            await self._check(route, visit)
            response = await route.handler(visit)
        except RequestError as error:
            if error.audit is not None:
                raise
            return _refusal(visit, error)
        if route.audit is not None and response.status < 400:
            target = next(iter(visit.request.match_info.values()), route.path)
            await self._gateway.journal.audit(visit.agent.id, route.audit, target)
        return response

    async def _check(self, route: Route, visit: Visit) -> None:
        """Password, role, and where a change comes from; raises RequestError."""
        if visit.session.must_change_password and route.path not in _BEFORE_PASSWORD:
            raise web.HTTPSeeOther(ROOT + "/password")
        if route.method == "POST":
            self._check_origin(visit.request)
            await _check_token(visit)
        if visit.agent.role not in route.roles:
            raise RequestError(
                403,
                "role",
                f"the role {visit.agent.role} may not do this",
                "ask an administrator for another role",
            )

    def _check_origin(self, request: web.Request) -> None:
        # Sites that may embed the chat may not act for an agent.
        if self._gateway.guard.origins.verdict(request) not in ("own", "absent"):
            raise RequestError(
                403,
                "Origin",
                "the form was sent from another site",
                "open the console itself, and set KEFU_PUBLIC_URL when it is behind a proxy",
                audit="foreign_origin",
            )

    def _visit(self, request: web.Request, found: Found) -> Visit:
        session = found.session
        locale = choose_locale(session.locale, request.headers.get("Accept-Language", ""))
        return Visit(
            request=request,
            session=session,
            words=Words(locale),
            templates=self._templates,
            sections=tuple(
                (path, key) for path, key, roles in self._sections if session.agent.role in roles
            ),
        )

    async def _leave(self, visit: Visit) -> web.StreamResponse:
        await self._sessions.sign_out(self._cookie(visit.request))
        response = visit.redirect("/sign-in")
        cookies.drop_cookie(response, https=self._is_https(visit.request))
        return response

    def _cookie(self, request: web.Request) -> str | None:
        header = request.headers.get("Cookie", "")
        return cookies.read_cookie(header, https=self._is_https(request))

    def _is_https(self, request: web.Request) -> bool:
        return (self._gateway.guard.origins.own(request) or "").startswith("https:")

    def _finish(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        origin = self._gateway.guard.origins.own(request)
        # Before 'self' covered web sockets, Safari wanted them by name.
        sockets = "" if origin is None else " ws" + origin.removeprefix("http")
        headers = response.headers
        headers.setdefault("Content-Security-Policy", POLICY.format(sockets=sockets))
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Cache-Control", "no-store")
        return response


async def _check_token(visit: Visit) -> None:
    """The session's own token, from the form or the header of a script; raises RequestError."""
    sent: object = visit.request.headers.get("X-CSRF-Token")
    if sent is None and visit.request.content_type in _FORMS:
        sent = (await visit.form()).get("csrf")
    if not isinstance(sent, str) or not hmac.compare_digest(
        sent.encode("utf-8", "replace"), visit.session.csrf.encode()
    ):
        raise RequestError(
            403,
            "csrf",
            "the form is not one of this session",
            "go back, reload the page and send it again",
        )


def _refusal(visit: Visit, error: RequestError) -> web.Response:
    """What went wrong, as the client asked for it: a page, a fragment, or JSON."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if visit.wants_json:
        response = visit.json(error.body(), status=error.status)
    else:
        template = "error_fragment.html" if visit.is_fragment else "error.html"
        response = visit.page(template, status=error.status, error=error)
    response.headers.update(headers)
    return response
