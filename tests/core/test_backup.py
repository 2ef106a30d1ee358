"""Saving: the file is exactly what the contract says, and restoring it gives back the same bytes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from pystore.codec import decode
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, FolderMade, check_chains, chunks, event_lines, folded, note, saved, shown, stored_events


async def test_a_backup_has_header_events_and_footer(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform, name="Alice") as store:
        await store.append([note("1"), FolderMade(folder="f")])
        await store.append(note("2"))
        file = await saved(store)
        head = store.log.state.feeds[store.log.state.writer]
        header, *lines, footer = [decode(line) for line in file.split(b"\n")[:-1]]
        assert file.endswith(b"\n")
        assert list(header) == [
            "pystore", "format", "log", "name", "schema", "saved_at", "saved_by", "versions", "replicas", "counts",
        ]
        assert header == {
            "pystore": "backup", "format": 1, "log": "a", "name": "Alice", "schema": "notes", "saved_at": "2025-06-15T15:06:40.000Z",
            "saved_by": platform.name, "versions": await store.versions(),
            "replicas": {store.log.state.writer: {"seq": 3, "hash": head.hash.decode()}},
            "counts": {"events": 3, "by_type": {"folder.made": 1, "note.added": 2}, "records": {"folder": 1, "note": 2}, "conflicts": 0},
        }
        assert [list(line) for line in lines] == [["replica", "seq", "hlc", "type", "v", "prev", "digest", "salt", "data"]] * 3
        before_footer = file[: file.rindex(b"\n", 0, -1) + 1]
        assert footer == {"pystore": "end", "lines": 4, "sha256": sha256(before_footer).hexdigest()}
        check_chains(event_lines(file))


async def test_an_empty_store_saves_a_file_that_restores(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        file = await saved(store)
        assert file.count(b"\n") == 2
        for mode in ("merge", "replace"):
            await store.restore([file], mode=mode)
        await store.append(note("1"))
        await store.restore([file])
        assert len(shown(store)["note"]) == 1
        await store.restore([file], mode="replace")
        assert shown(store)["note"] == []
        await store.append(note("2"))
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        assert [row["note_id"] for row in shown(store)["note"]] == ["2"]
        check_chains(event.line for event in await stored_events(store))


async def test_a_gzipped_backup_is_one_member_with_the_same_content(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index) for index in range(2000)])
        plain, zipped = await saved(store), await saved(store, gzip=True)
        assert gzip.decompress(zipped) == plain
        assert len(zipped) < len(plain) / 2
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.restore(chunks(zipped, 777))
        assert event_lines(await saved(other)) == event_lines(plain)


async def test_saving_reports_progress_and_lets_other_work_run(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for _ in range(3):
            await store.append([note(f"{_}-{index}") for index in range(100)])
        steps: list[tuple[str, int, int]] = []
        turns = 0

        async def other_work() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        working = asyncio.ensure_future(other_work())
        async for _ in store.save(on_progress=lambda *step: steps.append(step)):
            pass
        working.cancel()
        assert steps == [("save", 100, 300), ("save", 200, 300), ("save", 300, 300)]
        assert turns >= 3


async def test_a_save_shows_one_moment_whatever_is_appended_meanwhile(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for index in range(5):
            await store.append(note(index))
        pieces = []
        async for chunk in store.save():
            pieces.append(chunk)
            await store.append(note(f"meanwhile {len(pieces)}"))
        file = b"".join(pieces)
        assert len(event_lines(file)) == 5
        assert (await store.inspect([file]))["problems"] == []


async def test_a_save_that_is_given_up_holds_nothing(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        saving = store.save()
        assert isinstance(saving, AsyncGenerator)
        await anext(saving)
        await store.append(note("2"))
        await saving.aclose()
        await store.append(note("3"))
        assert len(event_lines(await saved(store))) == 3


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(
    appends=st.lists(st.lists(TEXT, min_size=1, max_size=4), max_size=8), name=TEXT.filter(bool),
    renamed=st.none() | TEXT.filter(bool), size=st.integers(1, 400), zipped=st.booleans(), upkeep=st.booleans(),
)
async def test_restoring_what_was_saved_and_saving_it_gives_the_same_bytes(
    appends: list[list[str]], name: str, renamed: str | None, size: int, zipped: bool, upkeep: bool
) -> None:
    clock = FakeClock()
    one, other = MemoryPlatform(clock), MemoryPlatform(clock)
    count = 0
    async with await Store.open(SCHEMA, "a", platform=one, name=name) as store:
        for texts in appends:
            clock.advance(1)
            await store.append([note(count := count + 1, text) for text in texts])
        if renamed is not None:
            await store.rename(renamed)
        if upkeep:
            await store.upkeep(now=True)
        file = await saved(store)
        given_file = await saved(store, gzip=zipped)
        view = shown(store)
    async with await Store.open(SCHEMA, "a", platform=other) as store:
        await store.restore(chunks(given_file, size))
        assert shown(store) == view == await folded(store)
        again = await saved(store)
        assert event_lines(again) == event_lines(file)
        if appends or renamed is not None:
            assert again == file
        await store.restore([given_file], mode="replace")
        assert event_lines(await saved(store)) == event_lines(file)
        assert shown(store) == view
