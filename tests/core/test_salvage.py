"""Salvaging a damaged backup: exactly what can be verified is taken, and what was left out is listed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import codec
from pystore.errors import FormatError, NewerVersionError, PyStoreError
from pystore.event import parse_line
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import SCHEMA, check_chains, event_lines, folded, lines_of, note, saved, shown

_made: list[bytes] = []


async def three_feeds() -> bytes:
    """A backup of what three devices wrote in turn: made once."""
    if not _made:
        _made.append(await _three_feeds())
    return _made[0]


async def _three_feeds() -> bytes:
    platforms: list[MemoryPlatform] = []
    clock = FakeClock(START_MS - 100_000)
    file: bytes | None = None
    for turn in range(9):
        platform = platforms[turn % 3] if turn >= 3 else MemoryPlatform(clock)
        if turn < 3:
            platforms.append(platform)
        clock.advance(1000)
        async with await Store.open(SCHEMA, "a", platform=platform) as store:
            if file is not None:
                await store.restore([file])
            await store.append([note(f"{turn}-{index}") for index in range(2)])
            file = await saved(store)
    assert file is not None
    return file


async def salvaged(file: bytes) -> tuple[list[bytes], list[str], list[int]]:
    """The lines taken into an empty store, why others were not, and their line numbers. The store is whole afterwards."""
    async with await Store.open(SCHEMA, "new", platform=MemoryPlatform(FakeClock())) as store:
        about = await store.restore([file], salvage=True)
        assert shown(store) == await folded(store)
        lines = await lines_of(store)
        check_chains(lines)
        assert about["new"] == about["events"] == len(lines)
        await store.append(note("goes on"))
        looked_at = await store.inspect([file])
        assert looked_at["problems"] == about["problems"]
        problems = about["problems"]
        return lines, [problem["why"] for problem in problems], [problem["line"] for problem in problems]


def without_feed_from(lines: list[bytes], replica: str, seq: int) -> list[bytes]:
    return [line for line in lines if (event := parse_line(line)).replica != replica or event.seq < seq]


async def test_a_whole_file_is_taken_as_a_whole() -> None:
    file = await three_feeds()
    lines, why, _ = await salvaged(file)
    assert lines == event_lines(file)
    assert why == []


async def test_altered_content_costs_the_rest_of_its_feed_and_nothing_else() -> None:
    file = await three_feeds()
    lines = event_lines(file)
    for index, line in enumerate(lines):
        event = parse_line(line)
        damaged = file.replace(line, line.replace(b'"text":"text"', b'"text":"texT"'))
        taken, why, numbers = await salvaged(damaged)
        assert taken == without_feed_from(lines, event.replica, event.seq), index
        assert numbers[0] == index + 2
        assert "altered" in why[0]


async def test_a_line_that_is_gone_costs_the_rest_of_its_feed_and_the_one_that_only_it_named() -> None:
    file = await three_feeds()
    lines = event_lines(file)
    for line in lines:
        event = parse_line(line)
        for damaged in (file.replace(line + b"\n", b""), file.replace(line, b"nonsense"), file.replace(line, b"")):
            taken, why, _ = await salvaged(damaged)
            assert taken == without_feed_from(lines, event.replica, event.seq - 1)
            assert why


@pytest.mark.parametrize("what", ["hlc", "type", "v"])
async def test_an_altered_envelope_is_not_taken_for_true(what: str) -> None:
    # Its own digest holds; only what follows it, or the header, tells.
    file = await three_feeds()
    lines = event_lines(file)
    for line in lines:
        event = parse_line(line)
        altered = {
            "hlc": line.replace(event.hlc.encode(), event.hlc[:-1].encode() + b"f"),
            "type": line.replace(b'"note.added"', b'"note.addeD"'.lower().replace(b'd"', b'x"')),
            "v": line.replace(b'"v":1', b'"v":2'),
        }[what]
        assert altered != line
        taken, why, numbers = await salvaged(file.replace(line, altered))
        assert set(taken) <= set(lines), "an altered line was taken"
        assert taken == without_feed_from(lines, event.replica, event.seq)
        assert {lines.index(line) + 2} <= set(numbers)
        assert why


async def test_the_good_part_of_a_file_that_is_cut_off_is_every_whole_line() -> None:
    file = await three_feeds()
    lines = event_lines(file)
    header = file.index(b"\n") + 1
    for length in range(header, len(file), 53):
        taken, why, _ = await salvaged(file[:length])
        whole = file[header:length].count(b"\n")
        assert taken == lines[:whole]
        assert "cut off" in why[-1]


@given(seed=st.integers(0, 1 << 30), count=st.integers(1, 5))
async def test_whatever_bytes_are_altered_no_altered_event_is_taken(seed: int, count: int) -> None:
    chance = random.Random(seed)
    file = bytearray(await three_feeds())
    lines = set(event_lines(bytes(file)))
    for _ in range(count):
        index = chance.randrange(len(file))
        match chance.randrange(3):
            case 0:
                file[index] ^= 1 << chance.randrange(8)
            case 1:
                del file[index : index + chance.randrange(300)]
            case 2:
                file[index:index] = bytes(chance.randrange(256) for _ in range(chance.randrange(5)))
    try:
        taken, _, _ = await salvaged(bytes(file))
    except (FormatError, NewerVersionError):
        return  # the header was hit
    assert set(taken) <= lines


async def test_what_is_salvaged_can_be_completed_by_the_good_file_later() -> None:
    file = await three_feeds()
    lines = event_lines(file)
    damaged = file.replace(lines[5], lines[5].replace(b'"v":1', b'"v":2')).replace(lines[9], b"")
    async with await Store.open(SCHEMA, "new", platform=MemoryPlatform(FakeClock())) as store:
        about = await store.restore([damaged], salvage=True)
        assert about["problems"]
        await store.restore([file])
        assert await lines_of(store) == lines
        assert shown(store) == await folded(store)
        # And a damaged file does no harm to what is here.
        await store.restore([damaged], salvage=True)
        assert await lines_of(store) == lines


async def test_what_is_here_already_lets_more_be_taken(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note("1"), note("2")])
        kept = await saved(store)
        await store.append(note("3"))
        file = await saved(store)
    lines = event_lines(file)
    only_last = file.replace(lines[0] + b"\n", b"").replace(lines[1] + b"\n", b"")
    async with await Store.open(SCHEMA, "b", platform=platform) as store:
        await store.restore([kept])
        await store.restore([only_last], salvage=True)
        assert await lines_of(store) == lines


async def test_an_event_from_the_far_future_is_kept_and_waits() -> None:
    async with await Store.open(SCHEMA, "a", platform=MemoryPlatform(FakeClock(START_MS - 1000))) as store:
        await store.append(note("now"))
        store.log.clock.now_ms = lambda: START_MS * 2
        await store.append(note("then"))
        file = await saved(store)
    async with await Store.open(SCHEMA, "new", platform=MemoryPlatform(FakeClock())) as store:
        assert (await store.restore([file + b"more"], salvage=True))["waiting"] == 1
        assert await lines_of(store) == event_lines(file)
        assert [row["note_id"] for row in shown(store)["note"]] == ["now"]


async def test_many_problems_are_listed_up_to_a_hundred() -> None:
    file = await three_feeds()
    lines = event_lines(file)
    taken, why, _ = await salvaged(file.replace(lines[-1], b"\n".join([b"{}"] * 300)))
    assert len(why) == 100
    assert taken == lines[:-2]  # nothing names the one before it any more


@pytest.mark.parametrize("file", [b"", b"nonsense", b"PK\x03\x04", b"\x1f\x8bnonsense", b"{}\n", b"[]\n", b"null\n"])
async def test_what_is_no_backup_cannot_be_salvaged(platform: MemoryPlatform, file: bytes) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for call in (store.restore([file], salvage=True), store.inspect([file])):
            with pytest.raises(FormatError):
                await call
        assert platform.kept["a"].segments == {}


async def test_salvage_takes_nothing_from_a_newer_format(platform: MemoryPlatform) -> None:
    file = await three_feeds()
    header, rest = file.split(b"\n", 1)
    newer = codec.encode({**codec.decode(header), "format": 2}) + b"\n" + rest
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(NewerVersionError):
            await store.restore([newer], salvage=True)
        blob = file.replace(event_lines(file)[3], b'{"blob":"' + b"0" * 64 + b'"}')
        with pytest.raises(PyStoreError):
            await store.restore([blob], salvage=True)
        assert platform.kept["a"].segments == {}
