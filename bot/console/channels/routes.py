"""The routes of /console/channels."""

from bot.console.channels.pages import ChannelPages
from bot.console.routes import ADMINISTRATORS, EVERYONE, Route
from bot.gateway import Gateway


def routes(gateway: Gateway) -> list[Route]:
    """Reading for everyone, dead letters for administrators."""
    pages = ChannelPages(gateway)
    return [
        Route(method="GET", path="/channels", handler=pages.show, roles=EVERYONE),
        # These two keep an audit row for each message, in the transaction of the change.
        Route(
            method="POST", path="/channels/outbox/retry", handler=pages.retry, roles=ADMINISTRATORS
        ),
        Route(
            method="POST", path="/channels/outbox/drop", handler=pages.drop, roles=ADMINISTRATORS
        ),
    ]
