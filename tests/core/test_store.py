"""The store as a whole: whatever happens to it, in whatever order, its view equals a fold of its log from nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import log as log_module
from pystore import projection as projection_module
from pystore import store as store_module
from pystore.errors import ClosedError, ConstraintError, CorruptError, HandlerError, PyStoreError, ReadOnlyError, ValidationError
from pystore.event import Event
from pystore.memory import MemoryPlatform
from pystore.ports import Segment
from pystore.store import Store
from tests.support.failing import KINDS, FaultyPlatform, Gate, Plan
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import (
    SCHEMA,
    FolderMade,
    NoteEdited,
    NoteRemoved,
    check_chains,
    event_lines,
    folded,
    json_lines,
    lines_of,
    make_schema,
    note,
    saved,
    shown,
    stored_events,
)

# -- whatever happens, view == fold

NAMES = st.sampled_from(["1", "2", "3", "4", "5"])
TEXTS = st.sampled_from(["text", "one two", "three", "refused", "漢字 text"])
FOLDERS = st.sampled_from(["f", "g"])
EVENTS = st.one_of(
    st.builds(note, NAMES, TEXTS, st.none() | FOLDERS),
    st.builds(NoteEdited, note_id=NAMES, text=TEXTS),
    st.builds(NoteRemoved, note_id=NAMES),
    st.builds(FolderMade, folder=FOLDERS),
)
REPLICAS = 3
WHO = st.integers(0, REPLICAS - 1)
Step = Callable[["World"], Awaitable[None]]


class World:
    """Devices with one log each, which exchange backups."""

    def __init__(self) -> None:
        self.clocks = [FakeClock() for _ in range(REPLICAS)]
        self.platforms = [MemoryPlatform(clock) for clock in self.clocks]
        self.stores: list[Store] = []

    async def open(self, who: int) -> Store:
        return await Store.open(SCHEMA, "a", platform=self.platforms[who])

    async def close(self) -> None:
        for store in self.stores:
            await store.close()

    async def check(self) -> None:
        for store in self.stores:
            assert shown(store) == await folded(store)
            assert store.projection.shown is store.log.state
            check_chains(event.line for event in await stored_events(store))


def append(who: int, appends: list[list[Event]]) -> Step:
    async def step(world: World) -> None:
        answers = await asyncio.gather(*(world.stores[who].append(events) for events in appends), return_exceptions=True)
        assert all(isinstance(answer, (list, ConstraintError, HandlerError)) for answer in answers)

    return step


def append_json(who: int, events: list[Event]) -> Step:
    async def step(world: World) -> None:
        with suppress(ConstraintError, HandlerError):
            await world.stores[who].append_json(json_lines(*events))

    return step


def rename(who: int, name: str) -> Step:
    return lambda world: world.stores[who].rename(name)


def move_clock(who: int, ms: int) -> Step:
    async def step(world: World) -> None:
        world.clocks[who].ms = START_MS + ms

    return step


def reopen(who: int) -> Step:
    async def step(world: World) -> None:
        await world.stores[who].close()
        world.stores[who] = await world.open(who)

    return step


def upkeep(who: int) -> Step:
    return lambda world: world.stores[who].upkeep(now=True)


def write_from_another_tab(who: int, events: list[Event]) -> Step:
    async def step(world: World) -> None:
        async with await world.open(who) as tab:
            with suppress(ConstraintError, HandlerError):
                await tab.append(events)
            await tab.upkeep(now=True)

    return step


def catch_up(who: int) -> Step:
    async def step(world: World) -> None:
        await world.stores[who].catch_up()

    return step


def restore_in_another_tab(source: int, target: int) -> Step:
    async def step(world: World) -> None:
        async with await world.open(target) as tab:
            await tab.restore([await saved(world.stores[source])])

    return step


def restore(source: int, target: int, mode: Any) -> Step:
    async def step(world: World) -> None:
        await world.stores[target].restore([await saved(world.stores[source])], mode=mode)

    return step


STEPS = st.one_of(
    st.builds(append, WHO, st.lists(st.lists(EVENTS, min_size=1, max_size=4), min_size=1, max_size=4)),
    st.builds(append_json, WHO, st.lists(EVENTS, max_size=4)),
    st.builds(rename, WHO, NAMES),
    st.builds(move_clock, WHO, st.integers(-100_000, 100_000)),
    st.builds(reopen, WHO),
    st.builds(upkeep, WHO),
    st.builds(write_from_another_tab, WHO, st.lists(EVENTS, min_size=1, max_size=3)),
    st.builds(catch_up, WHO),
    st.builds(restore, WHO, WHO, st.sampled_from(["merge", "merge", "merge", "replace"])),
    st.builds(restore_in_another_tab, WHO, WHO),
)


@given(steps=st.lists(STEPS, max_size=25), seed=st.integers(0, 1000))
async def test_a_view_kept_up_step_by_step_equals_a_fold_from_nothing(steps: list[Step], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Small numbers, so that what happens seldom happens often.
        patch.setattr(log_module, "MERGE_FROM_SEGMENTS", 3)
        patch.setattr(log_module, "SEGMENT_EVENTS", 8)
        patch.setattr(projection_module, "FOLD_SLICE", 3)
        world = World()
        world.stores = [await world.open(who) for who in range(REPLICAS)]
        for step in steps:
            await step(world)
        await asyncio.gather(*(store.catch_up() for store in world.stores))
        await world.check()
        # Whatever the order in which they exchange their backups, they end equal.
        pairs = [(source, target) for source in range(REPLICAS) for target in range(REPLICAS) if source != target] * 2
        random.Random(seed).shuffle(pairs)
        pairs += [(0, 1), (1, 2), (2, 0), (0, 1)]
        for source, target in pairs:
            await restore(source, target, "merge")(world)
        await world.check()
        first = await lines_of(world.stores[0])
        for store in world.stores[1:]:
            assert await lines_of(store) == first
            assert shown(store) == shown(world.stores[0])
            assert store.log.state.named == world.stores[0].log.state.named
            if store.log.state.named[1]:
                assert store.log.state.name == world.stores[0].log.state.name
            assert store.log.state.feeds == world.stores[0].log.state.feeds
            assert store.log.state.counts == world.stores[0].log.state.counts
        await world.close()


# -- fail operation k, for k = 1, 2, 3 ... until all went well


async def live(store: Store, file: bytes, acknowledged: set[str]) -> None:
    """A short life of a store. Every error is a PyStoreError; what was answered is noted."""

    async def attempt(work: Awaitable[Any]) -> None:
        try:
            answer = await work
        except PyStoreError:
            return
        if isinstance(answer, list):
            acknowledged.update(appended.id for appended in answer)

    await attempt(store.append(note("1"), batch="b1"))
    await asyncio.gather(*(attempt(store.append(note(f"c{i}"))) for i in range(3)), attempt(store.append(note("1", "again"))))
    await attempt(store.append(note("1"), batch="b1"))
    await attempt(store.restore([file]))
    await attempt(store.append(note("2"), durability="relaxed"))
    await attempt(store.flush())
    await attempt(store.upkeep(now=True))
    await attempt(saved(store))
    acknowledged.clear()  # replaced, or not: what comes after it counts
    await attempt(store.restore([file], mode="replace"))
    await attempt(store.append(note("3"), batch="b3"))
    await attempt(store.append(note("3"), batch="b3"))
    await attempt(store.upkeep(now=True))
    await attempt(store.catch_up())


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("is_sticky", [False, True], ids=["once", "sticky"])
async def test_whatever_operation_fails_nothing_acknowledged_is_lost(
    kind: str, is_sticky: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MERGE_FROM_SEGMENTS", 3)
    elsewhere = MemoryPlatform(FakeClock(START_MS - 1000))
    async with await Store.open(SCHEMA, "a", platform=elsewhere) as store:
        for index in range(5):
            await store.append(note(f"restored {index}"))
        file = await saved(store)
    at = 0
    while True:
        at += 1
        platform = MemoryPlatform(FakeClock())
        async with await Store.open(SCHEMA, "a", platform=platform) as store:
            await store.append(note("before"))
            await store.upkeep(now=True)
        plan = Plan(at=at, kind=kind, is_sticky=is_sticky)
        acknowledged: set[str] = set()
        try:
            store = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan))
        except Exception:
            if not plan.failed:
                raise
        else:
            await live_with_bugs(store, file, acknowledged)
            plan.at = 0
            await store.catch_up()
            assert shown(store) == await folded(store), at
            await store.append(note("after"))
            assert shown(store) == await folded(store), at
            await store.close()
        async with await Store.open(SCHEMA, "a", platform=platform) as store:
            assert shown(store) == await folded(store), at
            events = await stored_events(store)
            assert acknowledged <= {event.id for event in events}, at
            assert [event.data_json for event in events].count(b'{"note_id":"3","text":"text","folder":null}') <= 1
            check_chains(event.line for event in events)
            await store.append(note("last"))
        if not plan.failed:
            break
    assert at > 20


async def live_with_bugs(store: Store, file: bytes, acknowledged: set[str]) -> None:
    """`live`, where the platform may also raise what it should not outside of a commit."""
    for _ in range(20):
        try:
            await live(store, file, acknowledged)
        except Exception as error:
            if isinstance(error, AssertionError):
                raise
            continue
        return


# -- opening


async def test_a_new_log_is_empty_and_not_written(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform, name="Alice") as store:
        assert shown(store)["note"] == []
        assert await store.events() == []
        assert (await store.stats())["name"] == "Alice"
    assert platform.kept["a"].meta == {}


async def test_opening_with_a_checkpoint_does_not_replay_what_it_holds(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for index in range(10):
            await store.append(note(index))
        await store.upkeep(now=True)
        await store.append(note("later"))
        expected = shown(store)
    folded_ids: list[str] = []
    async with await Store.open(SCHEMA, "a", platform=platform, before_each=lambda event: folded_ids.append(event.id)) as store:
        assert shown(store) == expected
        assert [one.split(":")[1] for one in folded_ids] == ["11"]


@pytest.mark.parametrize("schema", [make_schema(views=2), make_schema(app=2)])
async def test_another_version_regenerates_the_view(platform: MemoryPlatform, schema: Any) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        await store.upkeep(now=True)
        expected = shown(store)
    folded_ids: list[str] = []
    async with await Store.open(schema, "a", platform=platform, before_each=lambda event: folded_ids.append(event.id)) as store:
        assert len(folded_ids) == 1
        assert shown(store) == expected
        await store.upkeep(now=True)
    folded_ids.clear()
    async with await Store.open(schema, "a", platform=platform, before_each=lambda event: folded_ids.append(event.id)) as store:
        assert folded_ids == []


async def test_a_development_view_is_regenerated_at_each_open(platform: MemoryPlatform) -> None:
    # Its handlers change without its number.
    schema = make_schema(app=0, views=0)
    async with await Store.open(schema, "a", platform=platform) as store:
        await store.append(note("1"))
        await store.upkeep(now=True)
    folded_ids: list[str] = []
    async with await Store.open(schema, "a", platform=platform, before_each=lambda event: folded_ids.append(event.id)):
        assert len(folded_ids) == 1


async def test_opening_while_another_writes_ends_up_to_date(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as writer:
        await writer.append(note("1"))
        plan = Plan()
        written = 0

        async def write(operation: str) -> None:
            nonlocal written
            if written < 10:
                written += 1
                await writer.append(note(f"{operation} {written}"))
                await writer.upkeep(now=True)

        plan.before.append(write)
        async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
            plan.before.clear()
            assert written > 3
            await store.catch_up()
            assert shown(store) == shown(writer) == await folded(writer)


async def test_opening_while_the_log_is_replaced_ends_with_one_of_the_two(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        for index in range(4):
            await other.append(note(f"other {index}"))
        file = await saved(other)
    for k in range(1, 8):
        async with await Store.open(SCHEMA, f"a{k}", platform=platform) as writer:
            for index in range(5):
                await writer.append(note(index))
            plan = Plan()
            operations = 0

            async def replace(_operation: str, k: int = k, writer: Store = writer) -> None:
                nonlocal operations
                operations += 1
                if operations == k:
                    await writer.restore([file], mode="replace")

            plan.before.append(replace)
            async with await Store.open(SCHEMA, f"a{k}", platform=FaultyPlatform(platform, plan)) as store:
                plan.before.clear()
                await store.catch_up()
                assert shown(store) == shown(writer) == await folded(writer)


async def test_a_log_that_ends_early_is_an_error_not_an_empty_store(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for index in range(3):
            await store.append(note(index))
    for number in (3, 2, 1):
        del platform.kept["a"].segments[number]
        with pytest.raises(CorruptError):
            await Store.open(SCHEMA, "a", platform=platform)


async def test_a_missing_or_damaged_segment_is_named(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for index in range(3):
            await store.append(note(index))
        kept = platform.kept["a"].segments
        second = kept.pop(2)
        with pytest.raises(CorruptError, match="number 2"):
            await saved(store)
        with pytest.raises(CorruptError, match="number 2"):
            await Store.open(SCHEMA, "a", platform=platform)
        kept[2] = Segment(2, 2, 1, second.body[:-3] + b"x" + second.body[-2:])
        with pytest.raises(CorruptError, match="checksum"):
            await Store.open(SCHEMA, "a", platform=platform)
        with pytest.raises(CorruptError, match="checksum"):
            await saved(store)
        kept[2] = second
        await store.append(note("goes on"))


async def test_a_store_that_cannot_be_opened_leaves_nothing_open(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
    platform.kept["a"].meta["head"] = b"nonsense"
    with pytest.raises(CorruptError):
        await Store.open(SCHEMA, "a", platform=platform)
    platform.kept["a"].meta["head"] = b"[]"
    with pytest.raises(CorruptError):
        await Store.open(SCHEMA, "a", platform=platform)


async def test_a_quarantined_event_is_left_out_and_listed(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (bad,) = await store.append(note("1"))
        await store.append(note("2"))
        await store.upkeep(now=True)
    async with await Store.open(SCHEMA, "a", platform=platform, quarantine=[bad.id]) as store:
        assert store.query("SELECT note_id FROM note") == [{"note_id": "2"}]
        assert len(store.query("SELECT * FROM pystore_conflict")) == 1
        assert len(await lines_of(store)) == 2
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert len(store.query("SELECT note_id FROM note")) == 2


# -- another tab


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


# -- cut short


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


# -- upkeep


async def test_upkeep_that_fails_is_told_and_tried_again(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "UPKEEP_AFTER_S", 0.0)
    monkeypatch.setattr(projection_module, "CHECKPOINT_AFTER_EVENTS", 0)
    monkeypatch.setattr(projection_module, "CHECKPOINT_AFTER_SHARE", 1 << 30)
    for kind in ("quota", "bug"):
        plan = Plan()
        async with await Store.open(SCHEMA, kind, platform=FaultyPlatform(platform, plan)) as store:
            plan.at, plan.kind, plan.only = 1, kind, "save_checkpoint"
            await store.append(note("1"))
            while not plan.failed:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (await store.stats())["upkeep_error"] is not None
            await store.append(note("2"))
            while (await store.stats())["upkeep_error"] is not None:  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert "head" in platform.kept[kind].checkpoints


async def test_upkeep_begins_also_when_appending_never_pauses(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "UPKEEP_AFTER_S", 0.0001)
    monkeypatch.setattr(store_module, "UPKEEP_AT_LATEST_S", 0.001)
    monkeypatch.setattr(projection_module, "CHECKPOINT_AFTER_EVENTS", 0)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        count = 0
        while not platform.kept["a"].checkpoints:
            await store.append(note(count))
            count += 1
        assert count > 1


async def test_a_store_opened_on_a_long_tail_makes_a_checkpoint_by_itself(
    platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "UPKEEP_AFTER_S", 0.0)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(1000)])
        platform.kept["a"].checkpoints.clear()
    platform.kept["a"].checkpoints.clear()
    async with await Store.open(SCHEMA, "a", platform=platform):
        while not platform.kept["a"].checkpoints:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_upkeep_lets_appends_through_between_its_steps(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(3000)])
        keeping = asyncio.ensure_future(store.upkeep(now=True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await store.append(note("meanwhile"))
        assert not keeping.done()
        await keeping
        assert shown(store) == await folded(store)


# -- closing and forgetting


async def test_a_closed_store_refuses_every_verb(platform: MemoryPlatform) -> None:
    store = await Store.open(SCHEMA, "a", platform=platform)
    await store.append(note("1"))
    file = await saved(store)
    await store.close()
    await store.close()
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.append(note("2")), lambda: store.append_json(b""), lambda: store.rename("x"), store.flush, store.catch_up,
        lambda: saved(store), lambda: store.inspect([file]), lambda: store.restore([file]), store.events, store.stats,
        lambda: store.upkeep(now=True), store.forget, lambda: store.import_file(b"", "x"),
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            await call()
    for ask in (store.query, store.query_json):
        with pytest.raises(ClosedError):
            ask("SELECT 1")
    with pytest.raises(ClosedError):
        store.watch("SELECT 1", (), lambda _: None)


async def test_a_store_that_is_not_closed_warns(platform: MemoryPlatform) -> None:
    store = await Store.open(SCHEMA, "a", platform=platform)
    with pytest.warns(ResourceWarning, match="was not closed"):
        store.__del__()
    await store.close()


async def test_a_forgotten_log_is_gone_and_its_name_free(platform: MemoryPlatform) -> None:
    store = await Store.open(SCHEMA, "a", platform=platform)
    await store.append(note("1"))
    await store.forget()
    assert await platform.logs() == []
    with pytest.raises(ClosedError):
        store.query("SELECT 1")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await store.events() == []


async def test_forgetting_that_fails_closes_the_store_all_the_same(platform: MemoryPlatform) -> None:
    plan = Plan(at=1, kind="unavailable", only="destroy")
    store = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan))
    await store.append(note("1"))
    with pytest.raises(PyStoreError):
        await store.forget()
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert len(await store.events()) == 1
        await store.forget()


async def test_closing_does_not_wait_for_upkeep_to_begin(platform: MemoryPlatform) -> None:
    store = await Store.open(SCHEMA, "a", platform=platform)
    await store.append(note("1"))
    await asyncio.wait_for(store.close(), 0.5)


async def test_a_log_removed_elsewhere_is_not_begun_anew_behind_its_back(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        async with await Store.open(SCHEMA, "a", platform=platform) as other:
            await other.forget()
        with pytest.raises(ClosedError):
            await store.append(note("2"))
        assert await platform.logs() == []


# -- what else a store tells


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
