"""A log that was lost, or lost its end, is never taken for a new one or for all there was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pystore.errors import StoreLostError, TailLostError, UnavailableError
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Plan
from tests.support.notes import SCHEMA, check_chains, lines_of, note, saved, shown


async def kept_store(platform: MemoryPlatform, notes: int = 20) -> Store:
    """A store that is kept as a page keeps it, with one backup of all but its newest event."""
    store = await Store.open(SCHEMA, "a", platform=platform)
    store.backups.follow_clock()
    await store.append([note(index) for index in range(notes)])
    await store.backups.create()
    await store.append(note("newest"))
    await store.upkeep()
    return store


async def test_an_empty_store_with_a_witness_is_lost_and_tells_which_backups_there_are(platform: MemoryPlatform) -> None:
    store = await kept_store(platform)
    await store.close()
    platform.kept.clear()
    with pytest.raises(StoreLostError) as caught:
        await Store.open(SCHEMA, "a", platform=platform)
    assert caught.value.details["events"] == 21
    (backup,) = caught.value.details["backups"]
    assert backup["events"] == 20
    assert not platform.kept["a"].segments, "nothing was begun"
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as again:
        assert (await again.backups.restore(backup["id"]))["new"] == 20
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert len(again.query("SELECT * FROM note")) == 20


async def test_looking_at_what_is_left_and_dying_loses_no_warning(platform: MemoryPlatform) -> None:
    store = await kept_store(platform)
    await store.close()
    platform.kept.clear()
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as again:
        again.backups.follow_clock()
        await again.upkeep()
    with pytest.raises(StoreLostError):
        await Store.open(SCHEMA, "a", platform=platform)


async def test_a_loss_is_told_until_something_is_written(platform: MemoryPlatform) -> None:
    store = await kept_store(platform)
    older = copy.deepcopy(platform.kept["a"])
    await store.append(note("lost"))
    await store.upkeep()
    await store.close()
    platform.kept["a"] = older
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as again:
        again.backups.follow_clock()
        await again.upkeep(now=True)
        assert isinstance(again.lost, TailLostError)
        assert [one["events"] for one in again.lost.details["backups"]] == [20]
    with pytest.raises(TailLostError):
        await Store.open(SCHEMA, "a", platform=platform)
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as again:
        again.backups.follow_clock()
        await again.rename("what is left")
        assert again.lost is None
        await again.upkeep()
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert again.lost is None


async def test_a_store_without_its_newest_events_says_so_and_goes_on_under_another_name(platform: MemoryPlatform) -> None:
    store = await kept_store(platform)
    older = copy.deepcopy(platform.kept["a"])
    await store.append([note("lost 1"), note("lost 2")])
    await store.upkeep()
    file = await saved(store)
    await store.close()
    platform.kept["a"] = older
    with pytest.raises(TailLostError) as caught:
        await Store.open(SCHEMA, "a", platform=platform)
    assert list(caught.value.details["missing"].values()) == [[22, 23]]
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as again:
        again.backups.follow_clock()
        await again.append(note("after the loss"))
        await again.upkeep()
        await again.restore([file])  # what was lost has turned up: nothing forks
        assert {row["note_id"] for row in again.query("SELECT note_id FROM note")} >= {"lost 1", "lost 2", "after the loss"}
        check_chains(await lines_of(again))
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert (await again.verify())["sound"]


async def test_a_log_that_was_replaced_by_a_shorter_one_is_not_lost(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.append(note("b"))
        file = await saved(other)
    store = await kept_store(platform)
    await store.restore([file], mode="replace")
    await store.close()  # before anything was noted of it
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert len(again.query("SELECT * FROM note")) == 1


async def test_a_witness_never_tells_of_more_than_is_durable(platform: MemoryPlatform) -> None:
    for at in range(1, 12):
        platform.kept.clear()
        platform.vaults.clear()
        plan = Plan()
        store = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan))
        store.backups.follow_clock()
        await store.append(note("1"))
        plan.at, plan.kind, plan.is_sticky = at, "unavailable", True
        for index in range(3):
            try:
                await store.append(note(f"x{index}"))
                await store.upkeep()
            except Exception:  # noqa: BLE001
                break
        await store.close()
        async with await Store.open(SCHEMA, "a", platform=platform) as again:
            assert len(shown(again)["note"]) >= 1


@pytest.mark.parametrize("witness", [None, b"", b"{"])
async def test_where_no_witness_tells_of_a_lost_log_its_backups_do(platform: MemoryPlatform, witness: bytes | None) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.rename("Alice")
        await store.append([note(index) for index in range(20)])
        await store.backups.create()
    platform.kept.clear()
    if witness is not None:
        platform.vaults["a"]["state/witness.json"] = witness
    with pytest.raises(StoreLostError) as caught:
        await Store.open(SCHEMA, "a", platform=platform)
    assert (caught.value.details["name"], caught.value.details["events"]) == ("Alice", 21)
    (backup,) = caught.value.details["backups"]
    manifest = f"backups/{backup['id']}"
    platform.vaults["a"][manifest] = platform.vaults["a"][manifest][:-1]
    with pytest.raises(StoreLostError):
        await Store.open(SCHEMA, "a", platform=platform)
    assert not platform.kept["a"].meta, "nothing was begun"
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as store:
        await store.append(note("begun anew"))
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert len(store.query("SELECT * FROM note")) == 1


async def test_a_vault_that_cannot_be_read_lets_no_log_begin_and_one_that_is_there_open(platform: MemoryPlatform) -> None:
    plan = Plan(at=1, kind="unavailable", is_sticky=True, only="vault read")
    with pytest.raises(UnavailableError):
        await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan))
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        assert isinstance(store.upkeep_error, UnavailableError)
        assert len(store.query("SELECT * FROM note")) == 1


@pytest.mark.parametrize("mode", ["merge", "replace"])
async def test_what_was_erased_does_not_come_back_when_a_lost_log_is_begun_again(platform: MemoryPlatform, mode: Any) -> None:
    store = await kept_store(platform)
    (secret,) = await store.append(note("secret", "nobody must read this"))
    file = await saved(store)
    await store.erase([secret.id])
    await store.close()
    platform.kept.clear()
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as again:
        assert not platform.kept["a"].meta, "nothing was begun"
        await again.restore([file], mode=mode)
        assert len(again.query("SELECT * FROM note")) == 21
        assert b"nobody must" not in await saved(again)
        assert (await again.verify())["sound"]
        async with await Store.open(SCHEMA, "b", platform=platform) as other:
            await other.restore([file])
            await other.restore([await saved(again)])
            assert len(other.query("SELECT * FROM note")) == 21
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert b"nobody must" not in await saved(again)


async def test_what_was_erased_does_not_come_back_with_an_older_copy_of_the_log(platform: MemoryPlatform) -> None:
    store = await kept_store(platform)
    (secret,) = await store.append(note("secret", "nobody must read this"))
    await store.upkeep()
    older = copy.deepcopy(platform.kept["a"])
    await store.erase([secret.id])
    await store.close()
    platform.kept["a"] = older
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as again:
        assert len(again.query("SELECT * FROM note")) == 21
        assert b"nobody must" not in await saved(again)
        assert (await again.verify())["sound"]


async def test_a_damaged_note_of_what_was_erased_erases_nothing(platform: MemoryPlatform) -> None:
    store = await kept_store(platform)
    (secret,) = await store.append(note("secret", "nobody must read this"))
    file = await saved(store)
    await store.erase([secret.id])
    await store.close()
    platform.kept.clear()
    noted = platform.vaults["a"]["state/erased"]
    platform.vaults["a"]["state/erased"] = noted.replace(b":22", b":21")
    assert noted != platform.vaults["a"]["state/erased"]
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as again:
        await again.restore([file])
        assert len(again.query("SELECT * FROM note")) == 22


@pytest.mark.parametrize("damaged", [lambda _: b"{", lambda noted: noted.replace(b":21}", b":29}")], ids=["cut off", "altered"])
async def test_a_damaged_witness_claims_nothing(platform: MemoryPlatform, damaged: Callable[[bytes], bytes]) -> None:
    store = await kept_store(platform)
    await store.close()
    noted = platform.vaults["a"]["state/witness.json"]
    platform.vaults["a"]["state/witness.json"] = damaged(noted)
    assert damaged(noted) != noted
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert len(again.query("SELECT * FROM note")) == 21


async def test_a_forgotten_log_may_be_begun_anew(platform: MemoryPlatform) -> None:
    store = await kept_store(platform)
    await store.forget()
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        await again.append(note("1"))
