"""The log: a list that grows, whoever writes, however it is cut into segments."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import log as log_module
from pystore.clock import HybridClock
from pystore.errors import ConflictError, CorruptError, NewerVersionError, ValidationError
from pystore.event import MAX_LINE_BYTES, Draft, Recorded
from pystore.log import EventLog, LogState, name_in
from pystore.memory import MemoryPlatform
from pystore.own_events import Named
from pystore.ports import Segment
from pystore.projector import draft
from pystore.records import packed
from pystore.segment import events_in, pack
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, check_chains, note


async def open_log(platform: MemoryPlatform) -> EventLog:
    return await EventLog.open(await platform.open_log("a"), "a", "Alice", HybridClock(platform.now_ms))


async def append(log: EventLog, *drafts: Draft, **commit: Any) -> list[Recorded]:
    events, state = log.record(drafts, log.state)
    await log.commit(events, state, commit.get("batches", {}), commit.get("meta", {}), "strict")
    return events


def a_note(index: object) -> Draft:
    return draft(SCHEMA, note(index))


async def lines(log: EventLog) -> list[bytes]:
    return [event.line for segment in await log.all_segments() for event in events_in(segment.body)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 1), st.integers(1, 4)),
        st.tuples(st.just("merge"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("catch up"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("reopen"), st.integers(0, 1), st.just(0)),
    ),
    max_size=40,
)


@given(steps=STEPS)
async def test_a_log_with_two_writers_is_a_list(steps: list[tuple[str, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "MERGE_FROM_SEGMENTS", 3)
        patch.setattr(log_module, "SEGMENT_EVENTS", 6)
        platform = MemoryPlatform(FakeClock())
        logs = [await open_log(platform) for _ in range(2)]
        known: list[list[bytes]] = [[], []]
        model: list[bytes] = []
        for step, who, count in steps:
            match step:
                case "append":
                    drafts = [a_note(index) for index in range(count)]
                    try:
                        events = await append(logs[who], *drafts)
                    except ConflictError:
                        assert known[who] != model
                    else:
                        assert known[who] == model
                        model += [event.line for event in events]
                        known[who] = list(model)
                case "merge":
                    await logs[who].merge_segments()
                case "catch up" | "reopen":
                    newer = None if step == "reopen" else await logs[who].catch_up()
                    if newer is None:
                        logs[who] = await open_log(platform)
                    else:
                        assert [event.line for event in newer] == model[len(known[who]) :]
                    known[who] = list(model)
            assert await lines(logs[who]) == model
            assert logs[who].state.events == len(known[who])
        check_chains(model)
        assert sum(segment.events for segment in platform.kept["a"].segments.values()) == len(model)


async def test_a_state_survives_being_written(platform: MemoryPlatform) -> None:
    log = await open_log(platform)
    await append(log, a_note(1), draft(SCHEMA, Named(name="Bob")))
    assert LogState.from_json(log.state.to_json()) == log.state
    assert (await open_log(platform)).state == log.state
    assert log.state.name == "Bob"


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"nonsense", b'{"format":1}', b'{"format":"1"}', b"\xff", b"3"])
def test_a_damaged_state_is_named_as_such(raw: bytes) -> None:
    with pytest.raises(CorruptError):
        LogState.from_json(raw)


async def test_a_state_in_a_newer_format_is_not_read(platform: MemoryPlatform) -> None:
    log = await open_log(platform)
    await append(log, a_note(1))
    raw = log.state.to_json().replace(b'"format":1', b'"format":2')
    with pytest.raises(NewerVersionError):
        LogState.from_json(raw)
    platform.kept["a"].meta |= packed({"head": raw})
    with pytest.raises(NewerVersionError):
        await open_log(platform)


async def test_only_a_name_is_a_name(platform: MemoryPlatform) -> None:
    log = await open_log(platform)
    for data, expected in [
        (b'{"name":"x"}', "x"), (b'{"name":""}', None), (b'{"name":7}', None), (b'{"name":"%b"}' % (b"x" * 201), None), (b"{}", None),
    ]:
        (event,), _ = log.record([Draft("$named", 1, Named(name="-"), data)], log.state)
        assert name_in(event) == expected


async def test_an_event_too_large_for_a_line_is_refused(platform: MemoryPlatform) -> None:
    log = await open_log(platform)
    with pytest.raises(ValidationError):
        log.record([Draft("note.added", 1, note("1"), b'{"x":"' + b"x" * MAX_LINE_BYTES + b'"}')], log.state)


async def test_merging_keeps_every_line_and_bounds_segments(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await open_log(platform)
    for index in range(63):
        await append(log, a_note(index))
    assert not await log.merge_segments()
    await append(log, a_note(63))
    before = await lines(log)
    assert await log.merge_segments()
    assert await lines(log) == before
    assert [(one.first, one.number, one.events) for one in platform.kept["a"].segments.values()] == [(1, 64, 64)]
    assert not await log.merge_segments()
    monkeypatch.setattr(log_module, "SEGMENT_BYTES", 1000)
    for index in range(64):
        await append(log, a_note(index))
    before = await lines(log)
    assert await log.merge_segments()
    assert await lines(log) == before
    assert len(platform.kept["a"].segments) > 5
    reader = await open_log(platform)
    assert reader.state == log.state
    await append(reader, a_note("last"))


async def test_merging_by_two_at_once_happens_once(platform: MemoryPlatform) -> None:
    one, two = await open_log(platform), await open_log(platform)
    for index in range(64):
        await append(one, a_note(index))
    assert sorted(await asyncio.gather(one.merge_segments(), two.merge_segments())) == [False, True]
    assert len(await lines(one)) == 64


async def test_a_segment_that_does_not_continue_its_feed_is_named(platform: MemoryPlatform) -> None:
    log = await open_log(platform)
    events = [await append(log, a_note(index)) for index in range(3)]
    start = LogState("a", log.state.epoch, log.state.writer, "Alice")
    for altered, kind in (
        (events[1][0].line.replace(b'"note_id":"1"', b'"note_id":"x"'), "AlteredError"),
        (events[1][0].line.replace(b'"seq":2', b'"seq":3'), "GapError"),
        (events[1][0].line.replace(events[1][0].prev, b"A" * 43), "ChainError"),
        (b"\n".join([events[1][0].line, b"nonsense", events[2][0].line]), "FormatError"),
    ):
        platform.kept["a"].segments[2] = Segment(2, 2, 1, pack(altered.split(b"\n")))
        with pytest.raises(CorruptError) as caught:
            async for _ in log.tail(start):
                pass
        assert caught.value.details["segment"] == 2
        assert caught.value.details["kind"] == kind


async def test_a_log_that_was_removed_is_noticed(platform: MemoryPlatform) -> None:
    log = await open_log(platform)
    assert not await log.is_replaced()
    await append(log, a_note(1))
    assert not await log.is_replaced()
    platform.kept["a"].meta.clear()
    assert await log.is_replaced()
    assert await log.catch_up() is None


async def test_an_event_is_found_though_another_record_is_damaged_and_not_called_absent_if_it_may_be_in_that(
    platform: MemoryPlatform,
) -> None:
    log = await open_log(platform)
    events = [event for index in range(3) for event in await append(log, a_note(index))]
    platform.kept["a"].segments[2] = Segment(2, 2, 1, b"P" + bytes(100))
    assert list(await log.events_by_id([events[0].id])) == [events[0].id]
    for id_ in (events[1].id, f"{log.state.writer}:20"):
        with pytest.raises(CorruptError):
            await log.events_by_id([id_])


async def test_to_find_no_event_no_record_is_read(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await open_log(platform)
    await append(log, a_note(1))
    monkeypatch.delattr(type(log.storage), "segments")
    assert await log.events_by_id([]) == {}


async def test_events_are_found_by_their_ids_as_far_as_they_are_there(platform: MemoryPlatform) -> None:
    log = await open_log(platform)
    events = [event for index in range(10) for event in await append(log, a_note(index))]
    writer = log.state.writer
    found = await log.events_by_id([f"{writer}:10", f"{writer}:3", f"{writer}:20", f"{writer}:0", f"{'0' * 16}:1"])
    assert {id_: event.line for id_, event in found.items()} == {events[at].id: events[at].line for at in (2, 9)}
