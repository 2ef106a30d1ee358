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
from pystore.backup.sealed import MARK
from pystore.cli.terminal import Progress
from pystore.errors import PassphraseError, PyStoreError, UnavailableError
from pystore.native.platform import NativePlatform
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


@asynccontextmanager
async def open_store(
    path: Path, schema: Schema, progress: Progress, *, create: bool = False, write: bool = False
) -> AsyncIterator[Store]:
    """The store in the file at `path`: to be read, or (`write`) to be written, or (`create`) also made if it is not there.

    A file that was made and got no event is removed again: what is refused leaves nothing behind.
    """
    is_new = not path.exists()  # noqa: ASYNC240 (nothing else runs here that could wait)
    if is_new and not create:
        raise UnavailableError(f"There is no store at {path}.", path=str(path))
    is_read = not (create or write)
    store = await Store.open(schema, path.stem, platform=OneFile(path), read_only=is_read, migrate=False, on_progress=progress)
    try:
        yield store
    finally:
        if is_new and store.log.state.events == 0:
            await store.forget()
        else:
            await store.close()


def command(name: str, *, among: typer.Typer = app) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], None]:
    """Make an async function a command `among` others, by its signature; what it refuses is said in one line."""

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
                _refuse("Stopped", "Stopped. What was not finished left no trace.", {}, 1, as_json=as_json)

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
        return path.read_text().split("\n", 1)[0]
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
