"""Restoring: all of a file is checked before anything changes, and what is refused changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from pystore import codec
from pystore import log as log_module
from pystore.errors import CorruptBackupError, ForkError, FormatError, NewerVersionError, PyStoreError, QuotaError, ReadOnlyError
from pystore.event import parse_line
from pystore.memory import MemoryPlatform
from pystore.store import Store
from pystore.versions import SHOWN
from tests.support.failing import FaultyPlatform, Plan
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import (
    SCHEMA,
    NoteEdited,
    check_chains,
    event_lines,
    folded,
    lines_of,
    make_schema,
    note,
    saved,
    shown,
    stored_events,
)


async def backup(*notes: str, log: str = "a", clock: FakeClock | None = None, name: str | None = None) -> bytes:
    """A file of another device."""
    async with await Store.open(SCHEMA, log, platform=MemoryPlatform(clock or FakeClock(START_MS - 1000)), name=name) as store:
        for one in notes:
            await store.append(note(one))
        return await saved(store)


def with_header(file: bytes, **changes: Any) -> bytes:
    """The file with another header, and a footer to match."""
    from hashlib import sha256

    header, rest = file.split(b"\n", 1)
    body = rest[: rest.rindex(b"\n", 0, -1) + 1] if rest.count(b"\n") > 1 else b""
    before = codec.encode({**codec.decode(header), **changes}) + b"\n" + body
    return before + codec.encode({"pystore": "end", "lines": before.count(b"\n"), "sha256": sha256(before).hexdigest()}) + b"\n"


async def state(store: Store, platform: MemoryPlatform) -> Any:
    """Everything that a refused file must leave as it was."""
    kept = platform.kept["a"]
    meta = {key: value for key, value in kept.meta.items() if key != SHOWN}  # noted meanwhile, whatever else happens
    return shown(store), dict(kept.segments), meta, dict(kept.batches), store.log.state, await store.versions()


# -- merging and replacing


async def test_merging_twice_adds_nothing_the_second_time(platform: MemoryPlatform) -> None:
    file = await backup("1", "2")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        first = await store.restore([file])
        assert (first["new"], first["known"]) == (2, 0)
        before = await state(store, platform)
        second = await store.restore([file])
        assert (second["new"], second["known"]) == (0, 2)
        assert await state(store, platform) == before
        assert [row["note_id"] for row in shown(store)["note"]] == ["1", "2", "mine"]
        assert shown(store) == await folded(store)


async def test_a_later_backup_adds_what_is_new_in_it(platform: MemoryPlatform, clock: FakeClock) -> None:
    async with await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other:
        await other.append(note("1"))
        early = await saved(other)
        await other.append(note("2"))
        late = await saved(other)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([early])
        assert (await store.restore([late]))["new"] == 1
        assert (await store.restore([early]))["new"] == 0
        assert await lines_of(store) == event_lines(late)


async def test_replacing_leaves_nothing_of_what_was_there(platform: MemoryPlatform) -> None:
    file = await backup("1", "2", name="Other")
    async with await Store.open(SCHEMA, "a", platform=platform, name="Mine") as store:
        await store.append(note("mine"), batch="b")
        await store.upkeep(now=True)
        writer = store.log.state.writer
        await store.restore([file], mode="replace")
        assert await lines_of(store) == event_lines(file)
        assert (await store.stats())["name"] == "Other"
        # The old writer's events may be known elsewhere: nobody goes on under its name.
        assert store.log.state.writer != writer
        await store.append(note("3"))
        await store.upkeep(now=True)
        check_chains(await lines_of(store))
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert [row["note_id"] for row in shown(store)["note"]] == ["1", "2", "3"]
        assert shown(store) == await folded(store)


async def test_an_event_that_does_not_fit_here_is_set_aside_the_same_way_everywhere() -> None:
    files = [await backup("same", "a", clock=FakeClock(START_MS - 2000)), await backup("same", "b", clock=FakeClock(START_MS - 1000))]
    views = []
    for order in (files, files[::-1]):
        async with await Store.open(SCHEMA, "a", platform=MemoryPlatform(FakeClock())) as store:
            for file in order:
                await store.restore([file])
            assert shown(store) == await folded(store)
            views.append(shown(store))
    assert views[0] == views[1]
    assert len(views[0]["pystore_conflict"]) == 1
    assert [row["note_id"] for row in views[0]["note"]] == ["same", "a", "b"]


async def test_a_conflict_is_over_when_what_was_missing_arrives() -> None:
    early = await backup("1", clock=FakeClock(START_MS - 5000))
    async with await Store.open(SCHEMA, "a", platform=MemoryPlatform(FakeClock(START_MS - 1000))) as other:
        await other.restore([early])
        await other.append(NoteEdited(note_id="1", text="two"))
        writer = other.log.state.writer
        late = await saved(other)
    header, *lines = late.split(b"\n")[:-2]
    only_edit = [line for line in lines if writer.encode() in line[:40]]
    from hashlib import sha256

    heads = codec.decode(header)
    heads["replicas"] = {writer: heads["replicas"][writer]}
    heads["counts"]["events"] = 1
    before = b"\n".join([codec.encode(heads), *only_edit, b""])
    file = before + codec.encode({"pystore": "end", "lines": 2, "sha256": sha256(before).hexdigest()}) + b"\n"
    async with await Store.open(SCHEMA, "a", platform=MemoryPlatform(FakeClock())) as store:
        await store.restore([file])
        assert len(shown(store)["pystore_conflict"]) == 1
        await store.restore([early])
        assert shown(store)["pystore_conflict"] == []
        assert [row["text"] for row in shown(store)["note"]] == ["two"]
        assert shown(store) == await folded(store)


async def test_what_a_newer_version_recorded_is_kept_skipped_and_carried(platform: MemoryPlatform) -> None:
    from pystore.event import Event
    from pystore.schema import Schema

    newer = Schema("notes", app=1, views=1)

    @newer.event("note.added", v=2)
    class NoteAdded2(Event):
        note_id: str
        title: str

    @newer.event("note.pinned")
    class NotePinned(Event):
        note_id: str

    async with await Store.open(newer, "a", platform=MemoryPlatform(FakeClock(START_MS - 1000))) as other:
        await other.append([NoteAdded2(note_id="1", title="t"), NotePinned(note_id="1")])
        file = await saved(other)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([file])
        assert shown(store)["note"] == []
        assert shown(store)["pystore_conflict"] == []
        await store.append(note("2"))
        await store.upkeep(now=True)
        assert (await lines_of(store))[:2] == event_lines(file)
        assert [event["type"] for event in await store.events()] == ["note.added", "note.pinned", "note.added"]


async def test_inspect_tells_what_restoring_would_do_and_changes_nothing(platform: MemoryPlatform) -> None:
    file = await backup("1", "2", name="Other")
    async with await Store.open(SCHEMA, "a", platform=platform, name="Mine") as store:
        await store.append(note("mine"))
        before = await state(store, platform)
        about = await store.inspect([file])
        assert await state(store, platform) == before
        assert {key: about[key] for key in ("name", "schema", "events", "new", "known", "by_type", "records", "problems", "here")} == {
            "name": "Other", "schema": "notes", "events": 2, "new": 2, "known": 0, "by_type": {"note.added": 2},
            "records": {"folder": 0, "note": 2}, "problems": [],
            "here": {"events": 1, "name": "Mine", "records": {"folder": 0, "note": 1}},
        }
        assert (about["first"], about["last"]) == ("2025-06-15T15:06:39.000Z", "2025-06-15T15:06:39.000Z")
        await store.restore([file])
        assert (await store.inspect([file]))["new"] == 0


# -- refusing


async def refused(store: Store, platform: MemoryPlatform, file: Any, error: type[PyStoreError], **options: Any) -> PyStoreError:
    before = await state(store, platform)
    for mode in ("merge", "replace"):
        with pytest.raises(error) as caught:
            await store.restore([file], mode=mode, **options)
        assert await state(store, platform) == before
        assert type(caught.value) is error
    return caught.value


async def test_another_applications_backup_is_refused(platform: MemoryPlatform) -> None:
    async with await Store.open(make_schema("other"), "b", platform=platform) as other:
        await other.append(note("1"))
        file = await saved(other)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        error = await refused(store, platform, file, FormatError)
        assert "another application" in error.message


@pytest.mark.parametrize("changes", [
    {"format": 2},
    {"versions": {"meta_version": 2, "app": {"version": 1}, "views": {"version": 1}}},
    {"versions": {"meta_version": 1, "app": {"version": 2}, "views": {"version": 1}}},
    {"versions": {"meta_version": 1, "app": {"version": 0}, "views": {"version": 0}}},
    {"versions": {}},
], ids=str)
async def test_a_file_from_a_newer_or_a_development_version_is_refused(platform: MemoryPlatform, changes: dict[str, Any]) -> None:
    file = with_header(await backup("1"), **changes)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        await refused(store, platform, file, NewerVersionError)
        await refused(store, platform, file, NewerVersionError, salvage=True)


@pytest.mark.parametrize("changes", [
    {"pystore": "other"}, {"pystore": None}, {"format": "1"}, {"format": None}, {"format": 0}, {"name": 5}, {"replicas": []},
    {"replicas": {"r": {}}}, {"counts": 3}, {"counts": {}}, {"counts": {"events": -1}}, {"versions": None}, {"schema": None}, {"log": []},
], ids=str)
async def test_a_damaged_header_is_refused(platform: MemoryPlatform, changes: dict[str, Any]) -> None:
    file = with_header(await backup("1"), **changes)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        before = await state(store, platform)
        with pytest.raises(FormatError):
            await store.restore([file])
        assert await state(store, platform) == before


@pytest.mark.parametrize("meta_version", ["1", None, [], 1.5, 2, 10**15], ids=str)
async def test_a_version_document_that_is_not_understood_is_a_newer_one(platform: MemoryPlatform, meta_version: Any) -> None:
    changes = {"versions": {"meta_version": meta_version, "app": {"version": 1}, "views": {"version": 1}}}
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        await refused(store, platform, with_header(await backup("1"), **changes), NewerVersionError)


async def test_unknown_header_keys_are_passed_over_and_unknown_version_keys_kept(platform: MemoryPlatform) -> None:
    versions = {"meta_version": 1, "app": {"version": 1, "x": [1]}, "views": {"version": 1}, "y": {"z": 2}}
    file = with_header(await backup("1"), future={"a": 1}, versions=versions)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([file], mode="replace")
        document = await store.versions()
        assert document["y"] == {"z": 2}
        assert document["app"]["x"] == [1]
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("2"))
        assert await store.versions() == document


@pytest.mark.parametrize("name", ["", "x" * 201])
async def test_a_name_that_is_none_is_not_taken(platform: MemoryPlatform, name: str) -> None:
    file = with_header(await backup("1"), name=name)
    async with await Store.open(SCHEMA, "a", platform=platform, name="Mine") as store:
        await store.restore([file])
        assert (await store.stats())["name"] == "Mine"


async def test_what_does_not_continue_what_is_here_is_named(platform: MemoryPlatform) -> None:
    file = await backup("1", "2", "3")
    one, two, three = event_lines(file)
    last = parse_line(three)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([with_lines(file, [one])])
        for second, kind, at in (
            ([three], "GapError", 2),
            ([one, three], "GapError", 3),
            ([one, two, three.replace(last.prev, parse_line(two).prev)], "ChainError", 4),
            ([one, two, three.replace(b'"note_id":"3"', b'"note_id":"4"')], "AlteredError", 4),
            ([one, two, b"{}"], "FormatError", 4),
            ([one, two, three.replace(b'"text":"text"', b'"text":"\\u0000"')], "ValidationError", 4),
        ):
            damaged = with_lines(file, second)
            before = await state(store, platform)
            with pytest.raises(CorruptBackupError) as caught:
                await store.restore([damaged])
            assert await state(store, platform) == before
            named = {"line": at, "kind": kind, **({"id": last.id} if kind != "FormatError" else {})}
            assert named.items() <= caught.value.details.items()
            (problem,) = [one for one in (await store.inspect([damaged]))["problems"] if one["line"] == at]
            assert named.items() <= problem.items()


async def test_two_contents_under_one_number_are_a_fork(platform: MemoryPlatform, clock: FakeClock) -> None:
    original = MemoryPlatform(clock)
    async with await Store.open(SCHEMA, "a", platform=original) as store:
        await store.append(note("1"))
        await store.append(note("2"))
        # A profile that was copied.
        copy = MemoryPlatform(clock)
        for name in ("segments", "meta", "batches"):
            setattr(await _log(copy), name, dict(getattr(original.kept["a"], name)))
        await store.append([note("3"), note("4")])
        theirs = await saved(store)
    async with await Store.open(SCHEMA, "a", platform=copy) as store:
        await store.append(note("other 3"))
        ours = await saved(store)
        for longer in (True, False):
            if longer:
                await store.append([note("other 4"), note("other 5")])
            before = (shown(store), store.log.state)
            with pytest.raises(ForkError) as caught:
                await store.restore([theirs])
            seq = caught.value.details["seq"]
            assert seq in (3, 4)
            assert caught.value.details["id"] == f"{caught.value.details['replica']}:{seq}"
            assert (shown(store), store.log.state) == before
        await store.restore([theirs], mode="replace")
    async with await Store.open(SCHEMA, "a", platform=original) as store:
        with pytest.raises(ForkError):
            await store.restore([ours])


async def test_a_file_with_the_end_of_a_feed_goes_on_from_what_is_here_and_adds_nothing_when_it_comes_again(
    platform: MemoryPlatform,
) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(FakeClock())) as origin,
        await Store.open(SCHEMA, "a", platform=platform) as store,
    ):
        await origin.append([note(index) for index in range(3)])
        await store.restore([await saved(origin)])
        await origin.append([note(index) for index in range(3, 6)])
        header, *lines = (await saved(origin)).split(b"\n")[:-2]
        for begin, new in ((2, 3), (3, 0), (4, 0), (5, 0)):
            assert (await store.restore([footed(header, lines[begin:])]))["new"] == new
        assert (await store.restore([footed(header, lines[1:3])]))["new"] == 0
        assert await lines_of(store) == await lines_of(origin)
        with pytest.raises(CorruptBackupError):
            await store.restore([footed(header, lines[3:])], mode="replace")


async def test_a_file_with_only_the_tail_of_a_fork_is_a_fork_and_a_damaged_one_is_damaged(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        copy = MemoryPlatform(FakeClock())
        for name in ("segments", "meta", "batches"):
            setattr(await _log(copy), name, dict(getattr(platform.kept["a"], name)))
        await store.append(note("2"))
        async with await Store.open(SCHEMA, "a", platform=copy) as other:
            for text in ("other 2", "other 3", "other 4"):
                await other.append(note(text))
            header, *lines = (await saved(other)).split(b"\n")[:-2]
        before = (shown(store), store.log.state)
        for tail in (lines[2:3], lines[2:]):
            for salvage in (False, True):
                with pytest.raises(ForkError) as caught:
                    await store.restore([footed(header, tail)], salvage=salvage)
                assert caught.value.details["seq"] == 2
        damaged = [lines[2].replace(b'"prev":"', b'"prev":"_')[:-1], *lines[3:]]
        with pytest.raises(CorruptBackupError):
            await store.restore([footed(header, damaged)])
        assert (shown(store), store.log.state) == before


def footed(header: bytes, lines: list[bytes]) -> bytes:
    """A file of these lines."""
    head = codec.decode(header)
    head["counts"]["events"] = len(lines)
    body = b"".join(line + b"\n" for line in (codec.encode(head), *lines))
    return body + codec.encode({"pystore": "end", "lines": len(lines) + 1, "sha256": sha256(body).hexdigest()}) + b"\n"


async def _log(platform: MemoryPlatform) -> Any:
    storage = await platform.open_log("a")
    await storage.close()
    return platform.kept["a"]


async def test_a_read_only_store_restores_nothing_and_inspects(platform: MemoryPlatform) -> None:
    file = await backup("1")
    async with await Store.open(SCHEMA, "a", platform=platform, read_only=True) as store:
        with pytest.raises(ReadOnlyError):
            await store.restore([file])
        assert (await store.inspect([file]))["new"] == 1


@pytest.mark.parametrize("mode", ["merge", "replace"])
async def test_no_space_in_the_middle_of_a_restore_changes_nothing(platform: MemoryPlatform, mode: Any) -> None:
    file = await backup("1", "2")
    plan = Plan(only="commit")
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        await store.append(note("mine"))
        before = await state(store, platform)
        plan.at = 1
        with pytest.raises(QuotaError):
            await store.restore([file], mode=mode)
        assert await state(store, platform) == before
        await store.append(note("after"))
        await store.restore([file], mode=mode)
        assert shown(store) == await folded(store)


@pytest.mark.parametrize("mode", ["merge", "replace"])
async def test_a_source_that_fails_changes_nothing(platform: MemoryPlatform, mode: Any) -> None:
    file = await backup(*(str(index) for index in range(20)))

    async def broken() -> Any:
        yield file[: len(file) // 2]
        raise OSError("The disk was pulled out.")

    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        before = await state(store, platform)
        with pytest.raises(OSError, match="pulled"):
            await store.restore(broken(), mode=mode)
        assert await state(store, platform) == before
        await store.append(note("after"))


# -- every truncation, every altered byte


@pytest.mark.parametrize("mode", ["merge", "replace"])
async def test_every_truncation_is_refused_and_changes_nothing(platform: MemoryPlatform, mode: Any) -> None:
    file = await backup("1", "2", "漢字")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        before = await state(store, platform)
        for length in range(len(file)):
            with pytest.raises(FormatError):
                await store.restore([file[:length]], mode=mode)
        assert await state(store, platform) == before


async def test_every_truncation_of_a_gzipped_file_is_refused(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.append([note("1"), note("2")])
        file = await saved(other, gzip=True)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        before = await state(store, platform)
        for length in range(len(file)):
            with pytest.raises(FormatError):
                await store.restore([file[:length]])
        assert await state(store, platform) == before


async def test_every_altered_byte_is_refused_and_changes_nothing(platform: MemoryPlatform) -> None:
    file = await backup("1", "2")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        before = await state(store, platform)
        for index, byte in enumerate(file):
            for flip in (0x01, 0x20, 0x80):
                with pytest.raises((FormatError, NewerVersionError)):
                    await store.restore([file[:index] + bytes([byte ^ flip]) + file[index + 1 :]])
        assert await state(store, platform) == before


@pytest.mark.parametrize("size", [1, 2, 7, 100, 10_000])
async def test_the_size_of_the_chunks_makes_no_difference(platform: MemoryPlatform, size: int) -> None:
    file = await backup("1", "2", "漢字")
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        pieces = [b"", *(file[start : start + size] for start in range(0, len(file), size)), b"", b""]
        await store.restore([piece for part in pieces for piece in (part, b"")])
        assert await lines_of(store) == event_lines(file)
        for damaged in (file + b"\n", file + b"x", file + file, file[:-1]):
            with pytest.raises(CorruptBackupError):
                await store.restore([damaged[start : start + size] for start in range(0, len(damaged), size)])


def with_lines(file: bytes, lines: list[bytes]) -> bytes:
    """The file with other events, and header and footer to match."""
    header = file.split(b"\n", 1)[0] + b"\n"
    counts = {**codec.decode(header)["counts"], "events": len(lines)}
    return with_header(b"".join([header, *(line + b"\n" for line in lines), b"footer\n"]), counts=counts)


async def test_lines_in_another_order_are_refused(platform: MemoryPlatform) -> None:
    file = await backup("1", "2", "3")
    lines = event_lines(file)
    for other in (lines[::-1], [lines[1], lines[0], lines[2]], [*lines, lines[2]], lines[1:], [lines[0], lines[2]]):
        damaged = with_lines(file, other)
        async with await Store.open(SCHEMA, "a", platform=platform) as store:
            error = await refused(store, platform, damaged, CorruptBackupError)
            assert re.match(r"Line [2-5] ", error.message)
            assert await stored_events(store) == []


async def test_to_merge_what_goes_on_where_the_log_ends_no_record_before_that_is_unpacked(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as store,
        await Store.open(SCHEMA, "a", platform=MemoryPlatform(clock)) as other,
    ):
        for number in range(40):
            clock.advance(1000)
            await store.append(note(number))
        clock.advance(1000)
        await other.restore([await saved(store)])
        older = await saved(other)
        await other.append(note("theirs"))
        await store.restore([await saved(other)])
        clock.advance(1000)
        await store.append(note("mine"))
        await other.append(note("their second"))
        unpacked: list[bytes] = []

        def counting(real: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
            def unpack(body: bytes) -> Any:
                unpacked.append(body)
                return real(body)

            return unpack

        for name in ("unpack_bytes", "events_in"):
            monkeypatch.setattr(log_module, name, counting(getattr(log_module, name)))
        await store.restore([await saved(other)])  # one feed goes on; the other one ends a little before it does here
        assert 0 < len(unpacked) <= 3
        assert store.query("SELECT count(*) AS n FROM note") == [{"n": 43}]
        unpacked.clear()
        await store.restore([older])
        assert len(unpacked) <= 4
