"""`kefu settings`: every setting with its default and meaning, as the docs page shows it."""

import click
from pydantic import SecretStr
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from bot.channels.registry import settings_classes
from bot.settings import Settings

TABLE = """| variable | default | meaning |
|---|---|---|
"""
HEAD = f"""# Settings

Environment variables, lines of a file `.env` in the working folder, or files in the folder
`KEFU_SECRETS_DIR`, named as the variables are, in lower case. This page is what `kefu settings`
prints.

{TABLE}"""


def settings_page() -> str:
    """The whole page, one row a setting, in the order of the classes."""
    parts = [HEAD + _rows(Settings)]
    for channel in settings_classes():
        title = (channel.__doc__ or "").splitlines()[0]
        parts.append(f"\n## {title}\n\n{TABLE}{_rows(channel)}")
    return "".join(parts)


def _rows(settings_class: type[BaseSettings]) -> str:
    prefix = settings_class.model_config["env_prefix"]
    rows = []
    for name, field in settings_class.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr) or default in (None, PydanticUndefined):
            shown = ""
        else:
            shown = f"`{default}`" if str(default) else ""
        rows.append(f"| `{prefix}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(sorted(rows)) + "\n"


@click.command()
def settings() -> None:
    """Print every setting with its default and meaning."""
    click.echo(settings_page(), nl=False)
