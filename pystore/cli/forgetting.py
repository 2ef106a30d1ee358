"""Commands that remove for good: `pystore erase`, `pystore forget`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pystore.cli.shared import THE_ASSISTANT, Application, AsJson, OneFile, StoreFile, command, no_store, open_store
from pystore.cli.stores import Ids
from pystore.cli.terminal import Progress, answer, counted
from pystore.errors import ValidationError
from pystore.forgetting import forget_log
from pystore.marks import Span

Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@command("erase")
async def erase(store: StoreFile, ids: Ids, yes: Sure = False, schema: Application = THE_ASSISTANT, as_json: AsJson = False) -> None:
    """Remove the content of events for good: from the store, its backups, and every replica that merges. Cannot be undone."""
    if not store.exists():
        raise await no_store(store)
    _ask(f"The content of {' '.join(ids)} goes for good, from backups too.", sure=yes)
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress, write=True) as opened:
            appended = await opened.erase(ids)
    events = sum(span.last - span.first + 1 for text in ids if (span := Span.parse(text)))
    words = f"The content of {counted(events, 'event')} is gone." if appended else "It was gone already."
    answer([{"id": one.id, "hlc": one.hlc} for one in appended], [words], as_json=as_json)


@command("forget")
async def forget(store: StoreFile, yes: Sure = False, as_json: AsJson = False) -> None:
    """Remove a store and its backups for good. Files that were saved from it stay."""
    missing = await no_store(store)
    if not store.exists() and not missing.details["backups"]:
        raise missing
    _ask(f"{store} goes for good, with all its backups.", sure=yes)
    await forget_log(OneFile(store), store.stem)
    answer({"forgotten": str(store)}, [f"{store} is gone."], as_json=as_json)


def _ask(what: str, *, sure: bool) -> None:
    if sure:
        return
    if not sys.stdin.isatty():
        raise ValidationError(f"{what} Nothing was changed: say --yes to do it without being asked.")
    typer.confirm(f"{what} Are you sure?", abort=True)
