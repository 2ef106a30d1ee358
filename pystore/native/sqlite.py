"""One log in one SQLite file.

The file is in WAL mode. A strict commit syncs the write-ahead log before it returns. A relaxed one does not; but the
write-ahead log is written in order, so the next strict commit makes it durable too, and a crash can only cut off the newest.
Where the file system cannot do WAL, SQLite keeps a rollback journal, and every commit is strict.

Each open log has one thread, in which all its SQLite calls run, one after the other. So a commit that waits for the disk or
for another process does not stop the event loop: appends that arrive meanwhile are gathered and go together in the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from pystore.errors import (
    ClosedError,
    ConflictError,
    CorruptError,
    FormatError,
    NewerVersionError,
    OutcomeUnknownError,
    QuotaError,
    StorageError,
    UnavailableError,
)
from pystore.ports import Checkpoint, Commit, Durability, Segment
from pystore.records import Records, packed

P = ParamSpec("P")
T = TypeVar("T")

APPLICATION_ID = int.from_bytes(b"pyst", "big")
FORMAT = 1
BUSY_TIMEOUT_S = 10.0

_TABLES = (
    "CREATE TABLE segment (number INTEGER PRIMARY KEY, first INTEGER NOT NULL, events INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE batch (id TEXT PRIMARY KEY, remembered BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE checkpoint (name TEXT PRIMARY KEY, checksum INTEGER NOT NULL, about BLOB NOT NULL, image BLOB NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)

_SETTINGS = (
    "PRAGMA secure_delete = ON",  # what was erased must not linger in free pages
    "PRAGMA cell_size_check = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA fullfsync = ON",  # macOS: fsync alone does not reach the medium
    "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA journal_size_limit = 16777216",  # bytes; a large checkpoint must not leave a large journal behind
)

_ERRORS: dict[int, tuple[type[StorageError], str]] = {
    sqlite3.SQLITE_CONSTRAINT: (ConflictError, "Another writer was first; nothing was written to {path}."),
    sqlite3.SQLITE_FULL: (QuotaError, "The disk is full; nothing was written to {path}. Make room and try again."),
    sqlite3.SQLITE_CORRUPT: (CorruptError, "{path} is damaged. Restore it from a backup."),
    sqlite3.SQLITE_NOTADB: (CorruptError, "{path} is damaged: it is no longer a database. Restore it from a backup."),
    sqlite3.SQLITE_CANTOPEN: (UnavailableError, "{path} cannot be opened. Is the folder there, and may you write to it?"),
    sqlite3.SQLITE_PERM: (UnavailableError, "{path} cannot be opened: you may not write to it."),
    sqlite3.SQLITE_READONLY: (UnavailableError, "{path} cannot be written to. Check its permissions."),
    sqlite3.SQLITE_BUSY: (StorageError, "Another program keeps {path} locked; nothing was written. Close it and try again."),
}


class SqliteStorage:
    """A log in an SQLite file, as `pystore.ports.LogStorage`; made by `open`."""

    def __init__(self, file: SqliteFile, thread: ThreadPoolExecutor) -> None:
        self._file = file
        self._thread = thread
        self._is_closed = False

    @classmethod
    async def open(cls, path: Path) -> SqliteStorage:
        """The storage in the file at `path`, made if it is not there.

        Raises FormatError for a file of another program, NewerVersionError for one of a newer pystore.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=path.name)
        try:
            return cls(await asyncio.get_running_loop().run_in_executor(thread, SqliteFile, path), thread)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def meta(self) -> Records:
        return await self._run(self._file.meta)

    async def segments(self, after: int = 0, max_bytes: int = 16 << 20) -> list[Segment]:
        return await self._run(self._file.segments, after, max_bytes)

    async def commit(self, commit: Commit) -> None:
        await self._run(self._file.commit, commit)

    async def batch(self, batch_id: str) -> bytes | None:
        return await self._run(self._file.batch, batch_id)

    async def flush(self) -> None:
        await self._run(self._file.flush)

    async def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        await self._run(self._file.save_checkpoint, name, checkpoint)

    async def load_checkpoint(self, name: str) -> Checkpoint | None:
        return await self._run(self._file.load_checkpoint, name)

    async def checkpoints(self) -> dict[str, bytes]:
        return await self._run(self._file.checkpoints)

    async def delete_checkpoint(self, name: str) -> None:
        await self._run(self._file.delete_checkpoint, name)

    async def scrub(self) -> None:
        await self._run(self._file.scrub)

    async def size(self) -> dict[str, int]:
        return await self._run(self._file.size)

    async def close(self) -> None:
        if not self._is_closed:
            await self._run_last(self._file.close)

    async def destroy(self) -> None:
        await self._run_last(self._file.destroy)

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._submit(functools.partial(call, *args, **kwargs))

    async def _run_last(self, call: Callable[[], None]) -> None:
        last = self._submit(call)
        self._is_closed = True
        self._thread.shutdown(wait=False)
        await asyncio.shield(last)  # a caller that is cancelled must not leave the file open

    def _submit(self, call: Callable[[], T]) -> asyncio.Future[T]:
        if self._is_closed:
            raise ClosedError("The storage is closed. Open the log again.")
        return asyncio.get_running_loop().run_in_executor(self._thread, call)


