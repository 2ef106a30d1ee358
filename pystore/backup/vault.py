"""The vault: the automatic backups of one log, kept apart from it.

    chunks/<SHA-256>      runs of events, each kept once, however many backups name it
    damaged/...           what was such a run, or a record of the log; kept for whoever may still get something out of it
    backups/<id>          one backup: the header of the file that it stands for, and its chunks
    state/...             settings, and what the last check found: small JSON with a checksum, that can be made anew

A backup is a manifest: two lines of JSON, the second with the SHA-256 of the first, compressed. As it names its chunks by
theirs, that one hash speaks for all of it. It is written after its chunks, and read back, so it is there whole or not at all.
What could be read of a damaged log is one as well, in a layer of its own: its header tells what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Any, Literal

import pydantic

from pystore import codec, records
from pystore.backup.chunks import Chunk, Made, in_order, kept_of, made_of, missing, runs_of
from pystore.backup.format import NOT_WHOLE, FeedHead, Header, footer_line, footer_of
from pystore.backup.layers import DAMAGED as LAYER_OF_DAMAGED
from pystore.backup.layers import BackupId, Settings, superfluous
from pystore.backup.save import Snapshot, jsonl
from pystore.clock import iso_of_ms
from pystore.compression import compress, decompress
from pystore.erasure import Erasures, blanked
from pystore.errors import CorruptBackupError, CorruptError, FormatError, PyStoreError, StorageError, ValidationError
from pystore.event import Recorded
from pystore.ports import VaultStorage
from pystore.progress import Progress
from pystore.records import Records
from pystore.segment import events_in

CHUNKS, BACKUPS, DAMAGED = "chunks", "backups", "damaged"
UNFINISHED = (".new", ".crswap")
"""How names of files end that were being written, in a folder and in a browser. In a browser the file itself is there, and empty."""
LIVES = 10
"""Of so many lives of a log, this one included, the newest good backup stays whatever the layers keep."""
SETTINGS, VERIFIED = "state/settings", "state/verified"


class Manifest(pydantic.BaseModel):
    """One backup: what it is, and of which chunks it is made."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    kind: Literal["vault-backup"] = pydantic.Field(alias="pystore")
    format: Literal[1]
    label: str
    epoch: str
    """Which life of the log it is of: see `LogState`."""
    header: Header
    chunks: list[Chunk]

    def line(self) -> bytes:
        """The manifest's first line."""
        return codec.encode(self.model_dump(mode="json", by_alias=True)) + b"\n"


