"""Undoing, and bringing back: whatever is undone, by whom, and in whatever order it arrives."""

from __future__ import annotations

import asyncio

import pytest

from pystore.errors import ConstraintError, ReadOnlyError, ValidationError
from pystore.memory import MemoryPlatform
from pystore.own_events import Imported
from pystore.store import Store
from tests.support.failing import FaultyPlatform, Plan
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, NoteEdited, a_part, add, equal_to_a_fold, lines_of, note, notes_of, saved, shown


async def test_what_is_undone_is_left_out_and_what_is_redone_is_back(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        _, two, three = await add(store, 1, 2, 3)
        await store.undo([two])
        assert notes_of(store) == ["1", "3"]
        await store.undo([two, three])
        assert notes_of(store) == ["1"]
        await store.redo([two])
        assert notes_of(store) == ["1", "2"]
        await equal_to_a_fold(store)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert notes_of(store) == ["1", "2"]


async def test_an_undo_can_be_undone_and_that_as_well(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (one,) = await add(store, 1)
        (undone,) = await store.undo([one])
        (again,) = await store.undo([undone.id])
        assert notes_of(store) == ["1"]
        await store.undo([again.id])
        assert notes_of(store) == []
        await equal_to_a_fold(store)


async def test_what_is_so_already_is_not_recorded_again(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        one, two = await add(store, 1, 2)
        assert await store.redo([one]) == []
        assert len(await store.undo([one])) == 1
        assert await store.undo([one]) == []
        assert len(await store.undo([one, two])) == 1
        assert (await store.stats())["events"] == 4


async def test_an_undo_repeated_with_its_batch_id_is_recorded_once(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        one, two = await add(store, 1, 2)
        first = await store.undo([one, two], batch="b")
        assert await store.undo([one, two], batch="b") == first
        await store.redo([one])
        assert await store.undo([one, two], batch="b") == first
        assert notes_of(store) == ["1"]


async def test_undoing_an_import_undoes_all_that_it_brought_in(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await add(store, 1)
        first, _, last = await add(store, 2, 3, 4)
        brought_in = f"{first}-{last.split(':')[1]}"
        (imported,) = await store.append(Imported(name="f", kind="k", sha256="s", counts={}, events=[brought_in]))
        await add(store, 5)
        await store.undo([imported.id])
        assert notes_of(store) == ["1", "5"]
        assert store.query("SELECT * FROM pystore_import") == []
        await store.redo([imported.id])
        assert notes_of(store) == ["1", "2", "3", "4", "5"]
        assert len(store.query("SELECT * FROM pystore_import")) == 1


async def test_what_depends_on_something_undone_is_a_conflict_until_it_is_back(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (one,) = await add(store, 1)
        (edited,) = await store.append(NoteEdited(note_id="1", text="two"))
        await store.undo([one])
        (conflict,) = await store.conflicts()
        assert (conflict["id"], conflict["type"], conflict["data"]["text"]) == (edited.id, "note.edited", "two")
        assert conflict["reason"].endswith(".")
        assert [event["conflict"] is not None for event in await store.events()] == [False, True, False]
        await store.redo([one])
        assert await store.conflicts() == []
        assert store.query("SELECT text FROM note") == [{"text": "two"}]


async def test_a_conflict_is_resolved_by_another_event_and_no_more_listed_once_it_is_undone(clock: FakeClock) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as one,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        await add(one, 1)
        clock.ms += 1000
        await other.append(note(1, "theirs"))
        await one.restore([await saved(other)])
        (conflict,) = await one.conflicts()
        await one.append(NoteEdited(note_id="1", text="both"))
        assert one.query("SELECT text FROM note") == [{"text": "both"}]
        await one.undo([conflict["id"]])
        await other.restore([await saved(one)])
        for store in (one, other):
            assert await store.conflicts() == []
            assert store.query("SELECT text FROM note") == [{"text": "both"}]
            await equal_to_a_fold(store)


async def test_a_local_append_that_breaks_a_constraint_is_refused_before_anything_is_stored(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (one,) = await add(store, 1)
        with pytest.raises(ConstraintError):
            await add(store, 1)
        await store.undo([one])
        await add(store, 1)
        # Now the one that was undone does not fit any more: it is set aside when it is back, not the newer one refused.
        await store.redo([one])
        assert [conflict["id"] for conflict in await store.conflicts()] == [(await store.events(types=["note.added"]))[0]["id"]]
        await equal_to_a_fold(store)


async def test_a_name_and_an_erasure_among_what_is_undone_stay_and_are_not_called_undone(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        first, second = await add(store, 1, 2)
        await store.rename("A name")
        await store.erase([second])
        replica = first.partition(":")[0]
        await store.undo([f"{replica}:1-4"])
        undone = {event["type"]: event["undone"] for event in await store.events()}
        assert undone == {"note.added": True, "$named": False, "$erased": False, "$undone": False}
        assert (notes_of(store), store.log.state.name) == ([], "A name")


async def test_another_replica_undoes_and_both_come_to_the_same(clock: FakeClock) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as one,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        first, second = await add(one, 1, 2)
        await other.restore([await saved(one)])
        await one.undo([first])
        await other.undo([first, second])
        await other.redo([second])
        await one.restore([await saved(other)])
        await other.restore([await saved(one)])
        assert shown(one) == shown(other)
        assert await lines_of(one) == await lines_of(other)
        assert notes_of(one) == ["2"]


async def test_an_undo_waits_for_its_target_to_arrive(clock: FakeClock) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as one,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as third,
    ):
        target, _ = await add(one, 1, 2)
        await other.restore([await saved(one)])
        await other.undo([target])
        await third.restore([await a_part(other, [other.log.state.writer])])
        assert notes_of(third) == []
        await third.restore([await saved(one)])
        assert notes_of(third) == ["2"]
        assert shown(third) == shown(other)


async def an_import(store: Store, *ids: object) -> str:
    """Bring notes in; the id of the event that stands for them."""
    first, *_, last = await add(store, *ids)
    spans = [f"{first}-{last.split(':')[1]}"]
    (imported,) = await store.append(Imported(name="f", kind="k", sha256="s", counts={}, events=spans))
    return imported.id


async def test_an_undo_of_an_import_that_is_not_here_undoes_all_that_it_brought_in_when_it_comes(clock: FakeClock) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as one,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        await add(one, 1)
        imported = await an_import(one, 2, 3)
        clock.ms += 1000
        await other.undo([imported])
        (undone,) = await other.events()
        assert undone["data"] == {"events": [imported], "imports": [imported]}
        clock.ms += 1000
        await add(one, 4)
        await other.restore([await saved(one)])
        await one.restore([await saved(other)])  # the import first, then the mark; above the other way round
        for store in (one, other):
            assert notes_of(store) == ["1", "4"]
            assert store.query("SELECT * FROM pystore_import") == []
            by = [event["undone_by"] for event in await store.events(before=undone["order"])]
            assert by == [undone["id"]] * 3 + [None]
            await equal_to_a_fold(store)
            assert (await store.verify())["sound"]
        for moment, expected in ((imported, 3), (undone["id"], 1)):
            past = await one.at(moment)
            assert len(past.query("SELECT * FROM note")) == expected
            past.close()
        assert await lines_of(one) == await lines_of(other)
        assert shown(one) == shown(other)
        await other.undo([undone["id"]])
        assert notes_of(other) == ["1", "2", "3", "4"]
        past = await other.at(undone["id"])
        assert past.query("SELECT note_id FROM note") == [{"note_id": "1"}]
        past.close()


async def test_an_import_is_brought_back_by_one_who_does_not_have_it(clock: FakeClock) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as one,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        imported = await an_import(one, 1, 2)
        await one.undo([imported])
        clock.ms += 1000
        await other.redo([imported])
        await one.restore([await saved(other)])
        await other.restore([await saved(one)])
        assert notes_of(one) == notes_of(other) == ["1", "2"]


async def test_an_undo_of_one_event_of_an_import_or_of_all_after_a_moment_in_it_leaves_the_others(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        imported = await an_import(store, 1, 2, 3)
        replica, seq = imported.split(":")
        await store.restore_to(1)  # the import's own event is what comes after
        assert notes_of(store) == ["1", "2", "3"]
        await store.redo([imported])
        await store.undo([f"{replica}:{int(seq) - 1}-{seq}"])
        assert notes_of(store) == ["1", "2"]


async def test_what_an_import_brought_in_is_known_when_the_log_was_opened_anew(clock: FakeClock) -> None:
    platform = MemoryPlatform(clock)
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as one,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        imported = await an_import(one, 1, 2)
        clock.ms += 1000
        await other.undo([imported])
        file = await saved(other)
    for upkeep in (True, False):
        async with await Store.open(SCHEMA, "a", platform=platform) as one:
            assert notes_of(one) == ["1", "2"]
            await one.upkeep(now=upkeep)
    async with await Store.open(SCHEMA, "a", platform=platform) as one:
        await one.restore([file])
        assert notes_of(one) == []
    async with await Store.open(SCHEMA, "a", platform=platform) as one:
        assert notes_of(one) == []
        await equal_to_a_fold(one)


async def test_what_an_import_brought_in_is_no_more_told_once_it_alone_was_erased(clock: FakeClock) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as one,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        imported = await an_import(one, 1, 2)
        clock.ms += 1000
        await other.undo([imported])
        await one.restore([await saved(other)])
        assert notes_of(one) == []
        replica, seq = imported.split(":")
        await one.erase([f"{replica}:{int(seq) - 1}-{seq}"])  # with one of the two that it brought in
        await other.restore([await saved(one)])
        assert notes_of(one) == notes_of(other) == ["1"]
        for store in (one, other):
            assert (await store.verify())["sound"]


async def test_an_import_that_came_without_its_content_tells_no_tab_what_it_brought_in(clock: FakeClock) -> None:
    platform = MemoryPlatform(clock)
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as one,
        await Store.open(SCHEMA, "a", platform=platform) as tab,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as eraser,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        imported = await an_import(one, 1, 2)
        clock.ms += 1000
        await other.undo([imported])
        await eraser.restore([await saved(one)])
        replica, seq = imported.split(":")
        await eraser.erase([f"{replica}:{int(seq) - 1}-{seq}"])
        await tab.restore([await saved(other)])
        await one.catch_up()
        assert notes_of(one) == notes_of(tab) == []
        await tab.restore([await a_part(eraser, [replica])])  # without the event that says so
        await one.catch_up()
        for store in (one, tab):
            assert notes_of(store) == ["1"]
            assert (await store.verify())["sound"]


async def test_what_another_tab_undoes_is_left_out_here_too_once_that_is_taken_in(platform: MemoryPlatform) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as one,
        await Store.open(SCHEMA, "a", platform=platform) as tab,
    ):
        first, _ = await add(one, 1, 2)
        await tab.catch_up()
        (undone,) = await tab.undo([first])
        assert await one.catch_up() == 1
        assert notes_of(one) == ["2"]
        await one.undo([undone.id])
        assert await tab.catch_up() == 1
        assert notes_of(tab) == ["1", "2"]


async def test_who_undid_what_and_when_stays_in_the_timeline(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        one, two = await add(store, 1, 2)
        (undone,) = await store.undo([one])
        (redone,) = await store.redo([one])
        (again,) = await store.undo([one])
        told = {event["id"]: (event["type"], event["undone"], event["undone_by"]) for event in await store.events()}
        assert told == {
            one: ("note.added", True, again.id), two: ("note.added", False, None), undone.id: ("$undone", False, None),
            redone.id: ("$redone", False, None), again.id: ("$undone", False, None),
        }


async def test_what_cannot_be_undone_is_refused_by_name(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.rename("Alice")
        (named,) = await store.events()
        (erased,) = await store.erase(await add(store, 1))
        for ids, why in (
            ([], "at least one event"), (["nonsense"], "'nonsense' is not the id"), (["a:1"], "'a:1' is not the id"),
            ([named["id"]], "A name is not undone"), ([erased.id], "gone for good"),
        ):
            for refused in (store.undo(ids), store.redo(ids)):
                with pytest.raises(ValidationError, match=why):
                    await refused
        assert (await store.stats())["events"] == 3
    async with await Store.open(SCHEMA, "a", platform=platform, read_only=True) as store:
        for refused in (store.undo([named["id"]]), store.restore_to(0), store.redo(["a" * 16 + ":1"])):
            with pytest.raises((ReadOnlyError, ValidationError)):
                await refused


async def test_an_undo_of_what_came_in_the_same_group_is_shown(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await asyncio.gather(store.append(note("1")), store.undo([f"{store.log.state.writer}:1-5"]))
        assert notes_of(store) == []
        await equal_to_a_fold(store)


async def test_an_undo_whose_view_could_not_be_made_is_shown_by_the_next_call_or_open(clock: FakeClock) -> None:
    for way in ("append", "catch_up", "open"):
        plan = Plan()
        platform = MemoryPlatform(clock)
        async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
            one, _ = await add(store, 1, 2)
            plan.at, plan.kind, plan.only = 1, "unavailable", "checkpoints"
            assert len(await store.undo([one])) == 1
            assert "does not answer" in (await store.stats())["upkeep_error"]
            assert notes_of(store) == ["1", "2"]
            if way == "append":
                await add(store, 3)
            elif way == "catch_up":
                await store.catch_up()
            if way != "open":
                assert "1" not in notes_of(store)
        async with await Store.open(SCHEMA, "a", platform=platform) as store:
            assert "1" not in notes_of(store)
            await equal_to_a_fold(store)
