import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings

from pystore.native.folder import FolderVault
from pystore.native.platform import NativePlatform
from pystore.ports import LogStorage
from tests.contract.contract import CONTRACT, Medium
from tests.contract.model import HISTORIES, Step, agrees_with_the_model
from tests.contract.vault import VAULT_CONTRACT, VaultMedium


class SqliteMedium:
    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.platform = NativePlatform(self.folder.name)

    async def open(self) -> LogStorage:
        return await self.platform.open_log("log")

    async def open_vault(self) -> FolderVault:
        return await self.platform.open_vault("log")

    async def damage_checkpoint(self, name: str, part: Literal["about", "image"]) -> None:
        with closing(sqlite3.connect(self.platform.path_of("log"))) as db:
            (whole,) = db.execute(f"SELECT {part} FROM checkpoint WHERE name = ?", (name,)).fetchone()
            middle = len(whole) // 2
            damaged = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
            db.execute(f"UPDATE checkpoint SET {part} = ? WHERE name = ?", (damaged, name))
            db.commit()

    async def damage_meta(self, name: str) -> None:
        with closing(sqlite3.connect(self.platform.path_of("log"))) as db:
            (value,) = db.execute("SELECT value FROM meta WHERE key = ?", (name,)).fetchone()
            db.execute("UPDATE meta SET value = ? WHERE key = ?", (value[:-3] + bytes([value[-3] ^ 1]) + value[-2:], name))
            db.commit()


@pytest.fixture
def medium() -> Iterator[SqliteMedium]:
    medium = SqliteMedium()
    yield medium
    assert [path.name for path in Path(medium.folder.name).iterdir()] in ([], ["log.pystore"]), "a handle was left open"
    medium.folder.cleanup()


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
async def test_sqlite_keeps_the_contract(promise: Callable[[Medium], Awaitable[None]], medium: SqliteMedium) -> None:
    await promise(medium)


@pytest.mark.parametrize("promise", VAULT_CONTRACT, ids=lambda promise: promise.__name__)
async def test_a_vault_in_a_folder_keeps_the_contract(promise: Callable[[VaultMedium], Awaitable[None]]) -> None:
    medium = SqliteMedium()
    await promise(medium)
    medium.folder.cleanup()


@settings(max_examples=settings().max_examples // 3)  # each syncs the disk many times
@given(HISTORIES)
async def test_sqlite_agrees_with_the_model(history: Sequence[tuple[int, Step]]) -> None:
    medium = SqliteMedium()
    await agrees_with_the_model(medium, history)
    medium.folder.cleanup()