class Vault:
    """The backups in `storage`. Whoever makes or removes some holds it: `changing`, or `storage.exclusive()`."""

    def __init__(self, storage: VaultStorage, breathe: Callable[[], Awaitable[None]]) -> None:
        self.storage = storage
        self.in_use: set[BackupId] = set()
        """What is being read here: it is not pruned."""
        self._breathe = breathe

    # -- what there is

    async def ids(self) -> list[BackupId]:
        """All backups, the oldest first."""
        found = (BackupId.parse(name) for name, size in (await self.storage.sizes(BACKUPS)).items() if size)
        return sorted(one for one in found if one is not None)

    async def manifest(self, id_: BackupId) -> Manifest:
        """One backup. Raises ValidationError if there is none of that id, CorruptBackupError if it is damaged."""
        raw = await self.storage.read(f"{BACKUPS}/{id_}")
        if raw is None:
            raise ValidationError(f"There is no backup {id_} any more.", id=str(id_))
        return _manifest_of(raw, id_)

    async def manifests(self) -> dict[BackupId, Manifest]:
        """All backups that are not damaged, newest first."""
        found = {}
        for id_ in reversed(await self.ids()):
            with suppress(CorruptBackupError):
                found[id_] = await self.manifest(id_)
        return found

    async def described(self) -> list[dict[str, Any]]:
        """All backups, newest first: see `Backups.list`."""
        raws = {id_: await self.storage.read(f"{BACKUPS}/{id_}") or b"" for id_ in await self.ids()}
        verified = await self.verified()
        manifests: dict[BackupId, Manifest | CorruptBackupError] = {}
        for id_, raw in raws.items():
            try:
                manifests[id_] = _manifest_of(raw, id_)
            except CorruptBackupError as error:
                manifests[id_] = error
        users: dict[str, int] = {}
        for manifest in manifests.values():
            if isinstance(manifest, Manifest):
                for name in {chunk.sha256 for chunk in manifest.chunks}:
                    users[name] = users.get(name, 0) + 1
        return [
            {"id": str(id_), "layer": id_.layer, "time": iso_of_ms(id_.made_ms), **_described(manifest, len(raws[id_]), users),
             "verified": verified.get(str(id_))}
            for id_, manifest in reversed(manifests.items())
        ]

    async def stats(self) -> dict[str, Any]:
        """How many backups there are and what they take, in all and by layer: see `Backups.stats`."""
        ids = await self.ids()
        sizes = {folder: await self.storage.sizes(folder) for folder in (BACKUPS, CHUNKS, DAMAGED)}
        parts: dict[str, dict[str, int]] = {id_.layer: {} for id_ in ids}
        for id_ in ids:
            parts[id_.layer][str(id_)] = sizes[BACKUPS][str(id_)]
        for id_, manifest in (await self.manifests()).items():
            parts[id_.layer].update((chunk.sha256, chunk.bytes) for chunk in manifest.chunks)
        users = Counter(part for of_layer in parts.values() for part in of_layer)
        layers = {}
        for layer, of_layer in sorted(parts.items()):
            made = [one for one in ids if one.layer == layer]
            own = sum(size for part, size in of_layer.items() if users[part] == 1)
            layers[layer] = {"count": len(made), "size": sum(of_layer.values()), "own": own, **_span(made)}
        total = sum(size for of_folder in sizes.values() for size in of_folder.values())
        return {"where": self.storage.kind, "count": len(ids), "bytes": total, **_span(ids), "layers": layers}

    # -- making and removing

    @asynccontextmanager
    async def changing(self) -> AsyncGenerator[None]:
        """Hold `exclusive`. What was begun and failed takes no space."""
        async with self.storage.exclusive():
            try:
                yield
            except Exception:
                await self.sweep()
                raise

    async def add(self, snapshot: Snapshot, layers: Sequence[str], label: str, now_ms: int) -> list[BackupId]:
        """Keep a backup of `snapshot` in each of `layers`; for one who holds the vault.

        All of it is there and was read back on return, also what earlier backups have of it, or nothing is.
        """
        kept = await self._kept(snapshot, await self.storage.sizes(CHUNKS))
        kept = {replica: [chunk async for chunk in self._good(run)] for replica, run in kept.items()}
        chunks = [chunk for run in kept.values() for chunk in run]
        feeds = {replica: head.seq for replica, head in snapshot.header.replicas.items()}
        chunks += [await self._put(made) async for made in missing(snapshot.bodies, feeds, kept, self._breathe)]
        return [await self._name(snapshot.header, snapshot.epoch, chunks, layer, label, now_ms) for layer in layers]

    async def keep(self, header: Header, epoch: str, events: Iterable[Recorded], label: str, now_ms: int) -> BackupId:
        """Keep what could be read of a damaged log; all of it was read back on return. For one who holds `exclusive`.

        One that was kept of the same damage goes: all that it has is in this one.
        """
        same = [
            id_ for id_, manifest in (await self.manifests()).items()
            if id_.layer == LAYER_OF_DAMAGED and (manifest.epoch, manifest.header.damage) == (epoch, header.damage)
            and manifest.header.counts.events <= header.counts.events
        ]
        feeds: dict[str, dict[int, Recorded]] = {}
        for event in events:
            feeds.setdefault(event.replica, {})[event.seq] = event
        chunks = []
        for feed in feeds.values():
            for run in runs_of(feed):
                chunks.append(await self._put(made_of(run)))
                await self._breathe()
        id_ = await self._name(header, epoch, chunks, LAYER_OF_DAMAGED, label, now_ms)
        await self.remove(set(same) - self.in_use)
        return id_

    async def put_aside(self, name: str, data: bytes) -> None:
        """Keep damaged bytes for whoever may still get something out of them; they were read back on return."""
        await self._write(f"{DAMAGED}/{name}", data)

    async def _put(self, made: Made) -> Chunk:
        name = f"{CHUNKS}/{made.chunk.sha256}"
        if await self.storage.read(name) != made.body:
            await self._write(name, made.body)
        return made.chunk

    async def _name(self, header: Header, epoch: str, chunks: list[Chunk], layer: str, label: str, now_ms: int) -> BackupId:
        """Make the backup that these chunks are."""
        manifest = Manifest.model_validate(
            {"pystore": "vault-backup", "format": 1, "label": label, "epoch": epoch, "header": header, "chunks": chunks}
        )
        ids = await self.ids()
        id_ = BackupId(ids[-1].number + 1 if ids else 1, layer, now_ms)
        await self._write(f"{BACKUPS}/{id_}", packed(manifest))
        return id_

    async def _kept(self, snapshot: Snapshot, there: Mapping[str, int]) -> dict[str, list[Chunk]]:
        """Chunks of the newest backup of this life of the log that the next one has as well, by replica."""
        for manifest in (await self.manifests()).values():
            if manifest.epoch == snapshot.epoch and manifest.header.damage is None:
                of_feed: dict[str, list[Chunk]] = {}
                for chunk in manifest.chunks:
                    if there.get(chunk.sha256) == chunk.bytes:
                        of_feed.setdefault(chunk.replica, []).append(chunk)
                heads = snapshot.header.replicas
                return {replica: kept_of(run, heads[replica].seq) for replica, run in of_feed.items() if replica in heads}
        return {}

    async def _good(self, chunks: Iterable[Chunk]) -> AsyncIterator[Chunk]:
        """The chunks up to the first that is damaged, which is put away."""
        for chunk in chunks:
            try:
                await self._body(chunk)
            except CorruptBackupError:
                await self._set_aside(chunk)
                return
            yield chunk
            await self._breathe()

    async def _write(self, name: str, data: bytes) -> None:
        await self.storage.write(name, data)
        if await self.storage.read(name) != data:
            raise StorageError("A backup was written and could not be read back. What was there before is kept.")

    async def holds(self, id_: BackupId, epoch: str, replicas: Mapping[str, FeedHead], versions: Mapping[str, Any]) -> bool:
        """Whether a backup is whole and holds just these feeds of that life of the log, and these versions."""
        try:
            manifest = await self.manifest(id_)
        except CorruptBackupError:
            return False
        return (manifest.epoch, manifest.header.replicas, manifest.header.versions) == (epoch, replicas, versions)

    async def remove(self, ids: Iterable[BackupId]) -> None:
        """Remove backups, and the chunks that no other one names. For one who holds `exclusive`."""
        gone = set(ids)
        if gone:
            for id_ in gone:
                await self.storage.delete(f"{BACKUPS}/{id_}")
            await self.sweep()

    async def prune(self, settings: Settings) -> None:
        """Remove what is more than the layers keep, but nothing that is in use, or the last of a life. For one who holds `exclusive`."""
        surplus = set(superfluous(await self.ids(), settings)) - self.in_use
        if surplus:
            await self.remove(surplus - await self._last_of_lives())

    async def _last_of_lives(self) -> set[BackupId]:
        """The newest good backup of each of the newest lives of the log: nothing that is made later stands for it.

        Also what is newer and was not checked: it may be good.
        """
        verified = await self.verified()
        last: dict[str, list[BackupId]] = {}
        found: set[str] = set()
        for id_, manifest in (await self.manifests()).items():
            is_good = verified.get(str(id_), {}).get("good")
            if manifest.header.damage is None and is_good is not False and manifest.epoch not in found:
                last.setdefault(manifest.epoch, []).append(id_)
                if is_good:
                    found.add(manifest.epoch)
        return {id_ for of_life in list(last.values())[:LIVES] for id_ in of_life}

    async def sweep(self) -> None:
        """Remove what was only begun, and chunks that no backup names; for one who holds `exclusive`.

        No chunks while a backup cannot be read: it may name them.
        """
        for name, size in (await self.storage.sizes(BACKUPS)).items():
            if not size or name.endswith(UNFINISHED):
                await self.storage.delete(f"{BACKUPS}/{name}")
        try:
            named = {chunk.sha256 for id_ in await self.ids() for chunk in (await self.manifest(id_)).chunks}
        except CorruptBackupError:
            return
        for name in (await self.storage.sizes(CHUNKS)).keys() - named:
            await self.storage.delete(f"{CHUNKS}/{name}")

    async def erase(self, erased: Erasures) -> None:
        """Remove the content of erased events from all backups: chunks and manifests are written anew, then the old ones removed.

        What cannot be read goes: it may hold that content. For one who holds `exclusive`.
        """
        renamed: dict[str, Chunk] = {}
        for name in await self.storage.sizes(CHUNKS):
            body = await self.storage.read(f"{CHUNKS}/{name}") or b""
            try:
                events = events_in(body)
                rest = blanked(events, erased)
            except PyStoreError:
                events, rest = [], None
            if rest is not events:
                if rest is not None:
                    made = made_of(rest)
                    await self._write(f"{CHUNKS}/{made.chunk.sha256}", made.body)
                    renamed[name] = made.chunk
                else:
                    await self.storage.delete(f"{CHUNKS}/{name}")
            await self._breathe()
        for id_ in await self.ids():
            try:
                manifest = await self.manifest(id_)
            except CorruptBackupError:
                await self.storage.delete(f"{BACKUPS}/{id_}")
                continue
            if any(chunk.sha256 in renamed for chunk in manifest.chunks):
                chunks = [renamed.get(chunk.sha256, chunk) for chunk in manifest.chunks]
                await self._write(f"{BACKUPS}/{id_}", packed(manifest.model_copy(update={"chunks": chunks})))
        for name in renamed:
            await self.storage.delete(f"{CHUNKS}/{name}")
        for name in await self.storage.sizes(DAMAGED):
            await self.storage.delete(f"{DAMAGED}/{name}")
        await self.sweep()

    # -- reading

    async def file(self, id_: BackupId, on_progress: Progress | None = None) -> AsyncIterator[bytes]:
        """The backup as a file, in chunks. Raises CorruptBackupError, before its end, if it is not what was written."""
        manifest = await self.manifest(id_)
        lines = in_order(manifest.chunks, self.events)
        async for piece in jsonl(manifest.header, lines, self._breathe, on_progress):
            yield piece

    async def events(self, chunk: Chunk) -> list[Recorded]:
        """The events of a chunk. Raises CorruptBackupError if it is not what was written."""
        return events_in(await self._body(chunk))

    async def _body(self, chunk: Chunk) -> bytes:
        body = await self.storage.read(f"{CHUNKS}/{chunk.sha256}")
        if body is None or sha256(body).hexdigest() != chunk.sha256:
            raise CorruptBackupError(
                f"This backup is damaged: the part with events {chunk.replica}:{chunk.first} to {chunk.last} "
                f"{'is missing' if body is None else 'was altered'}. Use another one.",
                chunk=chunk.sha256, replica=chunk.replica, first=chunk.first, last=chunk.last,
            )
        return body

    async def check(self, on_progress: Progress | None = None) -> dict[str, str | None]:
        """What is wrong with each backup (None: nothing), by id. A chunk is read once, however many backups name it."""
        verdicts: dict[str, str | None] = {}
        chunks: dict[str, str | None] = {}
        ids = await self.ids()
        for done, id_ in enumerate(ids, 1):
            verdicts[str(id_)] = await self._check(id_, chunks)
            if on_progress is not None:
                on_progress("verify", done, len(ids))
        return verdicts

    async def _check(self, id_: BackupId, chunks: dict[str, str | None]) -> str | None:
        try:
            manifest = await self.manifest(id_)
        except PyStoreError as error:
            return error.message
        found = None if manifest.header.damage is None else NOT_WHOLE
        for chunk in manifest.chunks:
            if chunk.sha256 not in chunks:
                try:
                    await self._body(chunk)
                    chunks[chunk.sha256] = None
                except CorruptBackupError as error:
                    chunks[chunk.sha256] = error.message
                    async with self.storage.exclusive():
                        await self._set_aside(chunk)
                await self._breathe()
            found = chunks[chunk.sha256] or found
        return found

    async def _set_aside(self, chunk: Chunk) -> None:
        """Put away a chunk that is damaged: the next backup writes it anew if it can, and all that name it are whole again."""
        body = await self.storage.read(f"{CHUNKS}/{chunk.sha256}")
        if body is not None and sha256(body).hexdigest() != chunk.sha256:
            await self.put_aside(chunk.sha256, body)
            await self.storage.delete(f"{CHUNKS}/{chunk.sha256}")

    # -- small things that can be made anew

    async def settings(self) -> Settings:
        """What people chose; if that cannot be read the defaults, which say so (`is_lost`)."""
        try:
            raw = await self._record(SETTINGS)
            return Settings() if raw is None else Settings.model_validate_json(raw)
        except (CorruptError, pydantic.ValidationError):
            return Settings(is_lost=True)

    async def choose(self, settings: Settings) -> None:
        """Keep what people chose."""
        await self._keep_record(SETTINGS, settings.model_dump(mode="json"))

    async def verified(self) -> dict[str, dict[str, Any]]:
        """What checks found, by id: when (`at`, UTC), whether it was `good`, and `why` not.

        Nothing if that cannot be read: then all are due to be checked.
        """
        try:
            raw = await self._record(VERIFIED)
        except CorruptError:
            return {}
        found: dict[str, dict[str, Any]] = {} if raw is None else codec.decode(raw)
        return found

    async def note_verified(self, verdicts: Mapping[str, str | None], now_ms: int) -> None:
        """Keep what a check found, and forget what is known of backups that are gone."""
        there = {str(id_) for id_ in await self.ids()}
        found = await self.verified()
        found.update((id_, {"at": iso_of_ms(now_ms), "good": why is None, "why": why}) for id_, why in verdicts.items())
        await self._keep_record(VERIFIED, {id_: one for id_, one in found.items() if id_ in there})

    async def _record(self, name: str) -> bytes | None:
        raw = await self.storage.read(name)
        return Records({name: raw})[name] if raw else None

    async def _keep_record(self, name: str, value: Mapping[str, Any]) -> None:
        await self.storage.write(name, records.packed({name: codec.encode(value)})[name])


