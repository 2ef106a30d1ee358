"""What a store tells of its log, its names, and its clock."""

from __future__ import annotations

import asyncio

import pytest

from pystore.errors import ReadOnlyError, ValidationError
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Gate, Plan
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import SCHEMA, folded, note, saved, shown


async def test_the_timeline_is_newest_first_and_bounded(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for index in range(10):
            clock.advance(1000)
            await store.append(note(index))
        await store.rename("Alice")
        events = await store.events(limit=3)
        assert [event["type"] for event in events] == ["$named", "note.added", "note.added"]
        assert events[1]["data"] == {"note_id": "9", "text": "text", "folder": None}
        assert events[1]["time"] == "2025-06-15T15:06:50.000Z"
        older = await store.events(before=events[-1]["hlc"], limit=2)
        assert [event["data"]["note_id"] for event in older] == ["7", "6"]
        assert len(await store.events(after=events[-1]["hlc"])) == 2
        assert [event["data"] for event in await store.events(types=["$named"])] == [{"name": "Alice"}]


async def test_a_log_is_renamed_and_keeps_its_name(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.rename("Alice")
        await store.rename("Bob")
        for name in ("", "x" * 201, "\0", "\ud800"):
            with pytest.raises(ValidationError):
                await store.rename(name)
    async with await Store.open(SCHEMA, "a", platform=platform, name="Carol") as store:
        assert (await store.stats())["name"] == "Bob"


async def test_the_latest_name_wins_whatever_the_order_of_merging() -> None:
    platforms = [MemoryPlatform(FakeClock(START_MS + 1000 * index)) for index in range(2)]
    stores = [await Store.open(SCHEMA, "a", platform=platform) for platform in platforms]
    await stores[0].rename("Early")
    await stores[1].append(note("later than the name"))
    files = [await saved(store) for store in stores]
    await stores[1].restore([files[0]])
    await stores[0].restore([files[1]])
    assert [store.log.state.name for store in stores] == ["Early", "Early"]
    for store in stores:
        await store.close()


async def test_the_local_clock_may_jump_back(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        stamps = [(await store.append(note("1")))[0].hlc]
        clock.advance(-86_400_000)
        stamps.append((await store.append(note("2")))[0].hlc)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        stamps.append((await store.append(note("3")))[0].hlc)
        assert stamps == sorted(set(stamps))
        assert shown(store) == await folded(store)


async def test_a_read_only_store_sees_what_others_write(platform: MemoryPlatform) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as writer,
        await Store.open(SCHEMA, "a", platform=platform, read_only=True) as reader,
    ):
        await writer.append(note("1"))
        await reader.catch_up()
        assert shown(reader) == shown(writer)
        with pytest.raises(ReadOnlyError):
            await reader.append(note("2"))
        assert reader.read_only is not None


async def test_a_gate_is_not_needed_to_flush(platform: MemoryPlatform) -> None:
    gate = Gate()
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, Plan(before=[gate]))) as store:
        appending = asyncio.ensure_future(store.append(note("1"), durability="relaxed"))
        await gate.arrived.wait()
        flushing = asyncio.ensure_future(store.flush())
        await asyncio.sleep(0)
        assert not flushing.done()
        gate.open()
        await flushing
        assert appending.done()
