"""The processes of kefu: how each is started, and when it is ready."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bot.learning.schedule import read_period
from bot.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process: its command, the address that says it is ready, and what must be ready first."""

    name: str
    command: Sequence[str]
    url: str
    port: int
    port_setting: str
    after: tuple[str, ...] = ()
    # Without it customers are not answered: when it cannot be started nothing is.
    vital: bool = True
    # Settings of this process alone.
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready_url(self) -> str:
        """Answers 200 when the process can do its job."""
        return f"{self.url}/readyz"

    @property
    def health_url(self) -> str:
        """Answers 200 while the process is up."""
        return f"{self.url}/healthz"


def kefu_processes(settings: Settings) -> list[ProcessSpec]:
    """The processes in the order in which they become useful to each other.

    Several gateways are named gateway, gateway-2 and so on. Raises BadPeriod.
    """
    python = sys.executable
    launcher = Path(__file__).parent / "dialogue" / "server.py"
    return [
        ProcessSpec(
            name="understanding",
            command=[python, "-m", "nlu"],
            url=f"http://{settings.nlu_host}:{settings.nlu_port}",
            port=settings.nlu_port,
            port_setting="KEFU_NLU_PORT",
        ),
        ProcessSpec(
            name="dialogue",
            command=[str(settings.rasa_python), str(launcher)],
            url=f"http://127.0.0.1:{settings.dialogue_port}",
            port=settings.dialogue_port,
            port_setting="KEFU_DIALOGUE_PORT",
        ),
        ProcessSpec(
            name="actions",
            command=[python, "-m", "actions"],
            url=f"http://{settings.actions_host}:{settings.actions_port}",
            port=settings.actions_port,
            port_setting="KEFU_ACTIONS_PORT",
            after=("understanding",),
        ),
        *(_gateway(settings, number) for number in range(settings.gateways)),
        *([] if read_period(settings.learn_every) is None else [_learning(settings)]),
    ]


def _gateway(settings: Settings, number: int) -> ProcessSpec:
    port = settings.port + number
    return ProcessSpec(
        name="gateway" if number == 0 else f"gateway-{number + 1}",
        command=[sys.executable, "-m", "bot"],
        url=f"http://{loopback_of(settings.host)}:{port}",
        port=port,
        port_setting="KEFU_PORT",
        after=("understanding", "dialogue", "actions"),
        variables={"KEFU_PORT": str(port)},
    )


def _learning(settings: Settings) -> ProcessSpec:
    return ProcessSpec(
        name="learning",
        command=[sys.executable, "-m", "bot.learning"],
        url=f"http://127.0.0.1:{settings.learn_port}",
        port=settings.learn_port,
        port_setting="KEFU_LEARN_PORT",
        after=("gateway",),
        vital=False,
    )


def loopback_of(host: str) -> str:
    """The address by which this machine reaches a server bound to `host`."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host
