"""What is special to a log in an SQLite file; what all storages promise is in `tests/contract`."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pystore.errors import (
    ClosedError,
    ConflictError,
    CorruptError,
    FormatError,
    NewerVersionError,
    QuotaError,
    StorageError,
    UnavailableError,
)
from pystore.native import sqlite
from pystore.native.sqlite import SqliteStorage
from pystore.ports import Checkpoint, Commit, Durability, Segment
from tests.contract.contract import everything, segment

DURABILITIES: list[Durability] = ["strict", "relaxed"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alice.pystore"


async def written(path: Path) -> None:
    """Make a log of two segments at `path`."""
    storage = await SqliteStorage.open(path)
    await storage.commit(Commit(add=[segment(1), segment(2)], meta={"head": b"2"}))
    await storage.close()


# -- which files are taken


@pytest.mark.parametrize("content", [b"hello, I am a text\n", b"\0" * 5000, bytes(range(256)) * 16])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(FormatError, match="not a pystore file"):
        await SqliteStorage.open(path)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("sql", ["CREATE TABLE note (text)", "PRAGMA user_version = 3", "PRAGMA application_id = 7"])
async def test_a_database_of_another_program_is_refused_and_left_alone(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(sql)
    before = path.read_bytes()
    with pytest.raises(FormatError, match="another program"):
        await SqliteStorage.open(path)
    assert path.read_bytes() == before


async def test_a_log_of_a_newer_format_is_refused_and_left_alone(path: Path) -> None:
    await written(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {sqlite.FORMAT + 1}")
    with pytest.raises(NewerVersionError):
        await SqliteStorage.open(path)


async def test_an_empty_file_becomes_a_log(path: Path) -> None:
    path.touch()
    await written(path)
    storage = await SqliteStorage.open(path)
    assert await storage.segments() == [segment(1), segment(2)]
    await storage.close()


async def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be opened"):
        await SqliteStorage.open(tmp_path / "nowhere" / "alice.pystore")
    with pytest.raises(UnavailableError):
        await SqliteStorage.open(tmp_path)


async def test_one_file_is_all_there_is_after_closing(path: Path) -> None:
    await written(path)
    assert list(path.parent.iterdir()) == [path]
    shutil.move(path, path.with_name("bob.pystore"))
    storage = await SqliteStorage.open(path.with_name("bob.pystore"))
    assert await everything(storage) == ([segment(1), segment(2)], {"head": b"2"})
    await storage.destroy()
    assert list(path.parent.iterdir()) == []


async def test_a_relative_path_means_the_folder_of_the_time_of_opening(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    storage = await SqliteStorage.open(Path(path.name))
    monkeypatch.chdir("/")
    await storage.commit(Commit(add=[segment(1)]))
    await storage.destroy()
    assert list(path.parent.iterdir()) == []


# -- damage


@pytest.mark.parametrize(
    "row", ["(3, 3, 1, 'a text')", "(3, 'x', 1, x'00')", "(3, 3, 'x', x'00')", "(3, 3, 1.5, x'00')", "(3, 3, 1, 7)"]
)
async def test_a_record_that_is_no_segment_is_reported_by_its_number(path: Path, row: str) -> None:
    await written(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"INSERT INTO segment VALUES {row}")
        db.commit()
    storage = await SqliteStorage.open(path)
    with pytest.raises(CorruptError) as caught:
        await storage.segments()
    assert caught.value.details == {"number": 3}
    await storage.close()


async def test_a_file_damaged_inside_is_reported_as_damaged(path: Path) -> None:
    storage = await SqliteStorage.open(path)
    await storage.commit(Commit(add=[segment(number, bytes(5000)) for number in range(1, 50)]))
    await storage.save_checkpoint("c", Checkpoint(b"{}", bytes(500_000)))
    await storage.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\x99" * (len(content) - 4096))
    storage = await SqliteStorage.open(path)
    with pytest.raises(CorruptError, match="damaged"):
        await storage.segments()
    assert await storage.load_checkpoint("c") is None
    await storage.close()


@pytest.mark.parametrize("change", ["remove", "move", "replace"])
async def test_nothing_is_acknowledged_once_the_file_lost_its_name(path: Path, change: str) -> None:
    storage = await SqliteStorage.open(path)
    await storage.commit(Commit(add=[segment(1)]))
    moved = path.with_name("moved")
    path.rename(moved)
    if change == "remove":
        moved.unlink()
    elif change == "replace":
        shutil.copy(moved, path)
    for durability in DURABILITIES:
        with pytest.raises(ClosedError, match="moved, removed or replaced"):
            await storage.commit(Commit(add=[segment(2)], durability=durability))
    await storage.close()


# -- a disk that is full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_is_a_quota_error_that_changes_nothing(small_disk: Path) -> None:
    storage = await SqliteStorage.open(small_disk / "alice.pystore")
    await storage.commit(Commit(add=[segment(1)], meta={"head": b"1"}))
    before = await everything(storage)
    for durability in DURABILITIES:
        with pytest.raises(QuotaError, match="full"):
            await storage.commit(Commit(add=[segment(2, bytes(2 << 20))], meta={"head": b"2"}, durability=durability))
        with pytest.raises(QuotaError, match="full"):
            await storage.save_checkpoint("c", Checkpoint(b"{}", bytes(2 << 20)))
        assert await everything(storage) == before
    await storage.commit(Commit(add=[segment(2)], meta={"head": b"2"}))
    await storage.close()
    storage = await SqliteStorage.open(small_disk / "alice.pystore")
    assert await everything(storage) == ([segment(1), segment(2)], {"head": b"2"})
    await storage.close()


async def test_what_was_acknowledged_on_a_filling_disk_is_there(small_disk: Path) -> None:
    storage = await SqliteStorage.open(small_disk / "alice.pystore")
    acknowledged = 0
    with suppress(QuotaError):
        for number in range(1, 1000):
            await storage.commit(Commit(add=[segment(number, bytes(10_000))], meta={"head": b"%d" % number}))
            acknowledged = number
    assert 5 < acknowledged < 900
    assert [one.number for one in await storage.segments()] == list(range(1, acknowledged + 1))
    await storage.close()
    storage = await SqliteStorage.open(small_disk / "alice.pystore")
    assert [one.number for one in await storage.segments()] == list(range(1, acknowledged + 1))
    assert await storage.meta() == {"head": b"%d" % acknowledged}
    await storage.close()


# -- other programs


async def test_a_commit_waits_for_another_program_without_stopping_the_event_loop(path: Path) -> None:
    await written(path)
    storage = await SqliteStorage.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        commit = asyncio.ensure_future(storage.commit(Commit(add=[segment(3)])))
        for _ in range(20):
            await asyncio.sleep(0.001)  # the loop runs
        assert not commit.done()
        other.execute("COMMIT")
    await commit
    assert [one.number for one in await storage.segments()] == [1, 2, 3]
    await storage.close()


async def test_a_file_that_stays_locked_is_an_error_that_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    await written(path)
    storage = await SqliteStorage.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            await storage.commit(Commit(add=[segment(3)]))
        assert await storage.segments() == [segment(1), segment(2)]
    await storage.commit(Commit(add=[segment(3)]))
    await storage.close()


async def test_a_log_whose_file_cannot_have_a_write_ahead_log_is_kept_strictly(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    await written(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
        other.execute("BEGIN")
        other.execute("SELECT * FROM meta").fetchall()  # holds a read lock, so the mode cannot change
        storage = await SqliteStorage.open(path)
        assert not storage._file._has_wal
        with pytest.raises(StorageError, match="locked"):
            await storage.commit(Commit(add=[segment(3)]))
        other.execute("COMMIT")
        await storage.commit(Commit(add=[segment(3)], durability="relaxed"))
        await storage.flush()
        with pytest.raises(ConflictError):
            await storage.commit(Commit(add=[segment(3)]))
    assert [one.number for one in await storage.segments()] == [1, 2, 3]
    await storage.close()


async def test_handles_that_create_a_log_at_once_share_it(tmp_path: Path) -> None:
    for round_ in range(30):
        path = tmp_path / f"{round_}.pystore"
        handles = await asyncio.gather(*(SqliteStorage.open(path) for _ in range(4)))
        for number, handle in enumerate(handles, 1):
            await handle.commit(Commit(add=[segment(number)], durability="relaxed"))
        for handle in handles:
            assert [one.number for one in await handle.segments()] == [1, 2, 3, 4]
            await handle.close()


WRITER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from pystore.errors import ConflictError
    from pystore.native.sqlite import SqliteStorage
    from pystore.ports import Commit, Segment

    async def main(path, writer, count):
        storage = await SqliteStorage.open(Path(path))
        written = 0
        while written < int(count):
            newest = max((found.number for found in await storage.segments()), default=0)
            body = f"{writer}:{written}".encode()
            try:
                await storage.commit(Commit(add=[Segment(newest + 1, newest + 1, 1, body)], meta={"head": body}))
            except ConflictError:
                continue
            written += 1
            print(newest + 1, flush=True)
        await storage.close()

    asyncio.run(main(*sys.argv[1:]))
""")


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_processes_that_create_and_write_one_log_at_once_lose_nothing(path: Path) -> None:
    writers = [writer(path, name, 15) for name in "abcd"]
    acknowledged = [[int(line) for line in one.communicate()[0].splitlines()] for one in writers]
    assert [one.returncode for one in writers] == [0, 0, 0, 0]
    assert sorted(number for numbers in acknowledged for number in numbers) == list(range(1, 61))
    storage = await SqliteStorage.open(path)
    found = await storage.segments()
    for name, numbers in zip("abcd", acknowledged, strict=True):
        assert [(one.number, one.body) for one in found if one.body.startswith(name.encode())] == [
            (number, f"{name}:{index}".encode()) for index, number in enumerate(numbers)
        ]
    await storage.close()
    assert list(path.parent.iterdir()) == [path]


async def test_what_a_killed_process_was_told_is_written_is_there(path: Path) -> None:
    for round_ in range(3):
        with writer(path, f"{round_}", 10**6) as killed:
            assert killed.stdout is not None
            acknowledged = [int(killed.stdout.readline()) for _ in range(20)]
            os.kill(killed.pid, signal.SIGKILL)
            acknowledged += [int(line) for line in killed.stdout if line.endswith("\n")]
        storage = await SqliteStorage.open(path)
        found = await storage.segments()
        assert [one.number for one in found] == list(range(1, len(found) + 1))
        assert len(found) - acknowledged[-1] in (0, 1)  # one more may be stored than was told
        assert (await storage.meta())["head"] == found[-1].body
        await storage.close()


# -- what remains of what was removed


async def test_nothing_of_a_deleted_body_remains_in_the_file(path: Path) -> None:
    storage = await SqliteStorage.open(path)
    await storage.commit(Commit(add=[Segment(1, 1, 1, b"a secret " * 2000), segment(2)]))
    await storage.close()
    assert b"a secret" in path.read_bytes()
    storage = await SqliteStorage.open(path)
    await storage.commit(Commit(delete=[1]))
    await storage.close()
    assert b"a secret" not in path.read_bytes()
