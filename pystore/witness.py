"""The witness: a small record, kept apart from the log, of how far the log had come. It tells a log that was lost from a new one.

It lies in the vault, and is written after what it tells of is durable: so it never tells of more than was stored. Where there is none,
the backups beside it are witnesses that there was a log. Another record there tells what was erased, so that none of it comes back into a
log that was lost and is begun again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pydantic

from pystore.backup.vault import Vault
from pystore.clock import iso_of_ms
from pystore.erasure import Erasures
from pystore.errors import CorruptError, PyStoreError, StoreLostError, TailLostError
from pystore.event import Head
from pystore.log import LogState
from pystore.ports import VaultStorage
from pystore.records import Records, packed

WITNESS, ERASED = "state/witness.json", "state/erased"


class Witness(pydantic.BaseModel):
    """How far a log had come: its life (`epoch`), its feeds by the numbers of their ends, and when (UTC) that was noted."""

    model_config = pydantic.ConfigDict(extra="allow")

    epoch: str
    name: str
    events: int
    feeds: dict[str, int]
    at: str
    sha256: str = ""

    def digest(self) -> str:
        """The SHA-256, in hex, of all the rest of it."""
        return sha256(self.model_dump_json(exclude={"sha256"}).encode()).hexdigest()


async def read(vault: VaultStorage) -> Witness | None:
    """What is noted; None if nothing is, or it is damaged: then nothing is known, and nothing is claimed."""
    try:
        raw = await vault.read(WITNESS)
        noted = Witness.model_validate_json(raw) if raw else None
    except pydantic.ValidationError:
        return None
    return noted if noted is not None and noted.sha256 == noted.digest() else None


async def read_backups(vault: Vault, name: str) -> Witness | None:
    """What the newest backup that can be read tells of the log, which is called `name` if none tells; None if there is no backup."""
    ids = await vault.ids()
    for id_ in reversed(ids):
        try:
            manifest = await vault.manifest(id_)
        except PyStoreError:
            continue  # a damaged one tells nothing but that it was made
        header = manifest.header
        feeds = {replica: head.seq for replica, head in header.replicas.items()}
        return Witness(epoch=manifest.epoch, name=header.name, events=header.counts.events, feeds=feeds, at=iso_of_ms(id_.made_ms))
    return Witness(epoch="", name=name, events=0, feeds={}, at=iso_of_ms(ids[-1].made_ms)) if ids else None


async def write(vault: VaultStorage, state: LogState, now_ms: int) -> None:
    """Note how far the log has come."""
    feeds = {replica: head.seq for replica, head in state.feeds.items()}
    noted = Witness(epoch=state.epoch, name=state.name, events=state.events, feeds=feeds, at=iso_of_ms(now_ms))
    await vault.write(WITNESS, noted.model_copy(update={"sha256": noted.digest()}).model_dump_json().encode())


async def note_erased(vault: VaultStorage, erased: Erasures) -> None:
    """Note what is erased."""
    await vault.write(ERASED, packed({ERASED: erased.to_json()})[ERASED])


async def read_erased(vault: VaultStorage) -> Erasures:
    """What is noted as erased; nothing if that is damaged: an innocent event must not go."""
    raw = await vault.read(ERASED)
    try:
        return Erasures.from_json(Records({ERASED: raw})[ERASED]) if raw else Erasures()
    except CorruptError:
        return Erasures()


def lost(witness: Witness, state: LogState, *, is_stored: bool) -> StoreLostError | TailLostError | None:
    """What is wrong if the log was as `witness` says and is now in `state`; `is_stored`: whether it was ever written. None: nothing is.

    A log that is in another life was replaced as a whole: what it was before does not count.
    """
    about: dict[str, Any] = {"name": witness.name, "events": witness.events, "at": witness.at}
    if not is_stored:
        return StoreLostError(
            f"What was kept here is gone: {witness.events:,} events of {witness.name}, last seen {witness.at}. The browser cleared it, or "
            "someone did. Restore a backup or a file, or start over.", **about,
        )
    if witness.epoch != state.epoch:
        return None
    short = {replica: [state.feeds.get(replica, Head()).seq + 1, seq] for replica, seq in witness.feeds.items()
             if state.feeds.get(replica, Head()).seq < seq}
    if not short:
        return None
    gone = sum(last - first + 1 for first, last in short.values())
    return TailLostError(
        f"The newest {gone:,} events of {witness.name} are gone: {state.events:,} are here of {witness.events:,}, last seen {witness.at}. "
        "Restore a backup or a file, or go on without them.", **about, here=state.events, missing=short,
    )
