"""`pystore migrate`."""

from __future__ import annotations

from typing import Annotated

import typer

from pystore.cli.shared import THE_ASSISTANT, Application, AsJson, StoreFile, command, open_store
from pystore.cli.terminal import Progress, answer, counted


@command("migrate")
async def migrate(
    store: StoreFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look whether it would work.")] = False,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Bring a store of an older version of its application to this one, as a whole or not at all. A backup is made first."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress, write=True) as opened:
            report = await opened.migrate(dry_run=dry_run, on_progress=progress)
    if report["from"] == report["to"]:
        lines = [f"{store} is of version {report['to']} already."]
    elif dry_run:
        problems = [f"  {problem['why']}" for problem in report["problems"]]
        verdict = "It would not work:" if problems else "It would work."
        lines = [f"{counted(report['events'], 'event')}, {report['upcast']:,} in an older form. {verdict}", *problems]
    else:
        lines = [f"{store} went from version {report['from']} to {report['to']}. Backup before it: {report['backup']}."]
    answer(report, lines, as_json=as_json)
