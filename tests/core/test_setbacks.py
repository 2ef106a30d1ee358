"""What is stored is stored: a view that cannot be made anew, or a checkpoint that cannot be kept, costs time and refuses nothing."""

from __future__ import annotations

import asyncio

import pytest

from pystore import checkpoints as checkpoints_module
from pystore import projection as projection_module
from pystore import versions as versions_module
from pystore.memory import MemoryPlatform
from pystore.ports import Checkpoint
from pystore.store import Store
from tests.support.failing import KINDS, FaultyPlatform, Plan
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import SCHEMA, folded, note, saved, shown, stored_events

KIND = pytest.mark.parametrize("kind", ["quota", "unavailable", "bug"])


@pytest.fixture(autouse=True)
def checkpoints_in_short_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (checkpoints_module, projection_module):
        monkeypatch.setattr(module, "NEAR_EVENTS", 5)


async def long_log(platform: MemoryPlatform | FaultyPlatform) -> tuple[Store, list[str]]:
    """A store of 200 events, and their ids."""
    store = await Store.open(SCHEMA, "a", platform=platform)
    ids = [appended.id for start in range(0, 200, 10) for appended in await store.append([note(start + i) for i in range(10)])]
    return store, ids


def fail_after_the_next_commit(plan: Plan, kind: str) -> None:
    """Nothing that is stored can be read once something is committed."""
    async def armed(operation: str) -> None:
        if operation == "commit":
            plan.become(Plan(at=1, kind=kind, only="segments", is_sticky=True))

    plan.before.append(armed)


def no_checkpoints(kind: str) -> Plan:
    """From now on none can be saved."""
    return Plan(at=1, kind=kind, only="save_checkpoint", is_sticky=True)


@KIND
async def test_an_undo_is_done_though_no_checkpoint_can_be_kept(platform: MemoryPlatform, kind: str) -> None:
    faulty = FaultyPlatform(platform)
    store, ids = await long_log(faulty)
    async with store:
        faulty.plan.become(no_checkpoints(kind))
        (undone,), (appended,) = await asyncio.gather(store.undo(ids[:1]), store.append(note("at once")))
        assert faulty.plan.failed
        assert {undone.id, appended.id} <= {event.id for event in await stored_events(store)}
        assert shown(store) == await folded(store)
        assert (await store.stats())["upkeep_error"] is not None
        await store.append(note("later"))
        assert shown(store) == await folded(store)
        faulty.plan.at = 0
        await store.upkeep(now=True)
        assert (await store.stats())["upkeep_error"] is None
        assert platform.kept["a"].checkpoints


async def early_file() -> bytes:
    """A file with one event that belongs before all others."""
    async with await Store.open(SCHEMA, "a", platform=MemoryPlatform(FakeClock(START_MS - 1000))) as other:
        await other.append(note("early"))
        return await saved(other)


@KIND
async def test_what_was_restored_is_there_though_no_checkpoint_can_be_kept(platform: MemoryPlatform, kind: str) -> None:
    file = await early_file()
    faulty = FaultyPlatform(platform)
    store, _ = await long_log(faulty)
    async with store:
        faulty.plan.become(no_checkpoints(kind))
        assert (await store.restore([file]))["new"] == 1
        assert faulty.plan.failed
        assert shown(store) == await folded(store)
        assert (await store.restore([file], mode="replace"))["new"] == 1


@KIND
async def test_a_log_is_opened_though_no_checkpoint_can_be_kept(platform: MemoryPlatform, kind: str) -> None:
    store, _ = await long_log(platform)
    async with store:
        await store.upkeep(now=True)
        checkpoints = dict(platform.kept["a"].checkpoints)
        await store.restore([await early_file()])
    platform.kept["a"].checkpoints = checkpoints  # none that has what came late
    plan = no_checkpoints(kind)
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        assert plan.failed
        assert shown(store) == await folded(store)


async def test_older_checkpoints_make_room_for_one_of_a_fold(platform: MemoryPlatform) -> None:
    faulty = FaultyPlatform(platform)
    store, ids = await long_log(faulty)
    async with store:
        await store.undo(ids[:1])
        await store.upkeep(now=True)
        assert len(platform.kept["a"].checkpoints) > 1
        faulty.plan.become(Plan(at=1, only="save_checkpoint"))
        await store.undo(ids[1:2])
        assert faulty.plan.failed == 1
        assert (await store.stats())["upkeep_error"] is None
        assert shown(store) == await folded(store)


@pytest.mark.parametrize("kind", list(KINDS))
async def test_an_undo_whose_view_cannot_be_made_is_done_and_the_view_follows(platform: MemoryPlatform, kind: str) -> None:
    faulty = FaultyPlatform(platform)
    store, ids = await long_log(faulty)
    fail_after_the_next_commit(faulty.plan, kind)
    async with store:
        told: list[bytes] = []
        store.watch("SELECT count(*) AS n FROM note", (), told.append)
        (undone,) = await store.undo(ids[:1], batch="b")
        assert faulty.plan.failed
        assert (await store.stats())["upkeep_error"] is not None
        faulty.plan.become(Plan())
        assert await store.undo(ids[:1], batch="b") == [undone]
        await store.upkeep()
        assert shown(store) == await folded(store)
        assert told[-1] == b'[{"n":199}]'
        assert (await store.stats())["upkeep_error"] is None


async def test_a_checkpoint_of_another_pystore_is_not_used(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = await long_log(platform)
    async with store:
        await store.upkeep(now=True)
    folded_events: list[object] = []
    for version, expected in ((None, 0), ("another", 200)):
        if version is not None:
            monkeypatch.setattr(versions_module, "__version__", version)
        async with await Store.open(SCHEMA, "a", platform=platform, before_each=folded_events.append):
            assert len(folded_events) == expected


@pytest.mark.parametrize("about", [b"nonsense", b"[]", b"{}"])
async def test_a_checkpoint_of_which_nothing_can_be_read_costs_time_only(platform: MemoryPlatform, about: bytes) -> None:
    store, _ = await long_log(platform)
    async with store:
        await store.upkeep(now=True)
        expected = shown(store)
    checkpoints = platform.kept["a"].checkpoints
    for name, checkpoint in checkpoints.items():
        checkpoints[name] = Checkpoint(about, checkpoint.image)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert shown(store) == expected
        await store.upkeep(now=True)
        assert [one.state.events for one in await store.projection.checkpoints.kept()] == [len(expected["note"])]


async def test_a_checkpoint_never_shows_more_than_it_says_though_the_view_could_not_be_made_anew(platform: MemoryPlatform) -> None:
    faulty = FaultyPlatform(platform)
    store, ids = await long_log(faulty)
    fail_after_the_next_commit(faulty.plan, "unavailable")
    async with store:
        await asyncio.gather(store.undo(ids[:1]), store.append(note("at once")))
        assert faulty.plan.failed
        faulty.plan.become(Plan())
        await store.upkeep(now=True)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert shown(store) == await folded(store)
