"""The routes of the inbox."""

from collections.abc import Sequence

from bot.console.inbox.pages import InboxPages
from bot.console.inbox.views import InboxViews
from bot.console.routes import EVERYONE, Route
from bot.gateway import Gateway


def routes(gateway: Gateway) -> Sequence[Route]:
    """All of them; a search keeps its audit row itself."""
    pages, views = InboxPages(gateway), InboxViews(gateway)
    return (
        Route(method="GET", path="/inbox", handler=pages.show, roles=EVERYONE),
        Route(method="POST", path="/inbox/views", handler=views.keep, roles=EVERYONE),
        Route(
            method="POST",
            path="/inbox/views/{view_id}/remove",
            handler=views.drop,
            roles=EVERYONE,
        ),
    )
