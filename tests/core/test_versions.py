"""The version document: who may open what, who may write, and that nothing in it is lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from pystore import codec, versions
from pystore.errors import CorruptError, FormatError, NewerVersionError, ReadOnlyError
from pystore.memory import MemoryPlatform
from pystore.records import Records, packed
from pystore.store import Store
from tests.support.notes import event_lines, folded, lines_of, make_schema, note, saved, shown

DEVELOPMENT, ONE, TWO = make_schema(app=0, views=0), make_schema(), make_schema(app=2, views=2)


def stored(platform: MemoryPlatform) -> Any:
    return codec.decode(Records(platform.kept["a"].meta)["versions"])


async def test_the_document_is_written_with_the_first_event(platform: MemoryPlatform) -> None:
    by = {"version": 1, "last_migrated_by": platform.name, "last_written_by": platform.name}
    async with await Store.open(ONE, "a", platform=platform) as store:
        assert await store.versions() == {"meta_version": 1, "schema": "notes", "app": by, "views": by}
        await store.append(note("1"))
        assert stored(platform) == await store.versions()


async def test_a_log_is_opened_by_its_own_application_only(platform: MemoryPlatform) -> None:
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append(note("1"))
    async with await Store.open(DEVELOPMENT, "b", platform=platform) as store:
        await store.append(note("1"))
    kept = {name: dict(log.meta) for name, log in platform.kept.items()}
    for other, name in ((make_schema("diary"), "a"), (make_schema("diary", app=0, views=0), "b")):
        for options in (dict[str, bool](), {"read_only": True}, {"destroy_development": True}):
            with pytest.raises(FormatError, match=r"another application \(notes\), not to diary") as caught:
                await Store.open(other, name, platform=platform, **options)  # type: ignore[arg-type]
            assert caught.value.details["schema"] == "notes"
    assert {name: log.meta for name, log in platform.kept.items()} == kept


async def test_a_log_that_does_not_say_whose_it_is_is_that_of_who_writes_to_it_next(platform: MemoryPlatform) -> None:
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append(note("1"))
    document = stored(platform)
    del document["schema"]
    platform.kept["a"].meta |= packed({"versions": codec.encode(document)})
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append(note("2"))
    assert stored(platform)["schema"] == "notes"


async def test_production_never_reads_development_data_and_the_reverse(platform: MemoryPlatform) -> None:
    for (first, second), meta_version in product(((DEVELOPMENT, ONE), (ONE, DEVELOPMENT)), (None, 2)):
        name = f"{first.app}-{meta_version}"
        async with await Store.open(first, name, platform=platform) as store:
            await store.append(note("1"))
        if meta_version is not None:
            document = store.projection.document | {"meta_version": meta_version}
            platform.kept[name].meta |= packed({"versions": codec.encode(document)})
        kept = dict(platform.kept[name].meta)
        with pytest.raises(NewerVersionError):
            await Store.open(second, name, platform=platform)
        assert platform.kept[name].meta == kept
        async with await Store.open(first, name, platform=platform) as store:
            assert (store.read_only is None) == (meta_version is None)


@pytest.mark.parametrize("newer", [
    {"meta_version": 2, "app": {"version": 1}, "views": {"version": 1}},
    {"meta_version": 2},
    {"meta_version": "3", "app": []},
    {"meta_version": 1, "app": {"version": 2}, "views": {"version": 1}},
], ids=str)
async def test_newer_data_are_read_only_and_can_be_saved_and_kept(platform: MemoryPlatform, newer: Any) -> None:
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append([note("1"), note("2")])
        lines = await lines_of(store)
    platform.kept["a"].meta |= packed({"versions": codec.encode(newer)})
    async with await Store.open(ONE, "a", platform=platform) as store:
        assert store.read_only is not None
        assert len(shown(store)["note"]) == 2
        for call in (store.append(note("3")), store.rename("x"), store.restore([b""])):
            with pytest.raises(ReadOnlyError):
                await call
        await store.upkeep(now=True)
        file = await saved(store)
        assert event_lines(file) == lines
        assert codec.decode(file.split(b"\n")[0])["versions"] == newer
    assert stored(platform) == newer


async def test_an_older_version_is_never_written_to_before_it_is_migrated(platform: MemoryPlatform) -> None:
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append(note("1"))
    async with await Store.open(TWO, "a", platform=platform, migrate=False) as store:
        with pytest.raises(ReadOnlyError, match="Migrate them first"):
            await store.append(note("2"))
        await store.upkeep(now=True)
        assert stored(platform)["app"]["version"] == 1
        assert len(event_lines(await saved(store))) == 1
    async with await Store.open(TWO, "a", platform=platform) as store:
        assert stored(platform)["app"]["version"] == 2
        await store.append(note("2"))
        assert len(shown(store)["note"]) == 2


async def test_only_a_development_version_that_is_told_so_removes_data_it_cannot_open_and_only_its_own(platform: MemoryPlatform) -> None:
    async with await Store.open(DEVELOPMENT, "a", platform=platform) as store:
        await store.append(note("1"))
    number, segment = next(iter(platform.kept["a"].segments.items()))
    platform.kept["a"].segments[number] = replace(segment, body=b"damaged")
    with pytest.raises(CorruptError):
        await Store.open(DEVELOPMENT, "a", platform=platform)
    async with await Store.open(DEVELOPMENT, "a", platform=platform, destroy_development=True) as store:
        assert shown(store)["note"] == []
    async with await Store.open(ONE, "b", platform=platform) as store:
        await store.append(note("1"))
    with pytest.raises(NewerVersionError):
        await Store.open(DEVELOPMENT, "b", platform=platform, destroy_development=True)
    number, segment = next(iter(platform.kept["b"].segments.items()))
    platform.kept["b"].segments[number] = replace(segment, body=b"damaged")
    for schema in (ONE, DEVELOPMENT):
        with pytest.raises((CorruptError, NewerVersionError)):
            await Store.open(schema, "b", platform=platform, destroy_development=True)
    assert platform.kept["b"].segments


async def test_other_data_sets_have_entries_of_their_own_beside_app_and_views(platform: MemoryPlatform) -> None:
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append(note("1"))
    entry = {"version": 7, "last_migrated_by": "attachments:1", "last_written_by": "attachments:1"}
    platform.kept["a"].meta |= packed({"versions": codec.encode({**stored(platform), "attachments": entry})})
    async with await Store.open(TWO, "a", platform=platform) as store:
        await store.append(note("2"))
        assert stored(platform)["attachments"] == entry
        assert codec.decode((await saved(store)).split(b"\n")[0])["versions"]["attachments"] == entry


async def test_keys_that_nobody_knows_are_kept_at_any_depth(platform: MemoryPlatform) -> None:
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append(note("1"))
    document = stored(platform)
    document["future"] = {"a": [1, {"b": None}]}
    document["app"]["notes"] = "kept"
    platform.kept["a"].meta |= packed({"versions": codec.encode(document)})
    async with await Store.open(TWO, "a", platform=platform) as store:
        await store.append(note("2"))
    after = stored(platform)
    assert after["future"] == document["future"]
    assert after["app"]["notes"] == "kept"
    assert after["app"]["version"] == 2


async def test_an_old_tab_becomes_read_only_where_a_new_one_has_written(platform: MemoryPlatform) -> None:
    async with await Store.open(ONE, "a", platform=platform) as old:
        await old.append(note("old"))
        async with await Store.open(TWO, "a", platform=platform) as new:
            await new.append(note("new"))
            with pytest.raises(ReadOnlyError, match="newer"):
                await old.append(note("too late"))
            assert old.read_only is not None
            assert [row["note_id"] for row in shown(old)["note"]] == ["old", "new"]
            assert stored(platform)["app"]["version"] == 2
            await new.append(note("again"))
            await old.catch_up()
            assert shown(old) == await folded(old)
            assert event_lines(await saved(old)) == await lines_of(new)


async def test_an_old_tab_that_only_looks_learns_of_it_too(platform: MemoryPlatform) -> None:
    async with await Store.open(ONE, "a", platform=platform) as old, await Store.open(TWO, "a", platform=platform) as new:
        await new.append(note("new"))
        await old.catch_up()
        assert old.read_only is not None


@pytest.mark.parametrize("raw", [b"", b"[]", b"nonsense", b"3", b"\xff"])
async def test_a_damaged_document_is_named_as_such(platform: MemoryPlatform, raw: bytes) -> None:
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append(note("1"))
    platform.kept["a"].meta |= packed({"versions": raw})
    with pytest.raises(CorruptError):
        await Store.open(ONE, "a", platform=platform)


def test_reading_a_document() -> None:
    document = versions.new_document(ONE, "x")
    assert versions.read(document, ONE) == versions.Reading(None, is_older=False)
    assert versions.read(document, TWO) == versions.Reading(None, is_older=True)
    assert versions.read(versions.new_document(DEVELOPMENT, "x"), DEVELOPMENT).read_only is None


def test_writing_does_not_change_what_it_was_given() -> None:
    document = {"meta_version": 1, "app": {"version": 1, "x": {"y": 1}}, "views": 5}
    before = codec.encode(document)
    after = versions.written(document, TWO, "me")
    assert codec.encode(document) == before
    assert after["app"] == {"version": 2, "x": {"y": 1}, "last_migrated_by": "me", "last_written_by": "me"}
    assert after["views"]["version"] == 2
