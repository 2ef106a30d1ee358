"""Only inside Pyodide, on the real IndexedDB of the browser."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Literal

import pytest
import suite  # type: ignore[import-not-found]
from hypothesis import given, settings

from pystore.browser import worker
from pystore.browser.indexeddb import IndexedDbStorage
from pystore.browser.platform import BrowserPlatform
from pystore.browser.vault import BrowserVault
from tests.contract.contract import CONTRACT, Medium
from tests.contract.model import HISTORIES, Step, agrees_with_the_model
from tests.contract.vault import VAULT_CONTRACT, VaultMedium

NUMBERS = count(1)


class IndexedDbMedium:
    def __init__(self) -> None:
        self.platform = BrowserPlatform()
        self.log = f"contract-{next(NUMBERS)}"

    async def open(self) -> IndexedDbStorage:
        return await self.platform.open_log(self.log)

    async def open_vault(self) -> BrowserVault:
        return await self.platform.open_vault(self.log)

    async def damage_checkpoint(self, name: str, part: Literal["about", "image"]) -> None:
        await suite.damageCheckpoint(self.log, name, part)

    async def damage_meta(self, name: str) -> None:
        await suite.damageMeta(self.log, name)


@asynccontextmanager
async def fresh_medium() -> AsyncIterator[IndexedDbMedium]:
    medium = IndexedDbMedium()
    yield medium
    await (await medium.open()).destroy()
    assert medium.log not in await medium.platform.logs()


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
async def test_indexeddb_keeps_the_contract(promise: Callable[[Medium], Awaitable[None]]) -> None:
    async with fresh_medium() as medium:
        await promise(medium)


async def test_work_that_gives_way_waits_for_what_a_page_has_asked() -> None:
    platform = BrowserPlatform()
    known: asyncio.Future[int] = asyncio.Future()
    answering = asyncio.ensure_future(worker._answer(known))
    await platform.breathe()
    giving_way = asyncio.ensure_future(platform.give_way())
    for _ in range(10):
        await platform.breathe()
    assert not giving_way.done()
    known.set_result(7)
    assert await answering == "7"
    await giving_way


@settings(max_examples=settings().max_examples * 2)
@given(HISTORIES)
async def test_indexeddb_agrees_with_the_model(history: Sequence[tuple[int, Step]]) -> None:
    async with fresh_medium() as medium:
        await agrees_with_the_model(medium, history)


async def test_logs_are_listed_until_destroyed() -> None:
    async with fresh_medium() as one, fresh_medium() as other:
        await (await one.open()).close()
        await (await other.open()).close()
        assert {one.log, other.log} <= set(await one.platform.logs())


class DatabaseVaultMedium:
    """A vault where there is no file system: in a database."""

    def __init__(self) -> None:
        self.log = f"contract-{next(NUMBERS)}"

    async def open_vault(self) -> BrowserVault:
        return BrowserVault(await suite.openDatabaseVault(self.log))


@pytest.mark.parametrize("promise", VAULT_CONTRACT, ids=lambda promise: promise.__name__)
async def test_a_vault_in_the_private_file_system_keeps_the_contract(promise: Callable[[VaultMedium], Awaitable[None]]) -> None:
    medium = IndexedDbMedium()
    assert (await medium.open_vault()).kind == "opfs"
    await promise(medium)
    await (await medium.open_vault()).destroy()


@pytest.mark.parametrize("promise", VAULT_CONTRACT, ids=lambda promise: promise.__name__)
async def test_a_vault_in_a_database_keeps_the_contract(promise: Callable[[VaultMedium], Awaitable[None]]) -> None:
    medium = DatabaseVaultMedium()
    assert (await medium.open_vault()).kind in ("bucket", "indexeddb")
    await promise(medium)
    await (await medium.open_vault()).destroy()
