"""Upkeep: it comes by itself, is tried again, and keeps nobody waiting."""

from __future__ import annotations

import asyncio

import pytest

from pystore import projection as projection_module
from pystore import upkeep as upkeep_module
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Plan
from tests.support.notes import SCHEMA, folded, note, shown


async def test_upkeep_that_fails_is_told_and_tried_again(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_module, "UPKEEP_AFTER_S", 0.0)
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
            assert platform.kept[kind].checkpoints


async def test_upkeep_begins_also_when_appending_never_pauses(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_module, "UPKEEP_AFTER_S", 0.0001)
    monkeypatch.setattr(upkeep_module, "UPKEEP_AT_LATEST_S", 0.001)
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
    monkeypatch.setattr(upkeep_module, "UPKEEP_AFTER_S", 0.0)
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
