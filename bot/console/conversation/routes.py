"""The routes of /console/conversations/{conversation_id} and of /console/canned."""

from bot.console.answers.store import AnswerStore
from bot.console.conversation.acts import ActParts, Acts
from bot.console.conversation.canned import CannedPages
from bot.console.conversation.offers import Offers
from bot.console.conversation.pages import Pages, Shown
from bot.console.conversation.reasons import Reasons
from bot.console.looks import Looks
from bot.console.routes import ACTING, EVERYONE, Handler, Route
from bot.gateway import Gateway
from bot.handoff.assignment import Assignment
from bot.http.files import FileRoutes

_BASE = "/conversations/{conversation_id}"


def routes(gateway: Gateway) -> list[Route]:
    """Reading for everyone, acting for those who talk to customers."""
    journal, world = gateway.journal, gateway.world
    shown = Shown(journal=journal, links=gateway.links, looks=Looks(), limits=gateway.limits)
    pages = Pages(shown, world)
    reasons = Reasons(journal, gateway.services.understanding)
    offers = Offers(journal, AnswerStore.of(gateway))
    canned = CannedPages(journal, world)
    acts = Acts(
        ActParts(
            journal=journal,
            desk=gateway.desk,
            assignment=Assignment(journal, gateway.desk, world),
            files=gateway.files,
            uploads=FileRoutes(gateway.files, gateway.links, gateway.guard.tokens),
            limits=gateway.limits,
            world=world,
        )
    )
    moves: dict[str, Handler] = {
        "take": acts.take,
        "release": acts.release,
        "assign": acts.assign,
        "transfer": acts.transfer,
        "messages": acts.say,
        "files": acts.upload,
        "notes": acts.note,
        "hand-back": acts.hand_back,
        "close": acts.close,
    }
    return [
        # Pages puts these looks on record itself: a page that is followed live is one look.
        Route(method="GET", path=_BASE, handler=pages.show, roles=EVERYONE),
        Route(method="GET", path=_BASE + "/entries", handler=pages.earlier, roles=EVERYONE),
        Route(method="GET", path=_BASE + "/news", handler=pages.news, roles=EVERYONE),
        Route(
            method="GET",
            path=_BASE + "/turns/{turn_id}/reasons",
            handler=reasons.show,
            roles=EVERYONE,
            audit="explain_turn",
        ),
        Route(method="GET", path=_BASE + "/canned", handler=offers.canned, roles=ACTING),
        Route(method="GET", path=_BASE + "/suggestions", handler=offers.suggest, roles=ACTING),
        *(
            Route(method="POST", path=f"{_BASE}/{name}", handler=handler, roles=ACTING)
            for name, handler in moves.items()
        ),
        Route(method="GET", path="/canned", handler=canned.list, roles=EVERYONE),
        Route(method="POST", path="/canned", handler=canned.add, roles=ACTING),
        Route(method="GET", path="/canned/{answer_id}", handler=canned.edit, roles=ACTING),
        Route(method="POST", path="/canned/{answer_id}", handler=canned.change, roles=ACTING),
        Route(
            method="POST", path="/canned/{answer_id}/retire", handler=canned.retire, roles=ACTING
        ),
    ]
