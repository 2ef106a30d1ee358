"""Writing a log as a backup file."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from pystore.backup.format import FORMAT, Counts, Header, feed_heads, footer_line
from pystore.clock import iso_of_ms
from pystore.log import LogState
from pystore.progress import Progress
from pystore.segment import blobs_in_order


def header_for(state: LogState, schema: str, now_ms: int, by: str, versions: dict[str, Any], records: Mapping[str, int]) -> Header:
    """The header of a backup of the log in `state`."""
    return Header.model_validate({
        "pystore": "backup", "format": FORMAT, "log": state.log, "name": state.name, "schema": schema, "saved_at": iso_of_ms(now_ms),
        "saved_by": by, "versions": versions, "replicas": feed_heads(dict(sorted(state.feeds.items()))),
        "counts": Counts(events=state.events, by_type=dict(sorted(state.counts.items())), records=dict(records)),
    })


async def jsonl(
    header: Header, bodies: Sequence[bytes], breathe: Callable[[], Awaitable[None]], on_progress: Progress | None
) -> AsyncIterator[bytes]:
    """The file in chunks: header, the events of `bodies` in the log's order, footer. Other work runs between chunks.

    Raises CorruptError, before the footer is written, at a damaged body: what came is then not a valid backup.
    """
    digest = sha256()
    line = header.line()
    digest.update(line)
    yield line
    done = 0
    for blob in blobs_in_order(bodies):
        digest.update(blob)
        yield blob
        done += blob.count(b"\n")
        if on_progress is not None:
            on_progress("save", done, header.counts.events)
        await breathe()
    yield footer_line(done + 1, digest.hexdigest())


async def gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks as one gzip member."""
    zipper = zlib.compressobj(6, zlib.DEFLATED, 31)
    async for chunk in chunks:
        piece = zipper.compress(chunk)
        if piece:
            yield piece
    yield zipper.flush()
