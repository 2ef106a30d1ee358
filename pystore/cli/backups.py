"""Commands on the backups of a store: `pystore backup ...`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from pystore.backup.layers import KEPT
from pystore.backup.save import gzipped
from pystore.cli.shared import THE_ASSISTANT, Application, AsJson, NewFile, StoreFile, app, command, new_file, open_backups, open_store
from pystore.cli.terminal import Progress, answer, counted, table
from pystore.errors import CorruptBackupError, FormatError

backup = typer.Typer(help="Backups of a store, kept in layers in the folder STORE.vault.", no_args_is_help=True)
app.add_typer(backup, name="backup")

Id = Annotated[str, typer.Argument(metavar="ID", help="A backup, as `backup list` prints it.")]


@command("list", among=backup)
async def list_(store: StoreFile, schema: Application = THE_ASSISTANT, as_json: AsJson = False) -> None:
    """List a store's backups, newest first."""
    async with open_backups(store, schema) as opened:
        found = await opened.list()
    rows = [
        {key: one[key] for key in ("id", "time", "label", "events", "size", "own")} | {"": _state(one)}
        for one in found
    ]
    answer(found, table(rows) if rows else ["There is no backup yet."], as_json=as_json)


@command("create", among=backup)
async def create(
    store: StoreFile,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    layer: Annotated[str, typer.Option(help=f"One of {', '.join(KEPT)}.")] = "manual",
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Make a backup now. What its layer keeps no more goes."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress) as opened:
            made = await opened.backups.create(label, layer=layer)
    answer(made, [f"{made['id']}: {counted(made['events'], 'event')}, {made['own']:,} bytes of its own."], as_json=as_json)


@command("due", among=backup)
async def due(store: StoreFile, schema: Application = THE_ASSISTANT, as_json: AsJson = False) -> None:
    """Make the backups that the clock asks for, if something changed: to be run by the system's own clock (cron)."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress) as opened:
            try:
                made = await opened.backups.make_due()
            finally:
                await opened.backups.verify_due()
    answer(made, made or ["None is due, or nothing changed."], as_json=as_json)


@command("verify", among=backup)
async def verify(
    store: StoreFile,
    id_: Annotated[str | None, typer.Argument(metavar="[ID]", help="One of them, line by line; without it all.")] = None,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Check backups: whether they are what was made."""
    with Progress(quiet=as_json) as progress:
        async with open_backups(store, schema) as opened:
            found = await opened.verify(id_, on_progress=progress)
    if found.get("damaged"):
        lines = [f"  {one}: {why}" for one, why in found["damaged"].items()]
        raise CorruptBackupError("\n".join([f"{counted(len(lines), 'backup')} damaged:", *lines]), **found)
    words = f"{id_} is good: {counted(found['events'], 'event')}." if id_ else f"{counted(len(found['good']), 'backup')}, all good."
    answer(found, [words], as_json=as_json)


@command("restore", among=backup)
async def restore(
    store: StoreFile,
    id_: Id,
    mode: Annotated[
        Literal["merge", "replace"], typer.Option(help="merge: add what the store lacks. replace: put the backup in its place.")
    ] = "merge",
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back, also if the store is lost. Before it replaces anything, a backup of that is made."""
    async with open_backups(store, schema):
        pass  # refused, before a store is made, if there is neither one nor a backup
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress, create=True, recover=True) as opened:
            summary = await opened.backups.restore(id_, mode=mode, on_progress=progress)
    words = f"{counted(summary['new'], 'event')} came in." if mode == "merge" else f"{counted(summary['events'], 'event')} are back."
    answer(summary, [words], as_json=as_json)


@command("export", among=backup)
async def export(
    store: StoreFile,
    id_: Id,
    file: NewFile,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Write a backup to FILE (.jsonl, .jsonl.gz)."""
    if file.exists() and not force:
        raise FormatError(f"{file} is there already. Choose another name, or replace it with --force.", path=str(file))
    size = 0
    with Progress(quiet=as_json) as progress:
        async with open_backups(store, schema) as opened:
            pieces = opened.file(id_, progress)
            with new_file(file) as out:
                async for piece in gzipped(pieces) if file.suffix == ".gz" else pieces:
                    out.write(piece)
                    size += len(piece)
    answer({"file": str(file), "bytes": size}, [f"{size:,} bytes in {file}."], as_json=as_json)


@command("remove", among=backup)
async def remove(store: StoreFile, id_: Id, schema: Application = THE_ASSISTANT, as_json: AsJson = False) -> None:
    """Remove a backup for good. What other backups share with it stays."""
    async with open_backups(store, schema) as opened:
        await opened.remove(id_)
    answer({"removed": id_}, [f"{id_} is removed."], as_json=as_json)


@command("stats", among=backup)
async def stats(store: StoreFile, schema: Application = THE_ASSISTANT, as_json: AsJson = False) -> None:
    """Say how many backups there are, how large they are together, and from when."""
    async with open_backups(store, schema) as opened:
        found = await opened.stats()
    rows = [
        {"layer": layer, "kept": f"{one['count']} of {found['keep'].get(layer, 0)}"}
        | {key: one[key] for key in ("size", "own", "oldest", "newest")}
        for layer, one in found["layers"].items()
    ]
    answer(found, [f"{counted(found['count'], 'backup')}, {found['bytes']:,} bytes.", *(table(rows) if rows else [])], as_json=as_json)


def _state(backup_: dict[str, Any]) -> str:
    if backup_["damaged"] is not None:
        return "damaged"
    verified = backup_["verified"]
    return "" if verified is None else "good" if verified["good"] else "damaged"
