"""The vault of one log in the origin private file system, or where else the browser can keep it (`web/worker/vault.js`)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Self

import js
from pyodide.ffi import to_js

from pystore import codec
from pystore.browser.indexeddb import translated
from pystore.progress import acquired, to_the_end


class BrowserVault:
    """One handle on a log's vault."""

    def __init__(self, vault: Any) -> None:
        self._vault = vault
        self.kind: str = vault.kind

    @classmethod
    async def open(cls, log: str) -> Self:
        """The vault of a log."""
        with translated():
            return cls(await js.pystore_host.openVault(log))

    async def read(self, name: str) -> bytes | None:
        with translated():
            content = await self._vault.read(name)
        return None if content is None else content.to_bytes()

    async def write(self, name: str, data: bytes) -> None:
        await to_the_end(self._done(self._vault.write(name, to_js(data))))

    async def sizes(self, folder: str) -> dict[str, int]:
        with translated():
            return dict(codec.decode(await self._vault.sizes(folder)))

    async def delete(self, name: str) -> None:
        await to_the_end(self._done(self._vault.remove(name)))

    @staticmethod
    async def _done(change: Any) -> None:
        with translated():
            await change

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        with translated():
            release = await acquired(self._vault.hold(), lambda release: release())
        try:
            yield
        finally:
            release()

    async def close(self) -> None:
        self._vault.close()

    async def destroy(self) -> None:
        with translated():
            await self._vault.destroy()
