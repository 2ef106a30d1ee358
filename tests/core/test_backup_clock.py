"""Backups by the clock: which are made, checked and kept, and what people choose about that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from hashlib import sha256

import pytest

from pystore.backup.layers import KEPT
from pystore.errors import ValidationError
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.damage import damage
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, lines_of, note

MINUTE = 60_000
DAY = 24 * 60 * MINUTE


async def test_at_the_start_one_of_each_layer_is_made_and_nothing_twice(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await store.backups.make_due(is_start=True) == []  # there is nothing to lose yet
        await store.append(note("1"))
        assert len(await store.backups.make_due(is_start=True)) == 4
        files = dict(platform.vaults["a"])
        clock.advance(40 * DAY)
        assert await store.backups.make_due(is_start=True) == []
        assert platform.vaults["a"] == files, "nothing changed, so nothing is written"
        await store.append(note("2"))
        assert [one.split("-")[1] for one in await store.backups.make_due()] == ["auto", "hourly", "daily", "weekly"]
        assert await store.backups.make_due() == []


async def test_two_windows_that_look_at_the_clock_at_once_make_one_backup_of_each_layer(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        async with await Store.open(SCHEMA, "a", platform=platform) as other:
            made = await asyncio.gather(*(one.backups.make_due(is_start=True) for one in (store, other)))
            assert sorted(map(len, made)) == [0, 4]
            assert len(await store.backups.list()) == 4


async def test_what_backups_share_is_read_back_before_one_is_said_to_be_good(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(128)])
        await store.backups.make_due()
        name = damage(platform, "chunks/")
        await store.append(note("later"))
        clock.advance(15 * MINUTE)
        (made,) = await store.backups.make_due()
        assert sha256(platform.vaults["a"][name]).hexdigest() == name.removeprefix("chunks/"), "made anew"
        assert (await store.backups.list())[0]["verified"]["good"]
        assert (await store.backups.verify(made))["events"] == 129


async def test_one_is_made_on_start_up_whatever_the_clock_says(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        await store.backups.make_due()
        await store.append(note("2"))
        assert await store.backups.make_due() == []
        assert len(await store.backups.make_due(is_start=True)) == 1


async def test_a_layer_keeps_its_newest_and_their_parts_alone(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for index in range(30):
            await store.append(note(index))
            clock.advance(15 * MINUTE)
            await store.backups.make_due()
        layers = [one["layer"] for one in await store.backups.list()]
        assert layers.count("auto") == KEPT["auto"]
        assert layers.count("hourly") == 8
        vault = await store.backups.vault()
        named = {chunk.sha256 for id_ in await vault.ids() for chunk in (await vault.manifest(id_)).chunks}
        assert {name.removeprefix("chunks/") for name in platform.vaults["a"] if name.startswith("chunks/")} == named
        assert (await store.backups.verify())["damaged"] == {}


async def test_the_newest_good_backup_of_a_life_that_was_lost_stays(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for index in range(3):
            await store.append([note(f"{index}/{number}") for number in range(50)])
            clock.advance(8 * DAY)
            await store.backups.make_due()
        lost = await lines_of(store)
        damage(platform, "backups/")
        newest = next(one["id"] for one in await store.backups.list() if not one["damaged"])
    platform.kept.clear()
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as store:
        for index in range(40):
            await store.append(note(f"new {index}"))
            clock.advance(DAY)
            await store.backups.make_due()
        assert newest in [one["id"] for one in await store.backups.list()]
        await store.backups.restore(newest, mode="replace")
        assert await lines_of(store) == lost


async def test_lives_that_were_lost_long_ago_are_pruned(platform: MemoryPlatform, clock: FakeClock) -> None:
    for life in range(15):
        platform.kept.clear()
        async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as store:
            await store.backups.configure(keep=dict.fromkeys(["hourly", "daily", "weekly"], 0) | {"auto": 1})
            for index in range(2):
                await store.append(note(f"{life}/{index}"))
                clock.advance(DAY)
                await store.backups.make_due()
            ids = [one["id"] for one in await store.backups.list()]
            assert len(ids) == min(life + 1, 10)


def flips(platform: MemoryPlatform, name: str) -> Iterator[None]:
    """One after another, each tenth byte of a vault's file with a flipped bit."""
    files = platform.vaults["a"]
    whole = files[name]
    for at in range(0, len(whole), 10):
        files[name] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        yield


