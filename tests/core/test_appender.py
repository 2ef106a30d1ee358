"""Group commit: what is answered is durable, what is refused costs only itself, what is unknown is found out."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from pystore.appender import MAX_GROUP_EVENTS, Appended
from pystore.clock import MAX_COUNTER, stamp
from pystore.errors import (
    ClosedError,
    ConflictError,
    ConstraintError,
    CorruptError,
    HandlerError,
    OutcomeUnknownError,
    PyStoreError,
    QuotaError,
    ReadOnlyError,
    StorageError,
    ValidationError,
)
from pystore.memory import MemoryPlatform
from pystore.projector import draft
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Gate, Plan
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, NoteEdited, check_chains, folded, lines_of, note, saved, shown, stored_events


async def ids(store: Store) -> list[str]:
    return [event.id for event in await stored_events(store)]


async def note_ids(store: Store) -> list[str]:
    return [row["note_id"] for row in store.query("SELECT note_id FROM note ORDER BY position")]


async def test_appends_at_once_land_in_one_commit(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        answers = await asyncio.gather(*(store.append(note(index)) for index in range(100)))
        assert len(platform.kept["a"].segments) == 1
        assert [answer[0].id for answer in answers] == await ids(store)
        assert await note_ids(store) == [str(index) for index in range(100)]


async def test_appends_that_arrive_in_flight_are_committed_together(platform: MemoryPlatform) -> None:
    gate = Gate()
    faulty = FaultyPlatform(platform, Plan(before=[gate]))
    async with await Store.open(SCHEMA, "a", platform=faulty) as store:
        first = asyncio.ensure_future(store.append(note("first")))
        await gate.arrived.wait()
        others = [asyncio.ensure_future(store.append(note(index))) for index in range(10)]
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(first, *others)
        assert [segment.events for segment in platform.kept["a"].segments.values()] == [1, 10]
        assert shown(store) == await folded(store)


async def test_a_bad_append_in_a_group_costs_only_itself(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        answers = await asyncio.gather(
            store.append(note("1")),
            store.append([note("2"), note("1")]),
            store.append(NoteEdited(note_id="nobody", text="x")),
            store.append(note("2")),
            store.append(note("3", folder="nowhere")),
            store.append(note("4", "refused")),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [
            list, ConstraintError, HandlerError, list, ConstraintError, ConstraintError,
        ]
        assert isinstance(answers[1], ConstraintError)
        assert answers[1].details["index"] == 1
        assert len(platform.kept["a"].segments) == 1
        assert await note_ids(store) == ["1", "2"]
        assert shown(store) == await folded(store)
        check_chains(await lines_of(store))


async def test_a_group_in_which_all_are_refused_stores_nothing(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        answers = await asyncio.gather(*(store.append(note(i, "refused")) for i in range(3)), return_exceptions=True)
        assert all(isinstance(answer, ConstraintError) for answer in answers)
        assert platform.kept["a"].segments == {}
        await store.append(note("good"))
        assert await note_ids(store) == ["good"]


async def test_appending_nothing_stores_nothing(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await store.append([]) == []
        assert await store.append_json(b"") == []
        assert platform.kept["a"].segments == {}


async def test_a_group_is_bounded_and_nothing_of_a_large_queue_is_lost(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        many = MAX_GROUP_EVENTS // 10 + 5
        answers = await asyncio.gather(*(store.append([note(f"{i}-{j}") for j in range(10)]) for i in range(many)))
        assert [segment.events for segment in platform.kept["a"].segments.values()] == [MAX_GROUP_EVENTS, 50]
        assert [one.id for answer in answers for one in answer] == await ids(store)


async def test_a_query_in_flight_sees_only_what_is_durable(platform: MemoryPlatform) -> None:
    gate = Gate()
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("durable", "one"))
    faulty = FaultyPlatform(platform, Plan(before=[gate]))
    async with await Store.open(SCHEMA, "a", platform=faulty) as store:
        appending = asyncio.ensure_future(store.append(note("in flight", "one")))
        await gate.arrived.wait()
        for _ in range(2):
            assert await note_ids(store) == ["durable"]
            assert store.query("SELECT count(*) AS n FROM note_search WHERE note_search MATCH 'one'") == [{"n": 1}]
            assert (await store.stats())["records"]["note"] == 1
        seen: list[bytes] = []
        stop = store.watch("SELECT count(*) AS n FROM note", (), seen.append)
        gate.open()
        await appending
        assert seen == [b'[{"n":1}]', b'[{"n":2}]']
        stop()
        assert await note_ids(store) == ["durable", "in flight"]
        assert shown(store) == await folded(store)


async def test_a_query_in_flight_of_a_commit_that_fails_leaves_no_trace(platform: MemoryPlatform) -> None:
    gate = Gate()
    faulty = FaultyPlatform(platform, Plan(at=1, kind="quota", only="commit", before=[gate]))
    async with await Store.open(SCHEMA, "a", platform=faulty) as store:
        appending = asyncio.ensure_future(store.append(note("lost")))
        await gate.arrived.wait()
        assert await note_ids(store) == []
        gate.open()
        with pytest.raises(QuotaError):
            await appending
        assert await note_ids(store) == []
        await store.append(note("kept"))
        assert await note_ids(store) == ["kept"]
        assert shown(store) == await folded(store)


# -- batch ids


async def test_a_repeated_batch_is_stored_once_and_answered_the_same(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        first = await store.append([note("1"), note("2")], batch="b")
        assert await store.append([note("1"), note("2")], batch="b") == first
        # One that the view would not refuse.
        assert await store.append([note("3"), note("4")], batch="b") == first
        assert await note_ids(store) == ["1", "2"]
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await store.append([note("1"), note("2")], batch="b") == first
        assert await ids(store) == [one.id for one in first]


async def test_a_batch_is_found_after_its_segment_was_merged(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        answers: list[list[Appended]] = [await store.append([note(f"{i}a"), note(f"{i}b")], batch=f"b{i}") for i in range(80)]
        await store.upkeep(now=True)
        assert len(platform.kept["a"].segments) == 1
        assert await store.append(note("7a"), batch="b7") == answers[7]


async def test_a_repeated_batch_is_answered_without_reading_the_log(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        store.log.clock.see(stamp(clock.ms, MAX_COUNTER - 2))  # the counter of the next ones runs over
        first = await store.append([note("a"), note("b"), note("c")], batch="b")
        assert [one.hlc for one in first] == [stamp(clock.ms, MAX_COUNTER - 1), stamp(clock.ms, MAX_COUNTER), stamp(clock.ms + 1, 0)]
        platform.kept["a"].segments.clear()
        assert await store.append(note("d"), batch="b") == first


async def test_no_flipped_bit_in_what_is_remembered_of_a_batch_is_believed_or_lets_it_be_stored_again(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note("1"), note("2")], batch="b")
        batches = platform.kept["a"].batches
        whole = batches["b"]
        for at in range(len(whole)):
            batches["b"] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            repeated, other = await asyncio.gather(
                store.append([note("1"), note("3")], batch="b"), store.append(note(f"other {at}")), return_exceptions=True
            )
            assert isinstance(repeated, CorruptError), at
            assert repeated.details == {"record": "batch", "batch": "b"}
            assert isinstance(other, list), "what came with it is stored"
        assert [one for one in await note_ids(store) if not one.startswith("other")] == ["1", "2"]


async def test_a_repeated_batch_whose_events_were_replaced_is_refused_and_not_stored_again(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store, await Store.open(SCHEMA, "a", platform=platform) as tab:
        await store.append(note("1"), batch="saved")
        file = await saved(store)
        await store.append(note("2"), batch="gone")
        await tab.catch_up()
        await store.restore([file], mode="replace")
        for each in (tab, store):  # the tab has not heard of it
            with pytest.raises(ConflictError, match="Add it again"):
                await each.append(note("2"), batch="gone")
            assert [one.id for one in await each.append(note("1"), batch="saved")] == await ids(each)
            await each.catch_up()
            assert await note_ids(each) == ["1"]
        await store.append(note("2"), batch="wanted")
        assert await note_ids(store) == ["1", "2"]


async def test_of_equal_batches_at_once_one_is_stored(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as one, await Store.open(SCHEMA, "a", platform=platform) as two:
        answers = await asyncio.gather(
            *(store.append(note("x"), batch="b") for store in (one, two, one, two, one)),
            one.append(note("y")), two.append(note("z"), batch="c"),
        )
        assert all(answer == answers[0] for answer in answers[:5])
        await one.catch_up()
        await two.catch_up()
        assert sorted(await note_ids(one)) == ["x", "y", "z"]
        assert shown(one) == shown(two) == await folded(one)


@pytest.mark.parametrize("kind", ["unknown", "done but unknown", "bug", "done but bug"])
async def test_a_batch_repeated_after_an_unknown_outcome_is_stored_once(platform: MemoryPlatform, kind: str) -> None:
    faulty = FaultyPlatform(platform, Plan(at=1, kind=kind, is_sticky=True, only="commit"))
    async with await Store.open(SCHEMA, "a", platform=faulty) as store:
        with suppress(OutcomeUnknownError):
            await store.append([note("1"), note("2")], batch="b")
        faulty.plan.at = 0
        await store.append([note("1"), note("2")], batch="b")
        assert await note_ids(store) == ["1", "2"]
        assert len(await ids(store)) == 2
        assert shown(store) == await folded(store)


@pytest.mark.parametrize("kind", ["done but unknown", "done but bug"])
async def test_what_was_stored_after_all_is_found_in_the_log_and_answered(platform: MemoryPlatform, kind: str) -> None:
    faulty = FaultyPlatform(platform, Plan(at=1, kind=kind, only="commit"))
    async with await Store.open(SCHEMA, "a", platform=faulty) as store:
        told: list[None] = []
        store.on_commit(lambda: told.append(None))
        (appended,) = await store.append(note("1"))
        assert [appended.id] == await ids(store)
        assert await note_ids(store) == ["1"]
        assert told == [None]
        await store.append(note("2"))
        check_chains(await lines_of(store))


# -- other writers


async def test_two_stores_that_write_at_once_lose_nothing_and_leave_no_gap(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as one, await Store.open(SCHEMA, "a", platform=platform) as two:
        answers = await asyncio.gather(*(
            store.append([note(f"{name}{i}-{j}") for j in range(3)]) for i in range(20) for name, store in (("a", one), ("b", two))
        ))
        acknowledged = {appended.id for answer in answers for appended in answer}
        await one.catch_up()
        await two.catch_up()
        assert set(await ids(one)) == acknowledged
        assert len(acknowledged) == 120
        assert shown(one) == shown(two) == await folded(one)
        check_chains(await lines_of(one))


async def test_a_conflict_is_caught_up_and_the_append_is_stored(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as one, await Store.open(SCHEMA, "a", platform=platform) as two:
        await one.append(note("1"))
        await two.append(note("2"))
        with pytest.raises(ConstraintError):
            await one.append(note("2"))
        await one.append(note("3"))
        assert await note_ids(one) == ["1", "2", "3"]
        assert [event.seq for event in await stored_events(one)] == [1, 2, 3]
        assert shown(one) == await folded(one)


async def test_a_stale_writer_does_not_write_where_numbers_were_merged_away(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as frozen, await Store.open(SCHEMA, "a", platform=platform) as awake:
        await frozen.append(note("first"))
        for index in range(100):
            await awake.append(note(index))
        await awake.upkeep(now=True)
        assert len(platform.kept["a"].segments) == 1
        await frozen.append(note("last"))
        assert len(await note_ids(frozen)) == 102
        check_chains(await lines_of(frozen))
        await awake.catch_up()
        assert shown(frozen) == shown(awake) == await folded(awake)


async def test_a_writer_whose_log_was_replaced_does_not_write_into_the_old_one(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as stale, await Store.open(SCHEMA, "b", platform=platform) as other:
        for index in range(5):
            await stale.append(note(index))
        await other.append(note("other"))
        file = b"".join([chunk async for chunk in other.save()])
        async with await Store.open(SCHEMA, "a", platform=platform) as replacing:
            await replacing.restore([file], mode="replace")
            await stale.append(note("after"))
            await replacing.catch_up()
            assert await note_ids(stale) == await note_ids(replacing) == ["other", "after"]
            check_chains(await lines_of(stale))
            assert shown(stale) == await folded(stale)


async def test_two_stores_that_begin_one_log_agree_about_it(platform: MemoryPlatform) -> None:
    one = await Store.open(SCHEMA, "a", platform=platform, name="Alice")
    two = await Store.open(SCHEMA, "a", platform=platform)
    async with one, two:
        await asyncio.gather(one.append(note("1")), two.append(note("2")))
        await one.catch_up()
        await two.catch_up()
        assert one.log.state == two.log.state
        assert one.log.state.name == "Alice"
        check_chains(await lines_of(two))
        assert shown(one) == shown(two)


async def test_a_store_that_is_never_first_gives_up_and_stores_nothing(platform: MemoryPlatform) -> None:
    plan = Plan()
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as other,
        await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store,
    ):
        await other.append(note("first"))
        tries = 0

        async def be_first(operation: str) -> None:
            nonlocal tries
            if operation == "commit":
                tries += 1
                events, state = other.log.record([draft(SCHEMA, note(f"other {tries}"))], other.log.state)
                await other.log.commit(events, state, {}, {}, "strict")

        plan.before.append(be_first)
        with pytest.raises(ConflictError):
            await store.append(note("never"))
        plan.before.clear()
        assert tries > 1
        assert len(await note_ids(store)) == tries + 1
        assert shown(store) == await folded(store)
        await store.append(note("at last"))


# -- failures


@pytest.mark.parametrize(("kind", "expected"), [
    ("quota", QuotaError), ("unavailable", StorageError), ("unknown", OutcomeUnknownError), ("bug", OutcomeUnknownError),
])
async def test_a_failed_commit_leaves_view_and_log_equal(platform: MemoryPlatform, kind: str, expected: type[PyStoreError]) -> None:
    faulty = FaultyPlatform(platform, Plan(at=2, kind=kind, only="commit"))
    async with await Store.open(SCHEMA, "a", platform=faulty) as store:
        await store.append(note("1"))
        failed = await asyncio.gather(store.append(note("2")), store.append(note("3")), return_exceptions=True)
        assert [type(error) for error in failed] == [expected, expected] or isinstance(failed[0], expected)
        assert await note_ids(store) == ["1"]
        assert shown(store) == await folded(store)
        await store.append(note("2"))
        assert [event.seq for event in await stored_events(store)] == [1, 2]
        check_chains(await lines_of(store))


async def test_an_unknown_outcome_that_cannot_be_found_out_stays_unknown(platform: MemoryPlatform) -> None:
    # Reading fails too: nobody may be told that nothing was stored.
    faulty = FaultyPlatform(platform)
    async with await Store.open(SCHEMA, "a", platform=faulty) as store:
        await store.append(note("1"))
        faulty.plan.at, faulty.plan.kind, faulty.plan.is_sticky = 1, "unknown", True
        with pytest.raises(OutcomeUnknownError):
            await store.append(note("2"))
        faulty.plan.at, faulty.plan.kind = 1, "unavailable"
        faulty.plan.done = 0
        with pytest.raises(StorageError):
            await store.append(note("3"))
        faulty.plan.at = 0
        await store.append(note("2"))
        assert await note_ids(store) == ["1", "2"]
        assert shown(store) == await folded(store)


async def test_a_batch_that_cannot_be_looked_up_leaves_no_trace_in_the_view(platform: MemoryPlatform) -> None:
    faulty = FaultyPlatform(platform)
    async with await Store.open(SCHEMA, "a", platform=faulty) as store:
        await store.append(note("1"))
        faulty.plan.at, faulty.plan.only = 1, "batch"
        answers = await asyncio.gather(store.append(note("2")), store.append(note("1"), batch="b"), return_exceptions=True)
        assert all(isinstance(answer, PyStoreError) for answer in answers)
        assert await note_ids(store) == ["1"]
        await store.append(note("2"))
        assert shown(store) == await folded(store)


async def test_a_cancelled_append_is_stored_whole_or_not_at_all(platform: MemoryPlatform) -> None:
    gate = Gate()
    faulty = FaultyPlatform(platform, Plan(before=[gate]))
    async with await Store.open(SCHEMA, "a", platform=faulty) as store:
        appending = asyncio.ensure_future(store.append([note("1"), note("2")]))
        queued = asyncio.ensure_future(store.append(note("3")))
        await gate.arrived.wait()
        appending.cancel()
        queued.cancel()
        await asyncio.gather(appending, queued, return_exceptions=True)
        gate.open()
        await store.append(note("4"))
        assert await note_ids(store) == ["1", "2", "3", "4"]
        assert shown(store) == await folded(store)


async def test_close_finishes_what_was_begun_and_refuses_what_comes_later(platform: MemoryPlatform) -> None:
    gate = Gate()
    faulty = FaultyPlatform(platform, Plan(before=[gate]))
    store = await Store.open(SCHEMA, "a", platform=faulty)
    appending = [asyncio.ensure_future(store.append(note(index))) for index in range(3)]
    await gate.arrived.wait()
    appending += [asyncio.ensure_future(store.append(note(index))) for index in range(3, 6)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    with pytest.raises(ClosedError):
        await store.append(note("late"))
    gate.open()
    await closing
    acknowledged = {answer[0].id for answer in await asyncio.gather(*appending)}
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert set(await ids(store)) == acknowledged
        assert len(await note_ids(store)) == 6


async def test_a_read_only_store_takes_nothing(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform, read_only=True) as store:
        with pytest.raises(ReadOnlyError):
            await store.append(note("1"))
        with pytest.raises(ReadOnlyError):
            await store.append_json(b"")
        with pytest.raises(ReadOnlyError):
            await store.rename("x")
        await store.upkeep(now=True)
    assert platform.kept["a"].segments == {}


async def test_a_batch_that_is_too_large_is_refused_before_anything_is_stored(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        large = "x" * (250 << 10)
        with pytest.raises(ValidationError):
            await store.append([note(index, large) for index in range(270)])
        assert platform.kept["a"].segments == {}
