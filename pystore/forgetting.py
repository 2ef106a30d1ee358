"""Forgetting a log: it goes for good, with everything made from it. Cut short, whoever opens it goes on with that."""

from __future__ import annotations

from contextlib import suppress

from pystore.errors import CorruptError, QuotaError
from pystore.log import FORGOTTEN
from pystore.ports import Commit, LogStorage, Platform, VaultStorage


async def forget_log(platform: Platform, log: str) -> None:
    """Remove a log and everything made from it, backups too, for good: also one that cannot be opened."""
    storage = await platform.open_log(log)
    try:
        vault = await platform.open_vault(log)
        try:
            await remove(storage, vault)
        finally:
            await vault.close()
    finally:
        await storage.close()


async def remove(storage: LogStorage, vault: VaultStorage) -> None:
    """Remove a log and its vault for good. Whoever finds a part of it knows by its record that the rest is to go as well."""
    async with vault.exclusive():
        with suppress(QuotaError, CorruptError):  # on a full disk, or a damaged one, it can go nevertheless
            await storage.commit(Commit(meta={FORGOTTEN: b"yes"}))
        await vault.destroy()
        await storage.destroy()
