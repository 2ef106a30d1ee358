"""Getting a damaged log back: every event that can still be read, and from the vault those that cannot.

An event counts as read (see `pystore.backup.damage`) if its place in its replica's chain is proven as well: by the one after it, or by
the log's own record. Nothing is taken away before what replaces it was checked to the last link; damaged records are put aside in the
vault, and where something is lost, everything that can be read is kept there first.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any

from pystore import codec, versions
from pystore.backup.damage import Readable, file_of, readable, rest_of
from pystore.backup.vault import Manifest, Vault
from pystore.clock import MAX_FUTURE_MS
from pystore.errors import CorruptError, PyStoreError, ReadOnlyError
from pystore.event import Head, Recorded, check_feed, new_replica_id
from pystore.log import CARRIED_OUT, SEGMENT_EVENTS, LogState, new_epoch
from pystore.marks import Span
from pystore.merging import Merge
from pystore.ports import Commit, LogStorage, Platform, Segment
from pystore.schema import Schema
from pystore.segment import EMPTY
from pystore.waiting import KEY as WAITING
from pystore.waiting import Waiting

MOST_TOLD = 1000


async def repair(platform: Platform, log: str, schema: Schema, *, accept_loss: bool = False) -> dict[str, Any]:
    """Make a damaged log whole again with what its backups have, in one commit: how many `events` it holds, and how many are `repaired`.

    Raises CorruptError if some are nowhere to be found, or may be, and changes nothing: `missing` ones, and those `unchained` behind them
    in their replicas' feeds. With `accept_loss` the log goes on without both, as `lost` tells, when all that can be read was put into the
    backup `kept`. Damaged records are kept in the vault. Raises FormatError, NewerVersionError or ReadOnlyError if the log is not one that
    this version of the application may write to.
    """
    storage = await platform.open_log(log)
    vault = Vault(await platform.open_vault(log), platform.breathe)
    try:
        # Whoever makes a backup holds the vault and then asks for the log.
        async with vault.changing(), platform.writing(log):
            found = await readable(storage, platform.breathe)
            before = {(span.replica, span.first) for span in found.missing()}
            backups = await vault.manifests()
            if "versions" in found.unread:
                found.versions = next((manifest.header.versions for manifest in backups.values()), found.versions)
            if (why := versions.read(found.versions, schema).read_only) is not None:
                raise ReadOnlyError(f"Nothing can be written: {why}")
            if before or found.is_open_ended:
                await _fill(found, vault, backups.values())
            found.take_doubtful()
            feeds, heads = _proven(found)
            lost = _lost(found, heads)
            is_loss = bool(lost) or WAITING in found.unread
            if is_loss and not accept_loss:
                raise _loss(lost, found)
            if WAITING in found.unread:
                await vault.put_aside(f"waiting-{os.urandom(4).hex()}", found.meta.unchecked(WAITING))
            for number, body in found.damaged.items():
                await vault.put_aside(f"record-{number}-{os.urandom(4).hex()}", body)
            kept = None
            if is_loss:
                rest = rest_of(found, log, schema.name, platform)
                label = "Before the log went on without what is lost"
                kept = await vault.keep(rest.header, rest.epoch, rest.events, label, platform.now_ms())
            state = await _write(storage, found, feeds, log, platform)
        repaired = sum(1 for replica, seq in before if seq <= heads.get(replica, Head()).seq)
        return {
            "events": state.events, "repaired": repaired, "lost": [str(span) for span in lost],
            "unchained": [str(span) for span in lost if found.is_sound(span.replica, span.first)],
            "kept": None if kept is None else str(kept),
        }
    finally:
        await storage.close()
        await vault.storage.close()


def _loss(lost: Sequence[Span], found: Readable) -> CorruptError:
    unchained = [str(span) for span in lost if found.is_sound(span.replica, span.first)]
    missing = [str(span) for span in lost if not found.is_sound(span.replica, span.first)]
    counts = {"missing": len(missing), "unchained": len(unchained)}
    if not lost:
        return CorruptError(
            "The record of events that wait for their time is damaged. There may have been more than those that could be read, or are in "
            "a backup. Everything else is whole, and can be gone on with.", missing=missing, unchained=unchained, counts=counts,
        )
    told = ", ".join([*missing[:5], *(["..."] if len(missing) > 5 else [])])
    words = [
        f"{len(missing):,} events are damaged and in no backup: {told}." if missing else "",
        f"{len(unchained):,} others can be read, but nothing undamaged leads up to them." if unchained else "",
        "Everything that can be read can be saved. What comes before them can be gone on with.",
    ]
    return CorruptError(
        " ".join(filter(None, words)),
        missing=missing[:MOST_TOLD], unchained=unchained[:MOST_TOLD], counts=counts,
    )


async def _fill(found: Readable, vault: Vault, backups: Iterable[Manifest]) -> None:
    """Take what is missing from backups, the newest first."""
    wanted: dict[str, set[int]] = {}
    for span in found.missing():
        wanted.setdefault(span.replica, set()).add(span.first)
    ends = found.ends()
    for manifest in backups:
        is_open_ended = found.state is None or (found.is_open_ended and manifest.epoch == found.state.epoch)
        for chunk in manifest.chunks:
            numbers = wanted.get(chunk.replica, set())
            is_further = is_open_ended and chunk.last > ends.get(chunk.replica, 0)
            if not is_further and not any(chunk.first <= seq <= chunk.last for seq in numbers):
                continue
            try:
                events = await vault.events(chunk)
            except PyStoreError:
                continue
            if manifest.header.damage is not None:
                found.doubtful += events
                continue
            for event in events:
                if found.take(event):
                    numbers.discard(event.seq)


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
        is_at_end = end is not None and heads.get(replica, Head()).seq == end.seq
        if feed and (heads[replica] != end if is_at_end else (replica, feed[-1].seq) in found.unsure):
            feed.pop()  # nothing proves that its envelope is as it was
            heads[replica] = Head(len(feed), feed[-1].hash()) if feed else Head()
        proven += feed
    return proven, heads


def _lost(found: Readable, heads: dict[str, Head]) -> list[Span]:
    return [
        Span(replica, seq, seq) for replica, last in sorted(found.ends().items())
        for seq in range(heads.get(replica, Head()).seq + 1, last + 1)
    ]


async def _write(storage: LogStorage, found: Readable, events: Sequence[Recorded], log: str, platform: Platform) -> LogState:
    """Put `events` in the place of all records and of what waits, in one commit, as another life of the log."""
    old = found.state
    base = LogState(log, new_epoch(), new_replica_id(), old.name if old is not None else log)
    if old is not None:
        base = base._replace(erased=old.erased)
    merge = Merge(base, Waiting(), max(platform.now_ms() + MAX_FUTURE_MS, found.admitted_ms))
    ordered = sorted(events, key=lambda event: event.order)
    for start in range(0, len(ordered), SEGMENT_EVENTS):
        merge.take(ordered[start : start + SEGMENT_EVENTS])
        await platform.breathe()
    merge.end()
    last = max([*found.numbers, old.segment if old is not None else 0])
    parts = list(zip(merge.bodies, merge.sizes, strict=True)) or [(EMPTY, 0)]
    add = [Segment(number, number, count, body) for number, (body, count) in enumerate(parts, last + 1)]
    add[0] = replace(add[0], first=1)
    state = merge.state._replace(segment=add[-1].number)
    meta = {
        **state.to_meta(), "merged_upto": b"0", WAITING: merge.waiting.to_meta(), CARRIED_OUT: b"",
        versions.VERSIONS: codec.encode(found.versions),
    }
    await storage.commit(Commit(add=add, delete=sorted(set(found.numbers)), meta=meta))
    return state


async def damaged_file(platform: Platform, log: str, schema: str) -> AsyncIterator[bytes]:
    """Everything of a log that can be read, as a backup file. Its header has a report of what is missing, under `damage`."""
    storage = await platform.open_log(log)
    try:
        found = await readable(storage, platform.breathe)
    finally:
        await storage.close()
    async for piece in file_of(rest_of(found, log, schema, platform), platform):
        yield piece
