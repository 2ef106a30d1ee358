"""A platform whose storage fails when it is told to, in the manner of SQLite's tests: the k-th operation, once or from then on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from pystore.errors import OutcomeUnknownError, QuotaError, UnavailableError
from pystore.memory import MemoryPlatform
from pystore.ports import Checkpoint, Cipher, Commit, LogStorage, Segment, VaultStorage
from pystore.records import Records


class UntranslatedError(Exception):
    """What no adapter should raise: a bug, or the platform's own error that nobody translated."""


KINDS: dict[str, Callable[[], Exception]] = {
    "quota": lambda: QuotaError("There is no space left."),
    "unavailable": lambda: UnavailableError("The storage does not answer."),
    "unknown": lambda: OutcomeUnknownError("It is not known."),
    "done but unknown": lambda: OutcomeUnknownError("It is not known."),
    "bug": lambda: UntranslatedError("boom"),
    "done but bug": lambda: UntranslatedError("boom"),
}


@dataclass
class Plan:
    """Which operation fails, and how. `at` 0: none. Operations are counted over all storages of a platform."""

    at: int = 0
    kind: str = "quota"
    is_sticky: bool = False
    only: str | None = None
    """The operation that is counted; None: any."""
    done: int = 0
    failed: int = 0
    before: list[Callable[[str], Awaitable[None]]] = field(default_factory=list)
    """Called with the name of each operation before it."""

    def fails(self, operation: str) -> bool:
        """Whether this operation fails."""
        if self.at == 0 or (self.only is not None and operation != self.only):
            return False
        self.done += 1
        is_failing = self.done == self.at or (self.is_sticky and self.done > self.at)
        self.failed += is_failing
        return is_failing

    def become(self, other: Plan) -> None:
        """Fail as `other` says from now on."""
        self.__dict__.update(other.__dict__)

    def error(self) -> Exception:
        """What it raises."""
        return KINDS[self.kind]()


class FaultyStorage:
    """A storage that keeps to a plan."""

    def __init__(self, storage: LogStorage, plan: Plan) -> None:
        self._storage = storage
        self._plan = plan

    async def _begin(self, operation: str) -> None:
        for call in self._plan.before:
            await call(operation)
        if self._plan.fails(operation):
            raise self._plan.error()

    async def meta(self) -> Records:
        await self._begin("meta")
        return await self._storage.meta()

    async def segments(self, after: int = 0, max_bytes: int = 16 << 20) -> list[Segment]:
        await self._begin("segments")
        return await self._storage.segments(after, max_bytes)

    async def commit(self, commit: Commit) -> None:
        for call in self._plan.before:
            await call("commit")
        if not self._plan.fails("commit"):
            await self._storage.commit(commit)
            return
        if self._plan.kind.startswith("done"):
            await self._storage.commit(commit)
        raise self._plan.error()

    async def batch(self, batch_id: str) -> bytes | None:
        await self._begin("batch")
        return await self._storage.batch(batch_id)

    async def flush(self) -> None:
        await self._begin("flush")
        await self._storage.flush()

    async def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        await self._begin("save_checkpoint")
        await self._storage.save_checkpoint(name, checkpoint)

    async def load_checkpoint(self, name: str) -> Checkpoint | None:
        await self._begin("load_checkpoint")
        return await self._storage.load_checkpoint(name)

    async def checkpoints(self) -> dict[str, bytes]:
        await self._begin("checkpoints")
        return await self._storage.checkpoints()

    async def delete_checkpoint(self, name: str) -> None:
        await self._begin("delete_checkpoint")
        await self._storage.delete_checkpoint(name)

    async def scrub(self) -> None:
        await self._begin("scrub")
        await self._storage.scrub()

    async def size(self) -> dict[str, int]:
        await self._begin("size")
        return await self._storage.size()

    async def close(self) -> None:
        await self._storage.close()

    async def destroy(self) -> None:
        await self._begin("destroy")
        await self._storage.destroy()


class FaultyVault:
    """A vault that keeps to a plan."""

    kind = "faulty"

    def __init__(self, vault: VaultStorage, plan: Plan) -> None:
        self._vault = vault
        self._plan = plan

    async def _begin(self, operation: str) -> None:
        for call in self._plan.before:
            await call(operation)
        if self._plan.fails(operation):
            raise self._plan.error()

    async def read(self, name: str) -> bytes | None:
        await self._begin("vault read")
        return await self._vault.read(name)

    async def write(self, name: str, data: bytes) -> None:
        await self._begin("vault write")
        await self._vault.write(name, data)

    async def sizes(self, folder: str) -> dict[str, int]:
        await self._begin("vault sizes")
        return await self._vault.sizes(folder)

    async def delete(self, name: str) -> None:
        await self._begin("vault delete")
        await self._vault.delete(name)

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        return self._vault.exclusive()

    async def close(self) -> None:
        await self._vault.close()

    async def destroy(self) -> None:
        await self._begin("vault destroy")
        await self._vault.destroy()


class FaultyPlatform:
    """A platform over another one, whose data it shares; its storages keep to `plan`."""

    name = MemoryPlatform.name

    def __init__(self, platform: MemoryPlatform, plan: Plan | None = None) -> None:
        self.platform = platform
        self.plan = plan or Plan()

    async def open_log(self, log: str) -> FaultyStorage:
        return FaultyStorage(await self.platform.open_log(log), self.plan)

    async def logs(self) -> list[str]:
        return await self.platform.logs()

    async def open_vault(self, log: str) -> FaultyVault:
        return FaultyVault(await self.platform.open_vault(log), self.plan)

    def cipher(self) -> Cipher:
        return self.platform.cipher()

    def now_ms(self) -> int:
        return self.platform.now_ms()

    def writing(self, log: str) -> AbstractAsyncContextManager[None]:
        return self.platform.writing(log)

    async def breathe(self) -> None:
        await asyncio.sleep(0)

    async def give_way(self) -> None:
        await asyncio.sleep(0)


class Gate:
    """Holds commits until it is opened; `arrived` says that one waits."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self._open = asyncio.Event()

    def open(self) -> None:
        """Let them pass."""
        self._open.set()

    async def __call__(self, operation: str) -> None:
        if operation == "commit":
            self.arrived.set()
            await self._open.wait()
