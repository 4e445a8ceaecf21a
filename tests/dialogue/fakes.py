"""An understanding service and an action server that do what the test says, in a thread."""

import asyncio
import json
import re
import threading
from typing import Any

from aiohttp import web

PAYLOAD = re.compile(r"/(\w+)(\{.*\})?$")
RANKED_BEHIND = [{"name": "ask_size", "confidence": 0.05}]


def fake_parse(text: str) -> dict[str, Any]:
    """Texts are payloads, or an answer to the bot; two exclamation marks make them angry."""
    emotion = "angry" if text.endswith("!!") else "neutral"
    payload = PAYLOAD.match(text.rstrip("!"))
    intent, values = "inform", {}
    if payload:
        intent = payload[1]
        values = json.loads(payload[2]) if payload[2] else {}
    else:
        if number := re.search(r"HP-\d{6}", text):
            values["order_number"] = number[0]
        if email := re.search(r"\S+@\S+", text):
            values["email"] = email[0]
    entities = [
        {"entity": name, "start": 0, "end": len(text), "value": value, "extractor": "kefu"}
        for name, value in {**values, "emotion": emotion}.items()
    ]
    best = {"name": intent, "confidence": 0.9}
    return {
        "text": text,
        "intent": best,
        "intent_ranking": [best, *RANKED_BEHIND],
        "entities": entities,
        "emotion": {"name": emotion, "confidence": 0.9, "ranking": []},
        "model_version": "fake",
        "mode": "fake",
    }


class FakeActions:
    """Says its name; keeps what it was asked; fails when told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.failures = 0
        self.broken_answer: dict[str, Any] | None = None
        self.delay_s = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.calls.append(body)
        await asyncio.sleep(self.delay_s)
        if self.failures:
            self.failures -= 1
            return web.json_response({"error": "told to fail"}, status=500)
        if self.broken_answer is not None:
            answer, self.broken_answer = self.broken_answer, None
            return web.json_response(answer)
        name = body["next_action"]
        return web.json_response({"events": events_of(body), "responses": responses_of(name)})


def responses_of(action: str) -> list[dict[str, Any]]:
    """What the action says, with the metadata that the gateway looks for."""
    if action.startswith("validate_") or action == "action_reset_order_slots":
        return []
    said: dict[str, Any] = {"text": f"said by {action}", "buttons": []}
    if action == "action_answer":
        said["qa"] = {"id": "delivery-1", "score": 0.9, "question": "How long?"}
    if action in ("action_handoff", "action_default_fallback"):
        said["handoff"] = {"reason": "asked"}
    return [said]


def events_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The slots that the action sets."""
    action = body["next_action"]
    slots: dict[str, Any] = {}
    if action.startswith("validate_"):
        for event in reversed(body["tracker"]["events"]):
            if event["event"] != "slot":
                break
            if event["name"] != "requested_slot":
                slots.setdefault(event["name"], event["value"])
    elif action == "action_reset_order_slots":
        slots = {"order_number": None, "email": None, "cancel_confirmed": None}
    elif action == "action_offer_handoff":
        slots = {"handoff": "offered"}
    elif action in ("action_handoff", "action_default_fallback"):
        slots = {"handoff": "waiting"}
    return [
        {"event": "slot", "timestamp": None, "name": name, "value": value}
        for name, value in slots.items()
    ]


class FakeServices:
    """Both services on ports of their own; `url` serves /model/parse and /webhook."""

    def __init__(self) -> None:
        self.actions = FakeActions()
        self.parses: list[dict[str, Any]] = []
        self.parse_status = 200
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        started: threading.Event = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def stop(self) -> None:
        """Close the port and end the thread."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    async def _parse(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.parses.append(body)
        if self.parse_status != 200:
            return web.json_response({"error": "told to fail"}, status=self.parse_status)
        return web.json_response(fake_parse(body["text"]))

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run(started))
        self._loop.close()

    async def _run(self, started: threading.Event) -> None:
        app = web.Application()
        app.router.add_post("/model/parse", self._parse)
        app.router.add_post("/webhook", self.actions.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        started.set()
        await self._stopped.wait()
        await runner.cleanup()
