"""Writing a log as a backup file."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from pystore.backup.format import FORMAT, Counts, Header, feed_heads, footer_line
from pystore.clock import iso_of_ms
from pystore.erasure import Erasures, blanked_lines
from pystore.log import LogState
from pystore.progress import Progress
from pystore.projection import Projection
from pystore.segment import blobs_in_order


class Snapshot(NamedTuple):
    """All that a log holds as of one moment: the header of its file, and bodies of segments with the events; see `LogState`."""

    header: Header
    bodies: list[bytes]
    epoch: str
    erased: Erasures

    def blobs(self) -> Iterator[bytes]:
        """All lines in the log's order, in pieces. Of what is erased the content is left out, also where that was not carried out yet."""
        return (blanked_lines(blob, self.erased) for blob in blobs_in_order(self.bodies))


async def snapshot(projection: Projection) -> Snapshot:
    """What `projection` shows, and what waits beside it. Raises CorruptError, or ConflictError if others never stop writing."""
    async with projection.exclusive:
        bodies = await projection.all_bodies()
        log, platform = projection.log, projection.platform
        state, (records, conflicts) = log.whole, await projection.counted()
        if log.waiting.events:
            bodies.append(log.waiting.body())
    header = header_for(state, projection.schema.name, platform.now_ms(), platform.name, projection.document, records, conflicts)
    return Snapshot(header, bodies, state.epoch, state.erased)


def header_for(
    state: LogState, schema: str, now_ms: int, by: str, versions: dict[str, Any], records: Mapping[str, int], conflicts: int = 0
) -> Header:
    """The header of a backup of the log in `state`."""
    return Header.model_validate({
        "pystore": "backup", "format": FORMAT, "log": state.log, "name": state.name, "schema": schema, "saved_at": iso_of_ms(now_ms),
        "saved_by": by, "versions": versions, "replicas": feed_heads(dict(sorted(state.feeds.items()))),
        "counts": Counts(events=state.events, by_type=dict(sorted(state.counts.items())), records=dict(records), conflicts=conflicts),
    })


async def jsonl(
    header: Header, blobs: Iterable[bytes] | AsyncIterable[bytes], breathe: Callable[[], Awaitable[None]], on_progress: Progress | None
) -> AsyncIterator[bytes]:
    """The file in chunks: header, `blobs` of lines in the log's order, footer. Other work runs between chunks.

    What `blobs` raises comes before the footer: what was given until then is not a valid backup.
    """
    digest = sha256()
    line = header.line()
    digest.update(line)
    yield line
    done = 0
    async for blob in _each(blobs):
        digest.update(blob)
        yield blob
        done += blob.count(b"\n")
        if on_progress is not None:
            on_progress("save", done, header.counts.events)
        await breathe()
    yield footer_line(done + 1, digest.hexdigest())


async def _each(blobs: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(blobs, AsyncIterable):
        async for blob in blobs:
            yield blob
    else:
        for blob in blobs:
            yield blob


async def gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks as one gzip member."""
    zipper = zlib.compressobj(6, zlib.DEFLATED, 31)
    async for chunk in chunks:
        piece = zipper.compress(chunk)
        if piece:
            yield piece
    yield zipper.flush()
