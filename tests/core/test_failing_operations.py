"""Fail the k-th operation of the storage, for k = 1, 2, 3 ... until all went well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from pystore import log as log_module
from pystore.errors import PyStoreError
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.failing import KINDS, FaultyPlatform, Plan
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import SCHEMA, check_chains, folded, note, saved, shown, stored_events


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
    await attempt(store.undo(sorted(acknowledged)[:2]) if acknowledged else store.undo(["0" * 16 + ":1"]))
    await attempt(look_back(store))
    await attempt(store.restore_to(3))
    await attempt(store.flush())
    await attempt(store.upkeep(now=True))
    await attempt(saved(store))
    acknowledged.clear()  # replaced, or not: what comes after it counts
    await attempt(store.restore([file], mode="replace"))
    await attempt(store.append(note("3"), batch="b3"))
    await attempt(store.append(note("3"), batch="b3"))
    await attempt(store.upkeep(now=True))
    await attempt(store.catch_up())


async def look_back(store: Store) -> None:
    """Open a past moment: it is right, or not there."""
    past = await store.at(2)
    try:
        assert past.query("SELECT count(*) FROM note")
    finally:
        past.close()


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
