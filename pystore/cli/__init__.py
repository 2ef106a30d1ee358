"""The command line: what a backup or a store in an SQLite file needs, without a browser.

Every command prints words for people, or with `--json` one JSON value for programs. Progress goes to the terminal, if there is one.
Exit status: 0 done; 1 refused, the reason on stderr; 2 wrong usage.
"""

from __future__ import annotations

from typing import Annotated

import typer

from pystore import __version__
from pystore.cli import backups, files, forgetting, migrations, repairing, schemas, stores
from pystore.cli.shared import app
from pystore.cli.terminal import show_what_can_be_shown

__all__ = ["app", "backups", "files", "forgetting", "main", "migrations", "repairing", "schemas", "stores"]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pystore {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *, version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False
) -> None:
    pass


def main() -> None:
    """The entry point `pystore`."""
    show_what_can_be_shown()
    app()
