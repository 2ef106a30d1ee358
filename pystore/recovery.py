"""Getting a damaged log back: every event that can still be read, and from the vault those that cannot.

An event counts as read if its line has the right form, its content matches its digest, and its place in its replica's chain is
proven by the one after it or by the log's own record. Nothing is taken away before what replaces it was checked to the last
link; damaged records are put aside in the vault.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pystore import codec
from pystore.backup.save import header_for, jsonl
from pystore.backup.vault import DAMAGED, Vault
from pystore.erasure import blanked
from pystore.errors import CorruptError, PyStoreError
from pystore.event import Head, Recorded, check_feed, new_replica_id, parse_line
from pystore.log import CARRIED_OUT, SEGMENT_EVENTS, LogState, new_epoch
from pystore.marks import Span
from pystore.ports import Commit, LogStorage, Platform, Segment
from pystore.records import Records
from pystore.segment import events_in, pack, unpack_pieces
from pystore.versions import application
from pystore.waiting import KEY as WAITING
from pystore.waiting import Waiting

PIECE_BYTES = 1 << 20
MOST_NUMBERS = 1 << 16
"""How many records in a row may be unreadable before the search for a further one ends."""


@dataclass(slots=True)
class Readable:
    """What of a log can be read: events by replica and number, its own record, and what is damaged."""

    meta: Records
    state: LogState | None
    events: dict[str, dict[int, Recorded]] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    """Records that are there, readable or not."""
    damaged: dict[int, bytes] = field(default_factory=dict)
    """Bodies that could not be read whole, by number."""
    doubtful: list[Recorded] = field(default_factory=list)
    """Events in those: their content is what was recorded, their envelopes may not be."""

    def take(self, event: Recorded) -> bool:
        """Keep an event, unless its content is not what was recorded; whether it was kept."""
        if not event.digest_holds():
            return False
        self.events.setdefault(event.replica, {}).setdefault(event.seq, event)
        return True

    def take_doubtful(self) -> None:
        """Keep what nothing better was found for."""
        for event in self.doubtful:
            self.take(event)

    def missing(self) -> list[Span]:
        """Events that the log's own record tells of, and that cannot be read."""
        feeds = {replica: head.seq for replica, head in self.state.feeds.items()} if self.state is not None else {}
        for replica, events in self.events.items():
            feeds[replica] = max(feeds.get(replica, 0), *events)
        return [
            Span(replica, seq, seq) for replica, last in sorted(feeds.items()) for seq in range(1, last + 1)
            if seq not in self.events.get(replica, {})
        ]


async def readable(storage: LogStorage) -> Readable:
    """All that can be read of a log."""
    meta = await storage.meta()
    try:
        state = LogState.from_meta(meta)
    except CorruptError:
        state = None
    found = Readable(meta, state)
    after, unreadable = 0, 0
    while unreadable < MOST_NUMBERS:
        try:
            page = await storage.segments(after, 0)
        except CorruptError:
            after, unreadable = after + 1, unreadable + 1  # what is no record at all
            found.numbers.append(after)
            continue
        if not page:
            break
        unreadable = 0
        for segment in page:
            found.numbers.append(segment.number)
            try:
                for event in events_in(segment.body):
                    found.take(event)
            except PyStoreError:
                found.damaged[segment.number] = segment.body
                _take_doubtful(found, segment.body)
        after = page[-1].number
    return found