class SqliteFile:
    """The file itself. Its calls block; all must come from one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path = path.absolute()
        with self._translated():
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            with self._translated():
                self._prepare()
                self._identity = path.stat()
        except BaseException:
            self._db.close()
            raise

    def meta(self) -> Records:
        with self._translated():
            self._check_in_place()
            return Records(dict(self._db.execute("SELECT key, value FROM meta")))

    def segments(self, after: int, max_bytes: int) -> list[Segment]:
        sql = "SELECT number, first, events, body FROM segment WHERE number > ? ORDER BY number"
        found = []
        size = 0
        with self._translated(), contextlib.closing(self._db.execute(sql, (after,))) as rows:
            for number, first, events, body in rows:
                if not (isinstance(first, int) and isinstance(events, int) and isinstance(body, bytes)):
                    raise CorruptError(f"{self._path} is damaged: its record {number} is not a segment.", number=number)
                found.append(Segment(number, first, events, body))
                size += len(body)
                if size > max_bytes:
                    break
        return found

    def commit(self, commit: Commit) -> None:
        with self._transaction(commit.durability) as db:
            for number in commit.delete:
                if db.execute("DELETE FROM segment WHERE number = ?", (number,)).rowcount == 0:
                    raise ConflictError("Another writer was first: a segment to delete is no longer there.")
            for added in commit.add:
                # Spans do not overlap, so the next one is the only one that may reach into this.
                row = db.execute("SELECT first FROM segment WHERE number >= ? ORDER BY number LIMIT 1", (added.first,)).fetchone()
                if row is not None and row[0] <= added.number:
                    raise ConflictError("Another writer was first: the number of a segment is taken.")
                db.execute("INSERT INTO segment VALUES (?, ?, ?, ?)", (added.number, added.first, added.events, added.body))
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", packed(commit.meta).items())
            db.executemany("INSERT INTO batch VALUES (?, ?)", commit.batches.items())

    def batch(self, batch_id: str) -> bytes | None:
        with self._translated():
            row = self._db.execute("SELECT remembered FROM batch WHERE id = ?", (batch_id,)).fetchone()
        return row[0] if row else None

    def flush(self) -> None:
        # Any strict commit syncs what was committed before it. This one changes nothing, but writes a page.
        with self._transaction("strict") as db:
            db.execute(f"PRAGMA user_version = {FORMAT}")

    def scrub(self) -> None:
        # Free pages are zeroed (`secure_delete`), but the write-ahead log still has what they held.
        with self._translated():
            (is_busy, _, _) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            raise StorageError(f"Another program reads {self._path}: what was erased is not gone from its files yet. Close that program.")

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        row = (name, checkpoint.checksum, checkpoint.about, checkpoint.image)
        with self._transaction("relaxed") as db:
            db.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?)", row)

    def load_checkpoint(self, name: str) -> Checkpoint | None:
        try:
            with self._translated():
                row = self._db.execute("SELECT checksum, about, image FROM checkpoint WHERE name = ?", (name,)).fetchone()
        except CorruptError:
            return None
        if row is None:
            return None
        checksum, about, image = row
        if not (isinstance(about, bytes) and isinstance(image, bytes)):
            return None
        checkpoint = Checkpoint(about, image)
        return checkpoint if checksum == checkpoint.checksum else None

    def checkpoints(self) -> dict[str, bytes]:
        with self._translated():
            return {name: about for name, about in self._db.execute("SELECT name, about FROM checkpoint") if isinstance(about, bytes)}

    def delete_checkpoint(self, name: str) -> None:
        with self._transaction("relaxed") as db:
            db.execute("DELETE FROM checkpoint WHERE name = ?", (name,))

    def size(self) -> dict[str, int]:
        with self._translated():
            (log,) = self._db.execute("SELECT coalesce(sum(length(body)), 0) FROM segment").fetchone()
            (checkpoints,) = self._db.execute("SELECT coalesce(sum(length(image)), 0) FROM checkpoint").fetchone()
        return {"log": log, "checkpoints": checkpoints}

    def close(self) -> None:
        with self._translated():
            self._db.close()

    def destroy(self) -> None:
        self.close()
        with self._translated():
            for suffix in ("-wal", "-shm", ""):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _prepare(self) -> None:
        db = self._db
        try:
            db.execute("BEGIN")  # as of one moment: another process may be making the file
            is_ours = self._is_ours()
            db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if _primary_code(error) == sqlite3.SQLITE_NOTADB:
                raise FormatError(f"{self._path} is not a pystore file.") from error
            raise
        for setting in _SETTINGS:
            db.execute(setting)
        if not is_ours:
            db.execute("PRAGMA synchronous = EXTRA")
            db.execute("BEGIN IMMEDIATE")
            if not self._is_ours():  # it may have been made meanwhile
                for statement in _TABLES:
                    db.execute(statement)
            db.execute("COMMIT")
        self._has_wal = self._switch_to_wal()

    def _is_ours(self) -> bool:
        """Whether the file has our tables; False for an empty one. Raises FormatError or NewerVersionError for any other."""
        (application_id,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if application_id == APPLICATION_ID:
            if version > FORMAT:
                raise NewerVersionError(f"{self._path} was made by a newer pystore. Install a newer version to open it.")
            return True
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application_id or version or tables:
            raise FormatError(f"{self._path} is an SQLite file of another program, not a pystore file.")
        return False

    def _switch_to_wal(self) -> bool:
        try:
            (mode,) = self._db.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            # Another process is opening it at this moment. Whichever mode that one leaves, being strict is right in both.
            if _primary_code(error) != sqlite3.SQLITE_BUSY:
                raise
            return False
        return bool(mode == "wal")

    @contextlib.contextmanager
    def _transaction(self, durability: Durability) -> Generator[sqlite3.Connection]:
        db = self._db
        with self._translated():
            is_relaxed = durability == "relaxed" and self._has_wal
            db.execute(f"PRAGMA synchronous = {'NORMAL' if is_relaxed else 'EXTRA'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                self._check_in_place()
                self._finish()
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _finish(self) -> None:
        try:
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if _primary_code(error) != sqlite3.SQLITE_IOERR:
                raise
            message = f"The disk failed while writing {self._path}: it is not known whether the batch was stored."
            raise OutcomeUnknownError(message) from error

    def _check_in_place(self) -> None:
        """SQLite would go on writing to a file that has lost its name, and the next open would not find it."""
        try:
            is_in_place = os.path.samestat(self._path.stat(), self._identity)
        except FileNotFoundError:
            is_in_place = False
        if not is_in_place:
            raise ClosedError(f"{self._path} was moved, removed or replaced; nothing was written.")

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            kind, message = _ERRORS.get(_primary_code(error), (StorageError, "SQLite failed on {path}: {error}."))
            raise kind(message.format(path=self._path, error=error)) from error
        except OSError as error:
            raise UnavailableError(f"{self._path} cannot be used: {error.strerror}.") from error


def _primary_code(error: sqlite3.Error) -> int:
    # Absent on errors that the Python module raises itself. The low byte is the primary code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
