"""Runs of recorded lines as one blob: packing, unpacking, and going through many of them in the log's order.

The lines of a segment are in the log's order. A body is one byte that tells the form, then the lines, each ended by a newline:
`P`: a CRC-32 (4 bytes, big-endian) and the lines as they are; `Z`: a zstd frame, which carries a checksum of its own. So a
flipped bit is found before anything reads the lines.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator, Sequence

from pystore.compression import compress, decompress, decompress_start
from pystore.errors import CorruptError, FormatError
from pystore.event import Recorded, parse_line

COMPRESS_FROM_BYTES = 16 << 10
"""Below this zstd saves too little to be worth a call."""
SHORT_BYTES = 4096
"""Most lines are shorter."""


def pack(lines: Sequence[bytes], *, level: int = 3) -> bytes:
    """The body of a segment of `lines` (without newlines at their ends), compressed at zstd's `level` unless it is small."""
    joined = b"\n".join([*lines, b""])
    if len(joined) >= COMPRESS_FROM_BYTES:
        return b"Z" + compress(joined, level=level)
    return b"P" + zlib.crc32(joined).to_bytes(4, "big") + joined


EMPTY = pack([])


def unpack_bytes(body: bytes) -> bytes:
    """The lines of a body in one piece, each ended by a newline. Raises CorruptError if it is not what was packed."""
    form = body[:1]
    if form == b"Z":
        return decompress(body[1:])
    if form == b"P":
        joined = body[5:]
        if zlib.crc32(joined).to_bytes(4, "big") == body[1:5]:
            return joined
    raise CorruptError("A stored record is damaged: its checksum does not match.")


def events_in(body: bytes) -> list[Recorded]:
    """The events of a body. Raises CorruptError if it is not what was packed."""
    return events_of(unpack_bytes(body))


def runs_in_order(bodies: Iterable[bytes]) -> Iterator[tuple[list[int], bytes]]:
    """All lines in the log's order, in pieces, each line ended by a newline; with each the places of the bodies it is from.

    Bodies that do not overlap, which is the rule, are passed on without looking at single lines. Each is unpacked when its turn comes.
    """
    places: list[int] = []
    overlapping: list[bytes] = []
    end = ("", "")
    for first, place, body in sorted((_first(body), place, body) for place, body in enumerate(bodies) if body != EMPTY):
        if overlapping and first > end:
            yield places, _merged(overlapping)
            places, overlapping = [], []
        blob = unpack_bytes(body)
        places.append(place)
        overlapping.append(blob)
        end = max(end, _last(blob))
    if overlapping:
        yield places, _merged(overlapping)


def blobs_in_order(bodies: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of `runs_in_order`."""
    return (blob for _, blob in runs_in_order(bodies))


def events_in_order(bodies: Iterable[bytes]) -> Iterator[Recorded]:
    """All events in the log's order. Each body is unpacked when its turn comes."""
    for blob in blobs_in_order(bodies):
        yield from events_of(blob)


def _first(body: bytes) -> tuple[str, str]:
    """The order of a body's first line. If that is short, little more than it is unpacked."""
    start = decompress_start(body[1:], SHORT_BYTES) if body[:1] == b"Z" else body[5:]
    try:
        return parse_line(start[: start.index(b"\n")]).order
    except (ValueError, FormatError):  # the line is long, or the body is damaged
        blob = unpack_bytes(body)
        return parse_line(blob[: blob.index(b"\n")]).order


def _last(blob: bytes) -> tuple[str, str]:
    return parse_line(blob[blob.rfind(b"\n", 0, -1) + 1 : -1]).order


def ends(body: bytes) -> tuple[tuple[str, str], tuple[str, str]]:
    """The order of a body's first and of its last line."""
    blob = unpack_bytes(body)
    return parse_line(blob[: blob.index(b"\n")]).order, _last(blob)


def events_of(blob: bytes) -> list[Recorded]:
    """The events of lines in one piece, each ended by a newline."""
    return [parse_line(line) for line in blob.split(b"\n")[:-1]]


def _merged(blobs: list[bytes]) -> bytes:
    if len(blobs) == 1:
        return blobs[0]
    events = heapq.merge(*(events_of(blob) for blob in blobs), key=lambda event: event.order)
    return b"".join([event.line + b"\n" for event in events])
