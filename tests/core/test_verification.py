"""Verifying a store: whatever is damaged is named, and what is sound is found sound."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pystore import codec, recovery, verification
from pystore import log as log_module
from pystore.clock import MAX_FUTURE_MS
from pystore.errors import ConflictError, CorruptError
from pystore.event import Recorded, parse_line
from pystore.log import LogState
from pystore.memory import MemoryPlatform, MemoryStorage
from pystore.own_events import Imported
from pystore.ports import Segment
from pystore.records import Records, packed
from pystore.schema import Schema
from pystore.segment import events_in, pack, unpack_bytes
from pystore.store import Store
from pystore.verification import verify_log
from tests.support.damage import SOUND, named
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import SCHEMA, FolderMade, NoteAdded, NoteEdited, NoteRemoved, json_lines, lines_of, note, saved


async def fill(store: Store, events: int = 6) -> list[Recorded]:
    """Append events one by one; what stands in the log then."""
    for number in range(events):
        await store.append(note(number))
    return [event for segment in await store.log.all_segments() for event in events_in(segment.body)]


LINES_AT = len(pack([]))


def forged(body: bytes, lines: list[bytes]) -> bytes:
    """A body with other lines, and a checksum that is right for them."""
    rest = body[5:LINES_AT] + b"".join(line + b"\n" for line in lines)
    return b"P" + zlib.crc32(rest).to_bytes(4, "big") + rest


def put(platform: MemoryPlatform, number: int, lines: list[bytes]) -> None:
    """Let a segment hold other lines."""
    segments = platform.kept["a"].segments
    segments[number] = replace(segments[number], events=len(lines), body=forged(segments[number].body, lines))


# -- sound


async def test_what_is_sound_is_found_sound(platform: MemoryPlatform) -> None:
    future = MemoryPlatform(FakeClock(START_MS + 2 * MAX_FUTURE_MS))
    early = MemoryPlatform(FakeClock(START_MS - 1000))
    for other in (future, early):
        async with await Store.open(SCHEMA, "b", platform=other) as store:
            await store.append(note("same"))
            await store.append(FolderMade(folder="f"))
    files = []
    for other in (future, early):
        async with await Store.open(SCHEMA, "b", platform=other) as store:
            files.append(await saved(store))
    progress: list[tuple[str, int, int]] = []
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert await store.verify() == {"sound": True, "events": 0, "problems": []}
        await store.append(note("same"))
        await store.append_json(json_lines(*(note(number, "text", None) for number in range(700))))
        await store.append(NoteEdited(note_id="1", text="one"), NoteRemoved(note_id="2"))
        await store.rename("A name")
        for file in files:
            await store.restore([file])  # a conflict, late events, and some that wait
        (appended,) = await store.append(note("undone"))
        await store.undo([appended.id])
        assert await store.verify(lambda *step: progress.append(step)) == {"sound": True, "events": 710, "problems": []}
        await store.upkeep(now=True)
        assert named(await store.verify()) == SOUND
    assert [stage for stage, _, _ in progress] == sorted((stage for stage, _, _ in progress), key=["verify", "project", "compare"].index)
    assert all(0 <= done <= total for _, done, total in progress)
    async with await Store.open(SCHEMA, "a", platform=platform, read_only=True) as store:
        assert named(await store.verify()) == SOUND


async def test_what_another_tab_writes_meanwhile_is_not_missed(platform: MemoryPlatform) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as one,
        await Store.open(SCHEMA, "a", platform=platform) as two,
    ):
        await fill(one, 3)
        await two.append(note("other"))
        assert await one.verify() == {"sound": True, "events": 4, "problems": []}
        for _ in range(70):
            await two.append(note(f"other {_}"))

        async def others(store: Store) -> None:
            for number in range(30):
                await store.append(note(f"more {number}"))
            await store.upkeep(now=True)

        found, _ = await asyncio.gather(one.verify(), others(two))
        assert named(found) == SOUND


# -- damaged events


def altered(old: bytes, new: bytes) -> Callable[[Recorded], bytes]:
    def alter(event: Recorded) -> bytes:
        assert event.line.count(old) == 1
        return event.line.replace(old, new)

    return alter


DAMAGES: dict[str, Callable[[Recorded], bytes]] = {
    "content": altered(b'"text":"text"', b'"text":"texT"'),
    "type": altered(b'"note.added"', b'"note.adde"'),
    "version": altered(b'"v":1', b'"v":2'),
    "time": lambda event: event.line.replace(event.hlc.encode(), b"000000000001-0000"),
    "chain": lambda event: event.line.replace(event.prev, b"B" * 43),
    "digest": lambda event: event.line.replace(event.digest, b"B" * 43),
    "salt": lambda event: event.line.replace(event.salt, b"B" * 16),
    "no JSON": altered(b'"text":"text"', b'"text":text'),
    "another key": lambda event: event.line[:-1] + b',"more":1}',
    "erased by halves": lambda event: event.line.replace(event.data_json, b"null"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_event_is_named_and_no_other(platform: MemoryPlatform, damage: str) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store)
        for number, event in enumerate(events, 1):
            put(platform, number, [DAMAGES[damage](event)])
            found = await store.verify()
            assert named(found) == [event.id], (number, found)
            assert found["problems"][0]["kind"].endswith("Error")
            put(platform, number, [event.line])
        assert named(await store.verify()) == SOUND


async def test_all_that_is_damaged_is_named_at_once(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store, 12)
        for number in (2, 5, 6, 12):
            put(platform, number, [DAMAGES["content"](events[number - 1])])
        put(platform, 8, [DAMAGES["type"](events[7])])
        del platform.kept["a"].segments[11]
        assert named(await store.verify()) == [None, *(events[number - 1].id for number in (2, 5, 6, 8, 11, 12))]


async def test_missing_events_are_named_together(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store, 8)
        writer = store.log.state.writer
        put(platform, 2, [])
        put(platform, 3, [b"nonsense"])
        put(platform, 8, [])
        assert named(await store.verify()) == [None, f"{writer}:2-3", events[7].id]
        for number in (2, 3, 8):
            del platform.kept["a"].segments[number]
        found = await store.verify()
        assert named(found) == [None, None, f"{writer}:2-3", events[7].id]
        assert found["problems"][0]["why"] == "Records 2 to 3 are missing."
        platform.kept["a"].segments.clear()
        assert named(await store.verify()) == [None, f"{writer}:1-8"]


async def test_a_record_that_says_wrongly_where_it_begins_or_ends_is_found(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store)
        segments = platform.kept["a"].segments
        segments[2] = replace(segments[2], body=forged(segments[3].body, [events[1].line]))
        assert named(await store.verify()) == [None]


async def test_a_record_with_another_number_of_events_or_half_a_line_is_found(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await fill(store)
        segments = platform.kept["a"].segments
        sound = segments[2]
        segments[2] = replace(sound, events=7)
        (problem,) = (await store.verify())["problems"]
        assert (problem["id"], problem["why"]) == (None, "Record 2 holds 1 events where 7 were written.")
        rest = sound.body[5:-1]
        segments[2] = replace(sound, body=b"P" + zlib.crc32(rest).to_bytes(4, "big") + rest)
        damaged, missing = (await store.verify())["problems"]
        assert "its last line is not whole" in damaged["why"]
        assert missing["id"] == f"{store.log.state.writer}:2"


async def test_what_another_tab_merges_while_records_are_read_is_checked_once(
    platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MERGE_FROM_SEGMENTS", 2)
    segments = MemoryStorage.segments
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as one,
        await Store.open(SCHEMA, "a", platform=platform) as two,
    ):
        await fill(one)

        async def then_merged(self: MemoryStorage, after: int = 0, _max_bytes: int = 0) -> list[Segment]:
            page = await segments(self, after, 0)
            if after == 2:
                monkeypatch.setattr(MemoryStorage, "segments", segments)
                assert await two.log.merge_segments()
            return page

        monkeypatch.setattr(MemoryStorage, "segments", then_merged)
        assert await one.verify() == {"sound": True, "events": 6, "problems": []}
        assert list(platform.kept["a"].segments) == [6]


async def test_events_in_the_wrong_place_or_twice_are_named(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"), note("2"), note("3"))
        one, two, three = (event.line for event in events_in(platform.kept["a"].segments[1].body))
        for lines, at in (([one, three, two], [2, 2]), ([one, two, two, three], [2]), ([one, two, three, three], [3])):
            put(platform, 1, lines)
            ids = [id_ for id_ in named(await store.verify()) if id_ is not None]
            assert {int(id_.split(":")[1]) for id_ in ids} >= set(at)


@pytest.mark.parametrize("events", [3, 200], ids=["plain", "compressed"])
async def test_whichever_byte_of_what_is_stored_is_altered_that_is_found(platform: MemoryPlatform, events: int) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append_json(json_lines(*(note(number) for number in range(events))))
        await store.append(note("more"))
        segment = platform.kept["a"].segments[1]
        assert (segment.body[:1] == b"Z") == (events == 200)
        lines = unpack_bytes(segment.body).splitlines()
        for index in range(0, len(segment.body), max(1, len(segment.body) // 200)):
            body = bytearray(segment.body)
            body[index] ^= 1 << index % 8
            platform.kept["a"].segments[1] = replace(segment, body=bytes(body))
            found = await store.verify()
            assert found["problems"], index
            if events == 3 and index >= LINES_AT:
                # Everything but the one line in which it was is read, and that one is named.
                hit = [line for at, line in enumerate(lines) if lines_start(lines, at) <= index - LINES_AT < lines_start(lines, at + 1)]
                ids = [id_ for id_ in named(found) if id_ is not None]
                assert {parse_line(line).id for line in hit} <= expanded(ids)
                assert len(expanded(ids)) <= 2
        for length in (0, 1, 5, len(segment.body) - 1):
            platform.kept["a"].segments[1] = replace(segment, body=segment.body[:length])
            assert named(await store.verify())
        platform.kept["a"].segments[1] = segment
        assert named(await store.verify()) == SOUND


def lines_start(lines: list[bytes], at: int) -> int:
    return sum(len(line) + 1 for line in lines[:at])


def expanded(ids: list[str]) -> set[str]:
    found = set()
    for id_ in ids:
        replica, numbers = id_.split(":")
        first, _, last = numbers.partition("-")
        found |= {f"{replica}:{seq}" for seq in range(int(first), int(last or first) + 1)}
    return found


async def test_a_record_that_is_none_costs_only_itself(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = MemoryStorage.segments

    async def damaged(self: MemoryStorage, after: int = 0, max_bytes: int = 16 << 20) -> list[Segment]:
        page = await segments(self, after, max_bytes)
        if any(segment.number in (3, 4) for segment in page):
            raise CorruptError("A stored record is not a segment.")
        return page

    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store)
        writer = store.log.state.writer
        put(platform, 6, [DAMAGES["content"](events[5])])
        monkeypatch.setattr(MemoryStorage, "segments", damaged)
        assert named(await store.verify()) == [None, None, f"{writer}:3-4", events[5].id]


async def test_a_damaged_event_that_waits_is_named(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "b", platform=MemoryPlatform(FakeClock(START_MS + 2 * MAX_FUTURE_MS))) as other:
        events = await fill(other, 4)
        file = await saved(other)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([file])
        meta = platform.kept["a"].meta
        raw = Records(meta)["waiting"]
        assert await store.verify() == {"sound": True, "events": 4, "problems": []}
        for event in events:
            for damage, alter in DAMAGES.items():
                if event in events[-2:] and damage in ("type", "version", "time"):
                    continue  # nothing names the last one that waits: so it cannot tell that the one before it was altered
                meta |= packed({"waiting": forged(raw, [alter(event) if one is event else one.line for one in events])})
                assert named(await store.verify()) == [event.id], damage
        meta |= packed({"waiting": raw[:-3]})
        assert named(await store.verify()) != SOUND
        meta |= packed({"waiting": raw})


async def test_damage_in_what_another_tab_has_added_is_named(platform: MemoryPlatform) -> None:
    async with (
        await Store.open(SCHEMA, "a", platform=platform) as one,
        await Store.open(SCHEMA, "a", platform=platform) as two,
    ):
        await fill(one, 3)
        await two.append(note("other"))
        (event,) = events_in(platform.kept["a"].segments[4].body)
        put(platform, 4, [DAMAGES["content"](event)])
        assert named(await one.verify()) == [event.id]
        put(platform, 4, [event.line])
        assert named(await one.verify()) == SOUND


# -- what is known of the log as a whole


@pytest.mark.parametrize("change", [
    {"counts": {"note.added": 7}}, {"newest": ["000000000001-0000", "x"]}, {"named": ["000000000001-0000", "x"]},
    {"replicas": {}}, {"counts": "x"},
], ids=str)
async def test_a_record_of_the_log_that_is_not_what_its_events_say_is_found(platform: MemoryPlatform, change: dict[str, Any]) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await fill(store)
        meta = platform.kept["a"].meta
        meta |= packed({"head": codec.encode({**codec.decode(Records(meta)["head"]), **change})})
        assert named(await store.verify()) == [None]


async def test_a_record_of_the_log_that_is_damaged_while_it_is_open_is_told(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await fill(store)
        meta = platform.kept["a"].meta
        whole = meta["head"]
        meta["head"] = whole[:-1] + b"x"
        found = await store.verify()
        assert set(named(found)) == {None}
        assert all("The log's own record is damaged" in problem["why"] for problem in found["problems"])
        meta["head"] = whole
        assert named(await store.verify()) == SOUND


async def test_marks_that_are_not_in_the_log_are_found(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store)
        await store.undo([events[2].id])
        assert named(await store.verify()) == SOUND
        platform.kept["a"].meta |= packed({"marks": codec.encode([])})
        found = await store.verify()
        assert named(found) == [None]
        assert "undone" in found["problems"][0]["why"]


async def test_erasures_that_are_not_in_the_log_are_found(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store)
        await store.erase([events[2].id])
        assert named(await store.verify()) == SOUND
        erased = codec.encode([events[1].id])
        platform.kept["a"].meta |= packed({"erased": erased, "erased_done": erased})
        found = await store.verify()
        assert named(found) == [events[1].id]
        assert "erased" in found["problems"][0]["why"]
    more = codec.encode([events[1].id, events[2].id])
    platform.kept["a"].meta |= packed({"erased": more, "erased_done": more})
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert named(await store.verify()) == [events[1].id]


@pytest.mark.parametrize("record", ["head", "marks", "erased", "versions"])
async def test_no_flipped_bit_in_a_record_of_the_log_is_believed_and_a_repair_makes_it_anew(platform: MemoryPlatform, record: str) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store)
        await store.undo([events[1].id])
        await store.erase([events[4].id])
        await store.backups.create()
        lines = await lines_of(store)
    meta = platform.kept["a"].meta
    whole = meta[record]
    for at in range(0, len(whole), 1 + len(whole) // 50):
        meta[record] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with pytest.raises(CorruptError):
            await Store.open(SCHEMA, "a", platform=platform)
    await recovery.repair(platform, "a", SCHEMA)
    if record != "versions":
        async with await Store.open(SCHEMA, "a", platform=platform) as store:
            assert await lines_of(store) == lines
            assert named(await store.verify()) == SOUND


# -- the view


async def test_the_view_is_looked_at_also_when_the_logs_own_record_is_wrong(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(number) for number in range(5)])
        meta = platform.kept["a"].meta
        meta |= packed({"head": Records(meta)["head"].replace(b'"note.added":5', b'"note.added":4')})
        store.view._db.execute("DELETE FROM note WHERE note_id = '0'")
        record, row = (await store.verify())["problems"]
        assert "numbers of events" in record["why"]
        assert row["table"] == "note"


@pytest.mark.parametrize(("sql", "table", "key", "why", "place"), [
    ("UPDATE note SET text = 'other', by = 'x' WHERE note_id = '3'", "note", {"position": 4}, "text, by should be otherwise", 3),
    ("UPDATE note SET text = 'other' WHERE note_id = '5'", "note", {"position": 6}, "text should be otherwise", 500),
    ("DELETE FROM note WHERE note_id = '0'", "note", {"position": 1}, "missing", 0),
    ("INSERT INTO note VALUES (8, '7', 'text', NULL, 't', 'x')", "note", {"position": 8}, "should not be there", 501),
    ("INSERT INTO folder VALUES ('f', 0)", "folder", {"folder": "f"}, "should not be there", None),
    ("UPDATE folder SET notes = 7 WHERE folder = 'g'", "folder", {"folder": "g"}, "notes should be otherwise", 503),
    ("INSERT INTO pystore_conflict VALUES ('r', 1, 'why')", "pystore_conflict", {"replica": "r", "seq": 1}, "should not be there", None),
    ("DELETE FROM pystore_conflict", "pystore_conflict", {"seq": 1}, "missing", 506),
    ("DELETE FROM pystore_import", "pystore_import", {}, "missing", 504),
])
async def test_a_row_that_is_not_what_the_events_say_is_named_with_the_event_that_last_touched_it(
    platform: MemoryPlatform, sql: str, table: str, key: dict[str, Any], why: str, place: int | None
) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append_json(json_lines(*(note(number) for number in range(500))))
        edited = (NoteEdited(note_id="5", text="edited"), NoteRemoved(note_id="7"))
        # A count that is kept once for all events at hand is that of the last one of them.
        await store.append(*edited, FolderMade(folder="g"), note("in it", "text", "g"))
        await store.append(Imported(name="f", kind="k", sha256="s", counts={}, events=[]))
        await store.append(note("again"))
        async with await Store.open(SCHEMA, "b", platform=MemoryPlatform(FakeClock(START_MS + 1000))) as other:
            await other.append(note("again"))
            await store.restore([await saved(other)])  # that one is set aside
        event = None if place is None else (await store.events(limit=1000))[::-1][place]["id"]
        store.view._db.execute(sql)
        found = await store.verify()
        (problem,) = found["problems"]
        assert (problem["id"], problem["table"]) == (event, table)
        assert key.items() <= problem["key"].items()
        assert f" {why}" in problem["why"]
        assert problem["why"].endswith(f"Event {event} was the last to touch it." if event else "No event made it.")
        await store.projection.refold()
        assert named(await store.verify()) == SOUND


@pytest.mark.parametrize("stage", ["verify", "project"])
async def test_what_is_erased_meanwhile_is_not_called_damage(platform: MemoryPlatform, stage: str) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append_json(json_lines(*(note(number) for number in range(700))))
        reached = asyncio.Event()
        verifying = asyncio.ensure_future(store.verify(lambda now, _done, _total: reached.set() if now == stage else None))
        await reached.wait()
        await store.erase([(await store.events(limit=1))[0]["id"]])
        outcome: Any = (await asyncio.gather(verifying, return_exceptions=True))[0]
        assert isinstance(outcome, ConflictError) or named(outcome) == SOUND
        assert named(await store.verify()) == SOUND


async def test_the_event_that_gave_a_row_another_key_touched_both(platform: MemoryPlatform) -> None:
    schema = Schema("words", app=1, views=1)
    schema.table("CREATE TABLE word (word TEXT PRIMARY KEY)")
    schema.event("note.added")(NoteAdded)
    schema.event("note.edited")(NoteEdited)
    schema.on(NoteAdded)(lambda view, event: view.execute("INSERT INTO word VALUES (?)", (event.data.text,)))
    schema.on(NoteEdited)(lambda view, event: view.execute("UPDATE word SET word = ?", (event.data.text,)))
    async with await Store.open(schema, "a", platform=platform) as store:
        await store.append(note("1", "it's one"))
        (edited,) = await store.append(NoteEdited(note_id="1", text="two"))
        store.view._db.execute("UPDATE word SET word = 'it''s one'")
        wrong = [(problem["id"], problem["key"]["word"]) for problem in (await store.verify())["problems"]]
        assert wrong == [(edited.id, "it's one"), (edited.id, "two")]


async def test_rows_that_are_there_several_times_are_counted(platform: MemoryPlatform) -> None:
    schema = Schema("words", app=1, views=1)
    schema.table("CREATE TABLE word (word TEXT NOT NULL)")
    schema.event("note.added")(NoteAdded)
    schema.on(NoteAdded)(lambda view, event: view.execute("INSERT INTO word VALUES (?)", (event.data.text,)))
    async with await Store.open(schema, "a", platform=platform) as store:
        await store.append([note(number, "one" if number % 2 else "two") for number in range(2 * verification.PAGE_ROWS)])
        assert named(await store.verify()) == SOUND
        # Also where the others come on another page now.
        store.view._db.execute("DELETE FROM word WHERE rowid IN (SELECT rowid FROM word WHERE word = 'one' LIMIT 3)")
        store.view._db.execute("INSERT INTO word VALUES ('three'), ('two'), ('two')")
        wrong = {problem["key"]["word"]: problem["why"] for problem in (await store.verify())["problems"]}
        assert list(wrong) == ["three", "two", "one"]
        assert "should not be there. No event made it." in wrong["three"]
        assert "should not be there" in wrong["two"]
        assert "is missing" in wrong["one"]


async def test_a_check_during_which_something_is_erased_is_given_up(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store)
        segments = MemoryStorage.segments
        is_erased: list[bool] = []

        async def then_erased(self: MemoryStorage, after: int = 0, max_bytes: int = 16 << 20) -> list[Segment]:
            page = await segments(self, after, max_bytes)
            if not is_erased and not store.projection.exclusive.locked():
                is_erased.append(True)
                await store.erase([events[0].id])
            return page

        monkeypatch.setattr(MemoryStorage, "segments", then_erased)
        with pytest.raises(ConflictError, match="erased"):
            await store.verify()
        assert named(await store.verify()) == SOUND


async def test_however_much_is_wrong_the_list_is_bounded(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append_json(json_lines(*(note(number) for number in range(verification.MAX_PROBLEMS + 500))))
        store.view._db.execute("UPDATE note SET text = 'other'")
        found = await store.verify()
        assert not found["sound"]
        assert len(found["problems"]) == verification.MAX_PROBLEMS


# -- a log that cannot be opened


async def test_what_is_wrong_with_a_log_that_cannot_be_opened_is_named_as_well(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        events = await fill(store)
    put(platform, 3, [DAMAGES["content"](events[2])])
    with pytest.raises(CorruptError):
        await Store.open(SCHEMA, "a", platform=platform)
    storage = await platform.open_log("a")
    assert named(await verify_log(storage, platform.breathe)) == [events[2].id]
    put(platform, 3, [events[2].line])
    assert await verify_log(storage, platform.breathe) == {"sound": True, "events": 6, "problems": []}
    head = Records(dict(platform.kept["a"].meta))["head"]
    del platform.kept["a"].meta["head"]
    with pytest.raises(CorruptError):
        await verify_log(storage, platform.breathe)
    assert LogState.from_json(head).events == 6
