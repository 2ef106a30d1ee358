"""A damaged log is made whole again from its backups; what cannot be is named, and everything else can be read and saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pystore import codec, recovery
from pystore.backup.restore import check_file
from pystore.errors import CorruptBackupError, CorruptError, FormatError, NewerVersionError, PyStoreError, QuotaError, ReadOnlyError
from pystore.event import parse_line
from pystore.memory import MemoryPlatform
from pystore.records import Records, packed
from pystore.schema import Schema
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Plan
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, check_chains, event_lines, lines_of, make_schema, note, saved

DAY = 86_400_000


async def kept_log(platform: MemoryPlatform, *, backup: bool = True, later: int = 0) -> list[bytes]:
    """A log of several records, and a backup of it; its lines."""
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for part in range(4):
            await store.append([note(f"{part}/{index}", f"text {part} {index}") for index in range(100)])
        if backup:
            await store.backups.create()
        for index in range(later):
            await store.append(note(f"later {index}"))
        return await lines_of(store)


def flip(platform: MemoryPlatform, number: int, at: int) -> None:
    """Flip a bit of a stored record."""
    segment = platform.kept["a"].segments[number]
    at %= len(segment.body)
    platform.kept["a"].segments[number] = replace(segment, body=segment.body[:at] + bytes([segment.body[at] ^ 1]) + segment.body[at + 1 :])


@settings(max_examples=60)
@example({1: 1260}, {2})
@given(st.dictionaries(st.integers(1, 4), st.integers(0, 1 << 20), min_size=1), st.sets(st.integers(1, 4), max_size=2))
async def test_whatever_records_are_damaged_or_gone_a_backup_makes_the_log_whole(flips: dict[int, int], gone: set[int]) -> None:
    platform = MemoryPlatform(FakeClock())
    lines = await kept_log(platform)
    for number, at in flips.items():
        flip(platform, number, at)
    for number in gone:
        del platform.kept["a"].segments[number]
    with pytest.raises(CorruptError):
        await Store.open(SCHEMA, "a", platform=platform)
    report = await recovery.repair(platform, "a", SCHEMA)
    assert (report["events"], report["lost"]) == (400, [])
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await lines_of(store) == lines
        assert (await store.verify())["sound"]
        await store.append(note("it goes on"))
        check_chains(await lines_of(store))


async def test_what_is_in_no_backup_is_named_and_nothing_is_changed(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform, later=3)
    flip(platform, 5, 200)
    before = dict(platform.kept["a"].segments)
    with pytest.raises(CorruptError, match="in no backup") as caught:
        await recovery.repair(platform, "a", SCHEMA)
    writer = parse_line(lines[0]).replica
    assert f"{writer}:401" in caught.value.details["missing"]
    assert platform.kept["a"].segments == before


async def test_one_may_go_on_without_what_is_lost_and_the_damaged_record_is_kept(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform, later=3)
    flip(platform, 6, 200)
    damaged = platform.kept["a"].segments[6].body
    report = await recovery.repair(platform, "a", SCHEMA, accept_loss=True)
    assert report["events"] >= 400
    assert report["lost"]
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        here = await lines_of(store)
        assert here == lines[: len(here)]
        await store.append(note("it goes on"))
        check_chains(await lines_of(store))
    assert damaged in platform.vaults["a"].values()


async def test_what_is_lost_and_what_only_stands_behind_it_are_told_apart(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform, backup=False)
    flip(platform, 2, 200)
    with pytest.raises(CorruptError, match=r"100 events are damaged and in no backup.* 200 others can be read") as caught:
        await recovery.repair(platform, "a", SCHEMA)
    writer = parse_line(lines[0]).replica
    assert caught.value.details["missing"] == [f"{writer}:{seq}" for seq in range(101, 201)]
    assert caught.value.details["unchained"] == [f"{writer}:{seq}" for seq in range(201, 401)]
    assert platform.vaults == {}


async def test_everything_readable_is_in_the_vault_before_the_log_goes_on_without_it(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform, backup=False)
    flip(platform, 2, 200)
    report = await recovery.repair(platform, "a", SCHEMA, accept_loss=True)
    assert (report["events"], len(report["lost"]), len(report["unchained"])) == (100, 300, 200)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (kept,) = await store.backups.list()
        assert (kept["id"], kept["layer"], kept["events"]) == (report["kept"], "damaged", 300)
        assert kept["damage"]["missing"] == [f"{parse_line(lines[0]).replica}:101-200"]
        assert event_lines(b"".join([piece async for piece in store.backups.file(kept["id"])])) == lines[:100] + lines[200:]
        assert await store.backups.verify() == {"good": [], "damaged": {}, "partial": [kept["id"]]}
        with pytest.raises(CorruptBackupError, match="damaged log"):
            await store.backups.restore(kept["id"])
        await store.append(note("it goes on"))
        await store.backups.restore(kept["id"], mode="replace", salvage=True)
        assert await lines_of(store) == lines[:99], "up to what the file itself proves"


async def test_a_file_of_a_damaged_log_is_refused_unless_it_is_salvaged(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform, backup=False)
    del platform.kept["a"].segments[4]
    file = b"".join([piece async for piece in recovery.damaged_file(platform, "a", SCHEMA.name)])
    async with await Store.open(SCHEMA, "b", platform=platform) as store:
        with pytest.raises(CorruptBackupError, match="not everything is in it"):
            await store.restore([file])
        (problem,) = (await store.inspect([file]))["problems"]
        assert "not everything is in it" in problem["why"]
        await store.restore([file], salvage=True)
        assert await lines_of(store) == lines[:300]


async def test_a_log_is_not_cut_when_the_rest_cannot_be_kept(platform: MemoryPlatform) -> None:
    await kept_log(platform, backup=False)
    flip(platform, 2, 200)
    before = dict(platform.kept["a"].segments)
    with pytest.raises(QuotaError):
        await recovery.repair(FaultyPlatform(platform, Plan(at=2, only="vault write", is_sticky=True)), "a", SCHEMA, accept_loss=True)
    assert platform.kept["a"].segments == before


async def test_a_flipped_bit_in_the_number_of_an_event_is_not_taken_for_another_event(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform, later=3)
    body = platform.kept["a"].segments[6].body
    flip(platform, 6, body.index(b'"seq":402') + len(b'"seq":'))
    report = await recovery.repair(platform, "a", SCHEMA, accept_loss=True)
    assert report["lost"] == [f"{parse_line(lines[0]).replica}:{seq}" for seq in (402, 403)]


async def test_everything_that_can_be_read_is_saved_with_a_report_of_what_is_missing(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform, backup=False)
    del platform.kept["a"].segments[2]
    file = b"".join([piece async for piece in recovery.damaged_file(platform, "a", SCHEMA.name)])
    assert event_lines(file) == lines[:100] + lines[200:]
    damage = codec.decode(file.split(b"\n")[0])["damage"]
    assert damage["missing"] == [f"{parse_line(lines[0]).replica}:101-200"]
    with pytest.raises(CorruptBackupError):
        await check_file([file], platform.now_ms(), platform.breathe)
    assert (await check_file([file], platform.now_ms(), platform.breathe, salvage=True))["events"] == 99, "up to what is proven"


async def test_a_damaged_record_of_the_log_itself_is_made_anew(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform)
    platform.kept["a"].meta["head"] = platform.kept["a"].meta["head"][:-5]
    with pytest.raises(CorruptError):
        await Store.open(SCHEMA, "a", platform=platform)
    await recovery.repair(platform, "a", SCHEMA)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await lines_of(store) == lines


async def test_a_damaged_backup_mends_nothing(platform: MemoryPlatform) -> None:
    await kept_log(platform)
    del platform.kept["a"].segments[2]
    for name in platform.vaults["a"]:
        if name.startswith("chunks/"):
            platform.vaults["a"][name] = platform.vaults["a"][name][:-1] + b"?"
    with pytest.raises(CorruptError, match="in no backup"):
        await recovery.repair(platform, "a", SCHEMA)


async def with_one_that_waits(platform: MemoryPlatform, clock: FakeClock) -> bytes:
    """A log of 400 events beside which another one waits for its time, and a backup of both; the line of that one."""
    await kept_log(platform, backup=False)
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        clock.advance(DAY)
        await other.append(note("from tomorrow"))
        file = await saved(other)
        clock.advance(-DAY)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([file])
        await store.backups.create()
        assert len(await store.waiting()) == 1
    return event_lines(file)[0]


@pytest.mark.parametrize("damage", ["a record", "the log's own record"])
async def test_what_waits_still_waits_after_a_repair(platform: MemoryPlatform, clock: FakeClock, damage: str) -> None:
    line = await with_one_that_waits(platform, clock)
    if damage == "a record":
        flip(platform, 2, 200)
    else:
        platform.kept["a"].meta["head"] = b"?"
    assert (await recovery.repair(platform, "a", SCHEMA))["lost"] == []
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert [one["id"] for one in await store.waiting()] == [parse_line(line).id]
        assert store.log.state.events == 400
        clock.advance(DAY)
        await store.upkeep()
        assert store.log.state.events == 401


async def test_a_damaged_record_of_what_waits_is_told_and_kept_and_what_a_backup_has_of_it_waits_again(
    platform: MemoryPlatform, clock: FakeClock
) -> None:
    line = await with_one_that_waits(platform, clock)
    meta = platform.kept["a"].meta
    damaged = meta["waiting"] = meta["waiting"][:-20]
    with pytest.raises(CorruptError, match="wait for their time") as caught:
        await recovery.repair(platform, "a", SCHEMA)
    assert caught.value.details["missing"] == []
    assert meta["waiting"] == damaged
    report = await recovery.repair(platform, "a", SCHEMA, accept_loss=True)
    assert report["lost"] == []
    assert Records({"waiting": damaged}).unchecked("waiting") in platform.vaults["a"].values()
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert [one["id"] for one in await store.waiting()] == [parse_line(line).id]
        kept = next(one for one in await store.backups.list() if one["id"] == report["kept"])
        assert kept["damage"]["meta"] == ["waiting"]


async def test_what_waits_is_among_what_can_be_read(platform: MemoryPlatform, clock: FakeClock) -> None:
    line = await with_one_that_waits(platform, clock)
    flip(platform, 2, 200)
    file = b"".join([piece async for piece in recovery.damaged_file(platform, "a", SCHEMA.name)])
    assert line in event_lines(file)


async def test_a_damaged_version_document_is_that_of_the_newest_backup_again(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform)
    meta = platform.kept["a"].meta
    before, meta["versions"] = Records(meta)["versions"], b"{nonsense"
    with pytest.raises(CorruptError):
        await Store.open(SCHEMA, "a", platform=platform)
    await recovery.repair(platform, "a", SCHEMA)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await store.versions() == codec.decode(before)
        assert await lines_of(store) == lines


async def test_where_no_backup_tells_the_versions_the_log_is_migrated_by_the_next_application(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform, backup=False)
    meta = platform.kept["a"].meta
    before, meta["versions"] = meta["versions"], b"[]"
    await recovery.repair(platform, "a", SCHEMA)
    async with await Store.open(SCHEMA, "a", platform=platform, migrate=False) as store:
        assert "older version" in (store.read_only or "")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert store.read_only is None
        assert await lines_of(store) == lines
    assert meta["versions"] == before


@pytest.mark.parametrize("mode", ["merge", "replace"])
async def test_what_can_be_read_is_restored_also_where_its_versions_are_not_known(
    platform: MemoryPlatform, mode: Literal["merge", "replace"]
) -> None:
    lines = await kept_log(platform, backup=False)
    meta = platform.kept["a"].meta
    before, meta["versions"] = meta["versions"], b"{nonsense"
    file = b"".join([piece async for piece in recovery.damaged_file(platform, "a", SCHEMA.name)])
    async with await Store.open(SCHEMA, "b", platform=platform) as store:
        await store.restore([file], mode=mode, salvage=True)
        assert await lines_of(store) == lines
    assert platform.kept["b"].meta["versions"] == before


def say_versions(platform: MemoryPlatform, **changes: object) -> None:
    """Let the log's version document say something else."""
    meta = platform.kept["a"].meta
    meta |= packed({"versions": codec.encode({**codec.decode(Records(meta)["versions"]), **changes})})


