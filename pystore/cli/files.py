"""Commands on files: backups, and other programs' exports."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pystore.backup.format import GZIP_MARK
from pystore.backup.lines import Source
from pystore.backup.restore import check_file
from pystore.backup.sealed import unsealed
from pystore.cli.shared import (
    THE_ASSISTANT,
    Application,
    AsJson,
    File,
    NewFile,
    OneFile,
    PassphraseFile,
    StoreFile,
    chunks,
    command,
    is_sealed,
    new_file,
    open_store,
    passphrase_of,
)
from pystore.cli.terminal import Progress, answer, counted, printable
from pystore.errors import CorruptError, FormatError
from pystore.native.platform import NativePlatform
from pystore.schema import Schema
from pystore.verification import verify_log

MOST_TOLD = 20
"""Problems that are told in words."""
_SQLITE_MARK = b"SQLite format 3\0"
_ZIP_MARK = b"PK\x03\x04"
_BACKUP_MARK = b'{"pystore":'


@command("inspect")
async def inspect(file: File, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Say what a backup holds and what is wrong with it. Changes nothing."""
    _check_backup(file)
    passphrase = _passphrase_for(file, passphrase_file)
    with Progress(quiet=as_json) as progress:
        summary = await _verify(chunks(file), passphrase, progress, salvage=True)
    answer(summary, _described(summary), as_json=as_json)


@command("verify")
async def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE|STORE", exists=True, dir_okay=False, help="A backup or a store.")
    ],
    passphrase_file: PassphraseFile = None,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Check every event of a backup or a store: form, content against digest, place in its chain; of a store also what it shows."""
    passphrase = _passphrase_for(file, passphrase_file)
    with Progress(quiet=as_json) as progress:
        is_store = _begin(file).startswith(_SQLITE_MARK)
        summary = await (_verify_store(file, schema, progress) if is_store else _verify(chunks(file), passphrase, progress, salvage=False))
    conflicts = f", {summary['conflicts']:,} set aside because they do not fit" if summary.get("conflicts") else ""
    answer(summary, [f"{file} is sound: {counted(summary['events'], 'event')}{conflicts}."], as_json=as_json)


@command("restore")
async def restore(
    file: File,
    store: StoreFile,
    mode: Annotated[
        Literal["merge", "replace"], typer.Option(help="merge: add what the store lacks. replace: put the backup in its place.")
    ] = "merge",
    salvage: Annotated[bool, typer.Option("--salvage", help="Take the good part of a damaged backup, what fits of an older one.")] = False,
    passphrase_file: PassphraseFile = None,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Bring a backup into a store, made if it is not there. All of it is checked before anything changes."""
    _check_backup(file)
    passphrase = _passphrase_for(file, passphrase_file)
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress, create=True, recover=True) as opened:
            summary = await opened.restore(chunks(file), mode=mode, salvage=salvage, passphrase=passphrase, on_progress=progress)
    answer(summary, [
        f"{counted(summary['new'], 'event')} came in, {summary['known']:,} were there already."
        if mode == "merge" else f"{store} now holds the {counted(summary['events'], 'event')} of {file}.",
        *([_waits(summary["waiting"])] if summary["waiting"] else []),
        *([_aside(summary["conflicts"])] if summary["conflicts"] else []),
        *(f"left out: line {problem['line']}: {problem['why']}" for problem in summary["problems"]),
    ], as_json=as_json)


@command("save")
async def save(
    store: StoreFile,
    file: NewFile,
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress it; as if FILE ended in .gz.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    protect: Annotated[bool, typer.Option("--protect", help="Protect it with a passphrase, which is asked for.")] = False,
    passphrase_file: PassphraseFile = None,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Save a store as a backup file. A lost passphrase cannot be recovered, and nothing in a protected file without it."""
    if file.exists() and not force:
        raise FormatError(f"{file} is there already. Choose another name, or replace it with --force.", path=str(file))
    passphrase = passphrase_of(passphrase_file, ask="A passphrase" if protect else None, twice=True)
    size = 0
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress) as opened:
            with new_file(file) as out:
                async for chunk in opened.save(gzip=gzip or file.suffix == ".gz", passphrase=passphrase, on_progress=progress):
                    out.write(chunk)
                    size += len(chunk)
            stats = await opened.stats()
    events = stats["events"] + stats["waiting"]
    line = f"{counted(events, 'event')}, {size:,} bytes in {file}."
    answer({"file": str(file), "events": events, "bytes": size}, [line], as_json=as_json)


@command(
    "import", stopped="Stopped. What had come in until then is kept: undo the import to take it out, or bring the file in again for more."
)
async def import_file(file: File, store: StoreFile, schema: Application = THE_ASSISTANT, as_json: AsJson = False) -> None:
    """Bring in another program's export: ChatGPT's or Claude's .zip, or JSONL. What is there already is not added again."""
    data = file.read_bytes()
    if _begin(file).startswith((_SQLITE_MARK, _BACKUP_MARK)):
        raise FormatError(f"{file} was made by pystore. Bring a backup in with `pystore restore`; make one of a store with `pystore save`.")
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress, create=True) as opened:
            result = await opened.import_file(data, file.name, on_progress=progress)
    counts = ", ".join(
        f"{count:,} {what.replace('_', ' ')}" for what, count in result["counts"].items() if isinstance(count, int) and count
    )
    answer(result, [
        f"{counted(result['events'], 'event')} came in from {result['kind']}: {counts or 'nothing'}.",
        *(f"not understood: {place['where']}: {place['why']}" for place in result["not_understood"]),
    ], as_json=as_json)


