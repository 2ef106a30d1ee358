"""Runs of recorded lines as one blob: packing, unpacking, and going through many of them in the log's order.

The lines of a segment are in the log's order. A body is one byte that tells the form, a CRC-32 of all that follows (4 bytes,
big-endian), the order of the first and of the last line (hlc and replica of each, 66 bytes), and the lines, each ended by a
newline: as they are (`P`), or as a zstd frame (`Z`). So a flipped bit is found before anything reads the lines, and what does not
concern one is passed over without unpacking it.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from pystore.compression import compress, decompress, decompress_pieces
from pystore.errors import CorruptError
from pystore.event import Recorded, parse_line
from pystore.marks import Order

COMPRESS_FROM_BYTES = 16 << 10
"""Below this zstd saves too little to be worth a call."""
_HLC_BYTES, _REPLICA_BYTES = 17, 16
_ENDS_BYTES = 2 * (_HLC_BYTES + _REPLICA_BYTES)
_LINES_AT = 5 + _ENDS_BYTES
MERGED_EVENTS = 1000
"""Of bodies that overlap so many events are passed on at once."""


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


class _Placed(NamedTuple):
    """A body, where it begins and ends in the log's order, and its place among those that were given."""

    first: Order
    last: Order
    place: int
    body: bytes


def _runs(bodies: Iterable[bytes]) -> list[list[_Placed]]:
    """The bodies in the log's order, those that overlap together. Usually it is one each."""
    runs: list[list[_Placed]] = []
    end: Order = ("", "")
    for one in sorted(_Placed(*ends(body), place, body) for place, body in enumerate(bodies) if body != EMPTY):
        if runs and one.first <= end:
            runs[-1].append(one)
        else:
            runs.append([one])
        end = max(end, one.last)
    return runs


def _layers(run: Sequence[_Placed]) -> list[list[_Placed]]:
    """The bodies of a run as few chains of such that do not overlap: of each one at a time has to be unpacked."""
    layers: list[list[_Placed]] = []
    for one in run:
        layer = next((layer for layer in layers if layer[-1].last < one.first), None)
        if layer is None:
            layers.append([one])
        else:
            layer.append(one)
    return layers


def runs_in_order(bodies: Iterable[bytes]) -> Iterator[tuple[list[int], bytes]]:
    """All lines in the log's order, in pieces, each line ended by a newline; with each the places of the bodies that end with it.

    Bodies that do not overlap, which is the rule, are passed on without looking at single lines. Each is unpacked when its turn comes.
    """
    for run in _runs(bodies):
        if len(run) == 1:
            yield [run[0].place], unpack_bytes(run[0].body)
            continue
        layers = [(event for one in layer for event in events_in(one.body)) for layer in _layers(run)]
        merged = heapq.merge(*layers, key=lambda event: event.order)
        before: Order = ("", "")
        while events := list(islice(merged, MERGED_EVENTS)):
            end = events[-1].order
            yield [one.place for one in run if before < one.last <= end], b"".join([event.line + b"\n" for event in events])
            before = end


def newest_first(bodies: Iterable[bytes], counts: Sequence[int], skip: int = 0) -> Iterator[list[Recorded]]:
    """All events but the newest `skip`, newest first, in lists. `counts`: how many events the bodies hold, which need not be unpacked."""
    for run in reversed(_runs(bodies)):
        count = sum(counts[one.place] for one in run)
        if count <= skip:
            skip -= count
            continue
        layers = [(event for one in reversed(layer) for event in reversed(events_in(one.body))) for layer in _layers(run)]
        merged = heapq.merge(*layers, key=lambda event: event.order, reverse=True)
        rest = islice(merged, skip, None)
        while events := list(islice(rest, MERGED_EVENTS)):
            yield events
        skip = 0


def has_later(blob: bytes, heads: Mapping[str, int]) -> bool:
    """Whether one of the lines is of a replica in `heads` with a higher number than that. They are in the log's order."""
    lines = b"\n" + blob
    for replica, seq in heads.items():
        begin = b'\n{"replica":"%b","seq":' % replica.encode()
        at = lines.rfind(begin) + len(begin)
        if at >= len(begin) and int(lines[at : lines.index(b",", at)]) > seq:
            return True
    return False


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
