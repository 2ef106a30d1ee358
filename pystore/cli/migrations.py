"""`pystore migrate`."""

from __future__ import annotations

from typing import Annotated

import typer

from pystore.cli.shared import THE_ASSISTANT, Application, AsJson, StoreFile, command, open_store
from pystore.cli.terminal import Progress, answer, counted, printable
from pystore.errors import MigrationError
from pystore.migration import MOST_TOLD


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
        found = f"{counted(report['events'], 'event')}, {report['upcast']:,} in an older form."
        if problems := report["problems"]:
            told = [f"  {printable(problem['why'])}" for problem in problems[:MOST_TOLD]]
            more = [f"  and {len(problems) - MOST_TOLD:,} more (all of them with --json)"] if len(problems) > MOST_TOLD else []
            raise MigrationError("\n".join([f"{found} It would not work:", *told, *more]), **report)
        lines = [f"{found} It would work."]
    else:
        before = f" Backup before it: {report['backup']}." if report["backup"] else ""
        lines = [f"{store} went from version {report['from']} to {report['to']}.{before}"]
    answer(report, lines, as_json=as_json)
