"""The backups of a store: made by the clock and on demand, kept in layers, checked once a day, restored like any backup file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, Protocol

from pystore.backup import damage
from pystore.backup.format import NOT_WHOLE, feed_heads
from pystore.backup.layers import DAMAGED, KEPT, TIMED, BackupId, due, period
from pystore.backup.lines import Source
from pystore.backup.restore import check_file
from pystore.backup.save import Snapshot, snapshot
from pystore.backup.vault import Vault
from pystore.clock import ms_of_iso
from pystore.errors import ClosedError, CorruptBackupError, CorruptError, StorageError, ValidationError
from pystore.log import LogState
from pystore.progress import Progress
from pystore.projection import Projection

FIRST_AFTER_S = 5.0
"""The first one is made so long after the store was opened: whoever opened it comes first."""
LOOK_EVERY_S = 60.0
VERIFY_EVERY_MS = 24 * 3600 * 1000
MAX_LABEL = 200


class Restore(Protocol):
    """`Store.restore`."""

    async def __call__(
        self, source: Source, *, mode: Literal["merge", "replace"] = "merge", salvage: bool = False, on_progress: Progress | None = None
    ) -> dict[str, Any]:
        """See there."""
        ...


class Backups:
    """The backups of one open store; `store.backups`."""

    def __init__(self, projection: Projection, settled: Callable[[], Awaitable[None]], restore: Restore) -> None:
        self._projection = projection
        self._settled = settled
        self._restore = restore
        self._opened: Vault | None = None
        self._clockwork: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._is_started = False
        """Whether the clock has made the one that is due when a store is opened."""
        self._damage: tuple[object, CorruptError] | None = None
        """What the clock met in the log, and in which period of the layer `auto`."""
        self.error: Exception | None = None
        """Why the clock's last round failed, or None. Nothing is lost by it: the next round tries again."""

    async def vault(self) -> Vault:
        """Where they are kept."""
        if self._opened is None:
            platform = self._projection.platform
            self._opened = Vault(await platform.open_vault(self._projection.log.state.log), platform.breathe)
        return self._opened

    @asynccontextmanager
    async def changing(self) -> AsyncGenerator[Vault]:
        """The vault, for one who changes it, while nobody else does. Raises ClosedError if the log was removed: nothing is kept of it."""
        vault = await self.vault()
        await self._check_kept()  # to wait for one's turn may make a place for it
        async with vault.changing():
            await self._check_kept()
            yield vault

    async def _check_kept(self) -> None:
        log = self._projection.log
        if LogState.from_meta(await log.storage.meta()) is None and log.state.segment:
            raise ClosedError("The log was removed.")

    # -- asking

    async def list(self) -> Sequence[dict[str, Any]]:
        """All backups, newest first: `id`, `layer`, `label`, `time`, `size` (bytes), `own` (of them not shared with others), `sha256`,
        `versions`, counts of `events`, `by_type` and `records`; `damaged` (why, or None), and what the last check found (`verified`).
        Of what was kept of a damaged log `damage` tells what is missing in it.
        """  # noqa: D205
        return await (await self.vault()).described()

    async def stats(self) -> dict[str, Any]:
        """How many there are, how large they are together, from when, and by layer; and whether the clock makes them (`running`).

        A layer's `size` counts every part of its backups once, its `own` those that no other layer has. `settings_lost`: what people
        chose cannot be read, so the defaults count, and no backup goes until they choose anew.
        """
        vault = await self.vault()
        settings = await vault.settings()
        every = {layer: settings.interval(layer) for layer in TIMED}
        keep = {layer: settings.kept(layer) for layer in KEPT}
        return {
            **await vault.stats(), "every": every, "keep": keep, "remind_days": settings.remind_days,
            "settings_lost": settings.is_lost,
            "running": settings.running and self._clockwork is not None, "error": str(self.error) if self.error else None,
        }

    async def verify(self, id_: str | None = None, *, on_progress: Progress | None = None) -> dict[str, Any]:
        """Check one backup, line by line, as restoring it would: what it holds. Raises CorruptBackupError if it is not what was made.

        Without an id all of them: `good` and `damaged` ids, the latter with the reason, and `partial` ones: what was kept of a damaged
        log, as it was kept. A part that several share is looked at once.
        """
        vault, now_ms = await self.vault(), self._projection.platform.now_ms()
        if id_ is None:
            verdicts = await vault.check(on_progress)
            await self._note_verified(verdicts, now_ms)
            return {
                "good": [one for one, why in verdicts.items() if why is None],
                "damaged": {one: why for one, why in verdicts.items() if why not in (None, NOT_WHOLE)},
                "partial": [one for one, why in verdicts.items() if why == NOT_WHOLE],
            }
        wanted = _id(id_)
        await vault.manifest(wanted)
        try:
            found = await check_file(vault.file(wanted, on_progress), now_ms, self._projection.platform.breathe)
        except CorruptBackupError as error:
            await self._note_verified({id_: error.message}, now_ms)
            raise
        await self._note_verified({id_: None}, now_ms)
        return found

    async def _note_verified(self, verdicts: Mapping[str, str | None], now_ms: int) -> None:
        async with self.changing() as vault:
            await vault.note_verified(verdicts, now_ms)

    async def file(self, id_: str, on_progress: Progress | None = None) -> AsyncIterator[bytes]:
        """A backup as a file (JSONL), in chunks. Raises CorruptBackupError, before its end, if it is damaged."""
        async for piece in (await self.vault()).file(_id(id_), on_progress):
            yield piece

    # -- changing

    async def create(self, label: str = "", *, layer: str = "manual") -> dict[str, Any]:
        """Make a backup now, of all that was appended before; what `list` says of it. What its layer keeps no more goes.

        Raises CorruptError if something of the log is damaged: what can be read is in the backup `kept` then, in the layer `damaged`.
        """
        if layer not in KEPT or layer == DAMAGED:
            raise ValidationError(f"There is no layer {layer!r} of backups: {', '.join(KEPT)}.", layer=layer)
        if not (await (await self.vault()).settings()).kept(layer):
            raise ValidationError(f"The layer {layer} keeps no backups: none was made. Let it keep some first.", layer=layer)
        if len(label) > MAX_LABEL:
            raise ValidationError(f"A label has at most {MAX_LABEL} characters.")

        async def layers() -> Sequence[str]:
            return [layer]

        (id_,) = await self._make(layers, label)
        return next(one for one in await self.list() if one["id"] == str(id_))

    async def restore(
        self, id_: str, *, mode: Literal["merge", "replace"] = "merge", salvage: bool = False, on_progress: Progress | None = None
    ) -> dict[str, Any]:
        """Bring a backup in, as `Store.restore` does a file: all of it is checked first. One that is damaged is noted as such."""
        vault = await self.vault()
        # What is replaced is backed up first, and that must not push out this one.
        vault.in_use.add(_id(id_))
        try:
            return await self._restore(self.file(id_), mode=mode, salvage=salvage, on_progress=on_progress)
        except CorruptBackupError as error:
            with suppress(StorageError):  # why it was not brought in is told all the same
                await self._note_verified({id_: error.message}, self._projection.platform.now_ms())
            raise
        finally:
            vault.in_use.discard(_id(id_))

    async def remove(self, id_: str) -> None:
        """Remove a backup, and what only it holds. Raises ValidationError if there is none of that id."""
        wanted = _id(id_)
        async with self.changing() as vault:
            if wanted not in await vault.ids():
                raise ValidationError(f"There is no backup {id_} any more.", id=id_)
            await vault.remove([wanted])
        self._tell()

    async def configure(self, **changes: Any) -> dict[str, Any]:
        """Change settings: `every` ({layer: how often, in minutes, hours, days or weeks}), `keep` ({layer: how many}), `remind_days`.

        Layers that are not named stay as they are. Raises ValidationError.
        """
        async with self.changing() as vault:
            settings = (await vault.settings()).changed(changes)
            await vault.choose(settings)
            await vault.prune(settings)
        return settings.model_dump(mode="json")

    async def start(self) -> None:
        """Let the clock make backups, now and whenever the store is opened by a program that follows it (the page does)."""
        await self.configure(running=True)
        self.follow_clock()

    async def stop(self) -> None:
        """Let the clock make no more backups, until `start`. Those that are there stay."""
        await self.configure(running=False)

    def follow_clock(self) -> None:
        """Make backups by the clock as long as the store is open, unless people have stopped that."""
        if self._clockwork is None:
            self._clockwork = asyncio.ensure_future(self._work())

    @property
    def follows_clock(self) -> bool:
        """Whether this store is the one that keeps its vault: makes backups by the clock, and the witness."""
        return self._clockwork is not None

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever this store made or removed a backup."""
        self._listeners.append(listener)

    # -- by the clock

    async def make_due(self, *, is_start: bool = False) -> Sequence[str]:
        """Make the backups that are due, each layer's once, however long nobody looked; their ids. None if nothing changed since.

        `is_start`: one of the layer `auto` is due whatever the clock says.
        """
        vault = await self.vault()

        async def layers() -> Sequence[str]:
            return await self._due(vault, is_start=is_start)

        if not await layers():
            return []  # as a rule, and without waiting for who holds the vault
        now = period("auto", self._projection.platform.now_ms(), (await vault.settings()).interval("auto"))
        if self._damage is not None and self._damage[0] == now:
            raise self._damage[1]  # what can be read was kept: not every minute anew
        try:
            return [str(one) for one in await self._make(layers, "")]
        except CorruptError as error:
            self._damage = (now, error)
            raise

    async def _due(self, vault: Vault, *, is_start: bool) -> Sequence[str]:
        projection = self._projection
        settings = await vault.settings()
        ids = await vault.ids()
        layers = due(ids, settings, projection.platform.now_ms())
        if is_start and "auto" not in layers and settings.kept("auto"):
            layers.insert(0, "auto")
        state = projection.log.whole
        heads = feed_heads(state.feeds)
        changed = []
        for layer in layers:
            newest = max((one for one in ids if one.layer == layer), default=None)
            if state.events and (newest is None or not await vault.holds(newest, state.epoch, heads, projection.document)):
                changed.append(layer)
        return changed

    async def verify_due(self) -> bool:
        """Check all backups if one of them was not checked for a day; whether that was so."""
        vault, now_ms = await self.vault(), self._projection.platform.now_ms()
        verified = await vault.verified()
        ids = [str(one) for one in await vault.ids()]
        if all(one in verified and abs(now_ms - ms_of_iso(verified[one]["at"])) < VERIFY_EVERY_MS for one in ids):
            return False
        async with vault.storage.exclusive():
            await vault.sweep()  # what a window that was killed has left
        await self.verify()
        return True

    async def close(self) -> None:
        """Stop the clock and let go of the vault. Repeated calls do nothing."""
        await self.still()
        if self._opened is not None:
            await self._opened.storage.close()

    async def still(self) -> None:
        """Let the clock rest; what it is at is stopped, and leaves nothing half-done."""
        if self._clockwork is not None:
            self._clockwork.cancel()
            await asyncio.wait([self._clockwork])
            self._clockwork = None

    async def _work(self) -> None:
        await asyncio.sleep(FIRST_AFTER_S)
        while True:
            failed = None
            for work in (self._make_by_clock, self.verify_due):
                try:
                    await work()
                except Exception as error:  # noqa: BLE001
                    failed = failed or error
            self.error = failed
            if failed is not None:
                self._tell()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _make_by_clock(self) -> None:
        if (await (await self.vault()).settings()).running:
            await self.make_due(is_start=not self._is_started)
            self._is_started = True

    async def _make(self, choose: Callable[[], Awaitable[Sequence[str]]], label: str) -> Sequence[BackupId]:
        """Make a backup in each of the layers that `choose` gives when nobody else can make one any more."""
        await self._settled()
        projection = self._projection
        async with self.changing() as vault:
            layers = await choose()
            if not layers:
                return []
            try:
                # Not before: what is erased meanwhile must not come into the vault after it was taken out there.
                taken = await snapshot(projection)
                made = await self._add(vault, taken, layers, label)
            except CorruptError as error:
                kept = await self._keep(vault, label)
                raise CorruptError(f"{error.message} What can be read is kept in the backup {kept}.", **error.details, kept=kept) from error
            await vault.note_verified(dict.fromkeys(map(str, made)), projection.platform.now_ms())
            await vault.prune(await vault.settings())
        self._tell()
        return made

    async def _add(self, vault: Vault, taken: Snapshot, layers: Sequence[str], label: str) -> Sequence[BackupId]:
        projection = self._projection
        return await projection.checkpoints.making_room(lambda: vault.add(taken, layers, label, projection.platform.now_ms()))

    async def _keep(self, vault: Vault, label: str) -> str:
        log, schema = self._projection.log, self._projection.schema
        kept = await damage.keep(vault, log.storage, log.state.log, schema.name, self._projection.platform, label)
        self._tell()
        return str(kept)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _id(text: str) -> BackupId:
    id_ = BackupId.parse(text)
    if id_ is None:
        raise ValidationError(f"{text[:100]!r} is not the id of a backup.", id=text[:100])
    return id_


async def safety_backup(backups: Backups, label: str) -> str:
    """A backup in the layer `before-restore`, of what is about to be replaced; its id. Of a damaged log, all that can be read is kept."""
    try:
        return str((await backups.create(label, layer="before-restore"))["id"])
    except CorruptError as error:
        if "kept" not in error.details:
            raise
        return str(error.details["kept"])
