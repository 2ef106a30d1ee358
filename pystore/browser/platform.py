"""Where a store runs inside a browser: each log is an IndexedDB database, `pystore/<log>`, of the page's origin; its vault is not."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import AsyncGenerator, Callable

import js

from pystore.browser.cipher import BrowserCipher
from pystore.browser.indexeddb import IndexedDbStorage, translated
from pystore.browser.questions import questions
from pystore.browser.vault import BrowserVault
from pystore.versions import program


class BrowserPlatform:
    """Keeps logs in IndexedDB."""

    name = program("indexeddb")

    def __init__(self) -> None:
        self._writing: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._releases: dict[str, list[Callable[[], None]]] = {}
        """By log that is being written: how to give its Web Lock back, if it was taken."""

    async def open_log(self, log: str) -> IndexedDbStorage:
        return await IndexedDbStorage.open(log, lambda: self._keep_others_waiting(log))

    async def logs(self) -> list[str]:
        with translated():
            return list(await js.pystore_host.logNames())

    async def open_vault(self, log: str) -> BrowserVault:
        return await BrowserVault.open(log)

    def cipher(self) -> BrowserCipher:
        return BrowserCipher()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    @contextlib.asynccontextmanager
    async def writing(self, log: str) -> AsyncGenerator[None]:
        async with self._writing.setdefault(log, asyncio.Lock()):
            releases = self._releases[log] = []
            try:
                if js.pystore_host.isCrowded(log):
                    await self._keep_others_waiting(log)
                yield
            finally:
                del self._releases[log]
                for release in releases:
                    release()

    async def _keep_others_waiting(self, log: str) -> None:
        """Take the log's Web Lock until `writing` ends. It costs a turn of the browser, so only when there are others."""
        releases = self._releases.get(log)
        if releases is not None and not releases:
            releases.append(await js.pystore_host.lock(f"pystore/{log}/write"))

    async def breathe(self) -> None:
        await js.pystore_host.turn()

    async def give_way(self) -> None:
        await self.breathe()
        await questions.answered()
