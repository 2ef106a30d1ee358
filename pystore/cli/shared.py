"""What the commands have in common: their arguments, opening a store, and how a refusal is told."""

from __future__ import annotations

import asyncio
import errno
import functools
import importlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn

import typer

from pystore import codec
from pystore.backup.backups import Backups
from pystore.backup.sealed import MARK
from pystore.backup.vault import Vault
from pystore.cli.terminal import Progress
from pystore.errors import FormatError, PassphraseError, PyStoreError, UnavailableError
from pystore.memory import MemoryPlatform
from pystore.native.platform import NativePlatform
from pystore.ports import LogStorage
from pystore.schema import Schema
from pystore.store import Store

THE_ASSISTANT: Any = "pystore.assistant:schema"
"""The default application. Typer hands it to the parser like what was typed, and the command gets the Schema."""

app = typer.Typer(
    help="Look into, check, save and restore what pystore keeps. STORE is an SQLite file; FILE is a backup (.jsonl, .jsonl.gz).",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)


def _schema(name: str) -> Schema:
    module, _, attribute = name.partition(":")
    sys.path.insert(0, "")  # an application in the current folder
    try:
        schema = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise typer.BadParameter(f"There is no schema {name!r}: {error}. Give module:attribute.") from error
    finally:
        sys.path.pop(0)
    if not isinstance(schema, Schema):
        raise typer.BadParameter(f"{name!r} is not a pystore Schema.")
    return schema


File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A file to read.")]
NewFile = Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The file to write.")]
StoreFile = Annotated[Path, typer.Argument(metavar="STORE", dir_okay=False, help="A store: an SQLite file.")]
Application = Annotated[
    Schema, typer.Option("--schema", metavar="MODULE:ATTRIBUTE", parser=_schema, help="The application the store belongs to.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class OneFile(NativePlatform):
    """A platform with one log: the SQLite file at `path`, whatever its name."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self._path = path

    def path_of(self, log: str) -> Path:  # noqa: ARG002
        """The file."""
        return self._path


class BackupsAlone(OneFile):
    """A platform with the backups of the store at `path`; in the place of the store, which may be lost or damaged, it has an empty one."""

    async def open_log(self, log: str) -> LogStorage:
        """An empty log, in memory."""
        return await MemoryPlatform().open_log(log)


@asynccontextmanager
async def open_store(
    path: Path, schema: Schema, progress: Progress, *, create: bool = False, write: bool = False, recover: bool = False
) -> AsyncIterator[Store]:
    """The store in the file at `path`: to be read, or (`write`) to be written, or (`create`) also made if it is not there.

    With `recover` also where what it held is lost, for something to be restored into it. A file that was made and not written to is
    removed again: what is refused leaves nothing behind, and touches no backup.
    """
    is_new = not path.exists()  # noqa: ASYNC240 (nothing else runs here that could wait)
    if is_new and not create:
        raise await no_store(path)
    platform = OneFile(path)
    is_read = not (create or write)
    try:
        try:
            store = await Store.open(
                schema, path.stem, platform=platform, read_only=is_read, recover=recover, migrate=False, on_progress=progress
            )
        except FormatError as error:
            if "schema" not in error.details:
                raise
            raise FormatError(
                f"{path} belongs to another application ({error.details['schema']}), not to {schema.name}. Nothing was changed. "
                "Name its schema: --schema MODULE:ATTRIBUTE.", **error.details,
            ) from error
        async with store:
            yield store
    finally:
        if is_new:
            await _remove_if_unwritten(platform, path.stem)


async def _remove_if_unwritten(platform: OneFile, log: str) -> None:
    storage = await platform.open_log(log)
    if await storage.meta():
        await storage.close()
    else:
        await storage.destroy()


@asynccontextmanager
async def open_backups(path: Path, schema: Schema) -> AsyncIterator[Backups]:
    """The backups of the store at `path`, whatever became of it. Raises UnavailableError if there is neither it nor a backup."""
    is_there = path.exists()  # noqa: ASYNC240 (nothing else runs here that could wait)
    async with await Store.open(schema, path.stem, platform=BackupsAlone(path), read_only=True, recover=True) as store:
        if not is_there and not await store.backups.list():
            raise await no_store(path)
        yield store.backups


async def no_store(path: Path) -> UnavailableError:
    """What to say where there is no store."""
    vault = Vault(await OneFile(path).open_vault(path.stem), OneFile(path).breathe)
    backups = len(await vault.ids())
    there = f" But its backups are there ({backups:,}): see `pystore backup list {path}`." if backups else ""
    return UnavailableError(f"There is no store at {path}.{there}", path=str(path), backups=backups)


def command(
    name: str, *, among: typer.Typer = app, stopped: str = "Stopped. What was not finished left no trace."
) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], None]:
    """Make an async function a command `among` others, by its signature; what it refuses is said in one line.

    `stopped`: what is said when a person stops it.
    """

    def register(function: Callable[..., Coroutine[Any, Any, None]]) -> None:
        @functools.wraps(function)
        def run(**options: Any) -> None:
            as_json: bool = options["as_json"]
            try:
                asyncio.run(function(**options))
                sys.stdout.flush()
            except PyStoreError as error:
                _refuse(error.code, error.message, error.details, error.exit_code, as_json=as_json)
            except BrokenPipeError:
                # Whoever read the answer has had enough of it. Python would flush the rest when it ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
            except OSError as error:
                reason = error.strerror or str(error)
                _refuse(type(error).__name__, f"{error.filename}: {reason}" if error.filename else reason, {}, 1, as_json=as_json)
            except KeyboardInterrupt:
                _refuse("Stopped", stopped, {}, 1, as_json=as_json)

        among.command(name)(run)

    return register


def _refuse(code: str, message: str, details: dict[str, Any], status: int, *, as_json: bool) -> NoReturn:
    error = {"error": code, "message": message, "details": details}
    typer.echo(codec.encode(error) if as_json else f"pystore: {message}", err=True)
    raise typer.Exit(status)


PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", exists=True, dir_okay=False, help="A file whose first line is the passphrase; else it is asked for."),
]


def passphrase_of(path: Path | None, *, ask: str | None = None, twice: bool = False) -> str | None:
    """The passphrase in a file; else what a person types when `ask`ed on a terminal. Raises PassphraseError if there is none."""
    if path is not None:
        try:
            return path.read_text("utf-8-sig").split("\n", 1)[0]  # some editors put a mark before UTF-8
        except UnicodeDecodeError as error:
            raise PassphraseError(f"The passphrase in {path} cannot be read: it is not UTF-8. Save the file as UTF-8.") from error
    if ask is None:
        return None
    if not sys.stdin.isatty():
        raise PassphraseError(f"{ask} is needed: name a file that holds it with --passphrase-file.", missing=True)
    typed: str = typer.prompt(ask, hide_input=True, confirmation_prompt=twice)
    return typed


def is_sealed(path: Path) -> bool:
    """Whether a file is a protected backup."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file."""
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is at `path` once it is whole; until then, and after any failure, `path` is as it was."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
