"""Erasures: asked for, done step by step, taken up again after a crash or an outage, reported."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot.errors import StorageError
from bot.log import audit, erasures
from bot.log.customers import Customer
from bot.log.erasures import NewRequest
from bot.log.journal import Journal
from bot.privacy.report import build
from bot.privacy.steps import Steps
from bot.privacy.work import ORDER, NotYet, Work
from bot.world import World

logger = logging.getLogger(__name__)

# A step that did not work is tried again so soon at first, and at most so rarely.
FIRST_REST_S = 2.0
LAST_REST_S = 60.0
LOOK_S = 5.0
# While a step runs, the claim on its request is renewed so often.
HOLD_S = erasures.LEASE.total_seconds() / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """That a customer be erased: who asks, and why."""

    customer: Customer
    actor: str
    reason: str | None = None


class Eraser:
    """Takes requests and brings them to their end, one at a time."""

    def __init__(
        self,
        journal: Journal,
        steps_: Steps,
        hash_text: Callable[[str], str],
        world: World,
        *,
        platforms: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._journal = journal
        self._steps = steps_
        self._hash = hash_text
        self._world = world
        # The channels whose platform keeps messages of its own.
        self._platforms = platforms
        # Called once wordings have left the answers: who has them in memory reads them again.
        self.on_answers: Callable[[], None] = lambda: None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take requests up from now on, also those that an earlier process left."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Stop; what is open goes on at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hash_of(self, customer: Customer) -> str:
        """What a request keeps of the customer for good."""
        return self._hash(f"{customer.scope}\0{customer.name}")

    async def request(self, wish: Wish) -> str:
        """Keep a wish; the id of its request, or of the one that is at it already."""
        new = NewRequest(
            id=self._world.new_id(),
            kind=wish.customer.scope,
            actor=wish.actor,
            reason=wish.reason,
            target_hash=self.hash_of(wish.customer),
            work={"conversations": list(wish.customer.conversations)},
            steps=ORDER,
        )
        audit_id, now = self._world.new_id(), self._world.now()

        def keep(connection: Connection) -> str:
            id_ = erasures.add(connection, request=new, now=now)
            if id_ == new.id:
                detail = {"conversations": len(wish.customer.conversations)}
                who = (wish.actor, "erasure_request", id_)
                audit.note(connection, id_=audit_id, who=who, detail=detail, now=now)
            return id_

        id_ = await self._journal.write(keep)
        self._wake.set()
        return id_

    async def run(self, id_: str) -> dict[str, Any] | None:
        """Do what can be done of a request now; its report once nothing is left to do.

        None when steps are left, or another process is at it. Raises StorageError, TimeoutError.
        """
        row = await self._journal.write(partial(erasures.claim, id_=id_, now=self._world.now()))
        if row is None:
            return None
        work = Work.of(row)
        try:
            for name in list(work.steps):
                if work.steps[name]["state"] != "done" and work.may(name):
                    await self._try(work, name)
        finally:
            if work.is_open:
                await self._rest(work)
        return None if work.is_open else await self._finish(work, row)

    async def look(self) -> int:
        """Take up what is due; how many requests were."""
        due = await self._journal.read(partial(erasures.due, now=self._world.now()))
        for id_ in due:
            await self.run(id_)
        return len(due)

    async def _try(self, work: Work, name: str) -> None:
        """Do a step if it can be done."""
        step = work.steps[name]
        if name == "files":
            # What the others needed of the customer leaves our own row first.
            work.notes.clear()
            work.conversations = ()
            await self._note(work)
        step["tries"] += 1
        holding = asyncio.create_task(self._hold(work.id))
        try:
            result = await self._steps.step(name)(work)
        except (NotYet, StorageError, TimeoutError) as error:
            step["error"] = str(error) or type(error).__name__
            logger.warning(
                "erasure waits", extra={"request": work.id, "step": name, "error": step["error"]}
            )
            await self._note(work)
            return
        except Exception as error:
            # A fault of ours in one step must not keep the others from their work. What the error
            # says may hold the customer's words.
            step["error"] = type(error).__name__
            logger.error("erasure fails", extra={"request": work.id, "step": name})
            await self._note(work)
            return
        finally:
            holding.cancel()
        step.pop("error", None)
        step |= {"state": "done", "result": result, "done_at": self._world.now().isoformat()}
        await self._note(work)
        if name == "answers":
            self.on_answers()

    async def _hold(self, id_: str) -> None:
        """Keep the claim while a step takes its time."""
        while True:
            await asyncio.sleep(HOLD_S)
            with suppress(StorageError, TimeoutError):
                await self._journal.write(partial(erasures.hold, id_=id_, now=self._world.now()))

    async def _note(self, work: Work) -> None:
        await self._journal.write(
            partial(
                erasures.note,
                id_=work.id,
                steps=work.steps,
                work=work.as_json(),
                now=self._world.now(),
            )
        )

    async def _rest(self, work: Work) -> None:
        tries = max(step["tries"] for step in work.steps.values() if step["state"] != "done")
        rest_s = min(FIRST_REST_S * 2 ** max(tries - 1, 0), LAST_REST_S)
        next_at = self._world.now() + timedelta(seconds=rest_s)
        await self._journal.write(partial(erasures.rest, id_=work.id, next_at=next_at))

    async def _finish(self, work: Work, row: dict[str, Any]) -> dict[str, Any]:
        now = self._world.now()
        if work.kind == "retention":
            await self._journal.write(partial(erasures.drop, id_=work.id))
            return {"conversations": work.result("rows").get("conversations", 0)}
        report = build(
            work,
            row=row,
            platforms=frozenset(self._platforms()),
            now=now,
            postgresql=self._journal.shared,
        )
        await self._journal.write(partial(erasures.finish, id_=work.id, report=report, now=now))
        logger.info("erased", extra={"request": work.id, "seconds": report["seconds"]})
        return report

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.look()
            except (StorageError, TimeoutError) as error:
                logger.warning("erasures not looked after", extra={"error": str(error)})
            except Exception:
                # A fault of ours with one request must not stop the others for good.
                logger.exception("erasures not looked after")
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
