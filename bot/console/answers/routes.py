"""The routes of /console/answers."""

from bot.console.answers.files import MAX_FILE_BYTES, AnswerFiles
from bot.console.answers.pages import AnswerPages
from bot.console.answers.store import AnswerStore
from bot.console.routes import EVERYONE, REVIEWING, Route
from bot.gateway import Gateway

_ONE = "/answers/{pair_id}"
_MAX_FORM_BYTES = 1_000_000


def routes(gateway: Gateway) -> list[Route]:
    """Reading for everyone, writing for reviewers and administrators."""
    store = AnswerStore.of(gateway)
    pages = AnswerPages(store, gateway.journal, gateway.world)
    files = AnswerFiles(store, gateway.journal, gateway.world)
    return [
        Route(method="GET", path="/answers", handler=pages.list, roles=EVERYONE),
        Route(
            method="POST",
            path="/answers",
            handler=pages.add,
            roles=REVIEWING,
            max_body_bytes=_MAX_FORM_BYTES,
        ),
        Route(method="GET", path="/answers/new", handler=pages.new, roles=REVIEWING),
        Route(method="POST", path="/answers/test", handler=pages.test, roles=EVERYONE),
        Route(method="GET", path="/answers/import", handler=files.show, roles=REVIEWING),
        Route(
            method="POST",
            path="/answers/import",
            handler=files.take,
            roles=REVIEWING,
            audit="import_answers",
            max_body_bytes=MAX_FILE_BYTES,
        ),
        Route(
            method="GET",
            path="/answers/answers.csv",
            handler=files.as_table,
            roles=EVERYONE,
            audit="export_answers",
        ),
        Route(
            method="GET",
            path="/answers/answers.yml",
            handler=files.as_yaml,
            roles=EVERYONE,
            audit="export_answers",
        ),
        Route(method="GET", path=_ONE, handler=pages.show, roles=EVERYONE),
        Route(
            method="POST",
            path=_ONE,
            handler=pages.save,
            roles=REVIEWING,
            max_body_bytes=_MAX_FORM_BYTES,
        ),
        Route(
            method="POST",
            path=_ONE + "/retire",
            handler=pages.retire,
            roles=REVIEWING,
            audit="retire_answer",
        ),
        Route(
            method="POST",
            path=_ONE + "/restore",
            handler=pages.restore,
            roles=REVIEWING,
            audit="restore_answer",
        ),
    ]
