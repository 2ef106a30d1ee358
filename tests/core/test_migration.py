"""Data of an older version are brought to a newer one as a whole or not at all, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import pytest

from pystore import codec, migration, recovery
from pystore.assistant import schema as assistant
from pystore.errors import ConflictError, MigrationError, PyStoreError, ReadOnlyError, ValidationError
from pystore.event import Event, Recorded
from pystore.memory import MemoryPlatform
from pystore.records import Records
from pystore.schema import Schema
from pystore.store import Store
from pystore.testing import check_migration
from pystore.versions import SHOWN
from pystore.view import View
from tests.support import assistant_to_come
from tests.support.failing import FaultyPlatform, Plan, UntranslatedError
from tests.support.fake_clock import FakeClock
from tests.support.notes import lines_of, saved


class TextWritten(Event):
    id: str
    text: str


class TitleWritten(Event):
    id: str
    title: str
    words: int


def version_1(number: int = 1, *, table: str = "", is_taken: Callable[[str], bool] = lambda _: True) -> Schema:
    """The application; with another `number` the same events under that version."""
    schema = Schema("texts", app=number, views=number)
    schema.table(table or "CREATE TABLE text (id TEXT PRIMARY KEY, text TEXT NOT NULL)")
    schema.event("text.written")(TextWritten)

    @schema.on(TextWritten)
    def written(view: View, event: Recorded) -> None:
        if is_taken(event.data.id):
            view.execute("INSERT INTO text VALUES (?, ?)", (event.data.id, event.data.text))

    return schema


def version_3(*, table: str = "", second: Any = None, check: str = "SELECT 1 FROM text WHERE words < 0") -> Schema:
    """Two versions later: `text` is called `title`, and its words are counted."""
    schema = Schema("texts", app=3, views=3)
    schema.table(table or "CREATE TABLE text (id TEXT PRIMARY KEY, title TEXT NOT NULL, words INTEGER NOT NULL)")
    schema.table("CREATE INDEX by_words ON text (words)")
    schema.check("words are counted", check)
    schema.event("text.written", 3)(TitleWritten)

    @schema.upcast("text.written", 1)
    def renamed(data: dict[str, Any]) -> dict[str, Any]:
        return {"id": data["id"], "title": data["text"]}

    @schema.upcast("text.written", 2)
    def counted(data: dict[str, Any]) -> dict[str, Any]:
        return second(data) if second else {**data, "words": len(data["title"].split())}

    @schema.on(TitleWritten)
    def written(view: View, event: Recorded) -> None:
        view.execute("INSERT INTO text VALUES (?, ?, ?)", (event.data.id, event.data.title, event.data.words))

    return schema


ONE, THREE = version_1(), version_3()
MODES: tuple[Literal["merge", "replace"], ...] = ("merge", "replace")


async def older(platform: MemoryPlatform) -> list[bytes]:
    """A log of version 1; its lines."""
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append([TextWritten(id=str(index), text="one two " * index or "none") for index in range(20)])
        return await lines_of(store)


def version(platform: MemoryPlatform) -> int:
    number: int = codec.decode(Records(platform.kept["a"].meta)["versions"])["app"]["version"]
    return number


async def test_upcasters_are_chained_and_the_bytes_of_the_log_stay(platform: MemoryPlatform) -> None:
    lines = await older(platform)
    async with await Store.open(THREE, "a", platform=platform) as store:
        assert store.read_only is None
        assert store.query("SELECT * FROM text WHERE id = '3'") == [{"id": "3", "title": "one two one two one two ", "words": 6}]
        assert await lines_of(store) == lines
        document = await store.versions()
        assert (document["app"]["version"], document["app"]["last_migrated_by"]) == (3, platform.name)
        (backup,) = await store.backups.list()
        assert (backup["layer"], backup["versions"]["app"]["version"], backup["verified"]["good"]) == ("before-migration", 1, True)
        await store.append(TitleWritten(id="new", title="a b", words=2))
        assert [event["v"] for event in await store.events(limit=2)] == [3, 1]


async def test_a_dry_run_says_whether_it_would_work_and_changes_nothing(platform: MemoryPlatform) -> None:
    await older(platform)
    meta = dict(platform.kept["a"].meta)
    async with await Store.open(THREE, "a", platform=platform, migrate=False) as store:
        report = await store.migrate(dry_run=True)
        assert (report["from"], report["to"], report["events"], report["upcast"], report["problems"]) == (1, 3, 20, 20, [])
        assert platform.vaults == {}
    async with await Store.open(version_3(second=lambda data: data), "a", platform=platform, migrate=False) as store:
        assert len((await store.migrate(dry_run=True))["problems"]) == 20
    assert platform.kept["a"].meta == meta


@pytest.mark.parametrize(("schema", "why"), [
    (version_3(second=lambda data: {**data, "words": 1 // 0}), "could not be brought to version 3"),
    (version_3(second=lambda data: data), "words"),
    (version_3(table="CREATE TABLE text (id TEXT PRIMARY KEY, title TEXT NOT NULL, words INTEGER NOT NULL CHECK (words < 9))"), "CHECK"),
    (version_3(table="CREATE TABLE text (id TEXT PRIMARY KEY, title TEXT REFERENCES text, words INTEGER NOT NULL)"), "FOREIGN KEY"),
    (version_3(check="SELECT id FROM text WHERE words > 20"), "the check 'words are counted' finds"),
], ids=["upcaster", "model", "constraint", "foreign key", "check"])
async def test_what_does_not_fit_leaves_the_old_state_readable_and_says_why(platform: MemoryPlatform, schema: Schema, why: str) -> None:
    lines = await older(platform)
    async with await Store.open(schema, "a", platform=platform) as store:
        assert why in str(store.read_only)
        with pytest.raises(ReadOnlyError):
            await store.append(TitleWritten(id="x", title="x", words=1))
        with pytest.raises(MigrationError) as caught:
            await store.migrate()
        assert caught.value.details["problems"]
        assert [line.split(b"\n") for line in lines] == [line.split(b"\n") for line in (await saved(store)).split(b"\n")[1:-2]]
    assert version(platform) == 1
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append(TextWritten(id="more", text="the old version goes on"))


async def test_conflicts_that_were_there_before_stop_no_migration(platform: MemoryPlatform) -> None:
    await older(platform)
    async with await Store.open(ONE, "b", platform=platform) as other:
        await other.append(TextWritten(id="3", text="the same id"))
        file = await saved(other)
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.restore([file])
        assert len(await store.conflicts()) == 1
        await store.upkeep(now=True)
    async with await Store.open(THREE, "a", platform=platform) as store:
        assert store.read_only is None
        assert len(await store.conflicts()) == 1


@pytest.mark.parametrize("is_repaired", [False, True])
async def test_a_conflict_is_known_from_before_however_short_the_store_was_open(platform: MemoryPlatform, is_repaired: bool) -> None:
    await older(platform)
    async with await Store.open(ONE, "b", platform=platform) as other:
        await other.append(TextWritten(id="3", text="the same id"))
        file = await saved(other)
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.restore([file])
    if is_repaired:
        await recovery.repair(platform, "a", THREE)
    async with await Store.open(THREE, "a", platform=platform) as store:
        assert store.read_only is None
        assert len(await store.conflicts()) == 1


async def test_where_it_is_not_known_what_the_old_version_had_set_aside_every_conflict_stops_the_migration(
    platform: MemoryPlatform,
) -> None:
    await test_a_conflict_is_known_from_before_however_short_the_store_was_open(platform, is_repaired=False)
    platform.kept["a"].meta["versions"] = platform.kept["b"].meta["versions"]
    for meta in (b"", b"{", b"null"):
        platform.kept["a"].meta[SHOWN] = meta
        async with await Store.open(THREE, "a", platform=platform) as store:
            assert "UNIQUE" in str(store.read_only)


FEWER = """CREATE TABLE text (id TEXT PRIMARY KEY, text TEXT NOT NULL CHECK (length(text) < 40))"""


async def test_a_constraint_that_is_new_counts_also_for_events_in_their_newest_form(platform: MemoryPlatform) -> None:
    await older(platform)
    async with await Store.open(version_1(2, table=FEWER), "a", platform=platform) as store:
        assert "CHECK" in str(store.read_only)
        with pytest.raises(MigrationError) as caught:
            await store.migrate()
        assert len(caught.value.details["problems"]) == 15
    assert version(platform) == 1


@pytest.mark.parametrize("may_shrink", [False, True])
async def test_rows_that_become_fewer_stop_the_migration_unless_the_schema_says_that_they_may(
    platform: MemoryPlatform, may_shrink: bool
) -> None:
    await older(platform)
    schema = version_1(2, is_taken=lambda id_: int(id_) < 5)
    if may_shrink:
        schema.may_shrink("text")
    async with await Store.open(schema, "a", platform=platform) as store:
        if may_shrink:
            assert store.read_only is None
        else:
            assert "text has 5 rows where there were 20" in str(store.read_only)
    assert version(platform) == (2 if may_shrink else 1)


async def test_a_migration_that_failed_is_tried_again_and_makes_no_backup_twice(platform: MemoryPlatform) -> None:
    await older(platform)
    fails = [True]
    schema = version_3(second=lambda data: {**data, "words": 1 // (not fails[0])})
    for _ in range(3):
        async with await Store.open(schema, "a", platform=platform) as store:
            assert store.read_only is not None
            assert len(await store.backups.list()) == 1
    chunk = next(name for name in platform.vaults["a"] if name.startswith("chunks"))
    platform.vaults["a"][chunk] = b"damaged"
    async with await Store.open(schema, "a", platform=platform) as store:
        newest, damaged = await store.backups.list()
        assert (newest["verified"]["good"], damaged["verified"]["good"]) == (True, False)
        fails[0] = False
        assert (await store.migrate())["problems"] == []
        assert store.read_only is None
        await store.append(TitleWritten(id="new", title="a b", words=2))


# -- starting over


def too_few_words() -> Schema:
    return version_3(check="SELECT id FROM text WHERE words > 20")


async def test_starting_over_leaves_an_empty_log_of_the_new_version_and_everything_in_a_backup(platform: MemoryPlatform) -> None:
    lines = await older(platform)
    async with await Store.open(too_few_words(), "a", platform=platform) as store:
        assert store.read_only is not None
        made = await store.start_over()
        assert store.read_only is None
        assert store.query("SELECT * FROM text") == []
        await store.append(TitleWritten(id="new", title="a b", words=2))
        (backup,) = await store.backups.list()
        assert (backup["id"], backup["events"], backup["versions"]["app"]["version"]) == (made, 20, 1)
        with pytest.raises(MigrationError):
            await store.backups.restore(backup["id"])
        with pytest.raises(ValidationError):
            await store.start_over()
    async with await Store.open(THREE, "a", platform=platform) as store:
        assert store.query("SELECT id FROM text") == [{"id": "new"}]
        await store.backups.restore(backup["id"])
        assert set(lines) < set(await lines_of(store))
        assert (await store.verify())["sound"]


@pytest.mark.parametrize("kind", ["bug", "done but bug", "quota"])
async def test_killed_while_starting_over_everything_is_there_or_in_a_backup(kind: str) -> None:
    at, failed = 0, True
    seen = set()
    while failed:
        at += 1
        platform = MemoryPlatform(FakeClock())
        lines = await older(platform)
        plan = Plan()
        store = await Store.open(too_few_words(), "a", platform=FaultyPlatform(platform, plan), migrate=False)
        plan.at, plan.kind, plan.is_sticky = at, kind, True
        with suppress(PyStoreError, UntranslatedError):
            await store.start_over()
        failed = plan.failed > 0
        plan.at = 0
        await store.close()
        seen.add(version(platform))
        if version(platform) == 1:
            async with await Store.open(ONE, "a", platform=platform) as again:
                assert await lines_of(again) == lines
        else:
            async with await Store.open(too_few_words(), "a", platform=platform) as again:
                assert again.query("SELECT * FROM text") == []
                (backup,) = await again.backups.list()
                assert (await again.backups.verify(backup["id"]))["events"] == 20
    assert seen == {1, 3}


async def test_what_another_window_wrote_meanwhile_is_not_started_over(platform: MemoryPlatform) -> None:
    await older(platform)
    plan = Plan()
    async with (
        await Store.open(ONE, "a", platform=platform) as old,
        await Store.open(too_few_words(), "a", platform=FaultyPlatform(platform, plan), migrate=False) as store,
    ):
        async def write(operation: str) -> None:
            if operation == "vault write":  # what came of checking the backup
                plan.before.clear()
                await old.append(TextWritten(id="late", text="late"))

        made = await migration.back_up(store.projection, store.backups)
        plan.before.append(write)
        assert made is not None
        with pytest.raises(ConflictError):
            await store.start_over()
        await store.start_over()
        assert [one["events"] for one in await store.backups.list()] == [21, 20]


# -- files of an older version


async def test_a_file_of_an_older_version_says_before_it_is_restored_what_of_it_does_not_fit(platform: MemoryPlatform) -> None:
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.append([TextWritten(id=str(index), text="one two " * index or "none") for index in range(20)])
        file = await saved(store)
    async with await Store.open(THREE, "good", platform=platform) as store:
        assert (await store.inspect([file]))["unfit"] == []
        assert (await store.restore([file], mode="replace"))["conflicts"] == 0
    bad = version_3(second=lambda data: data if data["id"] in "34" else {**data, "words": 1})
    async with await Store.open(bad, "b", platform=platform) as store:
        await store.append(TitleWritten(id="new", title="a b", words=2))
        before = await lines_of(store)
        found = await store.inspect([file])
        assert (found["events"], found["conflicts"], len(found["unfit"])) == (20, 2, 2)
        assert found["unfit"][0]["id"].endswith(":4")
        for mode in MODES:
            with pytest.raises(MigrationError) as caught:
                await store.restore([file], mode=mode)
            assert len(caught.value.details["problems"]) == 2
        assert await lines_of(store) == before
        assert (await store.restore([file], salvage=True))["conflicts"] == 2
        assert len(await store.conflicts()) == 2
        assert set(before) < set(await lines_of(store))


async def test_a_file_of_an_older_version_may_have_the_conflicts_that_it_had(platform: MemoryPlatform) -> None:
    await older(platform)
    async with await Store.open(ONE, "b", platform=platform) as other:
        await other.append(TextWritten(id="3", text="the same id"))
        theirs = await saved(other)
    async with await Store.open(ONE, "a", platform=platform) as store:
        await store.restore([theirs])
        file = await saved(store)
    async with await Store.open(THREE, "c", platform=platform) as store:
        assert (await store.inspect([file]))["unfit"] == []
        assert (await store.restore([file], mode="replace"))["conflicts"] == 1


async def test_a_file_saved_by_a_version_that_cannot_show_it_does_not_pass_for_one_that_fits(platform: MemoryPlatform) -> None:
    await older(platform)
    bad = version_1(2, table=FEWER)
    async with await Store.open(bad, "a", platform=platform) as store:
        assert store.read_only is not None
        file = await saved(store)
    async with await Store.open(bad, "b", platform=platform) as store:
        with pytest.raises(MigrationError):
            await store.restore([file], mode="replace")
        assert store.log.state.events == 0
    async with await Store.open(version_1(2, is_taken=lambda id_: int(id_) < 5), "c", platform=platform) as store:
        with pytest.raises(MigrationError, match="text has 5 rows where there were 20"):
            await store.restore([file])


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_a_storage_that_fails_is_tried_three_times_with_growing_pauses(
    platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    await older(platform)
    plan = Plan()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == failures:
            plan.at = 0

    store = await Store.open(THREE, "a", platform=FaultyPlatform(platform, plan), migrate=False)
    monkeypatch.setattr("pystore.migration.wait", pause)
    plan.at, plan.only, plan.kind, plan.is_sticky = 1, "vault write", "unavailable", True
    if failures < 3:
        assert (await store.migrate())["backup"] is not None
    else:
        with pytest.raises(MigrationError, match="3 times"):
            await store.migrate()
    assert pauses == [0.5, 1.0][:failures]
    assert (store.read_only is None) == (failures < 3)
    assert version(platform) == (3 if failures < 3 else 1)
    monkeypatch.undo()
    await store.close()


@pytest.mark.parametrize("kind", ["bug", "done but bug"])
async def test_killed_at_any_point_the_data_are_of_the_old_version_or_of_the_new_one(kind: str) -> None:
    at, failed = 0, True
    seen = set()
    while failed:
        at += 1
        platform = MemoryPlatform(FakeClock())
        lines = await older(platform)
        plan = Plan()
        store = await Store.open(THREE, "a", platform=FaultyPlatform(platform, plan), migrate=False)
        plan.at, plan.kind, plan.is_sticky = at, kind, True
        with suppress(PyStoreError, UntranslatedError):
            await store.migrate()
        failed = plan.failed > 0
        plan.at = 0
        await store.close()
        seen.add(version(platform))
        if version(platform) == 1:
            async with await Store.open(ONE, "a", platform=platform) as again:
                assert again.read_only is None
                assert await lines_of(again) == lines
                assert (await again.verify())["sound"]
        async with await Store.open(THREE, "a", platform=platform) as again:
            assert again.read_only is None
            assert len(again.query("SELECT * FROM text")) == 20
            assert await lines_of(again) == lines
    assert seen == {1, 3}
    assert at > 10


async def test_a_window_of_the_old_version_writes_no_more_once_another_has_migrated(platform: MemoryPlatform) -> None:
    await older(platform)
    async with await Store.open(ONE, "a", platform=platform) as old, await Store.open(THREE, "a", platform=platform) as new:
        with pytest.raises(ReadOnlyError):
            await old.append(TextWritten(id="late", text="late"))
        assert len(new.query("SELECT * FROM text")) == 20


# -- the three tests for those who write an application

FIXTURES = [("text.written", 1, {"id": "a", "text": "one two"}), ("text.written", 2, {"id": "b", "title": "three"})]
EXPECTED = {"SELECT id, words FROM text ORDER BY id": [{"id": "a", "words": 2}, {"id": "b", "words": 1}]}


def text(number: int) -> tuple[str, int, dict[str, Any]]:
    return "text.written", 1, {"id": str(number), "text": "one two three"}


async def test_a_migration_that_is_right_passes_with_its_figures() -> None:
    found = await check_migration(THREE, from_version=1, fixtures=FIXTURES, expect=EXPECTED, record=text)
    assert found["records"] == 10_000
    assert 0 < found["longest_pause_s"] <= found["seconds"] < 5


@pytest.mark.parametrize(("schema", "expect", "why"), [
    (version_3(second=lambda data: data), EXPECTED, "Forward"),
    (THREE, {"SELECT count(*) AS n FROM text": [{"n": 3}]}, "Forward: .* gives"),
    (THREE, {"SELECT missing FROM text": []}, "Integrity: the query"),
    (version_3(check="SELECT id FROM text"), EXPECTED, "the check 'words are counted' finds"),
])
async def test_a_migration_that_loses_something_fails_and_says_what(schema: Schema, expect: Any, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        await check_migration(schema, from_version=1, fixtures=FIXTURES, expect=expect, record=text, records=10)


async def test_queries_are_answered_through_the_indexes_that_they_are_said_to_use() -> None:
    by_words, by_title = "SELECT id FROM text WHERE words = 3", "SELECT id FROM text WHERE title = 'a'"
    await check_migration(
        THREE, from_version=1, fixtures=FIXTURES, expect=EXPECTED, record=text, records=10, through={by_words: "by_words"}
    )
    with pytest.raises(AssertionError, match=r"Integrity: .* does not use the index by_words"):
        await check_migration(THREE, from_version=1, fixtures=FIXTURES, expect=EXPECTED, record=text, through={by_title: "by_words"})


async def test_an_index_that_is_missing_after_a_migration_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pystore.testing.described", lambda _: {"indexes": {"by_title": "CREATE INDEX by_title ON text (title)"}})
    with pytest.raises(AssertionError, match="Integrity: the index by_title is not there"):
        await check_migration(THREE, from_version=1, fixtures=FIXTURES, expect=EXPECTED, record=text)


async def test_a_migration_that_takes_too_long_or_stops_all_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pystore.testing.MOST_SECONDS", 0.0)
    with pytest.raises(AssertionError, match="records took"):
        await check_migration(THREE, from_version=1, fixtures=FIXTURES, expect=EXPECTED, record=text, records=10)
    monkeypatch.undo()
    monkeypatch.setattr("pystore.testing.LONGEST_PAUSE_S", 0.0)
    with pytest.raises(AssertionError, match="had to wait"):
        await check_migration(THREE, from_version=1, fixtures=FIXTURES, expect=EXPECTED, record=text, records=10)


def started_or_posted(number: int) -> tuple[str, int, dict[str, Any]]:
    """The events of conversations with nine messages each."""
    conversation, posted = f"c{number // 10}", number % 10
    created = {"conversation_id": conversation, "created_at": f"2026-01-02T03:04:05.{number % 1000:03d}Z"}
    if posted == 0:
        return "conversation.started", 1, {**created, "title": f"Conversation {number}"}
    message = {"message_id": f"m{number}", "role": "user", "content": [{"type": "text", "text": "Some words that were said. " * 5}]}
    return "message.posted", 1, {**created, **message, "parent_id": None if posted == 1 else f"m{number - 1}"}


async def test_a_newer_assistant_would_take_over_what_this_one_wrote() -> None:
    await check_migration(
        assistant_to_come.schema, from_version=assistant.app, fixtures=[started_or_posted(number) for number in range(20)],
        expect={
            "SELECT title, folder, message_count FROM conversation JOIN in_folder USING (conversation_id) ORDER BY conversation_id": [
                {"title": f"Conversation {number}", "folder": "Unsorted", "message_count": 9} for number in (0, 10)
            ],
            "SELECT count(*) AS n FROM message": [{"n": 18}],
        },
        through={"SELECT conversation_id FROM in_folder WHERE folder = 'Unsorted'": "by_folder"}, record=started_or_posted,
    )
