"""The routes of /console/privacy: administrators only."""

from bot.console.privacy.customers import CustomerPages
from bot.console.privacy.keeping import KeepingPages
from bot.console.privacy.requests import RequestPages
from bot.console.routes import ADMINISTRATORS, Handler, Route
from bot.gateway import Gateway

_CUSTOMER = "/privacy/customers/{conversation_id}"
_REQUEST = "/privacy/requests/{request_id}"


def routes(gateway: Gateway) -> list[Route]:
    """Every look at a customer and every change leaves a row in the audit log."""
    customers = CustomerPages(gateway)
    requests = RequestPages(gateway)
    keeping = KeepingPages(gateway)

    def get(path: str, handler: Handler, audit: str | None = None) -> Route:
        return Route(method="GET", path=path, handler=handler, roles=ADMINISTRATORS, audit=audit)

    def post(path: str, handler: Handler, audit: str | None = None) -> Route:
        return Route(method="POST", path=path, handler=handler, roles=ADMINISTRATORS, audit=audit)

    return [
        get("/privacy", requests.show_all),
        # What is searched for is a customer's: it stands in the body, in no address and no log.
        post("/privacy/find", customers.find, "customer.search"),
        get(_CUSTOMER, customers.show, "customer.read"),
        post(_CUSTOMER + "/export", customers.export, "customer.export"),
        # The eraser puts the request on record itself.
        post(_CUSTOMER + "/erase", customers.erase),
        get(_REQUEST, requests.show),
        get(_REQUEST + "/progress", requests.progress),
        get(_REQUEST + "/report.json", requests.report, "erasure.report"),
        get("/privacy/retention", keeping.show),
        # A change and a run leave rows of their own, with what they changed.
        post("/privacy/retention", keeping.change),
        post("/privacy/retention/run", keeping.run),
        get("/privacy/exports", keeping.exports),
    ]
