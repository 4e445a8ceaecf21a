"""The routes of /console/models."""

from bot.console.models.pages import ModelPages
from bot.console.routes import ADMINISTRATORS, EVERYONE, Route
from bot.gateway import Gateway

_VERSION = "/models/versions/{version}"


def routes(gateway: Gateway) -> list[Route]:
    """Reading for everyone, switching and training for administrators."""
    pages = ModelPages(
        gateway.versions, gateway.releases, gateway.training, gateway.journal, gateway.world
    )
    return [
        Route(method="GET", path="/models", handler=pages.list, roles=EVERYONE),
        Route(method="GET", path="/models/serving", handler=pages.serving, roles=EVERYONE),
        Route(method="GET", path="/models/compare", handler=pages.compare, roles=EVERYONE),
        Route(method="GET", path="/models/runs", handler=pages.runs, roles=EVERYONE),
        Route(method="POST", path="/models/runs", handler=pages.train, roles=ADMINISTRATORS),
        Route(
            method="POST",
            path="/models/runs/{run_id}/cancel",
            handler=pages.cancel,
            roles=ADMINISTRATORS,
            audit="cancel_training",
        ),
        Route(
            method="GET", path=_VERSION + "/promote", handler=pages.confirm, roles=ADMINISTRATORS
        ),
        Route(
            method="POST",
            path=_VERSION + "/promote",
            handler=pages.promote,
            roles=ADMINISTRATORS,
            audit="promote_model",
        ),
    ]
