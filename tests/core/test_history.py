"""Looking at any moment and going back to it, rewinding, the timeline: always as if folded from nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from pystore import checkpoints as checkpoints_module
from pystore import log as log_module
from pystore import merging as merging_module
from pystore import projection as projection_module
from pystore import segment as segment_module
from pystore.errors import ClosedError, ConflictError, CorruptError, QueryError, QuotaError, ValidationError
from pystore.marks import Order
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Plan
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, FolderMade, add, equal_to_a_fold, folded, note, notes_of, rows, saved, shown

# -- any moment


async def test_a_past_moment_shows_what_was_there_then_while_the_store_goes_on(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        first, second = await add(store, 1, 2)
        clock.ms += 60_000
        await store.undo([first])
        clock.ms += 60_000
        await add(store, 3)
        events = (await store.events())[::-1]
        for moment, expected in (
            (events[1]["time"], ["1", "2"]), (events[1]["order"], ["1", "2"]), (second, ["1", "2"]),
            (2, ["1", "2"]), (first, ["1"]), (1, ["2"]), (0, ["2", "3"]),
            ("2000-01-01", []), (99, []), ("9999-01-01T00:00:00+01:00", ["2", "3"]),
        ):
            past = await store.at(moment)
            assert [row["note_id"] for row in past.query("SELECT note_id FROM note ORDER BY 1")] == expected
            past.close()
        nothing = await store.at(99)
        assert nothing.info["events"] == 0
        again = await store.at(str(nothing.info["order"]))
        assert again.info == nothing.info
        nothing.close()
        again.close()
        past = await store.at(second)
        await add(store, 4)
        assert len(past.query("SELECT * FROM note")) == 2
        assert past.query_json("SELECT count(*) AS n FROM note") == b'[{"n":2}]'
        assert past.info == {"events": 2, "time": events[1]["time"], "order": events[1]["order"]}
        with pytest.raises(QueryError):
            past.query("DELETE FROM note")
        past.close()
        past.close()
        with pytest.raises(ClosedError):
            past.query("SELECT 1")
        assert notes_of(store) == ["2", "3", "4"]


async def test_every_moment_equals_a_fold_of_the_events_up_to_it(
    platform: MemoryPlatform, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints_module, "NEAR_EVENTS", 1)
    monkeypatch.setattr(checkpoints_module, "SPACE", 1 << 20)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for number in range(8):
            (id_,) = await add(store, number)
            if number % 3 == 1:
                await store.undo([id_])
            if number == 6:
                await store.redo([(await store.events(types=["note.added"]))[2]["id"]])
            await store.upkeep(now=True)
        for event in await store.events():
            past = await store.at(event["id"])
            hlc, replica = event["order"].split("/")
            assert rows(past._open_view()) == await folded(store, (hlc, replica))
            past.close()


async def test_going_back_undoes_everything_after_and_can_itself_be_undone(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        first, second = await add(store, 1, 2)
        clock.ms += 1000
        await store.undo([second])
        await add(store, 3)
        before = shown(store)
        past = await store.at(second)
        (back,) = await store.restore_to(second)
        assert rows(past._open_view())["note"] == shown(store)["note"]
        past.close()
        assert notes_of(store) == ["1", "2"]
        await store.undo([back.id])
        assert shown(store) == before
        assert await store.restore_to(0) == []
        await store.restore_to("2000-01-01T00:00:00Z")
        assert notes_of(store) == []
        await store.redo([first])
        assert notes_of(store) == ["1"]


async def test_going_back_leaves_the_name_and_does_not_call_it_undone(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (one,) = await add(store, 1)
        await store.rename("Alice")
        await store.erase(await add(store, 2))
        await store.restore_to(one)
        assert notes_of(store) == ["1"]
        assert (await store.stats())["name"] == "Alice"
        told = [(event["type"], event["undone"]) for event in await store.events()]
        assert told == [("$undone", False), ("$erased", False), ("note.added", True), ("$named", False), ("note.added", False)]


async def test_what_is_no_moment_is_refused(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await add(store, 1)
        for moment in ("yesterday", "", "a" * 16 + ":7", -1, None, 1.5, True, ["x"]):
            with pytest.raises(ValidationError):
                await store.at(moment)  # type: ignore[arg-type]


async def test_events_lie_between_times_or_places_and_what_is_neither_is_refused(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        first, second = await add(store, 1, 2)
        clock.advance(60_000)
        (third,) = await add(store, 3)
        two = next(event for event in await store.events() if event["id"] == second)
        for between, expected in (
            ({"before": "2026-01-01"}, [third, second, first]), ({"after": "2026-01-01"}, []),
            ({"before": two["time"]}, []), ({"after": two["time"]}, [third]),
            ({"before": two["hlc"]}, [first]), ({"after": two["hlc"]}, [third]),
            ({"before": two["order"]}, [first]), ({"after": two["order"]}, [third]),
        ):
            assert [event["id"] for event in await store.events(**between)] == expected
        assert len(await store.events(before="", after="")) == 3
        for wrong in ("x", "0192f3a4b5c6", 5):
            for between in ({"before": wrong}, {"after": wrong}):
                with pytest.raises(ValidationError):
                    await store.events(**between)  # type: ignore[arg-type]


# -- rewinding and checkpoints


class Counted:
    """Counts the events that are folded."""

    def __init__(self) -> None:
        self.events = 0

    def __call__(self, _: object) -> None:
        self.events += 1


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints as if a log of 100 events were a long one."""
    monkeypatch.setattr(checkpoints_module, "NEAR_EVENTS", 5)
    monkeypatch.setattr(projection_module, "NEAR_EVENTS", 5)
    monkeypatch.setattr(projection_module, "CHECKPOINT_AFTER_EVENTS", 5)


