"""Several stores of one log, work that goes on at the same time, and work that is cut short."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, Literal

import pytest

from pystore import log as log_module
from pystore import projection as projection_module
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Plan
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import SCHEMA, check_chains, event_lines, folded, lines_of, note, saved, shown


async def test_what_two_other_writers_did_out_of_order_is_taken_in_in_order(platform: MemoryPlatform) -> None:
    # A late append first, then older events from a file: both after all that the reader knows.
    earlier = MemoryPlatform(FakeClock(START_MS + 1000))
    async with await Store.open(SCHEMA, "a", platform=earlier) as elsewhere:
        await elsewhere.append(note("older"))
        file = await saved(elsewhere)
    clock = FakeClock()
    platform = MemoryPlatform(clock)
    async with await Store.open(SCHEMA, "a", platform=platform) as reader, await Store.open(SCHEMA, "a", platform=platform) as writer:
        await reader.append(note("first"))
        clock.advance(5000)
        await writer.append(note("newer"))
        await writer.restore([file])
        await reader.catch_up()
        assert [row["note_id"] for row in reader.query("SELECT note_id FROM note ORDER BY position")] == ["first", "older", "newer"]
        assert shown(reader) == shown(writer) == await folded(reader)


async def test_a_replaced_log_is_noticed_by_another_open_store(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as one, await Store.open(SCHEMA, "a", platform=platform) as two:
        await one.append([note("1"), note("2")])
        file = await saved(one)
        await one.append(note("3"))
        await two.catch_up()
        await one.restore([file], mode="replace")
        await two.catch_up()
        assert shown(two) == shown(one) == await folded(one)
        assert two.log.state == one.log.state
        await two.append(note("4"))
        check_chains(await lines_of(two))


async def test_a_reader_loses_nothing_while_segments_are_merged(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MERGE_FROM_SEGMENTS", 2)
    async with await Store.open(SCHEMA, "a", platform=platform) as writer:
        for index in range(20):
            await writer.append(note(index, "x" * 5000))
        plan = Plan()
        pages = 0

        async def merge(operation: str) -> None:
            nonlocal pages
            if operation == "segments" and pages < 30:
                pages += 1
                await writer.append([note(f"{pages}-{i}", "x" * 5000) for i in range(3)])
                await writer.append(note(f"{pages}-last", "x" * 5000))
                await writer.upkeep(now=True)

        class SmallPages(FaultyPlatform):
            async def open_log(self, log: str) -> Any:
                storage = await super().open_log(log)
                read = storage.segments
                storage.segments = lambda after=0, **_: read(after, 1000)  # type: ignore[method-assign]
                return storage

        store = await Store.open(SCHEMA, "a", platform=SmallPages(platform, plan))
        plan.before.append(merge)
        for _ in range(5):
            segments = await store.log.all_segments()
            assert segments[0].first == 1
            assert all(one.number + 1 == other.first for one, other in pairwise(segments))
            await store.catch_up()
        plan.before.clear()
        await store.catch_up()
        assert shown(store) == shown(writer) == await folded(writer)
        assert await lines_of(store) == await lines_of(writer)
        await store.close()


async def test_a_save_while_another_writes_is_whole(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as writer:
        plan = Plan()
        count = 0

        async def write(operation: str) -> None:
            nonlocal count
            if operation == "segments" and count < 3:
                count += 1
                await writer.append(note(count))

        async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
            plan.before.append(write)
            file = await saved(store)
            plan.before.clear()
            assert (await store.inspect([file]))["problems"] == []
            assert event_lines(file) == await lines_of(store)


async def test_work_that_is_cancelled_at_any_moment_leaves_view_and_log_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection_module, "FOLD_SLICE", 2)
    elsewhere = MemoryPlatform(FakeClock(START_MS - 1000))
    async with await Store.open(SCHEMA, "a", platform=elsewhere) as store:
        for index in range(6):
            await store.append(note(f"restored {index}"))
        file = await saved(store)

    async def work(store: Store, which: str) -> None:
        match which:
            case "merge" | "replace":
                await store.restore([file], mode="replace" if which == "replace" else "merge")
            case "catch up":
                await store.catch_up()
            case "append":
                await store.append(note("appended"))
            case "upkeep":
                await store.upkeep(now=True)

    for which in ("merge", "replace", "catch up", "append", "upkeep"):
        for turns in range(60):
            platform = MemoryPlatform(FakeClock())
            slow = FaultyPlatform(platform, Plan(before=[lambda _: asyncio.sleep(0)]))
            async with await Store.open(SCHEMA, "a", platform=slow) as store, await Store.open(SCHEMA, "a", platform=platform) as tab:
                await store.append(note("1"))
                await tab.append([note(f"tab {index}") for index in range(5)])
                await tab.restore([file])
                task = asyncio.ensure_future(work(store, which))
                for _ in range(turns):
                    await asyncio.sleep(0)
                is_over = task.done()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await store.append(note("after"))
                assert shown(store) == await folded(store), (which, turns)
                check_chains(await lines_of(store))
            if is_over:
                break
        assert turns > 2


@pytest.mark.parametrize("mode", ["merge", "replace"])
async def test_a_restore_that_is_cancelled_has_changed_nothing_or_says_what_it_did(mode: Literal["merge", "replace"]) -> None:
    async with await Store.open(SCHEMA, "a", platform=MemoryPlatform(FakeClock(START_MS - 1000))) as elsewhere:
        await elsewhere.append([note(f"restored {index}") for index in range(6)])
        file = await saved(elsewhere)
    told = set()
    for turns in range(60):
        slow = FaultyPlatform(MemoryPlatform(FakeClock()), Plan(before=[lambda _: asyncio.sleep(0)]))
        async with await Store.open(SCHEMA, "a", platform=slow) as store:
            await store.append(note("mine"))
            before = shown(store)
            restoring = asyncio.ensure_future(store.restore([file], mode=mode))
            for _ in range(turns):
                await asyncio.sleep(0)
            is_over = restoring.done()
            restoring.cancel()
            answer: Any = (await asyncio.gather(restoring, return_exceptions=True))[0]
            told.add(type(answer))
            if isinstance(answer, asyncio.CancelledError):
                assert shown(store) == before
            else:
                assert answer["new"] == 6
                assert len(store.query("SELECT * FROM note WHERE note_id LIKE 'restored%'")) == 6
            await store.append(note("after"))
            assert shown(store) == await folded(store)
        if is_over:
            break
    assert told == {asyncio.CancelledError, dict}


async def test_a_query_while_a_restore_is_going_on_sees_before_or_after(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.append([note(index) for index in range(3000)])
        file = await saved(other)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        counts: set[int] = set()
        restoring = asyncio.ensure_future(store.restore([file[i : i + 50_000] for i in range(0, len(file), 50_000)]))
        while not restoring.done():
            counts.add(store.query("SELECT count(*) AS n FROM note")[0]["n"])
            await asyncio.sleep(0)
        await restoring
        assert counts <= {1, 3001}
        assert store.query("SELECT count(*) AS n FROM note") == [{"n": 3001}]
