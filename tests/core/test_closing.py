"""Closing and forgetting a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pystore.errors import ClosedError, PyStoreError
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Plan
from tests.support.notes import SCHEMA, note, saved


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
    with pytest.raises(ClosedError):
        store.query("SELECT 1")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await store.events() == [], "it was gone on with"


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