async def a_late_file(store: Store, other: Store, clock: FakeClock, *, after: int, before: int, upkeep: bool) -> bytes:
    """A file of `other`, which has the first `after` notes of `store` and one of its own; `store` grows by `before` more."""
    for number in range(after + before):
        clock.advance(1000)
        if number == after:
            await other.restore([await saved(store)])
            await add(other, "late")
        await add(store, number)
        if upkeep:
            await store.upkeep()
    return await saved(other)


@pytest.mark.usefixtures("near")
async def test_the_cost_of_a_rewind_follows_how_far_back_it_reaches(clock: FakeClock) -> None:
    counted = Counted()
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock), before_each=counted) as store,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        late = await a_late_file(store, other, clock, after=90, before=10, upkeep=True)
        counted.events = 0
        await store.restore([late])
        assert counted.events <= 25
        await equal_to_a_fold(store)
        counted.events = 0
        await store.undo([(await store.events(types=["note.added"]))[3]["id"]])
        assert counted.events <= 25
        await equal_to_a_fold(store)


@pytest.mark.usefixtures("near")
async def test_checkpoints_lie_at_growing_distances_within_their_bounds(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for number in range(300):
            await store.append(note(number, "text " * 200))
            await store.upkeep()
            sizes = [one.size for one in await store.projection.checkpoints.kept()]
            assert len(sizes) <= checkpoints_module.MOST + 1
            assert sum(sizes[:-1]) <= checkpoints_module.SPACE * sum(sizes[-1:])
        kept = [one.state.events for one in await store.projection.checkpoints.kept()]
        gaps = [after - before for before, after in pairwise(kept)]
        assert len(gaps) >= 2
        assert gaps[-1] <= 20
        assert gaps[0] > gaps[-1]


@pytest.mark.usefixtures("near")
async def test_a_long_fold_leaves_checkpoints_on_its_way(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for number in range(120):
            await add(store, number)
        file = await saved(store)
    async with await Store.open(SCHEMA, "b", platform=MemoryPlatform(clock)) as store:
        (target,) = await add(store, "mine")
        await store.restore([file])
        await store.log.merge_segments()
        await store.undo([target])
        for kept in await store.projection.checkpoints.kept():
            past = await store.at(_last_of(kept.state.newest, await store.events(limit=1000)))
            assert rows(past._open_view()) == await folded(store, kept.state.newest)
            past.close()
        await equal_to_a_fold(store)


@pytest.mark.usefixtures("near")
async def test_moments_stay_near_when_profiles_of_the_same_time_are_merged(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (segment_module, "MERGED_EVENTS", 5), (projection_module, "FAR_EVENTS", 20), (log_module, "SEGMENT_EVENTS", 20),
        (merging_module, "SEGMENT_EVENTS", 20), (log_module, "MERGE_FROM_SEGMENTS", 4),
    ):
        monkeypatch.setattr(module, name, value)
    counted = Counted()
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock), before_each=counted) as store,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        for number in range(200):
            clock.advance(1000)
            await add(store, f"mine {number}")
            await add(other, f"theirs {number}")
        await store.restore([await saved(other)])
        await store.upkeep(now=True)
        assert len(await store.projection.checkpoints.kept()) > 3
        events = await store.events(limit=1000)
        for event in events[::37]:
            counted.events = 0
            past = await store.at(event["id"])
            assert counted.events <= 110, event
            hlc, replica = event["order"].split("/")
            assert rows(past._open_view()) == await folded(store, (hlc, replica))
            past.close()


