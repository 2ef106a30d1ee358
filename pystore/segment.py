"""Runs of recorded lines as one blob: packing, unpacking, and going through many of them in the log's order.

The lines of a segment are in the log's order. A body is one byte that tells the form, a CRC-32 of all that follows (4 bytes,
big-endian), the order of the first and of the last line (hlc and replica of each, 66 bytes), and the lines, each ended by a
newline: as they are (`P`), or as a zstd frame (`Z`). So a flipped bit is found before anything reads the lines, and what does not
concern one is passed over without unpacking it.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator, Sequence

from pystore.compression import compress, decompress, decompress_pieces
from pystore.errors import CorruptError
from pystore.event import Recorded, parse_line
from pystore.marks import Order

COMPRESS_FROM_BYTES = 16 << 10
"""Below this zstd saves too little to be worth a call."""
_HLC_BYTES, _REPLICA_BYTES = 17, 16
_ENDS_BYTES = 2 * (_HLC_BYTES + _REPLICA_BYTES)
_LINES_AT = 5 + _ENDS_BYTES


def pack(lines: Sequence[bytes], *, level: int = 3) -> bytes:
    """The body of a segment of `lines` (without newlines at their ends), compressed at zstd's `level` unless it is small."""
    joined = b"\n".join([*lines, b""])
    orders = [*parse_line(lines[0]).order, *parse_line(lines[-1]).order] if lines else []
    form, packed = (b"Z", compress(joined, level=level)) if len(joined) >= COMPRESS_FROM_BYTES else (b"P", joined)
    rest = "".join(orders).encode().ljust(_ENDS_BYTES, b"0") + packed
    return form + zlib.crc32(rest).to_bytes(4, "big") + rest


EMPTY = pack([])


def unpack_bytes(body: bytes) -> bytes:
    """The lines of a body in one piece, each ended by a newline. Raises CorruptError if it is not what was packed."""
    _check(body)
    return decompress(body[_LINES_AT:]) if body[:1] == b"Z" else body[_LINES_AT:]


def ends(body: bytes) -> tuple[Order, Order]:
    """The order of a body's first and of its last line. Raises CorruptError if it is not what was packed."""
    _check(body)
    said = body[5:_LINES_AT].decode()
    middle = _HLC_BYTES + _REPLICA_BYTES
    return (said[:_HLC_BYTES], said[_HLC_BYTES:middle]), (said[middle : middle + _HLC_BYTES], said[middle + _HLC_BYTES :])


def _check(body: bytes) -> None:
    if body[:1] not in (b"P", b"Z") or len(body) < _LINES_AT or zlib.crc32(memoryview(body)[5:]).to_bytes(4, "big") != body[1:5]:
        raise CorruptError("A stored record is damaged: its checksum does not match.")


def unpack_pieces(body: bytes, piece_bytes: int) -> Iterator[bytes]:
    """The lines of a body in pieces of at most that many bytes. Raises CorruptError, after what could be read, as `unpack_bytes`."""
    if body[:1] == b"Z":
        yield from decompress_pieces(body[_LINES_AT:], piece_bytes)
    else:
        for start in range(_LINES_AT, len(body), piece_bytes):
            yield body[start : start + piece_bytes]
    _check(body)


def events_in(body: bytes) -> list[Recorded]:
    """The events of a body. Raises CorruptError if it is not what was packed."""
    return events_of(unpack_bytes(body))


def runs_in_order(bodies: Iterable[bytes]) -> Iterator[tuple[list[int], bytes]]:
    """All lines in the log's order, in pieces, each line ended by a newline; with each the places of the bodies it is from.

    Bodies that do not overlap, which is the rule, are passed on without looking at single lines. Each is unpacked when its turn comes.
    """
    places: list[int] = []
    overlapping: list[bytes] = []
    end: Order = ("", "")
    for (first, last), place, body in sorted((ends(body), place, body) for place, body in enumerate(bodies) if body != EMPTY):
        if overlapping and first > end:
            yield places, _merged(overlapping)
            places, overlapping = [], []
        places.append(place)
        overlapping.append(unpack_bytes(body))
        end = max(end, last)
    if overlapping:
        yield places, _merged(overlapping)


def blobs_in_order(bodies: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of `runs_in_order`."""
    return (blob for _, blob in runs_in_order(bodies))


def events_in_order(bodies: Iterable[bytes]) -> Iterator[Recorded]:
    """All events in the log's order. Each body is unpacked when its turn comes."""
    for blob in blobs_in_order(bodies):
        yield from events_of(blob)


def events_of(blob: bytes) -> list[Recorded]:
    """The events of lines in one piece, each ended by a newline."""
    return [parse_line(line) for line in blob.split(b"\n")[:-1]]


def _merged(blobs: list[bytes]) -> bytes:
    if len(blobs) == 1:
        return blobs[0]
    events = heapq.merge(*(events_of(blob) for blob in blobs), key=lambda event: event.order)
    return b"".join([event.line + b"\n" for event in events])
