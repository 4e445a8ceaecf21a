"""The routes of the voice of the customer: figures, files, alerts."""

from collections.abc import Sequence

from bot.console.routes import EVERYONE, REVIEWING, Route
from bot.console.voice.alerts import Alerts
from bot.console.voice.pages import Figures
from bot.gateway import Gateway


def routes(gateway: Gateway) -> Sequence[Route]:
    """All of them."""
    figures, alerts = Figures(gateway), Alerts(gateway)
    return (
        Route(method="GET", path="/voice", handler=figures.show, roles=EVERYONE),
        Route(
            method="GET",
            path="/voice/days.csv",
            handler=figures.days,
            roles=EVERYONE,
            audit="voice.export",
        ),
        Route(
            method="GET",
            path="/voice/topics.csv",
            handler=figures.topics,
            roles=EVERYONE,
            audit="voice.export",
        ),
        # With what customers wrote: the handlers note whose words were shown.
        Route(method="GET", path="/alerts", handler=alerts.show, roles=EVERYONE),
        Route(method="GET", path="/alerts/{alert_id}", handler=alerts.examples, roles=EVERYONE),
        Route(
            method="POST",
            path="/alerts/{alert_id}/acknowledge",
            handler=alerts.acknowledge,
            roles=EVERYONE,
            audit="alert.acknowledge",
        ),
        Route(
            method="POST",
            path="/alerts/{alert_id}/mute",
            handler=alerts.mute,
            roles=REVIEWING,
        ),
        Route(
            method="POST",
            path="/alerts/unmute",
            handler=alerts.unmute,
            roles=REVIEWING,
            audit="alert.unmute",
        ),
    )
