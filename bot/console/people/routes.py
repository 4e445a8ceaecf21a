"""The routes of people: colleagues and their access, one's own password, the audit log."""

from collections.abc import Sequence

from bot.console.people.own import Own
from bot.console.people.staff import Staff
from bot.console.people.trail import Trail
from bot.console.routes import ADMINISTRATORS, EVERYONE, Route
from bot.gateway import Gateway

_PERSON = "/people/{agent_id}"


def routes(gateway: Gateway) -> Sequence[Route]:
    """All of them; changes keep their audit rows themselves, in the transaction of the change."""
    staff, own, trail = Staff(gateway), Own(gateway), Trail(gateway)
    administrators = (
        Route(method="GET", path="/people", handler=staff.list, roles=ADMINISTRATORS),
        Route(method="POST", path="/people", handler=staff.add, roles=ADMINISTRATORS),
        Route(
            method="GET",
            path=_PERSON,
            handler=staff.show,
            roles=ADMINISTRATORS,
            audit="agent.read",
        ),
        *(
            Route(method="POST", path=_PERSON + path, handler=handler, roles=ADMINISTRATORS)
            for path, handler in (
                ("/role", staff.set_role),
                ("/password", staff.reset_password),
                ("/token", staff.issue_token),
                ("/token/revoke", staff.revoke_token),
                ("/sessions/end", staff.end_sessions),
                ("/remove", staff.remove),
            )
        ),
        Route(
            method="GET",
            path="/audit",
            handler=trail.show,
            roles=ADMINISTRATORS,
            audit="audit.read",
        ),
        Route(
            method="GET",
            path="/audit.csv",
            handler=trail.export,
            roles=ADMINISTRATORS,
            audit="audit.export",
        ),
    )
    everyone = (
        Route(method="GET", path="/password", handler=own.show, roles=EVERYONE),
        *(
            Route(method="POST", path=path, handler=handler, roles=EVERYONE)
            for path, handler in (
                ("/password", own.change),
                ("/password/sessions/end", own.end_others),
                ("/password/sessions/{session_id}/end", own.end_one),
                ("/preferences", own.prefer),
            )
        ),
    )
    return (*administrators, *everyone)