async def test_no_flipped_bit_in_the_settings_lets_a_backup_go_and_it_is_told_until_somebody_chooses_anew(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.backups.configure(keep={"manual": 105}, every={"auto": 5}, running=False)
        for index in range(105):
            await store.append(note(index))
            await store.backups.create()
        assert not (await store.backups.stats())["settings_lost"]
        for made, _ in enumerate(flips(platform, "state/settings"), 1):
            stats = await store.backups.stats()
            assert stats["settings_lost"]
            assert (stats["every"]["auto"], stats["keep"]["manual"]) == (15, 100)
            await store.append(note(f"more {made}"))
            await store.backups.create()
            assert len(await store.backups.list()) == 105 + made
        await store.backups.configure(keep={"manual": 3})
        assert not (await store.backups.stats())["settings_lost"]
        assert len(await store.backups.list()) == 3


async def test_no_flipped_bit_in_what_checks_found_is_believed_and_all_are_checked_anew(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        made = await store.backups.create()
        damage(platform, "chunks/")
        assert list((await store.backups.verify())["damaged"]) == [made["id"]]
        assert not await store.backups.verify_due()
        for _ in flips(platform, "state/verified"):
            assert [one["verified"] for one in await store.backups.list()] == [None]
            assert await store.backups.verify_due()
            assert [one["verified"]["good"] for one in await store.backups.list()] == [False]


async def test_where_it_is_not_known_which_backups_are_good_none_of_a_lost_life_goes(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for index in range(2):
            await store.append([note(f"{index}/{number}") for number in range(50)])
            await store.backups.create(layer="auto")
        good, damaged = (one["id"] for one in reversed(await store.backups.list()))
        vault = await store.backups.vault()
        older, newer = [{chunk.sha256 for chunk in (await vault.manifest(id_)).chunks} for id_ in await vault.ids()]
        platform.vaults["a"][f"chunks/{min(newer - older)}"] = b"?"
        assert list((await store.backups.verify())["damaged"]) == [damaged]
    next(flips(platform, "state/verified"))
    platform.kept.clear()
    async with await Store.open(SCHEMA, "a", platform=platform, recover=True) as store:
        for index in range(20):
            await store.append(note(f"new {index}"))
            clock.advance(DAY)
            await store.backups.make_due()
        assert {good, damaged} <= {one["id"] for one in await store.backups.list()}
        await store.backups.verify()
        await store.append(note("newest"))
        clock.advance(DAY)
        await store.backups.make_due()
        ids = {one["id"] for one in await store.backups.list()}
        assert good in ids
        assert damaged not in ids


async def test_of_a_layer_that_keeps_none_none_is_made(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.backups.configure(keep=dict.fromkeys(["auto", "hourly", "daily", "weekly"], 0))
        await store.append(note("1"))
        assert await store.backups.make_due(is_start=True) == []
        with pytest.raises(ValidationError, match="keeps no backups"):
            await store.backups.create(layer="hourly")


async def test_backups_are_checked_once_a_day(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        await store.backups.create()
        assert not await store.backups.verify_due()
        clock.advance(DAY)
        assert await store.backups.verify_due()
        assert not await store.backups.verify_due()


async def test_stopped_backups_stay_stopped_when_the_store_is_opened_again(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        store.backups.follow_clock()
        assert (await store.backups.stats())["running"]
        await store.backups.stop()
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        store.backups.follow_clock()
        assert not (await store.backups.stats())["running"]
        await store.backups.start()
        assert (await store.backups.stats())["running"]
