"""Segments: what was packed comes out, a flipped bit is found, and many go through in the log's order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import segment
from pystore.clock import stamp
from pystore.errors import CorruptError
from pystore.event import Head, Recorded, record
from pystore.projector import draft
from pystore.segment import (
    COMPRESS_FROM_BYTES,
    EMPTY,
    blobs_in_order,
    ends,
    events_in,
    events_in_order,
    has_later,
    newest_first,
    pack,
    runs_in_order,
    unpack_bytes,
)
from tests.support.notes import SCHEMA, note

REPLICAS = ["a" * 16, "b" * 16, "c" * 16]


def feed(replica: str, stamps: list[int], text: str = "text") -> list[Recorded]:
    events, _ = record([draft(SCHEMA, note(f"{replica[0]}{ms}", text)) for ms in stamps], [stamp(ms, 0) for ms in stamps], replica, Head())
    return events


def body(events: list[Recorded]) -> bytes:
    return pack([event.line for event in sorted(events, key=lambda event: event.order)])


@given(times=st.lists(st.integers(1, 1 << 40), max_size=10, unique=True).map(sorted), large=st.booleans())
def test_what_was_packed_comes_out(times: list[int], large: bool) -> None:
    events = feed(REPLICAS[0], times, "x" * COMPRESS_FROM_BYTES if large else "text")
    packed = body(events)
    assert unpack_bytes(packed) == b"".join(event.line + b"\n" for event in events)
    assert packed[:1] == (b"Z" if large and events else b"P")
    if events:
        assert ends(packed) == (events[0].order, events[-1].order)


@pytest.mark.parametrize("text", ["text", "x" * COMPRESS_FROM_BYTES])
def test_every_flipped_bit_that_matters_is_found(text: str) -> None:
    packed = body(feed(REPLICAS[0], [1, 2], text))
    lines = unpack_bytes(packed)
    unnoticed = 0
    for index in range(min(len(packed), 3000)):
        for bit in range(8):
            try:
                assert unpack_bytes(packed[:index] + bytes([packed[index] ^ 1 << bit]) + packed[index + 1 :]) == lines
                unnoticed += 1
            except CorruptError:
                pass
    assert unnoticed < 10  # the size of zstd's window, and the like: it changes nothing


@pytest.mark.parametrize("text", ["text", "x" * COMPRESS_FROM_BYTES])
def test_every_shorter_or_longer_body_is_refused(text: str) -> None:
    packed = body(feed(REPLICAS[0], [1, 2], text))
    for length in range(0, len(packed), 1 if len(packed) < 3000 else 97):
        with pytest.raises(CorruptError):
            unpack_bytes(packed[:length])
    with pytest.raises(CorruptError):
        unpack_bytes(packed + b"x")


def test_an_empty_body_has_no_events() -> None:
    assert events_in(EMPTY) == []
    assert b"".join(blobs_in_order([EMPTY, EMPTY])) == b""
    assert list(events_in_order([EMPTY])) == []


@given(
    data=st.data(), cuts=st.lists(st.integers(1, 5), max_size=12), shuffle=st.randoms(), piece=st.integers(1, 5), skip=st.integers(0, 40)
)
def test_events_come_in_the_logs_order_however_they_are_cut_into_segments(
    data: st.DataObject, cuts: list[int], shuffle: object, piece: int, skip: int
) -> None:
    events: list[Recorded] = []
    bodies: list[bytes] = [EMPTY]
    for replica in REPLICAS:
        times = sorted(data.draw(st.sets(st.integers(1, 30), max_size=12)))
        mine = feed(replica, times)
        events += mine
        rest = mine
        for cut in cuts:
            if rest:
                bodies.append(body(rest[:cut]))
                rest = rest[cut:]
        if rest:
            bodies.append(body(rest))
    events.sort(key=lambda event: event.order)
    lines = [event.line for event in events]
    shuffle.shuffle(bodies)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "MERGED_EVENTS", piece)
        assert [event.line for event in events_in_order(bodies)] == lines
        assert b"".join(blobs_in_order(bodies)) == b"".join(line + b"\n" for line in lines)
        backwards = newest_first(bodies, [len(events_in(one)) for one in bodies], skip)
        assert [event.line for some in backwards for event in some] == lines[::-1][skip:]
        left = set(range(len(bodies)))
        seen = 0
        for places, blob in runs_in_order(bodies):
            seen += blob.count(b"\n")
            left.difference_update(places)
            assert left >= {at for at, one in enumerate(bodies) if set(unpack_bytes(one).split(b"\n")[:-1]) - set(lines[:seen])}
        assert all(bodies[at] == EMPTY for at in left)


def test_of_bodies_that_overlap_few_are_unpacked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [feed(replica, list(range(1, 2001))) for replica in REPLICAS[:2]]
    bodies = [body(events[start : start + 100]) for events in two for start in range(0, 2000, 100)]
    unpacked: list[bytes] = []

    def unpacking(body: bytes) -> list[Recorded]:
        unpacked.append(body)
        return events_in(body)

    monkeypatch.setattr(segment, "MERGED_EVENTS", 100)
    monkeypatch.setattr(segment, "events_in", unpacking)
    pieces = runs_in_order(bodies)
    for number in range(1, 11):
        next(pieces)
        assert len(unpacked) <= number + 3
    unpacked.clear()
    next(newest_first(bodies, [100] * len(bodies)))
    assert len(unpacked) <= 3


NUMBERED = st.tuples(st.sampled_from(REPLICAS), st.integers(1, 9))


@given(st.lists(NUMBERED, max_size=8), st.dictionaries(st.sampled_from(REPLICAS), st.integers(0, 9)))
def test_lines_tell_whether_they_go_on_after_an_end(lines: list[tuple[str, int]], ends_at: dict[str, int]) -> None:
    rising = sorted(set(lines), key=lambda line: line[1])
    blob = b"".join(b'{"replica":"%b","seq":%d,"hlc":"' % (replica.encode(), seq) + b"\n" for replica, seq in rising)
    assert has_later(blob, ends_at) == any(replica in ends_at and seq > ends_at[replica] for replica, seq in rising)
