"""One log in one IndexedDB database.

The transactions are JavaScript's (`web/worker/indexeddb.js`, which states the rules): an `await` in Python lets the browser end
a transaction, so each method here is one call that queues all its requests in one go.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Self

import js
from pyodide.ffi import JsException, create_proxy, to_js

from pystore import codec
from pystore.errors import ClosedError, ConflictError, CorruptError, OutcomeUnknownError, QuotaError, StorageError, UnavailableError
from pystore.ports import Checkpoint, Commit, Segment
from pystore.records import Records, packed

_ERRORS: dict[str, tuple[type[StorageError], str]] = {
    "ConstraintError": (ConflictError, "Another writer was first; nothing was written."),
    "QuotaExceededError": (
        QuotaError, "There is no space left in this browser's storage; nothing was written. Free some, then try again.",
    ),
    "TimeoutError": (
        OutcomeUnknownError, "The browser's storage did not answer: what was written is not known. Try again: it is stored once.",
    ),
    "UnknownError": (
        OutcomeUnknownError, "The browser's storage failed: what was written is not known. Try again, or reload the page.",
    ),
    "InvalidStateError": (ClosedError, "The storage is closed. Open the log again."),
    "NotFoundError": (ClosedError, "The log was removed, here or by clearing the site's data."),
    "NotReadableError": (
        UnavailableError, "The browser's storage cannot be opened. Close other windows of this site and reload the page.",
    ),
    "SecurityError": (
        UnavailableError, "The browser gives this page no storage: it needs https, and a window that is allowed to keep data.",
    ),
    "DataError": (CorruptError, "The storage holds something that is not a log."),
}
"""What the names of DOMExceptions mean here. Any other one: the change did not happen."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise JavaScript's errors as ours."""
    try:
        yield
    except JsException as error:
        kind, message = _ERRORS.get(error.name, (StorageError, "The browser's storage failed; nothing was changed."))
        raise kind(message, name=error.name, reason=error.message) from error


class IndexedDbStorage:
    """One handle on a log's database."""

    def __init__(self, database: Any, when_conflicting: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._when_conflicting = when_conflicting

    @classmethod
    async def open(cls, log: str, when_conflicting: Callable[[], Awaitable[None]]) -> Self:
        """The storage of a log, made if it is not there. `when_conflicting` is awaited before a commit raises ConflictError."""
        with translated():
            return cls(await js.pystore_host.openLog(log), when_conflicting)

    async def meta(self) -> Records:
        with translated():
            entries = await self._database.meta()
        return Records({key: value.to_bytes() for key, value in entries})

    async def segments(self, after: int = 0, max_bytes: int = 16 << 20) -> list[Segment]:
        with translated():
            about, bodies = await self._database.segments(after, max_bytes)
        try:
            return [
                Segment(number, first, events, body.to_bytes())
                for (number, first, events), body in zip(codec.decode(about), bodies, strict=True)
            ]
        except (AttributeError, TypeError, ValueError) as error:
            raise CorruptError("A stored record is not a segment. Restore the log from a backup.") from error

    async def commit(self, commit: Commit) -> None:
        change = codec.encode({
            "add": [[segment.number, segment.first, segment.events] for segment in commit.add],
            "delete": list(commit.delete), "meta": list(commit.meta), "batches": list(commit.batches), "durability": commit.durability,
        })
        bodies = [segment.body for segment in commit.add]
        bodies += packed(commit.meta).values()
        bodies += commit.batches.values()
        try:
            with translated():
                await self._database.commit(change.decode(), to_js(bodies))
        except ConflictError:
            await self._when_conflicting()
            raise

    async def batch(self, batch_id: str) -> bytes | None:
        with translated():
            remembered = await self._database.batch(batch_id)
        return None if remembered is None else remembered.to_bytes()

    async def flush(self) -> None:
        with translated():
            await self._database.flush()

    async def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        image = create_proxy(checkpoint.image)
        try:
            with translated():
                await self._database.saveCheckpoint(name, to_js(checkpoint.about), image, checkpoint.checksum)
        finally:
            image.destroy()

    async def load_checkpoint(self, name: str) -> Checkpoint | None:
        with translated():
            kept = await self._database.loadCheckpoint(name)
        if kept is None:
            return None
        about, image = kept.about.to_bytes(), bytearray(kept.size)
        checksum, at = zlib.adler32(about), 0
        for part in kept.parts:  # each is taken over and looked at while the browser reads the next one
            buffer = await part
            if buffer is None:
                return None
            place = memoryview(image)[at : at + buffer.byteLength]
            buffer.assign_to(place)
            checksum, at = zlib.adler32(place, checksum), at + buffer.byteLength
        return Checkpoint(about, image) if checksum == kept.checksum else None

    async def checkpoints(self) -> dict[str, bytes]:
        with translated():
            kept = await self._database.checkpoints()
        return {name: about.to_bytes() for name, about in kept}

    async def delete_checkpoint(self, name: str) -> None:
        with translated():
            await self._database.deleteCheckpoint(name)

    async def scrub(self) -> None:
        """The browser's: it overwrites what was removed when it next tidies up its files."""

    async def size(self) -> dict[str, int]:
        with translated():
            log, checkpoints = await self._database.size()
        return {"log": int(log), "checkpoints": int(checkpoints)}

    async def close(self) -> None:
        self._database.close()

    async def destroy(self) -> None:
        with translated():
            await self._database.destroy()
