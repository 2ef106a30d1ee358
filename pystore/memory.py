"""Logs in memory: for a try-out, a test, or where nothing gives storage. They are gone when the platform is.

All storages that one `MemoryPlatform` opens of a log share its data, like the tabs of a browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

from pystore.errors import ClosedError, ConflictError, UnavailableError
from pystore.ports import Checkpoint, Cipher, Commit, Segment
from pystore.records import Records, packed
from pystore.versions import program


@dataclass(slots=True)
class MemoryLog:
    """What is kept of one log."""

    segments: dict[int, Segment] = field(default_factory=dict)
    """By number, in rising order."""
    meta: dict[str, bytes] = field(default_factory=dict)
    """Packed: see `pystore.records`."""
    batches: dict[str, bytes] = field(default_factory=dict)
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)


class MemoryStorage:
    """One handle on a log in memory."""

    def __init__(self, platform: MemoryPlatform, name: str) -> None:
        self._platform = platform
        self._name = name
        self._log = platform.kept.setdefault(name, MemoryLog())
        self._is_closed = False

    async def meta(self) -> Records:
        return Records(dict(self._open_log().meta))

    async def segments(self, after: int = 0, max_bytes: int = 16 << 20) -> list[Segment]:
        kept = self._open_log().segments
        found = []
        size = 0
        newer = list(takewhile(lambda number: number > after, reversed(kept)))
        for number in reversed(newer):
            found.append(kept[number])
            size += len(kept[number].body)
            if size > max_bytes:
                break
        return found

    async def commit(self, commit: Commit) -> None:
        log = self._open_log()
        if not log.batches.keys().isdisjoint(commit.batches):
            raise ConflictError("Another writer was first: the batch is already stored.")
        if commit.delete or not _follow(log.segments, commit.add):
            log.segments = _changed(log.segments, commit)
        else:
            log.segments.update((segment.number, segment) for segment in commit.add)
        log.meta.update(packed(commit.meta))
        log.batches.update(commit.batches)

    async def batch(self, batch_id: str) -> bytes | None:
        return self._open_log().batches.get(batch_id)

    async def flush(self) -> None:
        self._open_log()

    async def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        self._open_log().checkpoints[name] = checkpoint

    async def load_checkpoint(self, name: str) -> Checkpoint | None:
        return self._open_log().checkpoints.get(name)

    async def checkpoints(self) -> dict[str, bytes]:
        return {name: checkpoint.about for name, checkpoint in self._open_log().checkpoints.items()}

    async def delete_checkpoint(self, name: str) -> None:
        self._open_log().checkpoints.pop(name, None)

    async def scrub(self) -> None:
        self._open_log()

    async def size(self) -> dict[str, int]:
        log = self._open_log()
        return {
            "log": sum(len(segment.body) for segment in log.segments.values()),
            "checkpoints": sum(len(checkpoint.image) for checkpoint in log.checkpoints.values()),
        }

    async def close(self) -> None:
        self._is_closed = True

    async def destroy(self) -> None:
        self._open_log()
        del self._platform.kept[self._name]
        self._is_closed = True

    def _open_log(self) -> MemoryLog:
        if self._is_closed:
            raise ClosedError("The storage is closed. Open the log again.")
        if self._platform.kept.get(self._name) is not self._log:
            raise ClosedError("The log was removed.")
        return self._log


def _follow(kept: dict[int, Segment], added: Sequence[Segment]) -> bool:
    """Whether `added` all come after what is kept, one after the other, as appending has it."""
    last = next(reversed(kept), 0)
    for segment in added:
        if segment.first <= last:
            return False
        last = segment.number
    return True


def _changed(kept: dict[int, Segment], commit: Commit) -> dict[int, Segment]:
    """What is kept after `commit`, whatever it adds and deletes. Raises ConflictError."""
    deleted = set(commit.delete)
    if not deleted <= kept.keys():
        raise ConflictError("Another writer was first: a segment to delete is no longer there.")
    left = [segment for segment in kept.values() if segment.number not in deleted]
    segments = sorted([*left, *commit.add], key=lambda segment: segment.number)
    if any(one.number >= other.first for one, other in pairwise(segments)):
        raise ConflictError("Another writer was first: the number of a segment is taken.")
    return {segment.number: segment for segment in segments}


class MemoryVault:
    """One handle on a vault in memory."""

    kind = "memory"

    def __init__(self, platform: MemoryPlatform, name: str) -> None:
        self._platform = platform
        self._name = name
        self._is_closed = False

    async def read(self, name: str) -> bytes | None:
        return self._files().get(name)

    async def write(self, name: str, data: bytes) -> None:
        self._files()
        self._platform.vaults.setdefault(self._name, {})[name] = data

    async def sizes(self, folder: str) -> dict[str, int]:
        begin = f"{folder}/"
        return {name.removeprefix(begin): len(data) for name, data in self._files().items() if name.startswith(begin)}

    async def delete(self, name: str) -> None:
        self._files().pop(name, None)

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        async with self._platform.locks.setdefault(f"{self._name}/vault", asyncio.Lock()):
            yield

    async def close(self) -> None:
        self._is_closed = True

    async def destroy(self) -> None:
        self._files()
        self._platform.vaults.pop(self._name, None)
        self._is_closed = True

    def _files(self) -> dict[str, bytes]:
        if self._is_closed:
            raise ClosedError("The vault is closed. Open the log again.")
        return self._platform.vaults.get(self._name, {})


def wall_clock_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class MemoryPlatform:
    """Keeps logs in memory. `clock` gives milliseconds since 1970; `cipher` is lent by another platform."""

    name = program("memory")

    def __init__(self, clock: Callable[[], int] = wall_clock_ms, cipher: Cipher | None = None) -> None:
        self.kept: dict[str, MemoryLog] = {}
        self.vaults: dict[str, dict[str, bytes]] = {}
        """The files of each log's vault."""
        self.locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._clock = clock
        self._cipher = cipher

    async def open_log(self, log: str) -> MemoryStorage:
        return MemoryStorage(self, log)

    async def logs(self) -> list[str]:
        return sorted(self.kept)

    async def open_vault(self, log: str) -> MemoryVault:
        return MemoryVault(self, log)

    def cipher(self) -> Cipher:
        if self._cipher is None:
            raise UnavailableError("This platform was given no cipher: it cannot seal or open protected files.")
        return self._cipher

    def now_ms(self) -> int:
        return self._clock()

    @contextlib.asynccontextmanager
    async def writing(self, log: str) -> AsyncGenerator[None]:
        async with self.locks.setdefault(f"{log}/write", asyncio.Lock()):
            yield

    async def breathe(self) -> None:
        await asyncio.sleep(0)

    async def give_way(self) -> None:
        await asyncio.sleep(0)
