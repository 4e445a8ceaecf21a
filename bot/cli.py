"""The command `kefu`: each subcommand is loaded when it is asked for."""

import importlib
import sys

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

COMMANDS = {
    "up": "bot.up:up",
    "down": "bot.up:down",
    "prepare": "bot.up:prepare_command",
    "doctor": "bot.doctor:doctor",
    "settings": "bot.settings_page:settings",
    "chat": "bot.chat:chat",
    "ask": "bot.chat:ask",
    "train": "nlu.cli:train",
    "evaluate": "nlu.cli:evaluate",
    "models": "bot.learning.release.cli:models",
    "learn": "bot.learning.cli:learn",
    "data": "bot.learning.datasets.cli:data",
    "prove": "bot.learning.proof.cli:prove_command",
    "qa": "actions.cli:qa",
    "log": "bot.log.cli:log",
    "outbox": "bot.outbox_cli:outbox",
    "agent": "bot.agents_cli:agent",
    "watch": "bot.console.voice.cli:watch",
    "bench": "bot.cli:bench",
}
BENCHES = {
    "answers": "actions.qa.bench:answers",
    "console": "bot.bench.console:console",
    "delivery": "bot.bench.delivery:delivery",
    "gate": "bot.bench.gate:gate",
    "harvest": "bot.bench.harvest:harvest",
    "learning": "bot.bench.learning:learning",
    "loops": "bot.bench.loops:loops",
    "poison": "bot.bench.poison:poison",
    "retriever": "bot.bench.retriever:retriever",
    "sockets": "bot.bench.sockets:sockets",
    "turns": "bot.bench.turns:turns",
    "watch": "bot.bench.watch:watch",
}


class LazyGroup(click.Group):
    """A group whose commands are `module:attribute` strings, imported one at a time."""

    def __init__(self, name: str, *, targets: dict[str, str], help: str) -> None:
        super().__init__(name, help=help)
        self.targets = targets

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = self.targets.get(cmd_name)
        if target is None:
            return None
        module, attribute = target.split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


bench = LazyGroup("bench", targets=BENCHES, help="Measure kefu; each prints one JSON object.")
kefu = LazyGroup("kefu", targets=COMMANDS, help="A framework for customer-service bots.")


def main() -> None:
    """Run one command; an expected failure is one line on stderr and exit code 1."""
    try:
        # Without click's own way out, the code of an Exit comes back as the result.
        code = kefu(prog_name="kefu", standalone_mode=False)
        if type(code) is int:
            sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except ValidationError as error:
        if error.title not in {"Settings", "ActionSettings", "NluSettings"}:
            raise
        first = error.errors()[0]
        name = "KEFU_" + "_".join(str(part) for part in first["loc"]).upper()
        sys.exit(f"kefu: setting {name}: {first['msg']}")
    except SettingsError as error:
        sys.exit(f"kefu: {error}")
    except OSError as error:
        sys.exit(
            f"kefu: {error.strerror}: {error.filename}" if error.filename else f"kefu: {error}"
        )
    except Exception as error:
        if not isinstance(error, expected_errors()):
            raise
        sys.exit(f"kefu: {error}")


def expected_errors() -> tuple[type[Exception], ...]:
    """The base errors of the packages that are loaded: their messages say what to do."""
    bases = {
        "bot.errors": "KefuError",
        "actions.errors": "ActionsError",
        "nlu.errors": "NluError",
    }
    return tuple(
        getattr(sys.modules[module], name)
        for module, name in bases.items()
        if module in sys.modules
    )


if __name__ == "__main__":
    main()
