"""`kefu chat` and `kefu ask`: talk to the running gateway from a terminal."""

import json
import uuid
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import click

from bot.errors import GatewayRefused, GatewayUnreachable
from bot.processes import loopback_of
from bot.settings import Settings


class Client:
    """One conversation with the gateway."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._token: str | None = None
        self.conversation_id = ""

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Start a conversation; raises GatewayUnreachable when no gateway runs."""
        client = cls(
            f"http://{loopback_of(settings.host)}:{settings.port}", settings.wait_timeout_s + 5
        )
        opened = client._post("/api/v1/conversations", {})
        client.conversation_id = opened["conversation_id"]
        client._token = opened["token"]
        return client

    def say(self, text: str, *, detail: bool = False) -> dict[str, Any]:
        """The gateway's answer to a message; raises GatewayUnreachable or GatewayRefused."""
        query = "?wait=true" + ("&detail=true" if detail else "")
        answer = self._post(
            f"/api/v1/conversations/{self.conversation_id}/messages{query}",
            {"id": uuid.uuid4().hex, "text": text},
        )
        if "replies" not in answer:
            raise GatewayRefused("the answer is not there in time; `kefu log show` has it later")
        return answer

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        request = Request(self._url + path, json.dumps(body).encode(), headers)
        try:
            with urlopen(request, timeout=self._timeout_s) as response:
                answer = json.load(response)
        except HTTPError as error:
            raise GatewayRefused(_reason(error)) from None
        except (URLError, OSError):
            raise GatewayUnreachable(self._url) from None
        except ValueError:
            raise GatewayRefused("this is no kefu gateway; set KEFU_PORT") from None
        assert isinstance(answer, dict)
        return answer


@click.command()
@click.argument("text")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ask(text: str, as_json: bool) -> None:
    """Send one message TEXT and show what was understood, done and answered."""
    client = Client.open(Settings())
    answer = client.say(text, detail=True)
    detail = answer.get("detail", {})
    result = {
        "text": text,
        "intent": detail.get("intent"),
        "emotion": detail.get("emotion"),
        "entities": detail.get("entities"),
        "replies": [
            {"text": reply["text"], "buttons": reply["buttons"]} for reply in answer["replies"]
        ],
        "answer": detail.get("answer"),
        "model_version": detail.get("model_version"),
        "mode": detail.get("mode"),
        "timing_ms": detail.get("timing_ms"),
        "conversation_id": client.conversation_id,
    }
    if detail.get("error"):
        result["error"] = detail["error"]
    click.echo(json.dumps(result, ensure_ascii=False, indent=2) if as_json else _summary(result))


@click.command()
def chat() -> None:
    """Chat with the bot; a number picks a button, an empty line or Ctrl-D ends."""
    client = Client.open(Settings())
    click.echo("Chat with the bot. A number picks a button; an empty line ends.")
    payloads: list[str] = []
    while True:
        try:
            text = click.prompt(
                click.style("you", bold=True), default="", show_default=False, prompt_suffix="> "
            ).strip()
        except click.Abort:
            click.echo()
            return
        if not text:
            return
        if text.isdecimal() and 1 <= int(text) <= len(payloads):
            text = payloads[int(text) - 1]
        try:
            replies = client.say(text)["replies"]
        except GatewayRefused as refused:
            click.echo(click.style(str(refused), fg="red"))
            continue
        payloads = []
        for reply in replies:
            _show(reply, payloads)


def _show(reply: dict[str, Any], payloads: list[str]) -> None:
    if reply["text"]:
        click.echo(f"{click.style('bot', bold=True)}> {reply['text']}")
    for kind in ("image", "custom", "attachment"):
        if kind in reply:
            click.echo(f"bot> [{kind}] {reply[kind]}")
    for button in reply["buttons"]:
        payloads.append(button["payload"])
        click.echo(f"     {len(payloads)}) {button['title']}")


def _summary(result: dict[str, Any]) -> str:
    lines = []
    for label in ("intent", "emotion"):
        found = result[label] or {}
        if found.get("name"):
            lines.append(f"{label}: {found['name']} ({found['confidence'] or 0:.2f})")
    lines += [f"{entity['entity']}: {entity['value']}" for entity in result["entities"] or ()]
    answer = result["answer"] or {}
    if answer.get("qa"):
        lines.append(f"answer: {answer['qa']['id']} ({answer['qa'].get('score') or 0:.2f})")
    if answer.get("actions"):
        lines.append(f"actions: {', '.join(answer['actions'])}")
    for reply in result["replies"]:
        lines.append(f"bot> {reply['text'] or ''}")
        lines += [f"     - {button['title']}" for button in reply["buttons"]]
    if "error" in result:
        lines.append(f"error: {result['error']}")
    return "\n".join(lines)


def _reason(error: HTTPError) -> str:
    try:
        said = json.load(error)["error"]
        return f"{said['field']}: {said['message']}; {said['remedy']}"
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {error.code}; see its log"
