"""`kefu settings`: every setting with its default and meaning, as the docs page shows it."""

import click
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from bot.settings import Settings

HEAD = """# Settings

Environment variables, or lines of a file `.env` in the working folder. This page is what
`kefu settings` prints.

| variable | default | meaning |
|---|---|---|
"""


def settings_page() -> str:
    """The whole page, one row a setting, in the order of the classes."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr) or default in (None, PydanticUndefined):
            shown = ""
        else:
            shown = f"`{default}`" if str(default) else ""
        rows.append(f"| `KEFU_{name.upper()}` | {shown} | {field.description} |")
    return HEAD + "\n".join(sorted(rows)) + "\n"


@click.command()
def settings() -> None:
    """Print every setting with its default and meaning."""
    click.echo(settings_page(), nl=False)