@pytest.mark.usefixtures("near")
async def test_a_checkpoint_is_not_used_if_a_whole_segment_belongs_before_its_end(clock: FakeClock) -> None:
    platform, counted = MemoryPlatform(clock), Counted()
    async with (
        await Store.open(SCHEMA, "a", platform=platform, before_each=counted) as store,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        late = await a_late_file(store, other, clock, after=50, before=50, upkeep=True)
        checkpoints = dict(platform.kept["a"].checkpoints)
        await store.restore([late])
        platform.kept["a"].checkpoints = checkpoints
        await add(store, "more")
        for moment in (0, 1, 5, 60):
            past = await store.at(moment)
            at = past.info["order"]
            assert isinstance(at, str)
            hlc, replica = at.split("/")
            assert rows(past._open_view()) == await folded(store, (hlc, replica))
            past.close()


def _last_of(order: Order, events: Sequence[dict[str, str]]) -> str:
    return next(event["id"] for event in events if event["order"] == "/".join(order))


@pytest.mark.usefixtures("near")
async def test_when_space_is_short_older_checkpoints_go_first(clock: FakeClock) -> None:
    plan = Plan()
    platform = MemoryPlatform(clock)
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        for number in range(60):
            await add(store, number)
            await store.upkeep()
        assert len(platform.kept["a"].checkpoints) > 1
        plan.at, plan.kind, plan.only = 1, "quota", "commit"
        await add(store, "in the room that was made")
        assert len(platform.kept["a"].checkpoints) == 1
        plan.done = 0
        with pytest.raises(QuotaError):
            await add(store, "no room")
        assert (await store.stats())["events"] == 61
        await equal_to_a_fold(store)
        plan.at = 0
        for number in range(60, 90):
            await add(store, number)
            await store.upkeep()
        assert len(platform.kept["a"].checkpoints) > 1
        plan.at, plan.done = 1, 0
        await store.restore([await saved(store)], mode="replace")
        await equal_to_a_fold(store)


async def test_a_checkpoint_before_which_something_arrived_is_not_used_again(clock: FakeClock) -> None:
    platform = MemoryPlatform(clock)
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as store,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        await store.append(FolderMade(folder="f"))
        await other.restore([await saved(store)])
        await add(other, "late")
        clock.ms += 1000
        await add(store, 1, 2)
        await store.upkeep(now=True)
        await store.restore([await saved(other)])
        await equal_to_a_fold(store)
        late = (await store.events())[2]["id"]
        past = await store.at(late)
        assert [row["note_id"] for row in past.query("SELECT note_id FROM note")] == ["late"]
        past.close()
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await equal_to_a_fold(store)


async def test_a_damaged_log_is_told_when_a_moment_is_opened(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await add(store, 1)
        kept = platform.kept["a"].segments
        kept[1] = type(kept[1])(1, 1, 1, b"P" + bytes(10))
        with pytest.raises(CorruptError):
            await store.at("9999-01-01")


async def test_no_moment_is_opened_of_a_log_that_another_tab_replaced(platform: MemoryPlatform) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as one,
        await Store.open(SCHEMA, "a", platform=platform) as other,
    ):
        await add(one, 1)
        file = await saved(one)
        await add(one, 2)
        await one.upkeep(now=True)
        await add(one, 3)
        await other.restore([file], mode="replace")
        for moment in ("9999-01-01", 0):
            with pytest.raises(ConflictError, match="replaced"):
                await one.at(moment)
        await one.catch_up()
        past = await one.at("9999-01-01")
        assert past.query("SELECT note_id FROM note") == [{"note_id": "1"}]
        past.close()


async def test_many_moments_are_opened_while_appends_go_on(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        ids = await add(store, *range(20))

        async def look(id_: str, notes: int) -> None:
            past = await store.at(id_)
            assert past.query("SELECT count(*) AS n FROM note") == [{"n": notes}]
            past.close()

        async def write(number: int) -> None:
            await add(store, number)

        await asyncio.gather(*(look(id_, notes) for notes, id_ in enumerate(ids, 1)), *(write(number) for number in range(20, 40)))
        await equal_to_a_fold(store)


# -- the timeline


async def test_the_timeline_is_paged_and_filtered_by_type_and_text(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(FolderMade(folder="f"))
        for number in range(10):
            await store.append(note(number, "Äpfel und BIRNEN" if number % 2 else "text"))
        paged: list[str] = []
        before = None
        while page := await store.events(before=before, limit=3):
            paged += [event["id"] for event in page]
            before = page[-1]["order"]
        assert paged == [event["id"] for event in await store.events(limit=100)]
        assert len(paged) == 11
        assert {event["data"]["note_id"] for event in await store.events(text="äpfel UND birnen")} == {"1", "3", "5", "7", "9"}
        assert [event["type"] for event in await store.events(types=["folder.made"])] == ["folder.made"]
        assert [event["id"] for event in await store.events(after=(await store.events())[2]["order"])] == paged[:2]


async def test_activity_counts_every_event_in_its_span_of_time(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert (await store.activity(buckets=3))["counts"] == {}
        await store.append(FolderMade(folder="f"))
        for number in range(9):
            clock.ms += 1000
            await add(store, number)
        found = await store.activity(buckets=5)
        assert found["counts"] == {"folder.made": [1, 0, 0, 0, 0], "note.added": [1, 2, 2, 2, 2]}
        assert found["until"] == (await store.events())[0]["time"]
        narrow = await store.activity(buckets=1, since=(await store.events())[4]["time"])
        assert sum(narrow["counts"]["note.added"]) == 5
        for wrong in (0, 100_000):
            with pytest.raises(ValidationError):
                await store.activity(buckets=wrong)
        with pytest.raises(ValidationError):
            await store.activity(since="soon")


@pytest.mark.usefixtures("near")
async def test_a_log_that_grew_fast_gets_checkpoints_in_between(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection_module, "FAR_EVENTS", 10)
    monkeypatch.setattr(log_module, "SEGMENT_EVENTS", 10)
    counted = Counted()
    async with await Store.open(SCHEMA, "a", platform=platform, before_each=counted) as store:
        for number in range(100):
            await add(store, number)
        await store.upkeep(now=True)
        assert await store.projection.checkpoints.largest_gap() < 100
        await add(store, "more")
        counted.events = 0
        await store.upkeep(now=True)
        assert counted.events == 0  # not again before the log has grown much more
        await equal_to_a_fold(store)


@pytest.mark.usefixtures("near")
async def test_what_reaches_a_little_back_costs_little_also_after_the_log_grew_fast(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_module, "LATE_EVENTS", 15)
    counted = Counted()
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock), before_each=counted) as store,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        late = await a_late_file(store, other, clock, after=190, before=10, upkeep=False)
        await store.upkeep(now=True)
        assert [kept.state.events for kept in await store.projection.checkpoints.kept()] == [185, 200]
        counted.events = 0
        await store.restore([late])
        assert counted.events == 16
        await equal_to_a_fold(store)