async def refused_repair(platform: MemoryPlatform, schema: Schema, error: type[PyStoreError]) -> None:
    """A repair raises `error` and changes nothing, neither the log nor the vault."""
    before, vault = dict(platform.kept["a"].segments), dict(platform.vaults.get("a", {}))
    with pytest.raises(error):
        await recovery.repair(platform, "a", schema, accept_loss=True)
    assert platform.kept["a"].segments == before
    assert platform.vaults.get("a", {}) == vault


@pytest.mark.parametrize(("changes", "schema", "error"), [
    ({"app": {"version": 2}}, SCHEMA, ReadOnlyError),
    ({"meta_version": 2}, SCHEMA, ReadOnlyError),
    ({"app": {"version": 0}}, SCHEMA, NewerVersionError),
    ({}, make_schema(app=0), NewerVersionError),
    ({}, make_schema("another"), FormatError),
], ids=["newer application", "newer pystore", "development data", "development version", "another application"])
async def test_what_this_version_may_not_write_to_is_not_repaired(
    platform: MemoryPlatform, changes: dict[str, object], schema: Schema, error: type[PyStoreError]
) -> None:
    await kept_log(platform, backup=False)
    say_versions(platform, **changes)
    flip(platform, 2, 200)
    await refused_repair(platform, schema, error)


async def test_where_only_a_backup_tells_the_version_that_one_counts(platform: MemoryPlatform) -> None:
    await kept_log(platform, backup=False)
    say_versions(platform, app={"version": 2})
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.backups.create()
    platform.kept["a"].meta["versions"] = b"?"
    await refused_repair(platform, SCHEMA, ReadOnlyError)


async def test_a_log_of_an_older_version_is_repaired_and_stays_of_it(platform: MemoryPlatform) -> None:
    lines = await kept_log(platform)
    flip(platform, 2, 200)
    await recovery.repair(platform, "a", make_schema(app=2))
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert store.read_only is None
        assert await lines_of(store) == lines