def _begin(file: Path) -> bytes:
    """The first bytes of a file, unpacked."""
    with file.open("rb") as opened:
        begin = opened.read(4096)
    try:
        return zlib.decompressobj(31).decompress(begin) if begin.startswith(GZIP_MARK) else begin
    except zlib.error:
        return b""


def _check_backup(file: Path) -> None:
    """Raise FormatError for what is surely no backup, with the command that takes it."""
    begin = _begin(file)
    if begin.startswith(_SQLITE_MARK):
        raise FormatError(f"{file} is a store, not a backup. Check it with `pystore verify`, make a backup of it with `pystore save`.")
    if begin.startswith(_ZIP_MARK):
        raise FormatError(f"{file} is not a pystore backup. If it is an export of another program, bring it in with `pystore import`.")


async def _verify_store(file: Path, schema: Schema, progress: Progress) -> dict[str, Any]:
    """What `Store.verify` finds, if nothing is wrong. Raises CorruptError with all that is."""
    try:
        async with open_store(file, schema, progress) as store:
            found = await store.verify(progress)
            found["conflicts"] = (await store.stats())["conflicts"]
    except CorruptError as error:
        # It cannot be opened: then at least it can be said what is wrong with the events.
        storage = await OneFile(file).open_log(file.stem)
        try:
            found = await verify_log(storage, OneFile(file).breathe, progress)
        finally:
            await storage.close()
        found["problems"] = found["problems"] or [{"id": error.details.get("id"), "why": error.message}]
    if found["problems"]:
        told = [f"  {printable(problem['why'])}" for problem in found["problems"]]
        more = [f"  and {len(told) - MOST_TOLD:,} more (all of them with --json)"] if len(told) > MOST_TOLD else []
        raise CorruptError("\n".join([f"{file} is damaged:", *told[:MOST_TOLD], *more]), **{**found, "sound": False})
    return found


def _passphrase_for(file: Path, passphrase_file: Path | None) -> str | None:
    return passphrase_of(passphrase_file, ask=f"The passphrase of {file}" if is_sealed(file) else None)


async def _verify(source: Source, passphrase: str | None, progress: Progress, *, salvage: bool) -> dict[str, Any]:
    """What a backup holds, compared with nothing. Raises as `pystore.backup.restore.verify`."""
    platform = NativePlatform()
    return await check_file(unsealed(source, passphrase, platform.cipher), platform.now_ms(), platform.breathe, progress, salvage=salvage)


def _waits(events: int) -> str:
    return f"{counted(events, 'event')} dated in the future: kept aside until that time comes. Check this device's clock."


def _aside(events: int) -> str:
    return f"{counted(events, 'event')} set aside because {'it does' if events == 1 else 'they do'} not fit."


def _described(summary: dict[str, Any]) -> list[str]:
    lines = [
        f"name         {summary['name']}",
        f"application  {summary['schema']}",
        f"saved        {summary['saved_at']} by {summary['saved_by']}",
        f"events       {summary['events']:,}",
        *(f"             {count:,} {type_}" for type_, count in sorted(summary["by_type"].items())),
    ]
    if summary["first"]:
        lines.append(f"from         {summary['first']} to {summary['last']}")
    if summary["waiting"]:
        lines.append(f"waiting      {summary['waiting']:,} from the future, kept aside until their time comes")
    if summary["conflicts"]:
        lines.append(f"conflicts    {summary['conflicts']:,} set aside because they do not fit")
    problems = summary["problems"]
    lines.append(f"problems     {len(problems) or 'none'}")
    return [*lines, *(f"             line {problem['line']}: {problem['why']}" for problem in problems)]