def _take_doubtful(found: Readable, body: bytes) -> None:
    """Note what looks like events in a damaged segment."""
    rest = b""
    try:
        for piece in unpack_pieces(body, PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                with suppress(PyStoreError):
                    event = parse_line(line)
                    if event.digest_holds():
                        found.doubtful.append(event)
    except CorruptError:
        return  # what came before may be right all the same


async def repair(platform: Platform, log: str, *, accept_loss: bool = False) -> dict[str, Any]:
    """Make a damaged log whole again with what its backups have, in one commit: how many `events` it holds, and how many are `repaired`.

    Raises CorruptError if some are nowhere to be found, with these as `missing`, and changes nothing; with `accept_loss` the log goes on
    without them and without what their replicas recorded after them, as `lost` tells. Damaged records are kept in the vault.
    """
    storage = await platform.open_log(log)
    vault = Vault(await platform.open_vault(log), platform.breathe)
    try:
        async with platform.writing(log):
            found = await readable(storage)
            before = {(span.replica, span.first) for span in found.missing()}
            if before or found.state is None:
                await _fill(found, vault)
            found.take_doubtful()
            feeds, heads = _proven(found)
            lost = _lost(found, heads)
            if lost and not accept_loss:
                told = ", ".join([*map(str, lost[:5]), *(["..."] if len(lost) > 5 else [])])
                raise CorruptError(
                    f"{len(lost):,} events are damaged and in no backup: {told}. Everything else can be saved, and gone on with.",
                    missing=[str(span) for span in lost[:1000]],
                )
            for number, body in found.damaged.items():
                await vault.storage.write(f"{DAMAGED}/record-{number}-{os.urandom(4).hex()}", body)
            state = await _write(storage, found, feeds, log)
        repaired = sum(1 for replica, seq in before if seq <= heads.get(replica, Head()).seq)
        return {"events": state.events, "repaired": repaired, "lost": [str(span) for span in lost]}
    finally:
        await storage.close()
        await vault.storage.close()


async def _fill(found: Readable, vault: Vault) -> None:
    """Take what is missing from backups, the newest first."""
    wanted: dict[str, set[int]] = {}
    for span in found.missing():
        wanted.setdefault(span.replica, set()).add(span.first)
    for id_ in reversed(await vault.ids()):
        try:
            manifest = await vault.manifest(id_)
        except PyStoreError:
            continue
        for chunk in manifest.chunks:
            numbers = wanted.get(chunk.replica, set())
            if found.state is not None and not any(chunk.first <= seq <= chunk.last for seq in numbers):
                continue
            try:
                for event in await vault.events(chunk):
                    if found.take(event):
                        numbers.discard(event.seq)
            except PyStoreError:
                continue


def _proven(found: Readable) -> tuple[list[Recorded], dict[str, Head]]:
    """The events that stand in unbroken chains, and where these end."""
    proven: list[Recorded] = []
    heads: dict[str, Head] = {}
    known = found.state.feeds if found.state is not None else {}
    for replica, by_seq in found.events.items():
        feed: list[Recorded] = []
        for seq in range(1, len(by_seq) + 1):
            event = by_seq.get(seq)
            if event is None:
                break
            try:
                check_feed([event], heads)
            except PyStoreError:
                if feed:  # either this one or the one before is not what it was
                    feed.pop()
                    heads[replica] = Head(seq - 2, feed[-1].hash()) if feed else Head()
                break
            feed.append(event)
        end = known.get(replica)
        if end is not None and heads.get(replica, Head()).seq == end.seq and heads[replica].hash != end.hash and feed:
            feed.pop()  # nothing proves that its envelope is as it was
            heads[replica] = Head(end.seq - 1, feed[-1].hash()) if feed else Head()
        proven += feed
    return proven, heads


def _lost(found: Readable, heads: dict[str, Head]) -> list[Span]:
    ends = {replica: max(events) for replica, events in found.events.items()}
    for replica, head in (found.state.feeds if found.state is not None else {}).items():
        ends[replica] = max(ends.get(replica, 0), head.seq)
    return [
        Span(replica, seq, seq) for replica, last in sorted(ends.items()) for seq in range(heads.get(replica, Head()).seq + 1, last + 1)
    ]


async def _write(storage: LogStorage, found: Readable, events: Sequence[Recorded], log: str) -> LogState:
    """Put `events` in the place of all records, in one commit, as another life of the log."""
    ordered = sorted(events, key=lambda event: event.order)
    old = found.state
    last = max([*found.numbers, old.segment if old is not None else 0])
    state = LogState(log, new_epoch(), new_replica_id(), old.name if old is not None else log)
    if old is not None:
        state = state._replace(erased=old.erased)
    add = []
    for start in range(0, max(1, len(ordered)), SEGMENT_EVENTS):
        part = ordered[start : start + SEGMENT_EVENTS]
        feeds = {**state.feeds, **{event.replica: Head(event.seq, event.hash()) for event in part}}
        last += 1
        state = state.after(part, feeds, last)
        add.append(Segment(last, last, len(part), pack([event.line for event in part])))
    add[0] = replace(add[0], first=1)
    try:
        waits = Waiting.from_meta(found.meta.get(WAITING, b""), state.feeds).to_meta()
    except PyStoreError:
        waits = b""
    meta = {**state.to_meta(), "merged_upto": b"0", WAITING: waits, CARRIED_OUT: b""}
    await storage.commit(Commit(add=add, delete=sorted(set(found.numbers)), meta=meta))
    return state


async def damaged_file(platform: Platform, log: str, schema: str) -> AsyncIterator[bytes]:
    """Everything of a log that can be read, as a backup file. Its header has a report of what is missing, under `damage`."""
    storage = await platform.open_log(log)
    try:
        found = await readable(storage)
    finally:
        await storage.close()
    found.take_doubtful()
    events = sorted((event for by_seq in found.events.values() for event in by_seq.values()), key=lambda event: event.order)
    ends = {event.replica: Head(event.seq, event.hash()) for event in events}
    state = (found.state or LogState(log, "", "", log))._replace(feeds={}, counts={})
    state = state.after(events, ends, 0)
    try:
        versions = codec.decode(found.meta.get("versions", b"{}"))
    except (ValueError, CorruptError):
        versions = {}
    header = header_for(state, application(versions) or schema, platform.now_ms(), platform.name, versions, {})
    damage = {"missing": [str(span) for span in found.missing()], "records": sorted(found.damaged)}
    header = header.model_copy(update={"damage": damage})
    async for piece in jsonl(header, [event.line + b"\n" for event in blanked(events, state.erased)], platform.breathe, None):
        yield piece

