"""The page of the emotion watch: open alerts with examples, acknowledged, muted, over."""

from datetime import timedelta
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from bot.console.visit import Visit
from bot.console.voice.watch import ALERTS as CHANGED
from bot.errors import RequestError
from bot.gateway import Gateway
from bot.log import audit, voice_alerts
from bot.log.voice_alerts import Muting
from bot.log.voice_labels import UPSET
from bot.push import AGENTS

MUTE_DAYS = ("1", "7", "30")
_MOST_REASON_CHARS = 500
_CLOSED_SHOWN = 50


class Alerts:
    """/alerts."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def show(self, visit: Visit) -> web.StreamResponse:
        """The page."""
        now = self._gateway.world.now()

        def query(connection: Connection) -> dict[str, Any]:
            listed = voice_alerts.listed(connection)
            opened = [row for row in listed if row["closed_at"] is None]
            for row in opened:
                row["examples"] = voice_alerts.examples(connection, alert=row)
            return {
                "opened": opened,
                "closed": [row for row in listed if row["closed_at"] is not None][:_CLOSED_SHOWN],
                "mutes": voice_alerts.mutes(connection, now=now),
            }

        found = await self._gateway.journal.browse(query)
        await self._record(visit, ("alerts.read", "/alerts"), found["opened"])
        return visit.page(
            "voice/alerts.html",
            **found,
            now=now,
            mute_days=MUTE_DAYS,
            may_mute=visit.agent.role != "agent",
            is_watching=self._gateway.settings.watch_false_alarms > 0,
            upset_names=sorted(UPSET),
        )

    async def examples(self, visit: Visit) -> web.StreamResponse:
        """One alert, also one that is over, with its examples."""

        def query(connection: Connection) -> dict[str, Any] | None:
            row = voice_alerts.one(connection, alert_id=visit.param("alert_id"))
            if row is not None:
                row["examples"] = voice_alerts.examples(connection, alert=row)
            return row

        row = await self._gateway.journal.browse(query)
        if row is None:
            raise _unknown()
        await self._record(visit, ("alert.read", row["id"]), [row])
        return visit.page("voice/alert.html", alert=row)

    async def _record(
        self, visit: Visit, what: tuple[str, str], alerts: list[dict[str, Any]]
    ) -> None:
        """Whose words were shown as examples."""
        shown = [one["conversation_id"] for alert in alerts for one in alert["examples"]]
        detail = {"conversations": sorted(set(shown))}
        await self._gateway.journal.audit(visit.agent.id, *what, detail)

    async def acknowledge(self, visit: Visit) -> web.StreamResponse:
        """Somebody looks after it."""
        unit = partial(
            voice_alerts.acknowledge,
            alert_id=visit.param("alert_id"),
            agent_id=visit.agent.id,
            now=self._gateway.world.now(),
        )
        if not await self._gateway.journal.write(unit, [(AGENTS, CHANGED)]):
            raise _unknown()
        return visit.redirect("/alerts", notice="voice.acknowledged_now")

    async def mute(self, visit: Visit) -> web.StreamResponse:
        """No alerts of this topic for some days."""
        reason, days = await visit.field("reason"), await visit.field("days")
        if not reason or len(reason) > _MOST_REASON_CHARS:
            raise RequestError(
                400,
                "reason",
                "it is empty" if not reason else "it is too long",
                f"say in at most {_MOST_REASON_CHARS} characters why, for your colleagues",
            )
        if days not in MUTE_DAYS:
            raise RequestError(400, "days", "it is unknown", f"choose {', '.join(MUTE_DAYS)}")
        now = self._gateway.world.now()
        until = now + timedelta(days=int(days))
        alert_id, audit_id = visit.param("alert_id"), self._gateway.world.new_id()

        def unit(connection: Connection) -> bool:
            alert = voice_alerts.one(connection, alert_id=alert_id)
            if alert is None:
                return False
            series = (alert["kind"], alert["name"])
            muting = Muting(series=series, reason=reason, until=until, by=visit.agent.id)
            voice_alerts.mute(connection, muting=muting, now=now)
            audit.note(
                connection,
                id_=audit_id,
                who=(visit.agent.id, "alert.mute", alert_id),
                detail={"kind": series[0], "name": series[1], "until": until.isoformat()},
                now=now,
            )
            return True

        if not await self._gateway.journal.write(unit, [(AGENTS, CHANGED)]):
            raise _unknown()
        return visit.redirect("/alerts", notice="voice.muted_now")

    async def unmute(self, visit: Visit) -> web.StreamResponse:
        """Alerts of this topic again."""
        kind, name = await visit.field("kind"), await visit.field("name")
        gone = await self._gateway.journal.write(
            partial(voice_alerts.unmute, series=(kind, name)), [(AGENTS, CHANGED)]
        )
        if not gone:
            raise RequestError(404, "name", "this topic is not muted", "reload the page")
        return visit.redirect("/alerts", notice="voice.unmuted_now")


def _unknown() -> RequestError:
    return RequestError(404, "alert_id", "there is no such alert", "choose one of the list")
