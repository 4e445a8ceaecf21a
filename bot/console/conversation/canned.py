"""The canned answers' own pages: list, add, edit, retire."""

from functools import partial
from typing import Any

from aiohttp import web

from bot.console.visit import Visit
from bot.errors import RequestError
from bot.log import canned_answers
from bot.log.canned_answers import Canned
from bot.log.journal import Journal
from bot.world import World

_FIELDS = ("shortcut", "title", "text_en", "text_zh")
_EMPTY = dict.fromkeys(_FIELDS, "")


class CannedPages:
    """Shared by all agents; every change is on record."""

    def __init__(self, journal: Journal, world: World) -> None:
        self._journal = journal
        self._world = world

    async def list(self, visit: Visit) -> web.StreamResponse:
        """All answers in use, and the form for a new one."""
        return await self._page(visit)

    async def add(self, visit: Visit) -> web.StreamResponse:
        """Keep a new one; what cannot be kept stays in the form."""
        return await self._save(visit, self._world.new_id(), "conversation.canned_added")

    async def edit(self, visit: Visit) -> web.StreamResponse:
        """The form for one of them."""
        row = await self._journal.read(partial(canned_answers.one, id_=_id(visit)))
        return self._form(visit, row)

    async def change(self, visit: Visit) -> web.StreamResponse:
        """Keep a changed one."""
        id_ = _id(visit)
        await self._journal.read(partial(canned_answers.one, id_=id_))
        return await self._save(visit, id_, "conversation.canned_saved", known=True)

    async def retire(self, visit: Visit) -> web.StreamResponse:
        """Offer it no longer."""
        who = (visit.agent.id, self._world.new_id())
        await self._journal.write(
            partial(canned_answers.retire, id_=_id(visit), who=who, now=self._world.now())
        )
        return visit.redirect("/canned", notice="conversation.canned_retired")

    async def _save(
        self, visit: Visit, id_: str, notice: str, *, known: bool = False
    ) -> web.StreamResponse:
        fields = {name: await visit.field(name) for name in _FIELDS}
        try:
            unit = partial(
                canned_answers.save,
                id_=id_,
                canned=Canned.of(**fields),
                who=(visit.agent.id, self._world.new_id()),
                now=self._world.now(),
            )
            await self._journal.write(unit)
        except RequestError as error:
            if error.status not in (409, 422):
                raise
            if known:
                return self._form(visit, fields | {"id": id_}, error)
            return await self._page(visit, fields, error)
        return visit.redirect("/canned", notice=notice)

    async def _page(
        self, visit: Visit, fields: dict[str, Any] = _EMPTY, error: RequestError | None = None
    ) -> web.StreamResponse:
        rows = await self._journal.read(canned_answers.everything)
        status = error.status if error else 200
        return visit.page(
            "conversation/canned.html", status=status, answers=rows, fields=fields, error=error
        )

    def _form(
        self, visit: Visit, fields: dict[str, Any], error: RequestError | None = None
    ) -> web.StreamResponse:
        status = error.status if error else 200
        return visit.page(
            "conversation/canned_edit.html", status=status, fields=fields, error=error
        )


def _id(visit: Visit) -> str:
    id_ = visit.param("answer_id")
    if not id_.isprintable():
        raise RequestError(
            404, "answer_id", "there is no such canned answer", "choose one from the list"
        )
    return id_
