"""Signing in: the one page for who has no session yet."""

from urllib.parse import urlencode, urlsplit

from aiohttp import web
from jinja2 import Environment

from bot.console import cookies
from bot.console.sessions import Sessions
from bot.console.visit import ROOT
from bot.console.words import Words, choose_locale
from bot.errors import RequestError
from bot.gateway import Gateway


class SignIn:
    """Name and password in, a new session out."""

    def __init__(self, gateway: Gateway, sessions: Sessions, templates: Environment) -> None:
        self._gateway = gateway
        self._sessions = sessions
        self._templates = templates

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The form."""
        return self._page(request, 200, None, request.query.get("next", ""))

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Check name and password; the session is always a new one, and any before it ends."""
        form = await request.post()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        wanted = fields.get("next", "")
        try:
            session, cookie = await self._sessions.sign_in(
                fields.get("name", "").strip(),
                fields.get("password", ""),
                self._gateway.guard.admission.client(request),
                request.headers.get("User-Agent", ""),
            )
        except RequestError as error:
            return self._page(request, error.status, error, wanted)
        path = "/password" if session.must_change_password else _below(wanted)
        response = web.Response(status=303, headers={"Location": ROOT + path})
        https = (self._gateway.guard.origins.own(request) or "").startswith("https:")
        before = cookies.read_cookie(request.headers.get("Cookie", ""), https=https)
        await self._sessions.sign_out(before)
        cookies.set_cookie(response, cookie, https=https, max_age_s=self._sessions.max_age_s)
        return response

    def send_to(self, request: web.Request) -> web.StreamResponse:
        """Whoever has no session: pages to the form, anything else is told so."""
        fields = {"next": request.path_qs.removeprefix(ROOT)} if request.method == "GET" else {}
        address = f"{ROOT}/sign-in?{urlencode(fields)}".rstrip("?")
        if request.headers.get("HX-Request") == "true":
            return web.Response(status=401, headers={"HX-Redirect": f"{ROOT}/sign-in"})
        if "application/json" in request.headers.get("Accept", ""):
            error = RequestError(401, "session", "nobody is signed in", "sign in again")
            return web.json_response(error.body(), status=401)
        return web.Response(status=303, headers={"Location": address})

    def _page(
        self, request: web.Request, status: int, error: RequestError | None, wanted: str
    ) -> web.Response:
        words = Words(choose_locale(None, request.headers.get("Accept-Language", "")))
        text = self._templates.get_template("people/sign_in.html").render(
            t=words, locale=words.locale, theme=None, error=error, wanted=wanted
        )
        response = web.Response(text=text, status=status, content_type="text/html")
        if error is not None and error.retry_after_s is not None:
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response


def _below(wanted: str) -> str:
    """A path of the console and of nothing else."""
    parts = urlsplit(wanted)
    is_ours = wanted.startswith("/") and not wanted.startswith("//") and not parts.netloc
    return wanted if is_ours and wanted.isprintable() and "\\" not in wanted else "/inbox"
