"""The routes of /console/review."""

from bot.console.answers.store import AnswerStore
from bot.console.review.desk import DeskParts, ReviewDesk
from bot.console.review.proposed import ProposalParts, Proposals
from bot.console.review.reports import Reports
from bot.console.routes import EVERYONE, REVIEWING, Handler, Route
from bot.gateway import Gateway

_TURN = "/review/turns/{turn_id}"
_PROPOSAL = "/review/answers/{proposal_id}"


def routes(gateway: Gateway) -> list[Route]:
    """Labelling and proposing for everyone, deciding and exporting for reviewers."""
    journal, world = gateway.journal, gateway.world
    desk = ReviewDesk(
        DeskParts(journal=journal, ranking=gateway.ranking, labels=gateway.labels, world=world)
    )
    proposals = Proposals(
        ProposalParts(
            journal=journal,
            answers=AnswerStore.of(gateway),
            labels=gateway.labels,
            world=world,
            redact=gateway.redact,
            approval=gateway.settings.review_approval,
        )
    )
    reports = Reports(journal, world)

    def get(path: str, handler: Handler, audit: str | None = None) -> Route:
        return Route(method="GET", path=path, handler=handler, roles=EVERYONE, audit=audit)

    def post(path: str, handler: Handler, audit: str | None = None) -> Route:
        return Route(method="POST", path=path, handler=handler, roles=EVERYONE, audit=audit)

    return [
        # The desk puts each turn that it shows on record itself.
        get("/review", desk.show),
        post("/review/next", desk.next),
        post("/review/undo", desk.undo),
        get("/review/labels", desk.names),
        get("/review/pairs", proposals.pairs),
        get("/review/history", reports.history, "read_own_reviews"),
        get(_TURN, desk.open, "read_turn"),
        post(_TURN, desk.record, "label_turn"),
        post(_TURN + "/skip", desk.skip),
        Route(
            method="GET",
            path=_TURN + "/settle",
            handler=desk.settle,
            roles=REVIEWING,
            audit="read_turn",
        ),
        Route(
            method="POST",
            path=_TURN + "/settle",
            handler=desk.record_settled,
            roles=REVIEWING,
            audit="settle_turn",
        ),
        Route(
            method="GET",
            path="/review/agreement",
            handler=reports.agreement,
            roles=REVIEWING,
            audit="read_disputed",
        ),
        Route(method="GET", path="/review/export", handler=reports.download, roles=REVIEWING),
        get("/review/answers", proposals.list, "read_proposals"),
        post("/review/answers", proposals.propose, "propose_answer"),
        get("/review/answers/new", proposals.write, "read_turn"),
        get(_PROPOSAL, proposals.show, "read_proposal"),
        post(_PROPOSAL, proposals.edit, "edit_proposal"),
        Route(
            method="POST",
            path=_PROPOSAL + "/approve",
            handler=proposals.approve,
            roles=REVIEWING,
            audit="approve_proposal",
        ),
        Route(
            method="POST",
            path=_PROPOSAL + "/reject",
            handler=proposals.reject,
            roles=REVIEWING,
            audit="reject_proposal",
        ),
    ]
