"""What the platform must give, with every promise; the adapters (`browser`, `native`, `memory`) keep them, the core relies on them.

One contract suite (`tests/contract`) holds every adapter to this text.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pystore.records import Records

Durability = Literal["strict", "relaxed"]
"""`strict`: on the medium when the call returns. `relaxed`: handed to the operating system; a crash may lose the newest."""


@dataclass(frozen=True, slots=True)
class Segment:
    """An immutable run of recorded lines kept as one blob. It stands for the numbers `first` to `number`."""

    number: int
    first: int
    events: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """A change of a log's storage: all of it happens or nothing.

    `delete` removes segments by number, `add` adds segments under theirs, `meta` sets values, `batches` remembers batch ids.
    """

    add: Sequence[Segment] = ()
    delete: Sequence[int] = ()
    meta: Mapping[str, bytes] = field(default_factory=dict)
    batches: Mapping[str, bytes] = field(default_factory=dict)
    durability: Durability = "strict"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An image of the view, and what it is an image of (`about`: small JSON)."""

    about: bytes
    image: bytes | bytearray

    @property
    def checksum(self) -> int:
        """Of both: Adler-32. In WebAssembly it takes half the time of CRC-32, and an image is read whenever a log is opened."""
        return zlib.adler32(self.image, zlib.adler32(self.about))


class LogStorage(Protocol):
    """Where one log is kept. Every method may raise StorageError or a subclass; ClosedError after `close()`."""

    async def meta(self) -> Records:
        """All meta values, as of one moment; empty for a log that was never written. ClosedError if the log was removed meanwhile.

        One that is not what was written raises CorruptError when it is asked for.
        """
        ...

    async def segments(self, after: int = 0, max_bytes: int = 16 << 20) -> list[Segment]:
        """Segments with a number above `after`, in rising order, as of one moment.

        Stops after the segment with which the bodies exceed `max_bytes`; empty only if there is none. Raises CorruptError for
        a record that is not a segment.
        """
        ...

    async def commit(self, commit: Commit) -> None:
        """Make the whole change, or none of it.

        Raises ConflictError, having changed nothing, if a segment to add overlaps one that is kept (the numbers `first` to `number`
        are taken, also those that were merged away), a number to delete is absent, or a batch id is known. Raises QuotaError, having
        changed nothing, if there is no space. Raises OutcomeUnknownError if it cannot be known whether it happened. On
        return it is as durable as `commit.durability` says. Cancelled: as unknown.
        """
        ...

    async def batch(self, batch_id: str) -> bytes | None:
        """What was remembered under a batch id, or None."""
        ...

    async def flush(self) -> None:
        """On return all earlier commits are on the medium."""
        ...

    async def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Keep `checkpoint` under `name`, instead of one of that name: whole, or the old one stays. May be of relaxed durability."""
        ...

    async def load_checkpoint(self, name: str) -> Checkpoint | None:
        """The checkpoint of that name as it was saved; None if there is none or its bytes no longer match their checksum."""
        ...

    async def checkpoints(self) -> dict[str, bytes]:
        """`about` of every checkpoint kept, by name: what can be loaded, not whether its bytes are still right."""
        ...

    async def delete_checkpoint(self, name: str) -> None:
        """Remove the checkpoint of that name. Without one this does nothing."""
        ...

    async def scrub(self) -> None:
        """On return nothing that was removed or replaced can be read in the platform's files, as far as these are in its hands."""
        ...

    async def size(self) -> dict[str, int]:
        """Bytes kept, by kind: `log`, `checkpoints`."""
        ...

    async def close(self) -> None:
        """Let go of the storage. Repeated calls do nothing."""
        ...

    async def destroy(self) -> None:
        """Remove everything of the log, for good, and close."""
        ...


class VaultStorage(Protocol):
    """Where the backups of one log are kept: files in folders, apart from the log, so that not both are lost at once.

    A file's name is `folder/file`, both of `a-z 0-9 . _ -`. Every method may raise StorageError or a subclass; ClosedError after `close()`.
    Whether what is read is what was written is for the reader to check. A change that has begun is done to its end before the
    cancellation of whoever waits for it is raised: so nothing is written any more once a vault is let go of.
    """

    kind: str
    """What keeps it: `opfs`, `bucket`, `indexeddb`, `folder`, `memory`."""

    async def read(self, name: str) -> bytes | None:
        """The content of a file, or None."""
        ...

    async def write(self, name: str, data: bytes) -> None:
        """Let a file hold `data`: all of it, or what it held before. Raises QuotaError, having changed nothing, if there is no space."""
        ...

    async def sizes(self, folder: str) -> dict[str, int]:
        """The files of a folder, by name without the folder's, with their sizes in bytes. Empty if there is no such folder.

        What was being written when somebody was killed is among them, under a name of its own or without content: see `Vault.sweep`.
        """
        ...

    async def delete(self, name: str) -> None:
        """Remove a file. One that is not there is no error."""
        ...

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Keeps all others who ask for it waiting, in other windows and processes too: held while backups are made or removed."""
        ...

    async def close(self) -> None:
        """Let go. Repeated calls do nothing."""
        ...

    async def destroy(self) -> None:
        """Remove everything, for good, and close."""
        ...


class Cipher(Protocol):
    """The cryptography that the platform has."""

    async def pbkdf2(self, passphrase: bytes, salt: bytes, iterations: int) -> bytes:
        """32 bytes: PBKDF2 with HMAC-SHA-256 (RFC 8018)."""
        ...

    async def seal(self, key: bytes, nonce: bytes, data: bytes, about: bytes) -> bytes:
        """AES-256-GCM: the ciphertext of `data` and its tag of 16 bytes, which authenticates `about` as well. A nonce has 12 bytes."""
        ...

    async def open(self, key: bytes, nonce: bytes, data: bytes, about: bytes) -> bytes:
        """What `seal` was given. Raises ValueError if any bit of anything differs."""
        ...


class Platform(Protocol):
    """Where the store runs."""

    name: str
    """The program and its version, as it stands in the version document: `pystore-indexeddb:0.1.0`."""

    async def open_log(self, log: str) -> LogStorage:
        """The storage of a log, made if it is not there."""
        ...

    async def logs(self) -> list[str]:
        """The names of the logs kept here, sorted."""
        ...

    async def open_vault(self, log: str) -> VaultStorage:
        """The vault of a log. Nothing is made before something is written to it."""
        ...

    def cipher(self) -> Cipher:
        """What seals. Raises UnavailableError where there is nothing."""
        ...

    def now_ms(self) -> int:
        """The wall clock: milliseconds since 1970. May jump in either direction."""
        ...

    def writing(self, log: str) -> AbstractAsyncContextManager[None]:
        """Keeps other writers of the same log on this machine waiting, as far as the platform can.

        It only spares them a ConflictError: what makes writing safe is `LogStorage.commit`.
        """
        ...

    async def breathe(self) -> None:
        """Let other work of this thread run: called between slices of long work."""
        ...

    async def give_way(self) -> None:
        """`breathe`, and let what somebody waits for go first, for a while: called between slices of work that nobody waits for.

        Not by one who holds a lock that somebody may wait for.
        """
        ...
