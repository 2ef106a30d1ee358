"""The chunks of a backup: each replica's feed, cut at fixed numbers, so that what was written once is never written again.

A feed is cut into runs of 4,096 events, what is left into runs of 512, then of 64, and a rest. All but the last of each size
stay as they are however the feed grows, so a backup of a log that grew a little writes a little. A chunk is the body of a segment
(`pystore.segment`), and its name is the SHA-256 of its bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

import pydantic

from pystore.errors import CorruptError
from pystore.event import Recorded
from pystore.segment import ends, events_of, pack, runs_in_order

SIZES = (4096, 512, 64)
"""Events of a chunk; each is a multiple of the next."""
CHUNK_BYTES = 8 << 20
"""A run of larger events is several chunks: before compression."""
BLOB_EVENTS = 512


class Chunk(pydantic.BaseModel):
    """A run of one feed: the events `first` to `last`, kept under its hash. `until` is the last one's time stamp."""

    replica: str
    first: int
    last: int
    until: str
    sha256: str
    bytes: int


class Made(NamedTuple):
    """A chunk that was made, and its content."""

    chunk: Chunk
    body: bytes


def cuts(events: int) -> Iterator[tuple[int, int]]:
    """The runs (first, last) into which a feed of so many events is cut."""
    first = 1
    for size in SIZES:
        while first + size - 1 <= events:
            yield first, first + size - 1
            first += size
    if first <= events:
        yield first, events


def kept_of(chunks: Iterable[Chunk], events: int) -> list[Chunk]:
    """Of one feed's chunks in an earlier backup those, from the first on, that a backup of `events` of it has as well."""
    left = deque(sorted(chunks, key=lambda chunk: chunk.first))
    kept: list[Chunk] = []
    for first, last in cuts(events):
        run: list[Chunk] = []
        at = first
        while left and left[0].first == at and left[0].last <= last:
            run.append(left.popleft())
            at = run[-1].last + 1
        if at != last + 1:
            break
        kept += run
    return kept


async def missing(
    bodies: Sequence[bytes], feeds: Mapping[str, int], kept: Mapping[str, Sequence[Chunk]], breathe: Callable[[], Awaitable[None]]
) -> AsyncIterator[Made]:
    """The chunks that a backup of `feeds` (replica: events) needs beside those that are `kept`, made from the bodies of segments.

    Raises CorruptError if an event is not there. Segments that hold nothing of it are not unpacked.
    """
    done = {replica: kept[replica][-1].last if kept.get(replica) else 0 for replica in feeds}
    needed = {replica: deque(run for run in cuts(events) if run[1] > done[replica]) for replica, events in feeds.items()}
    after = min((kept[replica][-1].until if kept.get(replica) else "" for replica, runs in needed.items() if runs), default="~")
    pending: dict[str, list[Recorded]] = {}
    sizes: dict[str, int] = {}
    for _, blob in runs_in_order(body for body in bodies if ends(body)[1][0] > after):
        for event in events_of(blob):
            replica = event.replica
            if event.seq <= done.get(replica, event.seq):
                continue  # kept, or of a feed that began after the backup did
            if event.seq != done[replica] + 1:
                raise _missing(replica, done[replica] + 1)
            done[replica] = event.seq
            pending.setdefault(replica, []).append(event)
            sizes[replica] = sizes.get(replica, 0) + len(event.line)
            is_end = event.seq == needed[replica][0][1]
            if is_end or sizes[replica] >= CHUNK_BYTES:
                yield made_of(pending.pop(replica))
                sizes[replica] = 0
                await breathe()
            if is_end:
                needed[replica].popleft()
                if not needed[replica]:
                    del done[replica]  # what comes later is not of this backup
        await breathe()
    for replica, runs in needed.items():
        if runs:
            raise _missing(replica, done[replica] + 1)


def runs_of(feed: Mapping[int, Recorded]) -> Iterator[list[Recorded]]:
    """The runs in which a feed with gaps is kept, by number: cut where a whole one is, and at each gap."""
    whole = {last for _, last in cuts(max(feed, default=0))}
    run: list[Recorded] = []
    size = 0
    for seq, event in sorted(feed.items()):
        if run and (run[-1].seq in whole or run[-1].seq != seq - 1 or size >= CHUNK_BYTES):
            yield run
            run, size = [], 0
        run.append(event)
        size += len(event.line)
    if run:
        yield run


def _missing(replica: str, seq: int) -> CorruptError:
    return CorruptError(f"Event {replica}:{seq} is missing in what is stored: no whole backup can be made.", id=f"{replica}:{seq}")


def made_of(events: Sequence[Recorded]) -> Made:
    """The chunk that a run of one feed makes."""
    body = pack([event.line for event in events])
    first, last = events[0], events[-1]
    name = sha256(body).hexdigest()
    return Made(Chunk(replica=first.replica, first=first.seq, last=last.seq, until=last.hlc, sha256=name, bytes=len(body)), body)


async def in_order(chunks: Iterable[Chunk], read: Callable[[Chunk], Awaitable[list[Recorded]]]) -> AsyncIterator[bytes]:
    """All lines of the chunks in the log's order, in pieces. Of each feed one chunk is in memory at a time."""
    feeds: dict[str, deque[Chunk]] = {}
    for chunk in sorted(chunks, key=lambda chunk: chunk.first):
        feeds.setdefault(chunk.replica, deque()).append(chunk)
    queue = []
    for replica, left in feeds.items():
        events = deque(await read(left.popleft()))
        queue.append((events[0].order, replica, events))
    heapify(queue)
    lines: list[bytes] = []
    while queue:
        _, replica, events = queue[0]
        lines.append(events.popleft().line)
        if not events and feeds[replica]:
            events.extend(await read(feeds[replica].popleft()))
        if events:
            heapreplace(queue, (events[0].order, replica, events))
        else:
            heappop(queue)
        if len(lines) >= BLOB_EVENTS:
            yield b"\n".join([*lines, b""])
            lines = []
    if lines:
        yield b"\n".join([*lines, b""])
