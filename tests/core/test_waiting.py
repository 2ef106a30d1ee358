"""Events from too far in the future wait beside the log: never lost, never early, and known to whatever else comes in."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import codec, merging
from pystore import upkeep as upkeep_module
from pystore.clock import MAX_FUTURE_MS, iso_of_ms
from pystore.errors import ClockError, CorruptBackupError, CorruptError, ForkError, PyStoreError, QuotaError, ValidationError
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.failing import KINDS, FaultyPlatform, Gate, Plan, UntranslatedError
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import SCHEMA, NoteEdited, check_chains, event_lines, folded, lines_of, make_schema, note, saved, shown

HOUR = 3_600_000


class Device:
    """Another device, which stays as it is between two files; its clock may be wrong."""

    def __init__(self, ahead_ms: int = 0) -> None:
        self.clock = FakeClock(START_MS + ahead_ms)
        self.platform = MemoryPlatform(self.clock)

    async def writes(self, *notes: str) -> bytes:
        """A file of all that it holds, once it has written these as well."""
        async with await Store.open(SCHEMA, "a", platform=self.platform) as store:
            for one in notes:
                await store.append(note(one))
            return await saved(store)


def notes_of(store: Store) -> list[str]:
    return sorted(row["note_id"] for row in shown(store)["note"])


def header(file: bytes) -> Any:
    return codec.decode(file.split(b"\n", 1)[0])


async def kept(store: Store, platform: MemoryPlatform) -> Any:
    """All that a store is."""
    log = platform.kept["a"]
    return shown(store), dict(log.segments), dict(log.meta), store.log.state, await store.waiting()


async def test_what_is_from_too_far_in_the_future_waits_until_its_time_comes(platform: MemoryPlatform, clock: FakeClock) -> None:
    file = await Device(MAX_FUTURE_MS + 1).writes("then")
    (replica,) = header(file)["replicas"]
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        inspected = await store.inspect([file])
        summary = await store.restore([file])
        assert {**inspected, "here": None} == {**summary, "here": None}
        assert (summary["new"], summary["known"], summary["waiting"], summary["problems"]) == (1, 0, 1, [])
        assert await store.waiting() == [{
            "id": f"{replica}:1", "time": iso_of_ms(START_MS + MAX_FUTURE_MS + 1), "type": "note.added", "until": iso_of_ms(START_MS + 1),
        }]
        stats = await store.stats()
        assert (stats["events"], stats["waiting"]) == (1, 1)
        assert notes_of(store) == ["mine"]

        # It does not move the clock.
        (appended,) = await store.append(note("2"))
        assert int(appended.hlc[:12], 16) == START_MS
        await store.upkeep()
        assert len(await store.waiting()) == 1

        clock.advance(1)
        await store.upkeep()
        assert await store.waiting() == []
        assert notes_of(store) == ["2", "mine", "then"]
        assert shown(store) == await folded(store)
        # From now on it does.
        assert (await store.append(note("3")))[0].hlc > (await store.events(limit=2))[1]["hlc"]
        assert (await store.restore([file]))["new"] == 0


async def test_how_far_ahead_a_clock_may_be_is_five_minutes_and_can_be_chosen(platform: MemoryPlatform) -> None:
    for ahead_ms, waiting in ((5 * 60_000, 0), (5 * 60_000 + 1, 1)):
        async with await Store.open(SCHEMA, f"b{ahead_ms}", platform=platform) as store:
            assert (await store.restore([await Device(ahead_ms).writes("then")]))["waiting"] == waiting
    file = await Device(HOUR).writes("then")
    for limit, waiting in ((HOUR - 1, 1), (HOUR, 0)):
        async with await Store.open(SCHEMA, f"a{limit}", platform=platform, max_future_ms=limit) as store:
            assert (await store.restore([file]))["waiting"] == waiting


async def test_merging_twice_adds_nothing_and_what_continues_waits_behind(platform: MemoryPlatform, clock: FakeClock) -> None:
    other = Device(HOUR)
    first = await other.writes("1", "2")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([first])
        before = await kept(store, platform)
        assert (await store.restore([first]))["new"] == 0
        assert await kept(store, platform) == before

        # The other device has its clock set right meanwhile, which its stamps do not show at once.
        other.clock.advance(-HOUR)
        second = await other.writes("3")
        summary = await store.restore([second])
        assert (summary["new"], summary["known"], summary["waiting"]) == (1, 2, 1)
        assert [event["id"].split(":")[1] for event in await store.waiting()] == ["1", "2", "3"]
        assert (await store.restore([first]))["new"] == 0
        assert notes_of(store) == []
        clock.advance(HOUR)
        await store.restore([await Device().writes("4")])  # a merge looks as well
        assert await store.waiting() == []
        assert notes_of(store) == ["1", "2", "3", "4"]
        assert shown(store) == await folded(store)


async def test_a_part_of_what_waits_comes_in_when_only_its_time_has_come(platform: MemoryPlatform, clock: FakeClock) -> None:
    other = Device(HOUR)
    await other.writes("1")
    other.clock.advance(HOUR)
    file = await other.writes("2")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([file])
        clock.advance(HOUR)
        await store.upkeep()
        assert notes_of(store) == ["1"]
        assert len(await store.waiting()) == 1
        assert event_lines(await saved(store)) == event_lines(file)
        clock.advance(HOUR)
        await store.upkeep()
        assert notes_of(store) == ["1", "2"]


async def test_a_save_writes_what_waits_like_all_else(platform: MemoryPlatform) -> None:
    other = Device(HOUR)
    theirs = await other.writes("1", "2")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        await store.restore([theirs])
        ours = await saved(store)
    async with await Store.open(SCHEMA, "a", platform=other.platform) as store:
        await store.restore([ours])
        both = await saved(store)
    assert event_lines(ours) == event_lines(both)
    assert header(ours)["replicas"] == header(both)["replicas"]
    counts, theirs_counts = header(ours)["counts"], header(both)["counts"]
    assert (counts["events"], counts["by_type"]) == (theirs_counts["events"], theirs_counts["by_type"]) == (3, {"note.added": 3})
    assert (counts["records"], theirs_counts["records"]) == ({"folder": 0, "note": 1}, {"folder": 0, "note": 3})
    # And it comes back as it was.
    async with await Store.open(SCHEMA, "b", platform=platform) as store:
        assert (await store.restore([ours]))["waiting"] == 2
        assert event_lines(await saved(store)) == event_lines(ours)


async def test_what_waits_is_not_undone_before_its_time_and_one_is_told_so(platform: MemoryPlatform, clock: FakeClock) -> None:
    file = await Device(HOUR).writes("1", "2")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (mine,) = await store.append(note("mine"))
        await store.restore([file])
        first, second = await store.waiting()
        for ids in ([first["id"]], [mine.id, second["id"]], [first["id"] + "-7"]):
            for work in (store.undo(ids), store.redo(ids)):
                with pytest.raises(ValidationError, match=str(first["until"])) as caught:
                    await work
                assert caught.value.details["until"] == first["until"]
        assert notes_of(store) == ["mine"]
        clock.advance(HOUR)
        await store.upkeep()
        await store.undo([first["id"]])
        assert notes_of(store) == ["2", "mine"]


async def test_what_waits_outlives_a_closed_store_and_comes_in_when_it_is_opened(platform: MemoryPlatform, clock: FakeClock) -> None:
    file = await Device(HOUR).writes("then")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([file])
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert (notes_of(store), len(await store.waiting())) == ([], 1)
    clock.advance(HOUR)
    async with await Store.open(SCHEMA, "a", platform=platform, read_only=True) as store:
        assert (notes_of(store), len(await store.waiting())) == ([], 1)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert (notes_of(store), await store.waiting()) == (["then"], [])


async def test_an_open_store_looks_by_itself(platform: MemoryPlatform, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_module, "LOOK_AFTER_S", 0.01)
    monkeypatch.setattr(upkeep_module, "UPKEEP_AFTER_S", 0.0)
    came = asyncio.Event()
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([await Device(HOUR).writes("then")])
        store.watch("SELECT note_id FROM note", (), lambda rows: came.set() if b"then" in rows else None)
        await store.upkeep()
        assert not came.is_set()
        clock.advance(HOUR)
        await came.wait()


async def test_an_open_that_is_cancelled_while_what_has_waited_comes_in_leaves_nothing_open(
    platform: MemoryPlatform, clock: FakeClock
) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([await Device(HOUR).writes("then")])
    clock.advance(HOUR)
    gate = Gate()
    opening = asyncio.ensure_future(Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, Plan(before=[gate]))))
    await gate.arrived.wait()
    opening.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert notes_of(store) == ["then"]


async def test_no_space_for_what_has_waited_leaves_it_waiting(platform: MemoryPlatform, clock: FakeClock) -> None:
    plan = Plan(only="commit", kind="quota", is_sticky=True)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([await Device(HOUR).writes("then")])
    clock.advance(HOUR)
    plan.at = 1
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        assert isinstance(store.upkeep_error, QuotaError)
        assert (notes_of(store), len(await store.waiting())) == ([], 1)
        plan.at = 0
        await store.upkeep()
        assert (notes_of(store), await store.waiting()) == (["then"], [])


@pytest.mark.parametrize("kind", KINDS)
async def test_no_fault_of_the_storage_loses_or_doubles_what_waits(kind: str) -> None:
    file = await Device(HOUR).writes("1", "2")
    at, is_over = 0, False
    while not is_over:
        at += 1
        plan = Plan(kind=kind)
        clock = FakeClock()
        platform = MemoryPlatform(clock)
        async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
            await store.append(note("mine"))
            plan.at = at
            is_kept = False
            with suppress(PyStoreError, UntranslatedError):
                await store.restore([file])
                is_kept = True
            clock.advance(HOUR)
            with suppress(PyStoreError, UntranslatedError):
                await store.upkeep()
            is_over = not plan.failed
            plan.at = 0
        async with await Store.open(SCHEMA, "a", platform=platform) as store:
            assert await store.waiting() == []
            assert notes_of(store) in ([["1", "2", "mine"]] if is_kept else [["1", "2", "mine"], ["mine"]])
            assert shown(store) == await folded(store)
            assert (await store.verify())["sound"]
            await store.restore([file])
            assert notes_of(store) == ["1", "2", "mine"]
    assert at > 5


async def test_replacing_replaces_what_waits_and_forgetting_forgets_it(platform: MemoryPlatform) -> None:
    future, other_future, now = await Device(HOUR).writes("1"), await Device(2 * HOUR).writes("2"), await Device().writes("3")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([future])
        await store.restore([other_future], mode="replace")
        assert (await store.stats())["waiting"] == 1
        assert event_lines(await saved(store)) == event_lines(other_future)
        await store.restore([now], mode="replace")
        assert await store.waiting() == []
        await store.restore([future])
        await store.forget()
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await store.waiting() == []


async def test_what_a_log_recorded_while_its_own_clock_was_wrong_does_not_wait_when_its_own_file_takes_its_place(
    platform: MemoryPlatform, clock: FakeClock
) -> None:
    clock.advance(24 * HOUR)
    store = await Store.open(SCHEMA, "a", platform=platform)
    await store.append(note("1"))
    clock.advance(-24 * HOUR)
    await store.append(note("2"))
    await store.close()
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("3"))
        file, backup = await saved(store), await store.backups.create()
        await store.append(note("4"))
        await store.restore([file], mode="replace")
        assert (notes_of(store), await store.waiting()) == (["1", "2", "3"], [])
        await store.append(note("5"))
        await store.backups.restore(backup["id"], mode="replace")
        assert (notes_of(store), await store.waiting()) == (["1", "2", "3"], [])
        assert (await store.verify())["sound"]
        longer = await Device(24 * HOUR).writes("theirs")
        await store.restore([longer], mode="replace")
        assert (notes_of(store), len(await store.waiting())) == ([], 1)
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.restore([file])
        assert (notes_of(other), len(await other.waiting())) == ([], 3)
        clock.advance(24 * HOUR)
        await other.upkeep()
        assert notes_of(other) == ["1", "2", "3"]


async def test_another_content_under_the_number_of_one_that_waits_is_a_fork(platform: MemoryPlatform) -> None:
    one = Device(HOUR)
    await one.writes("1")
    copy = Device(HOUR)
    for name in ("segments", "meta"):
        copy.platform.kept["a"] = log = copy.platform.kept.get("a") or type(one.platform.kept["a"])()
        setattr(log, name, dict(getattr(one.platform.kept["a"], name)))
    mine, theirs = await one.writes("2"), await copy.writes("other 2")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([mine])
        for file in (theirs, await copy.writes("other 3")):
            before = await kept(store, platform)
            for refused in (store.restore([file]), store.inspect([file])):
                with pytest.raises(ForkError) as caught:
                    await refused
                assert caught.value.details["seq"] == 2
            assert await kept(store, platform) == before


async def test_more_than_may_wait_is_refused_and_changes_nothing(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MAX_BYTES", 2000)
    few, many = await Device(HOUR).writes("1", "2"), await Device(2 * HOUR).writes(*map(str, range(10)))
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        await store.restore([few])
        before = await kept(store, platform)
        for refused in (store.restore([many]), store.restore([many], mode="replace"), store.inspect([many])):
            with pytest.raises(ClockError, match="Check this device's clock"):
                await refused
        assert await kept(store, platform) == before


async def test_of_two_tabs_neither_loses_what_the_other_put_aside(platform: MemoryPlatform, clock: FakeClock) -> None:
    files = [await Device(ahead).writes(f"{ahead}") for ahead in (HOUR, 2 * HOUR, 3 * HOUR)]
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as one,
        await Store.open(SCHEMA, "a", platform=platform) as two,
    ):
        await one.append(note("1"))
        await one.restore([files[0]])
        await two.restore([files[1]])
        await one.append(note("2"))
        await asyncio.gather(two.append(note("3")), one.restore([files[2]]))
        await two.catch_up()
        await one.catch_up()
        assert len(await one.waiting()) == len(await two.waiting()) == 3
        clock.advance(HOUR)
        await asyncio.gather(one.upkeep(), two.upkeep(), two.append(note("4")), one.append(note("5")))
        await one.catch_up()
        await two.catch_up()
        assert await one.waiting() == await two.waiting()
        assert shown(one) == shown(two) == await folded(one)
        assert notes_of(one) == ["1", "2", "3", "3600000", "4", "5"]
        assert await lines_of(one) == await lines_of(two)


async def test_a_feed_of_this_log_that_goes_on_in_what_waits_is_not_continued_here() -> None:
    other = Device()
    early = await other.writes("1")
    other.clock.advance(HOUR)
    late = await other.writes("2")
    # The storage is put back to where it was, by someone who copies files.
    clock = FakeClock()
    platform = MemoryPlatform(clock)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (replica,) = header(early)["replicas"]
        await store.restore([early])
        store.log.state = store.projection.shown = store.log.state._replace(writer=replica)
        await store.append(note("still mine"))
        assert header(await saved(store))["replicas"][replica]["seq"] == 2
    platform = MemoryPlatform(clock)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([early])
        store.log.state = store.projection.shown = store.log.state._replace(writer=replica)
        await store.restore([late])
        await store.append(note("3"))
        await store.append(note("4"))
        check_chains(await lines_of(store))
        assert {replica: head["seq"] for replica, head in header(await saved(store))["replicas"].items()} == {
            replica: 2, store.log.state.writer: 2,
        }


async def test_a_file_dated_before_what_it_continues_is_refused(platform: MemoryPlatform) -> None:
    from hashlib import sha256

    other = Device(HOUR)
    first = await other.writes("1")
    async with await Store.open(SCHEMA, "a", platform=other.platform) as store:
        store.log.clock = type(store.log.clock)(lambda: START_MS - HOUR)  # forgets what it has given
        await store.append(NoteEdited(note_id="1", text="earlier than what it edits"))
        edited = store.log.state
        last = event_lines(await saved(store))[0]
    about = {**header(first), "replicas": {edited.writer: {"seq": 2, "hash": edited.feeds[edited.writer].hash.decode()}}}
    body = codec.encode({**about, "counts": {"events": 1}}) + b"\n" + last + b"\n"
    file = body + codec.encode({"pystore": "end", "lines": 2, "sha256": sha256(body).hexdigest()}) + b"\n"
    for limit in (MAX_FUTURE_MS, 2 * HOUR):  # the event before it waits, or stands in the log
        async with await Store.open(SCHEMA, f"a{limit}", platform=platform, max_future_ms=limit) as store:
            await store.restore([first])
            for salvage in (False, True):
                with pytest.raises(CorruptBackupError, match="dated before") as caught:
                    await store.restore([file], salvage=salvage)
                assert caught.value.details == {"id": f"{edited.writer}:2", "kind": "ChainError"}


async def test_a_damaged_record_of_what_waits_is_told_and_can_be_replaced(platform: MemoryPlatform) -> None:
    file = await Device(HOUR).writes("then")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        await store.restore([file])
    platform.kept["a"].meta["waiting"] = platform.kept["a"].meta["waiting"][:-2] + b"x\n"
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert notes_of(store) == ["mine"]
        with pytest.raises(CorruptError):
            await saved(store)
        with pytest.raises(CorruptError):
            await store.append(note("2"))
        await store.restore([file], mode="replace")
        assert event_lines(await saved(store)) == event_lines(file)


# -- whoever exchanges files in whatever order


PROFILES = 3
PROFILE = st.integers(0, PROFILES - 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), PROFILE, st.integers(0, 3)),
        st.tuples(st.just("give"), PROFILE, PROFILE),
        st.tuples(st.just("later"), st.sampled_from([60_000, HOUR]), st.just(0)),
        st.tuples(st.just("set the clock"), PROFILE, st.integers(-5, 5)),
        st.tuples(st.just("reopen"), PROFILE, st.just(0)),
        st.tuples(st.just("upkeep"), PROFILE, st.just(0)),
    ),
    max_size=30,
)


@given(steps=STEPS, wrong=st.lists(st.integers(-5, 5), min_size=PROFILES, max_size=PROFILES))
async def test_profiles_whose_clocks_differ_by_hours_end_equal_whatever_files_they_exchanged_in_whatever_order(
    steps: list[tuple[str, int, int]], wrong: list[int]
) -> None:
    schema = make_schema()
    clocks = [FakeClock(START_MS + hours * HOUR) for hours in wrong]
    platforms = [MemoryPlatform(clock) for clock in clocks]
    stores = [await Store.open(schema, "a", platform=platform) for platform in platforms]
    there: list[set[bytes]] = [set() for _ in range(PROFILES)]
    try:
        for at, (step, one, other) in enumerate(steps):
            match step:
                case "append":
                    await stores[one].append([note(f"{at}-{number}", "refused"[: 7 - number]) for number in range(1, other + 1)])
                case "give":
                    file = await saved(stores[one])
                    await stores[other].restore([file])
                    assert (await stores[other].restore([file]))["new"] == 0
                case "later":
                    for clock in clocks:
                        clock.advance(one)
                case "set the clock":
                    clocks[one].advance(other * HOUR)
                case "reopen":
                    await stores[one].close()
                    stores[one] = await Store.open(schema, "a", platform=platforms[one])
                case "upkeep":
                    await stores[one].upkeep(now=True)
            for number, store in enumerate(stores):
                lines = set(await lines_of(store))
                assert there[number] <= lines, "something was lost"
                there[number] = lines
        for clock in clocks:
            clock.ms = START_MS + 1000 * HOUR
        for _ in range(2):
            for one in range(PROFILES):
                await stores[(one + 1) % PROFILES].restore([await saved(stores[one])])
        assert [await store.waiting() for store in stores] == [[]] * PROFILES
        assert shown(stores[0]) == shown(stores[1]) == shown(stores[2]) == await folded(stores[0])
        files = [await saved(store) for store in stores]
        assert event_lines(files[0]) == event_lines(files[1]) == event_lines(files[2])
        assert header(files[0]) == header(files[1]) == header(files[2])
        check_chains(event_lines(files[0]))
    finally:
        for store in stores:
            await store.close()
