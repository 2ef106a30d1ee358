"""What is forgotten is gone for good: whoever else has it open, and wherever the forgetting was cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from pystore.errors import ClosedError, ForgottenError, PyStoreError
from pystore.forgetting import forget_log
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Plan, UntranslatedError
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, note, saved


async def kept_store(platform: MemoryPlatform | FaultyPlatform) -> Store:
    """A store that is kept as a page keeps it, with a backup and a witness."""
    store = await Store.open(SCHEMA, "a", platform=platform)
    store.backups.follow_clock()
    await store.append([note(index) for index in range(20)])
    await store.backups.create()
    await store.append(note("newest"))
    await store.upkeep(now=True)
    return store


async def begun_anew(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert again.query("SELECT * FROM note") == []
        assert await again.backups.list() == []
        await again.append(note("1"))
        assert again.log.state.events == 1


@pytest.mark.parametrize("work", [
    lambda store: store.upkeep(), lambda store: store.backups.create(), lambda store: store.backups.make_due(is_start=True),
    lambda store: store.backups.configure(remind_days=5), lambda store: store.backups.verify(), lambda store: store.append(note("x")),
    lambda store: store.erase([f"{store.log.state.writer}:1"]), saved,
], ids=["upkeep", "create", "make_due", "configure", "verify", "append", "erase", "save"])
async def test_another_window_brings_nothing_of_it_back(platform: MemoryPlatform, work: Callable[[Store], Awaitable[Any]]) -> None:
    store = await kept_store(platform)
    other = await Store.open(SCHEMA, "a", platform=platform)
    other.backups.follow_clock()
    await other.append(note("other"))
    await store.forget()
    with pytest.raises(ClosedError):
        await work(other)
    await other.close()
    assert not platform.kept
    assert not platform.vaults
    await begun_anew(platform)


async def test_a_backup_in_another_window_is_waited_for_and_goes_too(platform: MemoryPlatform) -> None:
    store = await kept_store(platform)
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def hold(operation: str) -> None:
        if operation == "vault write":
            arrived.set()
            await gate.wait()

    other = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, Plan(before=[hold])))
    await other.append(note("other"))
    making = asyncio.ensure_future(other.backups.create())
    await arrived.wait()
    forgetting = asyncio.ensure_future(store.forget())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not forgetting.done()
    gate.set()
    await making
    await forgetting
    await other.close()
    assert not platform.kept
    assert not platform.vaults


@pytest.mark.parametrize("kind", ["bug", "unavailable", "quota", "done but unknown"])
@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
async def test_cut_short_at_any_point_all_of_it_is_there_or_nothing(kind: str, *, is_open: bool) -> None:
    at, failed = 0, True
    while failed:
        at += 1
        platform = MemoryPlatform(FakeClock())
        store = await kept_store(platform)
        backups = len(await store.backups.list())
        await store.close()
        plan = Plan()
        faulty = FaultyPlatform(platform, plan)
        store = await Store.open(SCHEMA, "a", platform=faulty)
        if not is_open:
            await store.close()
        plan.at, plan.kind, plan.is_sticky = at, kind, True  # as if it died there
        is_done = False
        with suppress(PyStoreError, UntranslatedError):
            await (store.forget() if is_open else forget_log(faulty, "a"))
            is_done = True
        failed = plan.failed > 0
        plan.at = 0
        await store.close()
        async with await Store.open(SCHEMA, "a", platform=platform) as again:
            events = again.log.state.events
            assert events in (0, 21)
            assert events == 0 or not is_done
            assert len(await again.backups.list()) == (backups if events else 0)
            assert (await again.verify())["sound"]
    assert at > 2


async def test_a_log_that_is_being_removed_is_not_written_to_any_more(platform: MemoryPlatform) -> None:
    plan = Plan(only="vault destroy", kind="unavailable", is_sticky=True)
    store = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan))
    await store.append(note("1"))
    await store.backups.create()
    other = await Store.open(SCHEMA, "a", platform=platform)
    plan.at = 1
    with pytest.raises(PyStoreError):
        await store.forget()
    with pytest.raises(ForgottenError):
        await other.backups.create()
    with pytest.raises(ForgottenError):
        await other.catch_up()
    await other.close()
    await begun_anew(platform)
