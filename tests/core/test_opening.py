"""Opening a store: it ends up to date, replays no more than it must, and says what is wrong with a log."""

from __future__ import annotations

from typing import Any

import pytest

from pystore.errors import CorruptError
from pystore.memory import MemoryPlatform
from pystore.ports import Segment
from pystore.records import packed
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Plan
from tests.support.notes import SCHEMA, folded, lines_of, make_schema, note, saved, shown


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


@pytest.mark.parametrize(("before", "schema"), [
    (SCHEMA, make_schema(views=2)), (SCHEMA, make_schema(app=2)), (make_schema(views=2), SCHEMA),
], ids=["newer views", "newer app", "older views"])
async def test_another_version_regenerates_the_view(platform: MemoryPlatform, before: Any, schema: Any) -> None:
    async with await Store.open(before, "a", platform=platform) as store:
        await store.append(note("1"))
        await store.upkeep(now=True)
        expected = shown(store)
    folded_ids: list[str] = []
    async with await Store.open(schema, "a", platform=platform, before_each=lambda event: folded_ids.append(event.id)) as store:
        assert set(folded_ids) == {event["id"] for event in await store.events()}
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


async def test_opening_while_another_writes_and_undoes_ends_up_to_date(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as writer:
        added = await writer.append(note("1"))
        plan = Plan()
        written = 0

        async def write(operation: str) -> None:
            nonlocal written
            if written < 10:
                written += 1
                await writer.undo([added[-1].id])
                added.extend(await writer.append(note(f"{operation} {written}")))
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
        whole = dict(kept)
        kept[2] = Segment(2, 2, 1, kept[2].body[:-3] + b"x" + kept[2].body[-2:])
        with pytest.raises(CorruptError, match="checksum"):
            await Store.open(SCHEMA, "a", platform=platform)
        with pytest.raises(CorruptError, match="checksum"):
            await saved(store)
        del kept[2]
        with pytest.raises(CorruptError, match="number 2"):
            await saved(store)
        with pytest.raises(CorruptError, match="number 2"):
            await Store.open(SCHEMA, "a", platform=platform)
        platform.kept["a"].segments = whole
        await store.append(note("goes on"))


async def test_a_store_that_cannot_be_opened_leaves_nothing_open(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
    platform.kept["a"].meta |= packed({"head": b"nonsense"})
    with pytest.raises(CorruptError):
        await Store.open(SCHEMA, "a", platform=platform)
    platform.kept["a"].meta |= packed({"head": b"[]"})
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
