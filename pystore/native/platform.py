"""Where a store runs outside the browser: each log is an SQLite file.

A log named `alice` is the file `alice.pystore` in the platform's folder, by default the current directory. A log whose name
contains a path separator or ends in `.pystore` is a path, taken as it is. While a log is open, SQLite keeps two files beside
it (`alice.pystore-wal`, `alice.pystore-shm`); the last program to close it removes them, and the one file is then all there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import weakref
from collections.abc import AsyncGenerator
from pathlib import Path

from pystore.native.cipher import NativeCipher
from pystore.native.folder import FolderVault
from pystore.native.sqlite import SqliteStorage
from pystore.ports import LogStorage
from pystore.versions import program

SUFFIX = ".pystore"


class NativePlatform:
    """Keeps logs as SQLite files in `folder`."""

    name = program("sqlite")

    def __init__(self, folder: str | os.PathLike[str] = ".") -> None:
        self._folder = Path(folder)
        self._writing: weakref.WeakValueDictionary[Path, asyncio.Lock] = weakref.WeakValueDictionary()

    def path_of(self, log: str) -> Path:
        """The file of a log."""
        if log.endswith(SUFFIX) or os.sep in log or (os.altsep is not None and os.altsep in log):
            return Path(log)
        return self._folder / f"{log}{SUFFIX}"

    async def open_log(self, log: str) -> LogStorage:
        return await SqliteStorage.open(self.path_of(log))

    async def logs(self) -> list[str]:
        return sorted(path.name.removesuffix(SUFFIX) for path in self._folder.glob(f"*{SUFFIX}"))

    async def open_vault(self, log: str) -> FolderVault:
        path = self.path_of(log)
        return FolderVault(path.with_name(f"{path.name}.vault"))

    def cipher(self) -> NativeCipher:
        return NativeCipher()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    @contextlib.asynccontextmanager
    async def writing(self, log: str) -> AsyncGenerator[None]:
        # Writers in other processes wait for each other inside SQLite.
        async with self._writing.setdefault(self.path_of(log).resolve(), asyncio.Lock()):
            yield

    async def breathe(self) -> None:
        await asyncio.sleep(0)

    async def give_way(self) -> None:
        await asyncio.sleep(0)