def packed(manifest: Manifest) -> bytes:
    """A manifest as it is kept."""
    line = manifest.line()
    return compress(line + footer_line(1, sha256(line).hexdigest()))


def _manifest_of(raw: bytes, id_: BackupId) -> Manifest:
    try:
        line, _, footer = decompress(raw).partition(b"\n")
        said = footer_of(footer.rstrip(b"\n"))
        if said is None or said.sha256 != sha256(line + b"\n").hexdigest():
            raise FormatError("its checksum does not match")
        return Manifest.model_validate_json(line)
    except (PyStoreError, pydantic.ValidationError) as error:
        message = f"The backup {id_} is damaged: what tells its parts cannot be read. Use another one."
        raise CorruptBackupError(message, id=str(id_)) from error


def _described(manifest: Manifest | CorruptBackupError, size: int, users: Mapping[str, int]) -> dict[str, Any]:
    if not isinstance(manifest, Manifest):
        return {"label": "", "size": size, "own": size, "events": None, "damaged": manifest.message, "damage": None}
    header = manifest.header
    return {
        "label": manifest.label, "size": size + sum(chunk.bytes for chunk in manifest.chunks),
        "own": size + sum(chunk.bytes for chunk in manifest.chunks if users[chunk.sha256] == 1),
        "sha256": sha256(manifest.line()).hexdigest(), "versions": header.versions, "events": header.counts.events,
        "by_type": header.counts.by_type, "records": header.counts.records,
        "damaged": None if header.damage is None else NOT_WHOLE, "damage": header.damage,
    }


def _span(ids: list[BackupId]) -> dict[str, str | None]:
    times = [one.made_ms for one in ids]
    return {"oldest": iso_of_ms(min(times)) if times else None, "newest": iso_of_ms(max(times)) if times else None}


