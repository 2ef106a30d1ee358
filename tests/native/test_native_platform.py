import asyncio
import os
import time
from pathlib import Path

import pytest

from pystore.errors import ClosedError
from pystore.native.platform import NativePlatform
from pystore.platform import default_platform
from pystore.store import Store
from tests.support.notes import SCHEMA, note


async def test_a_name_is_a_file_in_the_folder_and_a_path_is_itself(tmp_path: Path) -> None:
    platform = NativePlatform(tmp_path)
    assert platform.path_of("alice") == tmp_path / "alice.pystore"
    assert platform.path_of("my.notes") == tmp_path / "my.notes.pystore"
    assert platform.path_of("bob.pystore") == Path("bob.pystore")
    assert platform.path_of(f"some{os.sep}where") == Path("some") / "where"


async def test_a_log_without_a_folder_is_in_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await (await NativePlatform().open_log("alice")).close()
    assert [path.name for path in tmp_path.iterdir()] == ["alice.pystore"]


async def test_logs_are_listed_by_name(tmp_path: Path) -> None:
    platform = NativePlatform(tmp_path)
    assert await platform.logs() == []
    for name in ("bob", "alice", "my.notes"):
        await (await platform.open_log(name)).close()
    (tmp_path / "other.txt").touch()
    assert await platform.logs() == ["alice", "bob", "my.notes"]
    await (await platform.open_log("alice")).destroy()
    assert await platform.logs() == ["bob", "my.notes"]


async def test_nothing_of_a_forgotten_log_stays_or_comes_back_while_others_have_it_open(tmp_path: Path) -> None:
    platform = NativePlatform(tmp_path)
    store = await Store.open(SCHEMA, "alice", platform=platform)
    await store.append([note("1"), note("2")])
    await store.backups.create()
    other = await Store.open(SCHEMA, "alice", platform=platform)
    other.backups.follow_clock()
    await other.append(note("3"))
    await store.forget()
    for work in (other.upkeep(), other.backups.create(), other.append(note("4"))):
        with pytest.raises(ClosedError):
            await work
    await other.close()
    assert list(tmp_path.iterdir()) == []
    async with await Store.open(SCHEMA, "alice", platform=platform) as again:
        assert again.query("SELECT * FROM note") == []


async def test_writers_of_one_log_wait_for_each_other_and_not_for_those_of_another(tmp_path: Path) -> None:
    platform = NativePlatform(tmp_path)
    inside: list[str] = []

    async def write(name: str) -> None:
        async with platform.writing(name):
            inside.append(name)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert inside.count(name) == 1
            inside.remove(name)

    await asyncio.gather(write("alice"), write("alice"), write(str(tmp_path / "alice.pystore")), write("bob"))


def test_the_lock_of_a_log_serves_one_event_loop_after_another(tmp_path: Path) -> None:
    platform = NativePlatform(tmp_path)

    async def contended() -> None:
        async def write() -> None:
            async with platform.writing("alice"):
                await asyncio.sleep(0)

        await asyncio.gather(write(), write())

    asyncio.run(contended())
    asyncio.run(contended())


async def test_the_wall_clock_is_in_milliseconds_since_1970() -> None:
    assert abs(NativePlatform().now_ms() - time.time() * 1000) < 60_000


def test_a_process_has_one_default_platform() -> None:
    assert isinstance(default_platform(), NativePlatform)
    assert default_platform() is default_platform()


async def test_what_a_killed_process_left_half_written_does_not_survive_erasing(tmp_path: Path) -> None:
    platform = NativePlatform(tmp_path)
    async with await Store.open(SCHEMA, "alice", platform=platform) as store:
        (secret,) = await store.append(note("1", "SECRET WORDS"))
        await store.backups.create()
        chunk = next((tmp_path / "alice.pystore.vault" / "chunks").iterdir())
        chunk.with_name(f"{chunk.name}.new").write_bytes(chunk.read_bytes())
        chunk.with_name(f"{'0' * 64}.new").write_bytes(chunk.read_bytes()[:-1])
        await store.erase([secret.id])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path.name for path in files if b"SECRET WORDS" in path.read_bytes()]
    assert not [path.name for path in files if path.suffix == ".new"]
