"""The vault of one log in a folder of the file system."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

from pystore.errors import ClosedError, QuotaError, UnavailableError
from pystore.progress import acquired, to_the_end

_LOCK = "lock"
_NEW = ".new"
_LOCK_TIMEOUT_S = 600.0


class FolderVault:
    """Files in `folder`, which is made with the first one."""

    kind = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._is_held = self._is_closed = self._is_destroyed = False

    async def read(self, name: str) -> bytes | None:
        return await asyncio.to_thread(self._read, self._path(name))

    async def write(self, name: str, data: bytes) -> None:
        await to_the_end(asyncio.to_thread(self._write, self._path(name), data))

    async def sizes(self, folder: str) -> dict[str, int]:
        return await asyncio.to_thread(self._sizes, self._path(folder))

    async def delete(self, name: str) -> None:
        await to_the_end(asyncio.to_thread(self._delete, self._path(name)))

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        lock = await acquired(asyncio.to_thread(self._lock, self._path(_LOCK)), sqlite3.Connection.close)
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            lock.close()
            if self._is_destroyed:
                await asyncio.to_thread(self._remove)

    async def close(self) -> None:
        self._is_closed = True

    async def destroy(self) -> None:
        self._path(".")
        await asyncio.to_thread(self._remove)
        self._is_closed = self._is_destroyed = True

    def _path(self, name: str) -> Path:
        if self._is_closed:
            raise ClosedError("The vault is closed. Open the log again.")
        return self._folder / name

    # -- what blocks, in a thread

    def _read(self, path: Path) -> bytes | None:
        with self._translated():
            return path.read_bytes() if path.exists() else None

    def _write(self, path: Path, data: bytes) -> None:
        new = path.with_name(path.name + _NEW)
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            _sync(path.parent)

    def _sizes(self, folder: Path) -> dict[str, int]:
        sizes = {}
        with self._translated():
            for path in folder.glob("*"):
                with contextlib.suppress(FileNotFoundError):  # it was finished or removed in this moment
                    sizes[path.name] = path.stat().st_size
        return sizes

    def _delete(self, path: Path) -> None:
        with self._translated():
            path.unlink(missing_ok=True)

    def _lock(self, path: Path) -> sqlite3.Connection:
        """SQLite's lock on a file: it works between processes on every system, and goes with the process that holds it."""
        with self._translated():
            while True:
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
                try:
                    lock.execute("BEGIN EXCLUSIVE")
                    return lock
                except BaseException:
                    lock.close()
                    if path.exists():
                        raise
                    # The vault was destroyed while this waited; the one to hold is a new one.

    def _remove(self) -> None:
        """Remove the folder; while its lock is held all but that: some systems do not remove a file that is open."""
        with self._translated():
            for path in self._folder.glob("*"):
                if path.is_dir():
                    shutil.rmtree(path)
                elif not (self._is_held and path.name == _LOCK):
                    path.unlink()
            if not self._is_held and self._folder.exists():
                self._folder.rmdir()

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise QuotaError(f"The disk is full; nothing was written to {self._folder}. Make room and try again.") from error
            raise UnavailableError(f"{self._folder} cannot be used: {error.strerror}.") from error
        except sqlite3.Error as error:
            raise UnavailableError(f"{self._folder} cannot be locked: {error}. Does another program make a backup?") from error


def _sync(folder: Path) -> None:
    """Make a new name in a folder durable, where the system can do that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
