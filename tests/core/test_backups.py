"""Layered backups in the vault."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystore.backup.chunks import Chunk, cuts, kept_of
from pystore.backup.layers import KEPT
from pystore.errors import CorruptBackupError, CorruptError, QuotaError, UnavailableError, ValidationError
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.damage import damage
from tests.support.failing import FaultyPlatform, Plan
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, event_lines, lines_of, note, saved, shown

MINUTE = 60_000
DAY = 24 * 60 * MINUTE


async def file_of(store: Store, id_: str) -> bytes:
    return b"".join([piece async for piece in store.backups.file(id_)])


# -- what a backup is


@given(st.integers(0, 20_000))
def test_the_runs_of_a_feed_follow_each_other_without_gap(events: int) -> None:
    at = 0
    for first, last in cuts(events):
        assert first == at + 1
        assert last >= first
        at = last
    assert at == events


@given(st.integers(0, 20_000), st.integers(0, 5_000))
def test_a_grown_feed_keeps_all_but_the_last_runs(before: int, more: int) -> None:
    chunks = [Chunk(replica="r", first=first, last=last, until="", sha256="", bytes=0) for first, last in cuts(before)]
    kept = kept_of(chunks, before + more)
    again = sum(chunk.last - chunk.first + 1 for chunk in chunks[len(kept) :])
    assert again < 4096 if more >= 4096 else again <= min(before, 4095)
    assert [(chunk.first, chunk.last) for chunk in kept] == list(cuts(before + more))[: len(kept)]


async def test_a_backup_is_read_back_as_the_file_that_saving_gives(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store, await Store.open(SCHEMA, "b", platform=platform) as other:
        await store.append([note(index) for index in range(700)])
        await other.append([note(f"b{index}") for index in range(300)])
        await store.restore([await saved(other)])
        await store.append([note(f"c{index}") for index in range(10)])
        made = await store.backups.create("by hand")
        assert await file_of(store, made["id"]) == await saved(store)
        assert made["sha256"]
        assert (made["label"], made["layer"], made["events"], made["records"]["note"]) == ("by hand", "manual", 1010, 1010)
        assert made["versions"] == await store.versions()


async def test_events_that_wait_for_their_time_are_backed_up_too(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store, await Store.open(SCHEMA, "b", platform=platform) as other:
        await store.append(note("1"))
        clock.advance(DAY)
        await other.append(note("2"))
        file = await saved(other)
        clock.advance(-DAY)
        await store.restore([file])
        assert (await store.stats())["waiting"] == 1
        made = await store.backups.create()
        assert event_lines(await file_of(store, made["id"])) == await lines_of(store)


async def test_a_second_backup_writes_only_what_came_since(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(5000)])
        first = await store.backups.create()
        before = dict(platform.vaults["a"])
        await store.append([note(f"x{index}") for index in range(10)])
        second = await store.backups.create()
        written = {name: data for name, data in platform.vaults["a"].items() if before.get(name) != data and name.startswith("chunks/")}
        assert sum(map(len, written.values())) < first["size"] / 20
        assert second["own"] < first["size"] / 20
        assert await file_of(store, second["id"]) == await saved(store)
        assert len(event_lines(await file_of(store, first["id"]))) == 5000


async def test_145_backups_of_a_growing_log_take_at_most_twice_the_space_of_the_newest(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for batch in range(18):
            await store.append([note(f"{batch}/{index}", "some words that are said again and again " * 3) for index in range(5000)])
        for round_ in range(145):
            await store.append([note(f"{round_}-{index}", "some words that are said again and again " * 3) for index in range(69)])
            clock.advance(15 * MINUTE)
            layer = ["auto"] * 10 + ["hourly"] * 24 + ["daily"] * 7 + ["weekly"] * 4 + ["manual"] * 100
            await store.backups.create(layer=layer[round_])
        assert store.log.state.events == 100_005
        stats = await store.backups.stats()
        newest = (await store.backups.list())[0]
        assert stats["count"] == 145
        assert stats["bytes"] <= 2 * newest["size"]


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 200)), min_size=1, max_size=12))
async def test_any_backup_of_any_history_is_the_log_as_it_was(steps: list[tuple[int, int]]) -> None:
    platform = MemoryPlatform(FakeClock())
    stores = [await Store.open(SCHEMA, name, platform=platform) for name in ("a", "b", "c")]
    kept: dict[str, list[bytes]] = {}
    for step, (which, count) in enumerate(steps):
        await stores[which].append([note(f"{step}/{index}") for index in range(count)])
        if which:
            await stores[0].restore([await saved(stores[which])])
        if stores[0].log.state.events:
            kept[(await stores[0].backups.create())["id"]] = await lines_of(stores[0])
    for id_, lines in kept.items():
        assert event_lines(await file_of(stores[0], id_)) == lines
    for store in stores:
        await store.close()


# -- restoring


async def test_a_backup_is_merged_or_takes_the_place_of_everything(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note("1"), note("2")])
        before = shown(store)
        made = await store.backups.create()
        await store.append(note("3"))
        assert (await store.backups.restore(made["id"]))["new"] == 0
        assert len(store.query("SELECT * FROM note")) == 3
        await store.backups.restore(made["id"], mode="replace")
        assert shown(store) == before


async def test_what_is_being_restored_is_not_pruned_by_the_backup_that_is_made_first(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for index in range(KEPT["before-restore"]):
            await store.append(note(index))
            await store.backups.create(layer="before-restore")
        oldest = (await store.backups.list())[-1]["id"]
        assert (await store.backups.restore(oldest, mode="replace"))["events"] == 1
        await store.append(note("later"))
        await store.backups.create(layer="before-restore")
        assert oldest not in [one["id"] for one in await store.backups.list()], "it goes when its turn comes"


async def test_before_everything_is_replaced_there_is_a_backup_of_it(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store, await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.append(note("theirs"))
        await store.append(note("mine"))
        before = await lines_of(store)
        await store.restore([await saved(other)], mode="replace")
        (safety,) = await store.backups.list()
        assert safety["layer"] == "before-restore"
        assert event_lines(await file_of(store, safety["id"])) == before
        await store.backups.restore(safety["id"], mode="replace")
        assert await lines_of(store) == before


async def test_nothing_is_replaced_when_its_backup_cannot_be_made(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.append(note("theirs"))
        file = await saved(other)
    plan = Plan()
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        await store.append(note("mine"))
        before = await lines_of(store)
        plan.at, plan.only, plan.is_sticky = 1, "vault write", True
        with pytest.raises(QuotaError):
            await store.restore([file], mode="replace")
        assert await lines_of(store) == before


async def test_a_backup_that_turns_out_to_be_damaged_when_it_is_restored_is_known_to_be_from_then_on(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(100)])
        await store.backups.create()
        damage(platform, "chunks/")
        assert [one["verified"]["good"] for one in await store.backups.list()] == [True]
        with pytest.raises(CorruptBackupError):
            await store.backups.restore((await store.backups.list())[0]["id"])
        assert [one["verified"]["good"] for one in await store.backups.list()] == [False]


async def test_statistics_tell_how_many_backups_there_are_from_when_and_by_layer(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        made = []
        for layer in ("manual", "manual", "hourly"):
            await store.append(note(clock()))
            made.append((await store.backups.create(layer=layer))["time"])
            clock.advance(3_600_000)
        stats = await store.backups.stats()
        assert (stats["count"], stats["oldest"], stats["newest"]) == (3, made[0], made[2])
        spans = {layer: (one["count"], one["oldest"], one["newest"]) for layer, one in stats["layers"].items()}
        assert spans == {"hourly": (1, made[2], made[2]), "manual": (2, made[0], made[1])}
        assert stats["bytes"] == sum(len(data) for name, data in platform.vaults["a"].items() if not name.startswith("state/"))
        assert (stats["keep"]["auto"], stats["keep"]["weekly"]) == (10, 4)
        assert stats["every"] == {"auto": 15, "hourly": 1, "daily": 1, "weekly": 1}


async def test_a_layers_size_counts_each_part_once_and_its_own_is_what_would_be_free_without_it(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(64)])
        await store.backups.create()
        await store.append([note(index) for index in range(64, 70)])
        await store.backups.create(layer="hourly")
        await store.append([note(index) for index in range(70, 80)])
        for _ in range(2):
            await store.backups.create(layer="hourly")
        layers = (await store.backups.stats())["layers"]
        listed = {layer: [one for one in await store.backups.list() if one["layer"] == layer] for layer in layers}
        assert layers["manual"]["size"] == listed["manual"][0]["size"], "one backup's parts, whoever shares them"
        assert layers["hourly"]["size"] < sum(one["size"] for one in listed["hourly"]), "what its own backups share counts once"
        before = (await store.backups.stats())["bytes"]
        for one in listed["hourly"]:
            await store.backups.remove(one["id"])
        assert layers["hourly"]["own"] == before - (await store.backups.stats())["bytes"]


async def test_a_backup_that_cannot_be_read_counts_with_what_tells_its_parts(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        await store.backups.create()
        name = damage(platform, "backups/")
        size = len(platform.vaults["a"][name])
        layer = (await store.backups.stats())["layers"]["manual"]
        assert (layer["count"], layer["size"], layer["own"]) == (1, size, size)


@pytest.mark.parametrize("folder", ["chunks/", "backups/"])
async def test_a_damaged_backup_is_named_and_never_restored(platform: MemoryPlatform, folder: str) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(100)])
        made = await store.backups.create()
        damage(platform, folder)
        await store.append(note("later"))
        before = await lines_of(store)
        with pytest.raises(CorruptBackupError):
            await store.backups.verify(made["id"])
        with pytest.raises(CorruptBackupError):
            await store.backups.restore(made["id"], mode="replace")
        assert await lines_of(store) == before
        found = await store.backups.verify()
        assert list(found["damaged"]) == [made["id"]]
        listed = next(one for one in await store.backups.list() if one["id"] == made["id"])
        assert listed["verified"]["good"] is False


async def test_a_backup_made_after_one_was_damaged_does_not_rely_on_it(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(100)])
        await store.backups.create()
        platform.vaults["a"] = {name: data for name, data in platform.vaults["a"].items() if not name.startswith("chunks/")}
        second = await store.backups.create()
        assert (await store.backups.verify(second["id"]))["events"] == 100


async def test_a_safety_backup_does_not_share_what_is_damaged(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(100)])
        await store.backups.create()
        damage(platform, "chunks/")
        safety = await store.backups.create(layer="before-restore")
        assert (await store.backups.verify(safety["id"]))["events"] == 100


async def test_a_damaged_part_is_written_anew_by_the_check_of_the_day(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(100)])
        made = await store.backups.create()
        name = damage(platform, "chunks/")
        assert (await store.backups.verify())["damaged"]
        second = await store.backups.create()
        assert sha256(platform.vaults["a"][name]).hexdigest() == name.removeprefix("chunks/")
        assert (await store.backups.verify())["good"] == [made["id"], second["id"]]


# -- of a damaged log


async def damaged_store(platform: MemoryPlatform, plan: Plan | None = None) -> Store:
    """A store of 400 events that does not know yet that the second of its four records is damaged."""
    store = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan))
    for part in range(4):
        await store.append([note(f"{part}/{index}") for index in range(100)])
    segment = platform.kept["a"].segments[2]
    platform.kept["a"].segments[2] = replace(segment, body=segment.body[:200] + bytes([segment.body[200] ^ 1]) + segment.body[201:])
    return store


async def test_before_a_damaged_log_is_replaced_all_that_can_be_read_is_kept(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.append(note("theirs"))
        file = await saved(other)
    async with await damaged_store(platform) as store:
        await store.restore([file], mode="replace")
        assert store.log.state.events == 1
        (kept,) = await store.backups.list()
        assert (kept["layer"], kept["events"], kept["label"]) == ("damaged", 300, "Before everything was replaced")


async def test_a_damaged_log_is_not_replaced_when_what_can_be_read_cannot_be_kept(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.append(note("theirs"))
        file = await saved(other)
    plan = Plan()
    async with await damaged_store(platform, plan) as store:
        plan.at, plan.only, plan.is_sticky = 1, "vault write", True
        with pytest.raises(QuotaError):
            await store.restore([file], mode="replace")
        assert store.log.state.events == 400


async def test_a_backup_of_a_damaged_log_says_so_and_keeps_what_can_be_read(platform: MemoryPlatform) -> None:
    async with await damaged_store(platform) as store:
        with pytest.raises(CorruptError, match="What can be read is kept in the backup 000001-damaged") as caught:
            await store.backups.create("by hand")
        (kept,) = await store.backups.list()
        assert (kept["id"], kept["label"], kept["events"]) == (caught.value.details["kept"], "by hand", 300)
        assert kept["damaged"]
        await store.backups.verify()
        (kept,) = await store.backups.list()
        assert kept["verified"]["good"] is False


async def test_the_clock_keeps_what_can_be_read_once_for_each_damage(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await damaged_store(platform) as store:
        for index in range(3):
            await store.append(note(f"later {index}"))
            clock.advance(15 * MINUTE)
            for _ in range(2):
                with pytest.raises(CorruptError):
                    await store.backups.make_due()
            (kept,) = await store.backups.list()
            assert (kept["layer"], kept["events"]) == ("damaged", 301 + index)
        assert kept["id"].startswith("000003"), "once in a quarter of an hour"


async def test_what_was_kept_of_a_damaged_log_is_no_ground_for_later_backups(platform: MemoryPlatform) -> None:
    async with await damaged_store(platform) as store:
        body = platform.kept["a"].segments[2]
        with pytest.raises(CorruptError):
            await store.backups.create()
        flipped = body.body
        platform.kept["a"].segments[2] = replace(body, body=flipped[:200] + bytes([flipped[200] ^ 1]) + flipped[201:])
        made = await store.backups.create("whole again")
        assert (await store.backups.verify(made["id"]))["events"] == 400


# -- when it fails


@pytest.mark.parametrize("operation", ["vault read", "vault write", "vault sizes", "vault delete"])
async def test_a_vault_that_fails_at_any_point_has_the_earlier_backups_and_no_half_one(platform: MemoryPlatform, operation: str) -> None:
    at = 0
    failed = True
    while failed:
        at += 1
        platform.vaults.clear()
        platform.kept.clear()
        plan = Plan()
        async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
            await store.append([note(index) for index in range(70)])
            await store.backups.configure(keep={"manual": 2})
            await store.backups.create("first")
            await store.backups.create("second")
            await store.append(note("later"))
            plan.at, plan.only, plan.kind = at, operation, "unavailable"
            with suppress(UnavailableError):
                await store.backups.create("third")
            failed = plan.failed > 0
            plan.at = 0
            found = await store.backups.list()
            labels = [one["label"] for one in found]
            assert labels in (["second", "first"], ["third", "second", "first"], ["third", "second"])
            assert (await store.backups.verify())["damaged"] == {}
            await store.backups.create("fourth")
            assert len(await store.backups.list()) == 2
    assert at > 1


async def test_when_space_is_short_checkpoints_go_first(platform: MemoryPlatform) -> None:
    plan = Plan()
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        for part in range(3):
            await store.append([note(f"{part}/{index}") for index in range(1500)])
            await store.upkeep(now=True)
        assert len(await store.log.storage.checkpoints()) > 1
        plan.at, plan.only = 1, "vault write"
        await store.backups.create()
        assert len(await store.log.storage.checkpoints()) == 1


async def test_backups_that_fail_again_and_again_take_no_space(platform: MemoryPlatform) -> None:
    plan = Plan(kind="quota", only="vault write", is_sticky=True)
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        await store.append([note(index) for index in range(50)])
        await store.backups.create()
        before = dict(platform.vaults["a"])
        for round_ in range(5):
            await store.append(note(f"round {round_}"))
            plan.at, plan.done = 2, 0  # a chunk has room, what names it has none
            with pytest.raises(QuotaError):
                await store.backups.make_due()
            plan.at = 0
            assert platform.vaults["a"] == before


async def test_what_a_killed_window_left_goes_with_the_check_of_the_day(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        await store.backups.create()
        before = set(platform.vaults["a"])
        platform.vaults["a"][f"chunks/{'0' * 64}"] = b"of a backup that was never named"
        clock.advance(DAY)
        assert await store.backups.verify_due()
        assert set(platform.vaults["a"]) == before


async def test_a_backup_that_a_killed_window_had_only_begun_is_none_and_goes(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        first = await store.backups.create()
        begun = {"backups/000002-auto-0192f3a4b5c6": b"", "backups/000003-auto-0192f3a4b5c6.new": b"half", f"chunks/{'0' * 64}.new": b"x"}
        platform.vaults["a"].update(begun)
        assert [one["id"] for one in await store.backups.list()] == [first["id"]]
        await store.append(note("2"))
        second = await store.backups.create()
        await store.backups.remove(first["id"])
        assert begun.keys().isdisjoint(platform.vaults["a"])
        assert await store.backups.verify() == {"good": [second["id"]], "damaged": {}, "partial": []}


async def test_backups_are_checked_also_while_none_can_be_made(
    platform: MemoryPlatform, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pystore.backup.backups.FIRST_AFTER_S", 0)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(100)])
        made = await store.backups.create()
        damage(platform, "chunks/")
        await store.append(note("later"))
        platform.kept["a"].segments.pop(1)
        clock.advance(DAY)
        told = asyncio.Event()
        store.backups.on_change(lambda: told.set() if store.backups.error is not None else None)
        store.backups.follow_clock()
        await told.wait()
        assert isinstance(store.backups.error, CorruptError)
        assert [one["verified"]["good"] for one in await store.backups.list() if one["id"] == made["id"]] == [False]


async def test_what_a_failed_round_of_the_clock_says_is_told(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pystore.backup.backups.FIRST_AFTER_S", 0)
    plan = Plan(at=1, only="vault write", is_sticky=True)
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        await store.append(note("1"))
        told = asyncio.Event()
        store.backups.on_change(told.set)
        store.backups.follow_clock()
        await told.wait()
        assert (await store.backups.stats())["error"] == "There is no space left."


async def test_what_is_no_backup_is_refused(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        gone = "000009-manual-0192f3a4b5c6"
        for call in (store.backups.verify("nothing"), store.backups.remove(gone), store.backups.create(layer="yearly")):
            with pytest.raises(ValidationError):
                await call


async def test_removing_one_leaves_the_others_whole(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(200)])
        first = await store.backups.create()
        await store.append(note("x"))
        second = await store.backups.create()
        await store.backups.remove(first["id"])
        assert [one["id"] for one in await store.backups.list()] == [second["id"]]
        assert (await store.backups.verify(second["id"]))["events"] == 201


async def test_a_forgotten_log_has_no_backups(platform: MemoryPlatform) -> None:
    store = await Store.open(SCHEMA, "a", platform=platform)
    await store.append(note("1"))
    await store.backups.create()
    await store.forget()
    assert platform.vaults == {}
