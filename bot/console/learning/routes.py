"""The routes of /console/learning."""

from bot.console.learning.acts import LearningActs
from bot.console.learning.held import HeldBackPages
from bot.console.learning.overview import LearningPages, LearningParts
from bot.console.learning.unknown import UnknownPages
from bot.console.routes import ADMINISTRATORS, EVERYONE, REVIEWING, Handler, Route
from bot.gateway import Gateway

_RUN = "/learning/runs/{run_id}"
_GROUPS = "/learning/unknowns"
_GROUP = _GROUPS + "/{cluster_id}"


def routes(gateway: Gateway) -> list[Route]:
    """Reading for everyone, customers' words for who reviews, acting for administrators."""
    journal, world = gateway.journal, gateway.world
    pages = LearningPages(
        LearningParts(
            journal=journal,
            releases=gateway.releases,
            versions=gateway.versions,
            settings=gateway.settings,
            world=world,
        )
    )
    acts = LearningActs(journal, gateway.releases, gateway.by_hand)
    held = HeldBackPages(journal, world)
    groups = UnknownPages(journal, gateway.unknowns, gateway.labels, world)

    def review(path: str, handler: Handler, audit: str | None = None) -> Route:
        return Route(method="GET", path=path, handler=handler, roles=REVIEWING, audit=audit)

    def decide(path: str, handler: Handler, audit: str | None = None) -> Route:
        return Route(method="POST", path=path, handler=handler, roles=REVIEWING, audit=audit)

    def act(path: str, handler: Handler, audit: str | None = None) -> Route:
        return Route(method="POST", path=path, handler=handler, roles=ADMINISTRATORS, audit=audit)

    return [
        Route(method="GET", path="/learning", handler=pages.show, roles=EVERYONE),
        Route(method="GET", path="/learning/runs", handler=pages.runs, roles=EVERYONE),
        review(_RUN, pages.run, "read_learning_run"),
        review(_RUN + "/proof", pages.proof, "read_learning_run"),
        # The acts put what they did on record themselves, by the run or the version.
        act("/learning/runs", acts.run_now),
        act(_RUN + "/cancel", acts.cancel, "cancel_learning"),
        act("/learning/canary", acts.start_canary),
        act("/learning/trial/promote", acts.promote_trial),
        act("/learning/trial/end", acts.end_trial),
        act("/learning/roll-back", acts.roll_back),
        review("/learning/held-back", held.list, "read_held_back"),
        decide("/learning/held-back", held.decide),
        review(_GROUPS, groups.list, "read_unknowns"),
        review(_GROUPS + "/status", groups.status),
        decide(_GROUPS + "/refresh", groups.refresh, "group_unknowns"),
        review(_GROUP, groups.show, "read_unknown"),
        decide(_GROUP + "/name", groups.name, "name_unknown"),
        decide(_GROUP + "/dismiss", groups.dismiss, "dismiss_unknown"),
    ]
